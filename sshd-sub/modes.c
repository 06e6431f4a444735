/* SPDX-License-Identifier: MIT */
/*
 * A pty-req is read field by field and the modes are its last, so in the callback they are the last string made. Should a
 * later libssh make another one after them, it is hardly ever well formed; were it, the agent's own terminal would start
 * with modes that its user did not ask for, and no more.
 */
#include "sshd-sub/modes.h"
#include "shell/bus/bus.h"

#include <dlfcn.h>
#include <libssh/libssh.h>
#include <stdlib.h>

#define EXPORTED __attribute__((visibility("default")))

typedef ssh_string NewFunction(size_t n);
typedef void FreeFunction(ssh_string string);

static ssh_string last;

EXPORTED ssh_string ssh_string_new(size_t n)
{
	static NewFunction *original;

	if (!original)
		original = (NewFunction *)dlsym(RTLD_NEXT, "ssh_string_new");
	if (!original)
		abort();
	last = original(n);
	return last;
}

EXPORTED void ssh_string_free(ssh_string string)
{
	static FreeFunction *original;

	if (!original)
		original = (FreeFunction *)dlsym(RTLD_NEXT, "ssh_string_free");
	if (!original)
		abort();
	if (string == last)
		last = NULL;
	original(string);
}

bool modes_well_formed(const uint8_t *data, size_t n)
{
	size_t i = 0;

	for (; i < n && data[i]; i += 5)
		if (data[i] >= 160 || n - i < 5)
			return false;
	return i == n || i + 1 == n;
}

Slice modes_of_request(void)
{
	Slice modes = { .data = (const uint8_t *)"" };

	if (!last || ssh_string_len(last) > KEEPER_MODES_MAX)
		return modes;
	if (!modes_well_formed(ssh_string_data(last), ssh_string_len(last)))
		return modes;
	return (Slice){ .data = ssh_string_data(last), .n = ssh_string_len(last) };
}
