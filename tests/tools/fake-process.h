/* SPDX-License-Identifier: MIT */
/* The runs and processes of fake-runs: fake-process.c starts them and tells their ends, fake-runs.c is asked for them. */
#pragma once

#include "shell/bus/run.h"
#include "shell/bus/server.h"
#include "tests/tools/fake-capture.h"

#include <time.h>

#define SECOND UINT64_C(1000000)
#define TIMEOUT_USEC (30 * SECOND)
#define TIMEOUT_MAX_USEC (120 * SECOND)
#define GRACE_USEC (2 * SECOND)
#define OUTPUT_BYTES (1024U * 1024)
#define QUEUED_MAX 16U

typedef struct Process {
	struct Process *next;
	char session[RUN_NAME_MAX + 1]; /* "": of one run */
	pid_t pid;
	int control_fd, output_fds[3];
	sd_event_source *child, *control, *outputs[3];
	uint64_t since_usec, used_usec;
	struct Run *run; /* the one that it executes; NULL: an idle session */
} Process;

typedef struct Run {
	struct Run *next;
	uint64_t number, begin_usec, output_max;
	Peer *peer; /* NULL: gone */
	Process *process;
	Capture captures[3];
	sd_event_source *timer;
	bool follow, collect, interrupted;
	time_t began;
	RunReason reason;
} Run;

extern sd_event *event;
extern Run *runs;
extern Process *processes;
extern uint64_t last_number;

uint64_t now_usec(clockid_t clock);
void process_kill(const Process *process);
void process_free(Process *process);
void run_finish(Run *run, RunResult *result);
Process *process_start(const char *language, const char *directory, char *const *arguments, int third_fd, int input_fd);
Process *session_find(const char *name);
Process *session_start(const char *name);
void session_send(const Process *process, int code_fd);
