/* SPDX-License-Identifier: MIT */
#include "shell/jobs/address.h"
#include "shell/base/file.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <string.h>

#define ROUTES_MAX (1024U * 1024) /* bytes */

/* A route that leads somewhere, and the best until now. */
static bool better(unsigned long flags, unsigned long metric, unsigned long *best)
{
	if (!(flags & RTF_UP) || flags & RTF_REJECT || metric >= *best)
		return false;
	*best = metric;
	return true;
}

bool address_route4(const char *text, char *interface, size_t size)
{
	unsigned long best = (unsigned long)-1;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		char name[IFNAMSIZ], destination[9], mask[9];
		unsigned int flags, metric;

		line += *line == '\n';
		/* Iface Destination Gateway Flags RefCnt Use Metric Mask */
		if (sscanf(line, "%15s %8s %*8s %x %*s %*s %u %8s", name, destination, &flags, &metric, mask) == 5 &&
			strcmp(destination, "00000000") == 0 && strcmp(mask, "00000000") == 0 &&
			better(flags, metric, &best))
			(void)snprintf(interface, size, "%s", name);
	}
	return best != (unsigned long)-1;
}

bool address_route6(const char *text, char *interface, size_t size)
{
	unsigned long best = (unsigned long)-1;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		char name[IFNAMSIZ], destination[33], length[3];
		unsigned int flags, metric;

		line += *line == '\n';
		/* destination length source length gateway metric references use flags interface */
		if (sscanf(line, "%32s %2s %*32s %*2s %*32s %x %*8s %*8s %x %15s", destination, length, &metric, &flags,
			    name) == 5 &&
			strspn(destination, "0") == 32 && strcmp(length, "00") == 0 && strcmp(name, "lo") != 0 &&
			better(flags, metric, &best))
			(void)snprintf(interface, size, "%s", name);
	}
	return best != (unsigned long)-1;
}

static bool is_global(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		uint32_t host = ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);

		return host >> 24 != IN_LOOPBACKNET && host >> 16 != 0xa9fe /* link-local, RFC 3927 */;
	}
	return !IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr) &&
	       !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* `interface` NULL: any. */
static bool find_on(const struct ifaddrs *all, int family, const char *interface, char *buffer, size_t size)
{
	for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
		const void *bytes;

		if (!one->ifa_addr || one->ifa_addr->sa_family != family || !(one->ifa_flags & IFF_UP) ||
			(interface && strcmp(one->ifa_name, interface) != 0) || !is_global(one->ifa_addr))
			continue;
		bytes = family == AF_INET ? (const void *)&((const struct sockaddr_in *)one->ifa_addr)->sin_addr
					  : (const void *)&((const struct sockaddr_in6 *)one->ifa_addr)->sin6_addr;
		return inet_ntop(family, bytes, buffer, (socklen_t)size) != NULL;
	}
	return false;
}

static bool find_by_route(const struct ifaddrs *all, const char *path, bool (*route)(const char *, char *, size_t),
	int family, char *buffer, size_t size)
{
	_cleanup_free_ char *text = NULL;
	char interface[IFNAMSIZ];
	size_t n;

	return file_read_at(AT_FDCWD, path, 0, ROUTES_MAX, &text, &n) == 0 &&
	       route(text, interface, sizeof(interface)) && find_on(all, family, interface, buffer, size);
}

bool address_find(char *buffer, size_t size)
{
	struct ifaddrs *all = NULL;
	bool found;

	(void)snprintf(buffer, size, "127.0.0.1");
	if (getifaddrs(&all) < 0)
		return false;
	found = find_by_route(all, "/proc/net/route", address_route4, AF_INET, buffer, size) ||
		find_by_route(all, "/proc/net/ipv6_route", address_route6, AF_INET6, buffer, size) ||
		find_on(all, AF_INET, NULL, buffer, size) || find_on(all, AF_INET6, NULL, buffer, size);
	freeifaddrs(all);
	return found;
}

const char *address_url(const char *address, uint16_t port, char *buffer, size_t size)
{
	bool six = strchr(address, ':') != NULL;

	(void)snprintf(buffer, size, "http://%s%s%s:%u", six ? "[" : "", address, six ? "]" : "", port);
	return buffer;
}
