/* SPDX-License-Identifier: MIT */
/* Where others reach this machine. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_TEXT 64U /* bytes; enough for an IPv6 address with what follows a % */
#define ADDRESS_URL 96U

/*
 * The address of the interface that the default route leads through, IPv4 before IPv6; without such a route any global address, in the
 * same order; without any, 127.0.0.1 (returns false: nobody else reaches that). A rented VM behind a translator of addresses has
 * another one outside, which nothing on the machine knows.
 * Context: any; reads /proc/net and asks the kernel. Privilege: none.
 */
bool address_find(char *buffer, size_t size);

/* "http://ADDRESS:PORT", IPv6 in brackets. Returns `buffer`. */
const char *address_url(const char *address, uint16_t port, char *buffer, size_t size);

/*
 * The interface of the default route with the least metric in the text of /proc/net/route, or of /proc/net/ipv6_route. Returns false
 * when there is none. Pure.
 */
bool address_route4(const char *text, char *interface, size_t size);
bool address_route6(const char *text, char *interface, size_t size);
