/* SPDX-License-Identifier: MIT */
/*
 * Runs on the keeper's bus: what a caller asks for, and what came of it. Both ends use these two structures and the four
 * functions that carry them, so that no name of an option or of a field stands twice.
 *
 * Options and results travel as a{sv}: an unknown name is an error (-EINVAL), not ignored; one that is missing has its
 * fallback. Every limit may be stricter than the policy's, never looser.
 */
#pragma once

#include "shell/base/cleanup.h"
#include "shell/base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define RUN_DEFAULT UINT64_MAX /* of a limit that a caller does not ask for: the policy's */

/* Bounds that the keeper enforces and callers respect. */
#define RUN_CODE_MAX (64U * 1024 * 1024) /* bytes of code */
#define RUN_LABEL_MAX 255U               /* bytes of the name that tracebacks show */
#define RUN_NAME_MAX 64U                 /* bytes of a REPL's name: [A-Za-z0-9_.-]+, no dot first */
#define RUN_ARGUMENTS_MAX 256U           /* of one run */
#define RUN_ARGUMENTS_BYTES (64U * 1024) /* all of them */
#define RUN_PATH_MAX 4096U
#define RUN_FILES_MAX 1000U /* files that a result lists */
#define RUN_ERROR_MAX 4096U /* bytes of `error` */
#define RUNS_MAX 32U        /* of one agent at a time */

/* Asked for with Run. Strings are "" and descriptors -EBADF where nothing is asked for. */
typedef struct RunOptions {
	const char *language;  /* python, javascript, typescript, bash: required */
	const char *label;     /* "" = "<run>" */
	char **arguments;      /* NULL: none */
	int input_fd;          /* stdin, anything that can be read; borrowed. -EBADF: it is at its end */
	uint64_t timeout_usec; /* wall clock */
	uint64_t memory;       /* bytes */
	uint64_t cpu;          /* microseconds of CPU time a second */
	uint64_t processes;
	uint64_t output;     /* bytes of stdout and of stderr, each, that the result holds; all of it is in a file */
	const char *network; /* full, restricted, none; "" = the policy's */
	bool independent;    /* a throw-away file system; what the policy says already cannot be taken back */
	/*
	 * A REPL of that name, made where there is none, with the network, the file system and the directory of this call; it
	 * has neither arguments nor stdin. "" = an interpreter of its own.
	 */
	const char *session;
	const char *directory; /* working directory, absolute or below home; "" = the workspace */
	bool follow;           /* Output signals while it runs */
	bool collect;          /* list what it put into the output folder */
	bool figures;          /* matplotlib's open figures become PNGs in the output folder */
} RunOptions;

#define RUN_OPTIONS_NONE                     \
	((RunOptions){ .language = "",       \
		.label = "",                 \
		.input_fd = -EBADF,          \
		.timeout_usec = RUN_DEFAULT, \
		.memory = RUN_DEFAULT,       \
		.cpu = RUN_DEFAULT,          \
		.processes = RUN_DEFAULT,    \
		.output = RUN_DEFAULT,       \
		.network = "",               \
		.session = "",               \
		.directory = "" })

/*
 * Why it ended. ok: exit 0, or a REPL's call without an exception. exit: another status, or an exception. disk: the disk
 * limit was met, or a file's size. refused: it never began. cancelled: Stop, or the caller went.
 */
typedef enum RunReason {
	RUN_OK,
	RUN_EXIT,
	RUN_SIGNAL,
	RUN_TIMEOUT,
	RUN_MEMORY,
	RUN_PROCESSES,
	RUN_OUTPUT,
	RUN_DISK,
	RUN_REFUSED,
	RUN_CANCELLED,
	RUN_REASONS_N,
} RunReason;

/* What became of a REPL. none: the run had an interpreter of its own. */
typedef enum RunState { RUN_STATE_NONE, RUN_STATE_PRESERVED, RUN_STATE_RESET, RUN_STATES_N } RunState;

typedef enum RunFileStatus {
	RUN_FILE_OK,
	RUN_FILE_TOO_LARGE,
	RUN_FILE_TYPE,    /* its name matches none of [output] types */
	RUN_FILE_SPECIAL, /* a symbolic link, FIFO, socket or device */
	RUN_FILE_CHANGED, /* it was written to while it was read */
	RUN_FILE_STATUSES_N,
} RunFileStatus;

typedef struct RunFile {
	const char *name; /* relative to the output folder */
	uint64_t bytes;
	const char *sha256; /* 64 hex digits; "" unless RUN_FILE_OK */
	RunFileStatus status;
} RunFile;

/*
 * Finished. Descriptors are memfds, read from offset 0 by pread(2); bytes are what was written, not always UTF-8. They are the
 * keeper's memory, to be read at once: it takes it back - they become shorter, or empty - when newer runs need it and when the
 * connection ends. Of an empty stream there is none. What is kept open counts (shell/keeper/budget.h).
 */
typedef struct RunResult {
	int stdout_fd, stderr_fd;            /* -EBADF: empty. Head and tail where it is longer than `output` */
	uint64_t stdout_bytes, stderr_bytes; /* written by the run, all of it, as far as it was read */
	uint64_t stdout_head, stderr_head;   /* bytes of the descriptor that are its head; the rest is the tail */
	const char *stdout_file,
		*stderr_file; /* all of it, absolute path in the agent's home; "" = there is no such file */
	const char *error;    /* a sentence; "" = none */
	int exit_code;        /* -1: it did not exit */
	int signal;           /* 0: it was not ended by one */
	RunReason reason;
	uint64_t duration_usec, cpu_usec;
	uint64_t memory_peak; /* bytes; 0 where the kernel does not say */
	RunState state;
	const char *files_directory; /* the output folder, absolute; "" = nothing was collected */
	RunFile *files;
	size_t n_files;
	uint64_t files_left_out; /* more than RUN_FILES_MAX */
} RunResult;

const char *run_reason_name(RunReason reason);          /* "ok", "exit", ... */
const char *run_state_name(RunState state);             /* "", "preserved", "reset" */
const char *run_file_status_name(RunFileStatus status); /* "ok", "too-large", "type", "special", "changed" */

/* One a{sv}. Returns 0 or a negative errno. */
_must_check_ int run_options_append(sd_bus_message *message, const RunOptions *options);
_must_check_ int run_result_append(sd_bus_message *message, const RunResult *result);

/*
 * The same, read: strings and descriptors belong to `message`, and must not outlive it; arrays to the structure, which the
 * matching _done() frees. -EINVAL with `ret_name` set: an option that is unknown, of a wrong type, twice, or out of bounds.
 */
_must_check_ int run_options_read(sd_bus_message *message, RunOptions *ret, char ret_name[static 64]);
_must_check_ int run_result_read(sd_bus_message *message, RunResult *ret);
const char *run_option_rule(const char *name); /* what its value must be, in words; NULL: nothing can be said */

/* The name of a REPL. One that is asked for is never "". */
#define RUN_SESSION_RULE "a name of at most 64 of A-Z, a-z, 0-9, _, . and -, the first one no ."
bool run_session_valid(const char *text);

void run_options_done(RunOptions *options);
void run_result_done(RunResult *result);
