/* SPDX-License-Identifier: MIT */
/*
 * Where a forwarding leads: port (2 bytes), what the policy allows (1: own, 2: 3000-9000), length of the host, the host as
 * the client sent it, the key's options. Whatever is let through is on loopback, at that port, and for a reason.
 */
#include "shell/keeper/target.h"

#include <netinet/in.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static void expect_loopback(const struct sockaddr_storage *address, uint16_t port)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

	if (address->ss_family == AF_INET) {
		expect(ntohl(in->sin_addr.s_addr) >> 24 == 127 && ntohs(in->sin_port) == port);
	} else {
		expect(address->ss_family == AF_INET6);
		expect(memcmp(&in6->sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback)) == 0);
		expect(ntohs(in6->sin6_port) == port && in6->sin6_scope_id == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	PortRange range = { 3000, 9000 };
	KeyOptions options;
	KeyReason reason;
	PortList allowed;
	uint16_t port;
	Target target;
	char host[256];
	size_t host_n;

	if (n < 4)
		return 0;
	port = (uint16_t)(data[0] << 8 | data[1]);
	allowed = (PortList){ .ranges = &range, .n = data[2] >> 1 & 1, .own = data[2] & 1 };
	host_n = data[3] < n - 4 ? data[3] : n - 4;
	memcpy(host, data + 4, host_n);
	host[host_n] = '\0';
	if (key_options_parse((const char *)data + 4 + host_n, n - 4 - host_n, &options, &reason) < 0)
		return 0;

	expect(target_judge(&options, &allowed, host, port + 65536U, &target) != NULL);
	if (!target_judge(&options, &allowed, host, port, &target)) {
		expect(port && options.forwarding && target.n >= 1 && target.n <= 2);
		for (size_t i = 0; i < target.n; i++)
			expect_loopback(&target.addresses[i], port);
		expect(target.own ? allowed.own : allowed.n && port >= 3000 && port <= 9000);
	}
	key_options_done(&options);
	return 0;
}
