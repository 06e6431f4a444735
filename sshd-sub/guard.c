/* SPDX-License-Identifier: MIT */
#include "sshd-sub/guard.h"

#include <dlfcn.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdlib.h>

#define EXPORTED __attribute__((visibility("default")))

/* A rekey, and what libssh sends while it reads inside a write: window adjustments, answers to requests. */
#define OTHER_PACKETS 1024U

static struct {
	void (*trip)(void);
	bool on;
	size_t left;
} guard;

void guard_init(void (*trip)(void))
{
	guard.trip = trip;
}

void guard_begin(size_t n)
{
	guard.left = n + OTHER_PACKETS;
	guard.on = true;
}

void guard_end(void)
{
	guard.on = false;
}

EXPORTED int RAND_bytes(unsigned char *data, int n)
{
	static int (*original)(unsigned char *, int);

	if (!original)
		original = (int (*)(unsigned char *, int))dlsym(RTLD_NEXT, "RAND_bytes");
	if (!original)
		abort();
	if (guard.on && guard.left-- == 0) {
		guard.on = false;
		if (guard.trip)
			guard.trip();
	}
	return original(data, n);
}
