/* SPDX-License-Identifier: MIT */
/* The environment of what an agent's session starts with. */
#pragma once

#include "shell/base/str.h"
#include "shell/session/identity.h"

#include <stdbool.h>

typedef struct EnvironmentRequest {
	const char *shell;       /* the policy's */
	const char *peer;        /* "ADDRESS PORT LOCAL-ADDRESS LOCAL-PORT"; NULL: of no connection */
	const char *session;     /* id; NULL: in no session */
	const char *term;        /* NULL or "" without a pty */
	const char *tty;         /* the pty's path, NULL without one */
	const StrList *accepted; /* patterns of names that a client may set: the policy's */
	const char *original;    /* what the client asked for where the key forces a command; NULL: nothing */
	char *const *key;        /* NULL-terminated "NAME=value" of the key's options; may be NULL */
	char *const *asked;      /* NULL-terminated "NAME=value" that the client asked for; may be NULL */
} EnvironmentRequest;

/*
 * Builds "NAME=value" strings: what every login has (HOME USER LOGNAME SHELL PATH LANG XDG_RUNTIME_DIR
 * DBUS_SESSION_BUS_ADDRESS SSH_CONNECTION CREEL_SESSION, TERM and SSH_TTY with a pty, SSH_ORIGINAL_COMMAND under a forced
 * command), then those that the client asked for and those of the key's options, where environment_accepted() allows
 * them; they can replace only LANG, and the key's replace the client's.
 */
_must_check_ int environment_build(const Identity *identity, const EnvironmentRequest *request, StrList *ret);

/* A name that `accepted` has, or the beginning of one with a * behind it, and a value without control characters. */
bool environment_accepted(const StrList *accepted, const char *assignment);
