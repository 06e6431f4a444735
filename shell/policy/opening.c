/* SPDX-License-Identifier: MIT */
/*
 * What comes out goes into the text that nft(8) reads, so every part of it is made anew from what was understood: numbers, and an address
 * by inet_ntop(3). Names of hosts are none: a firewall that asks for names lets in whom the answer names.
 */
#include "shell/policy/opening.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_MAX 5U /* digits of a port */

/* Digits up to `n` bytes, as a port; false: they are none. */
static bool scan_port(const char *text, size_t n, uint16_t *ret)
{
	char digits[NUMBER_MAX + 1];
	uint64_t port;

	if (n == 0 || n > NUMBER_MAX)
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	if (str_to_u64(digits, UINT16_MAX, &port) < 0 || port == 0)
		return false;
	*ret = (uint16_t)port;
	return true;
}

static const char *scan_source(const char *text, Opening *ret)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN], shown[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	uint64_t length = 0;

	if (n >= sizeof(address))
		return "has no address behind `from`";
	memcpy(address, text, n);
	address[n] = '\0';
	ret->six = inet_pton(AF_INET6, address, bytes) == 1;
	if (!ret->six && inet_pton(AF_INET, address, bytes) != 1)
		return "has no address behind `from`: 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64, and no host name";
	if (!inet_ntop(ret->six ? AF_INET6 : AF_INET, bytes, shown, sizeof(shown)))
		return "has no address behind `from`";
	if (slash && str_to_u64(slash + 1, ret->six ? 128 : 32, &length) < 0)
		return ret->six ? "has no length behind its /: 0 to 128" : "has no length behind its /: 0 to 32";
	(void)snprintf(ret->source, sizeof(ret->source), slash ? "%s/%u" : "%s", shown, (unsigned)length);
	return NULL;
}

const char *opening_parse(const char *text, Opening *ret)
{
	static const char notation[] = "is not PORT, FIRST-LAST or either with /udp, as in `9100 from 192.0.2.7`";
	size_t ports_n = strcspn(text, " \t/"), first_n = strcspn(text, "-");
	const char *rest = text + ports_n, *why;
	Opening opening = { 0 };

	if (first_n > ports_n)
		first_n = ports_n;
	if (!scan_port(text, first_n, &opening.first))
		return notation;
	opening.last = opening.first;
	if (first_n < ports_n && !scan_port(text + first_n + 1, ports_n - first_n - 1, &opening.last))
		return notation;
	if (opening.last < opening.first)
		return "is a range that ends before it starts";
	if (*rest == '/') {
		size_t n = strcspn(++rest, " \t");

		opening.udp = n == 3 && memcmp(rest, "udp", 3) == 0;
		if (!opening.udp && !(n == 3 && memcmp(rest, "tcp", 3) == 0))
			return notation;
		rest += n;
	}
	rest += strspn(rest, " \t");
	if (*rest) {
		if (strncmp(rest, "from", 4) != 0 || !rest[4] || !strchr(" \t", rest[4]))
			return notation;
		rest += 4;
		rest += strspn(rest, " \t");
		why = scan_source(rest, &opening);
		if (why)
			return why;
	}
	*ret = opening;
	return NULL;
}
