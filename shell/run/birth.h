/* SPDX-License-Identifier: MIT */
/* Birth: one process, cloned by the keeper straight into its leaf (clone3(2), CLONE_INTO_CGROUP, kernel >= 5.7). */
#pragma once

#include "shell/confine/confine.h"
#include "shell/confine/view.h"

#include <signal.h>
#include <stdbool.h>

/*
 * Namespaces of its own, with which a run begins. Borrowed, all of it.
 *
 * With a view there are two processes: the one that birth() returns is process 1 of the new pid namespace, a reaper (reaper.h)
 * which counts as one process of the leaf and says by `report_fd` how the program ended - a signal could not be told by an
 * exit status; birth_ending() reads it. A SIGINT that is sent to it goes to the program's process group. It ends with the program, and the
 * kernel ends all that is left in the namespace before it can be waited for.
 */
typedef struct Surroundings {
	bool own_network;  /* nothing but loopback */
	bool closed_doors; /* view_close_doors(); with a view they are not there anyway */
	const View *view;  /* NULL: the files and processes as they are */
	int report_fd;     /* with a view: the end of a pipe that is written to */
} Surroundings;

typedef struct BirthRequest {
	int leaf_fd;
	const Confinement *confinement;    /* with late rules where there is a view */
	const Confinement *narrower;       /* applied on top of it (confinement_narrow()); NULL: none */
	const Surroundings *surroundings;  /* NULL: those of the keeper */
	const char *program;               /* absolute path */
	char *const *arguments;            /* NULL-terminated, [0] included */
	char *const *environment;          /* NULL-terminated */
	const char *home;                  /* working directory; "/" when it cannot be entered */
	const char *directory;             /* instead: a child that cannot enter it ends; NULL: `home` */
	int input_fd, output_fd, error_fd; /* become 0, 1, 2; stay open in the caller */
	int third_fd;                      /* becomes 3, without close-on-exec; stays open in the caller; 0: none */
	bool copy_third;                   /* the program gets a copy of it that it cannot execute, nor change */
	bool terminal;                     /* input_fd is a pty slave: becomes the controlling terminal */
	/*
	 * Instead of `program`: runs in the child, confined, with the keeper's memory copied and out of the agent's reach
	 * (not dumpable); async-signal-safe. Its result is the exit status.
	 */
	int (*entry)(const void *argument);
	const void *entry_argument;
} BirthRequest;

/* Exit statuses of a child that never reached its program; the reason was written to its stderr. */
#define BIRTH_EXIT_DIRECTORY 124 /* `directory` cannot be entered */
#define BIRTH_EXIT_CONFINEMENT 125
#define BIRTH_EXIT_CANNOT_EXECUTE 126
#define BIRTH_EXIT_NOT_FOUND 127

/*
 * The child leads a new session. On return it may not have executed its program yet; if it cannot, it says so on its
 * stderr and exits with one of the statuses above. Errors: -EAGAIN (a task limit of the leaf or above it is reached),
 * -ENOMEM, clone3(2)'s others.
 * Context: keeper. Privilege: write access to the leaf, and what confinement_apply() needs. With surroundings CAP_SYS_ADMIN
 * and CAP_NET_ADMIN must be permitted; they are in effect only meanwhile, and in the child until it is confined.
 */
_must_check_ int birth(const BirthRequest *request, pid_t *ret_pid, int *ret_pid_fd);

/*
 * Makes the pipe for Surroundings.report_fd: `*ret_report_fd` to be closed once birth() returned, `*ret_read_fd` for
 * birth_ending(). Returns 0 or a negative errno.
 */
_must_check_ int birth_report_new(int *ret_read_fd, int *ret_report_fd);

/*
 * How the program ended, as waitid(2) tells it (si_code, si_status): of one with a view what its reaper reported, or what
 * became of the reaper, where that was ended itself. `read_fd` -EBADF: there is no reaper. Never waits.
 * `ret_full`: the scratch of its view was full. Returns false when there is a reaper, and it gave up before there was a
 * program: the status is BIRTH_EXIT_*.
 */
bool birth_ending(int read_fd, const siginfo_t *info, int *ret_code, int *ret_status, bool *ret_full);
