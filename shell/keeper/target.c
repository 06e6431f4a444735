/* SPDX-License-Identifier: MIT */
/*
 * Names are not looked up: whoever answers for a name would decide where a forwarding leads. `localhost` means 127.0.0.1,
 * and ::1 when nobody listens there; everything else is an address of loopback in its usual notation.
 */
#include "shell/keeper/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

static int target_parse(const char *host, uint16_t port, Target *ret)
{
	const bool by_name = strcasecmp(host, "localhost") == 0;
	struct in_addr a4 = { htonl(INADDR_LOOPBACK) };
	struct in6_addr a6 = in6addr_loopback;
	Target target = { 0 };

	if (by_name || (inet_pton(AF_INET, host, &a4) == 1 && (ntohl(a4.s_addr) >> 24) == 127))
		*(struct sockaddr_in *)&target.addresses[target.n++] =
			(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = a4 };
	if (by_name || (inet_pton(AF_INET6, host, &a6) == 1 && IN6_IS_ADDR_LOOPBACK(&a6)))
		*(struct sockaddr_in6 *)&target.addresses[target.n++] =
			(struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = a6 };
	if (!target.n)
		return -EPERM;
	*ret = target;
	return 0;
}

/* permitopen="host:port" of the key; without any, the policy alone decides. */
static bool key_permits(const KeyOptions *options, const char *host, uint16_t port)
{
	for (size_t i = 0; i < options->permit_open.n; i++) {
		const char *item = options->permit_open.items[i], *colon = strrchr(item, ':');
		size_t n = (size_t)(colon - item);
		uint64_t number;

		if (n > 1 && item[0] == '[' && item[n - 1] == ']') {
			item++;
			n -= 2;
		}
		if (strlen(host) != n || strncmp(host, item, n) != 0)
			continue;
		if (strcmp(colon + 1, "*") == 0 || (str_to_u64(colon + 1, 65535, &number) == 0 && number == port))
			return true;
	}
	return options->permit_open.n == 0;
}

const char *target_judge(
	const KeyOptions *options, const PortList *allowed, const char *host, uint32_t port, Target *ret)
{
	Target target;

	if (port == 0 || port > UINT16_MAX || target_parse(host, (uint16_t)port, &target) < 0)
		return "only this machine's loopback can be forwarded to";
	if (!options->forwarding)
		return "this key may not forward ports";
	if (!key_permits(options, host, (uint16_t)port))
		return "the port is not in this key's permitopen";
	target.own = !port_list_contains(allowed, (uint16_t)port);
	if (target.own && !allowed->own)
		return "the port is not in the policy's ports.forward";
	*ret = target;
	return NULL;
}
