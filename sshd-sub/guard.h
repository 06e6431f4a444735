/* SPDX-License-Identifier: MIT */
/*
 * libssh 0.10 never comes back from writing to a channel whose client said that it takes packets of 10 bytes: it takes 10
 * from that and sends empty ones for ever, at the cost of a core that no agent's limit covers. No function shows the size.
 * But each packet needs random padding, so OpenSSL's RAND_bytes() is bound to ours (as split.h does), which counts: a write
 * of n bytes that made more than n packets, and some for a rekey, is such a one.
 *
 * Context: worker.
 */
#pragma once

#include <stddef.h>

/* What to do about it; must not return. Before the first guard_begin(). */
void guard_init(void (*trip)(void));

/* Around each write of `n` bytes to a channel. */
void guard_begin(size_t n);
void guard_end(void);
