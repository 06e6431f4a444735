/* SPDX-License-Identifier: MIT */
/*
 * SSH_CLIENT is left out on purpose: Debian's bash takes it as a sign to read ~/.bashrc for `ssh host command`, which
 * would let a dotfile print into what should be the command's own output.
 */
#include "shell/session/environment.h"

#include <ctype.h>
#include <string.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
#define DEFAULT_LANG "C.UTF-8"

bool environment_accepted(const StrList *accepted, const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	size_t n;

	if (!equals || equals == assignment)
		return false;
	n = (size_t)(equals - assignment);
	for (const unsigned char *c = (const unsigned char *)equals + 1; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			return false;
	/* what a pattern's * stands for is a name, too */
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)assignment[i]) && assignment[i] != '_')
			return false;

	for (size_t i = 0; i < accepted->n; i++) {
		const char *name = accepted->items[i];
		size_t name_n = strlen(name);

		if (name_n && name[name_n - 1] == '*' ? n >= name_n - 1 && strncmp(assignment, name, name_n - 1) == 0
						      : n == name_n && strncmp(assignment, name, n) == 0)
			return true;
	}
	return false;
}

static bool same_name(const char *a, const char *b)
{
	const char *equals = strchr(a, '=');
	size_t n = equals ? (size_t)(equals - a) + 1 : strlen(a);

	return strncmp(a, b, n) == 0;
}

/* The later assignment wins. Takes `assignment`. */
static int environment_set(StrList *list, char *assignment)
{
	if (!assignment)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++)
		if (same_name(assignment, list->items[i])) {
			free(list->items[i]);
			list->items[i] = assignment;
			return 0;
		}
	return strlist_push(list, assignment);
}

/* What every login has, whatever was asked for. */
static int add_fixed(const Identity *identity, const EnvironmentRequest *request, StrList *list)
{
	unsigned int uid = (unsigned int)identity->uid;
	int r;

	r = strlist_push(list, str_format("HOME=%s", identity->home));
	if (!r)
		r = strlist_push(list, str_format("USER=%s", identity->name));
	if (!r)
		r = strlist_push(list, str_format("LOGNAME=%s", identity->name));
	if (!r)
		r = strlist_push(list, str_format("SHELL=%s", request->shell));
	if (!r)
		r = strlist_add(list, "PATH=" DEFAULT_PATH);
	if (!r)
		r = strlist_add(list, "LANG=" DEFAULT_LANG);
	if (!r)
		r = strlist_push(list, str_format("XDG_RUNTIME_DIR=/run/user/%u", uid));
	if (!r)
		r = strlist_push(list, str_format("DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/%u/bus", uid));
	if (!r && request->peer)
		r = strlist_push(list, str_format("SSH_CONNECTION=%s", request->peer));
	if (!r && request->session)
		r = strlist_push(list, str_format("CREEL_SESSION=%s", request->session));
	return r;
}

int environment_build(const Identity *identity, const EnvironmentRequest *request, StrList *ret)
{
	_cleanup_(strlist_done) StrList list = { 0 };
	int r;

	r = add_fixed(identity, request, &list);
	if (!r && request->tty)
		r = environment_set(&list, str_format("SSH_TTY=%s", request->tty));
	if (!r && request->tty && request->term && *request->term)
		r = environment_set(&list, str_format("TERM=%s", request->term));
	if (!r && request->original)
		r = environment_set(&list, str_format("SSH_ORIGINAL_COMMAND=%s", request->original));
	for (char *const *asked = request->asked; !r && asked && *asked; asked++)
		if (environment_accepted(request->accepted, *asked))
			r = environment_set(&list, strdup(*asked));
	/* after what the client asked for: who wrote the key's line has the last word */
	for (char *const *key = request->key; !r && key && *key; key++)
		if (environment_accepted(request->accepted, *key))
			r = environment_set(&list, strdup(*key));
	if (r < 0)
		return r;
	*ret = list;
	list = (StrList){ 0 };
	return 0;
}
