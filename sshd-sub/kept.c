/* SPDX-License-Identifier: MIT */
/*
 * libssh calls ssh_message_free() through its own exported symbol, so the definition here is the one that it reaches, as
 * with the strings of modes.c. What is kept is spared there, and noted as spared: should a later libssh free in another
 * way, nothing is noted, and its message never used.
 */
#include "sshd-sub/kept.h"
#include "shell/bus/bus.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define EXPORTED __attribute__((visibility("default")))

typedef struct Kept {
	ssh_message message; /* NULL: a free place */
	bool spared;
} Kept;

static Kept kept[KEEPER_CHANNELS_MAX];

static Kept *kept_find(ssh_message message)
{
	for (size_t i = 0; i < ELEMENTSOF(kept); i++)
		if (kept[i].message == message)
			return &kept[i];
	return NULL;
}

EXPORTED void ssh_message_free(ssh_message message)
{
	static void (*original)(ssh_message);
	Kept *one = message ? kept_find(message) : NULL;

	if (!original)
		original = (void (*)(ssh_message))dlsym(RTLD_NEXT, "ssh_message_free");
	if (!original)
		abort();
	if (one && !one->spared)
		one->spared = true;
	else
		original(message);
}

int kept_add(ssh_message message)
{
	Kept *place = kept_find(NULL);

	if (!place)
		return -ENOBUFS;
	*place = (Kept){ .message = message };
	return 0;
}

bool kept_is_sound(ssh_message message)
{
	const Kept *one = kept_find(message);

	return one && one->spared;
}

void kept_free(ssh_message message)
{
	Kept *one = kept_find(message);
	bool sound = one && one->spared;

	if (!one)
		return;
	*one = (Kept){ 0 };
	if (sound)
		ssh_message_free(message);
}
