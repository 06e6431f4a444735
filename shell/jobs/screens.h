/* SPDX-License-Identifier: MIT */
/* Sessions of screen(1), as it lists them itself: who started one by hand finds it here as well. */
#pragma once

#include "shell/base/str.h"
#include "shell/jobs/reason.h"

#include <dirent.h>
#include <sys/types.h>

typedef enum ScreenState {
	SCREEN_DETACHED,
	SCREEN_ATTACHED,
	SCREEN_DEAD, /* its socket is there, its process is not */
	SCREEN_OTHER,
} ScreenState;

typedef struct Screen {
	pid_t pid;
	char *name;   /* what -S called it */
	char *socket; /* PID.NAME: means no other one */
	ScreenState state;
	uint64_t started_usec; /* realtime; 0: not known */
} Screen;

typedef struct Screens {
	Screen *items;
	size_t n;
} Screens;

void screens_done(Screens *screens);
#define _cleanup_screens_ _cleanup_(screens_done)

const char *screen_state_name(ScreenState state);

/*
 * Where screen(1) has its sockets: PID.NAME, mode 0700 when somebody is attached, 0600 when nobody is. NULL: it never had any. The
 * caller closes.
 */
DIR *screens_folder(void);

/* "1234.name"; `ret_name` points into it. Returns 0 or -EINVAL: it is no socket's name. */
_must_check_ int screen_socket_parse(const char *socket, pid_t *ret_pid, const char **ret_name);

/* One of that name that has its socket now and is not among `before`, without asking screen. Returns 1, 0 (not yet) or -ENOMEM. */
_must_check_ int screens_came(const char *name, const Screens *before, Screens *ret);

/* What `screen -ls` wrote. Pure, but for `started_usec`, which it leaves 0. Returns 0 or -ENOMEM. */
_must_check_ int screens_parse(const char *text, Screens *ret);

/* All of the caller's. None is no failure. */
_must_check_ int screens_list(Screens *ret, Reason *ret_reason);

/*
 * The one of that name or PID; NULL with the reason: there is none, or several. Owned by `screens`.
 */
const Screen *screens_find(const Screens *screens, const char *name, Reason *ret_reason);

/* Ends it with all of its windows, and waits for that. Returns 0 or a negative errno. */
_must_check_ int screen_quit(const Screen *screen, Reason *ret_reason);
