/* SPDX-License-Identifier: MIT */
/* [network] operator_ports: what the firewall lets in beside SSH and agents' ports. Pure. */
#pragma once

#include "shell/base/str.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define OPENING_SOURCE_MAX (INET6_ADDRSTRLEN + 4U)

typedef struct Opening {
	uint16_t first, last;
	bool udp; /* else TCP */
	bool six; /* the source is of IPv6 */
	/* an address, as inet_ntop(3) writes it, with its /LENGTH; "": from anywhere */
	char source[OPENING_SOURCE_MAX];
} Opening;

/*
 * PORT or FIRST-LAST, maybe /udp, maybe ` from ADDRESS[/LENGTH]`. Returns NULL; else why `text` is none, to be read behind it, and `ret`
 * is untouched.
 */
const char *opening_parse(const char *text, Opening *ret);
