/* SPDX-License-Identifier: MIT */
/*
 * Runs: code that the agent hands over, with what came of it. A run has an interpreter of its own, a process in a leaf
 * run-NUMBER (run.c), or is a call of a REPL (repl.c), which has a leaf and a process for all its calls.
 *
 * The way of a run, all in one thread:
 *
 *   run_new()     what is asked for is judged against the policy; nothing is done yet
 *   run_start()   its process is born                          (of a REPL's call: repl_call())
 *   run_begun()   timed, and told to the record; from now on it can be found, stopped and timed out
 *   run_stop()    a limit is met, Stop was called, its caller went: the first reason stays. `stop` does what ends it
 *   run_over()    nothing of it runs any more, and its streams are read: what it put into the output folder is collected
 *   run_finish()  Finished goes to the caller and the end to the record; frees it
 *
 * Memory: what runs and their results hold in the keeper is counted (budget.c). A result's memory lives on in memfds that
 * the caller has; they are the keeper's own memory, so it takes the oldest back - they become empty - when a new run needs
 * the room.
 */
#pragma once

#include "shell/base/file.h"
#include "shell/bus/run.h"
#include "shell/keeper/keeper.h"
#include "shell/keeper/place.h"
#include "shell/keeper/stream.h"
#include "shell/policy/enforced.h"
#include "shell/run/birth.h"

#include <signal.h>

#define KEEPER_RUNS_BYTES (112U << 20)    /* that runs and results hold together */
#define RUN_LISTED_BYTES (512U << 10)     /* that the list of a run's files holds at most */
#define RUNS_UNREAD_BYTES (8U << 20)      /* of signals that callers have not read, all together */
#define RUN_KEPT_MAX (UINT64_C(16) << 20) /* bytes of one stream that are kept, whatever `output` says */

typedef struct Outputs Outputs;

struct Run {
	Keeper *keeper;
	Run *next;
	uint64_t number; /* 0 until run_number() */
	Peer *peer;      /* who called, and gets its signals; NULL: it went */
	/*
	 * What was asked for, with the policy's values where nothing was: all limits are set, LEAF_UNLIMITED where there is
	 * none; `label`, `network` and `directory` (absolute) are never "". All memory and input_fd are the run's own.
	 */
	RunOptions options;
	/* of the policy that it began under: by its end there may be another one, or none */
	uint64_t agent_memory, agent_processes, file_size, scratch;
	char *output_directory; /* absolute */
	int code_fd;            /* sealed, read-only, with an offset of its own; owned */
	uint64_t code_bytes;
	uint64_t reserved;                /* of KEEPER_RUNS_BYTES */
	uint64_t started_usec;            /* CLOCK_REALTIME */
	uint64_t over_usec;               /* CLOCK_MONOTONIC, of run_over() */
	uint64_t begun_usec;              /* CLOCK_MONOTONIC */
	char caller[PLACE_SIZE];          /* where the calling process lies (place.h); "" = in no session */
	Stream output, error;             /* its stdout and stderr */
	sd_event_source *timer;           /* options.timeout_usec */
	void (*stop)(Run *run);           /* ends what runs, which leads to run_over(), at once or later */
	RunReason reason;                 /* RUN_REASONS_N until it is known */
	char sentence[RUN_ERROR_MAX + 1]; /* `error` of the result; "" = what the reason says */
	int exit_code, signal;            /* as in RunResult; -1 and 0 until they are known */
	RunState state;
	LeafUsage usage, before; /* before: of a spare, when it was taken */
	/* the output folder: names and digests are the run's own memory */
	RunFile *files;
	size_t n_files;
	uint64_t files_left_out;
	Outputs *outputs; /* output.c's own, while it works; NULL: nothing is collected */

	/* with an interpreter of its own */
	char name[32]; /* of the leaf */
	int leaf_fd;
	pid_t pid;
	int pid_fd;
	int output_fd, error_fd; /* our ends of its pipes */
	int report_fd;           /* how its program ended (birth_ending()); -EBADF: as its process did */
	bool scratch_full;       /* of an independent one, when its program ended */
	bool ended;              /* its process; something else in the leaf may live */
	sd_event_source *exit_source, *empty_source;
	uint64_t processes_refused; /* of the agent, when it began */

	/* a call of a REPL: repl.c's own */
	void *repl;
};

/* Of what is the run's own memory: "" would be nobody's. */
#define RUN_OPTIONS_OWN_NONE ((RunOptions){ .input_fd = -EBADF })

/* run-new.c */
/*
 * `asked` and `code_fd` are borrowed. Errors fill `ret_error` with a sentence for the caller and are in the record: options
 * beyond the policy (KEEPER_ERROR_POLICY), no code (SD_BUS_ERROR_INVALID_ARGS), no room (KEEPER_ERROR_FULL).
 */
_must_check_ int run_new(
	Keeper *keeper, Peer *peer, const RunOptions *asked, int code_fd, Run **ret, sd_bus_error *ret_error);
/* One for which nothing was asked yet. NULL: no memory. */
Run *run_make(Keeper *keeper);
/* Accepts NULL. Returns NULL. Ends nothing and tells nobody: of a run that never began, or is over. */
Run *run_free(Run *run);
DEFINE_CLEANUP(Run, run_free)

/* run.c */
/* With an interpreter of its own. */
_must_check_ int run_start(Run *run, sd_bus_error *ret_error);
/* The next number; names the files of its output. Once, before anything has that number in its name. */
void run_number(Run *run);
_must_check_ int run_begun(Run *run);
unsigned int runs_count(const Keeper *keeper); /* that go on, with the calls that wait for a session */
Run *run_find(Keeper *keeper, uint64_t number);
void run_stop(Run *run, RunReason reason);
void run_over(Run *run);
void runs_peer_gone(Keeper *keeper, const Peer *peer);
/* At the keeper's own end: kills all, without waiting; its successor removes the leaves. */
void runs_done(Keeper *keeper);

/* run-adopt.c */
/* At start: ends what an earlier keeper left in leaves run-* and repl-*. */
void runs_end_adopted(Keeper *keeper);

/* run-spare.c, for spare.c */
/*
 * One that has a number and the policy's limits, and no code: to be born by run_birth() and never begun.
 * Then `run` has all that it is to the system; what is left of `spare` is for run_free().
 */
_must_check_ int run_new_spare(Keeper *keeper, bool independent, Run **ret);
void run_become(Run *run, Run *spare);
/* Sends it all that its process needs, in one packet that waits for nobody, and makes the run's pipes. */
_must_check_ int run_hand_over(Run *run, int channel_fd);
#define RUN_MARK_SPARE "spare" /* of a leaf: "idle" or "taken" */

/* All borrowed. */
typedef struct RunBirth {
	char *const *arguments;                       /* [0], an absolute path, is executed */
	int input_fd, output_fd, error_fd, passed_fd; /* become 0 to 3 */
} RunBirth;

/*
 * Makes the run's leaf and, in it, its process, in what surrounds such a run; nothing is left of it on failure. `ret_reason` is
 * filled where a sentence says more than the errno.
 */
_must_check_ int run_birth(Run *run, const RunBirth *what, PolicyError *ret_reason);
/* The pipes that a run or a REPL writes to: ends of the agent's, ours not blocking. The caller closes all of them. */
_must_check_ int run_open_pipes(const Identity *identity, int ret_inside[static 2], int ret_outside[static 2]);
/* The environment of what runs: of `run`, or of a REPL (NULL). */
_must_check_ int run_environment(const Keeper *keeper, const Run *run, StrList *ret);
/* run-request.c */
/* The output folder as an absolute path in new memory; NULL: memory is out. */
char *run_output_directory(const Keeper *keeper);
/* Whether runs may be in that language; `ret_error` says which may. */
_must_check_ int run_judge_language(const Policy *policy, const char *asked, sd_bus_error *ret_error);
/* What is asked for, judged. Fills run->options. */
_must_check_ int run_judge(Run *run, const RunOptions *asked, sd_bus_error *ret_error);
const char *run_network_name(NetworkMode mode);
NetworkMode run_network_mode(const char *name); /* that of a judged run; greater is stricter */
/* What the policy gives a run at most. */
NetworkMode run_network_least(const Policy *policy);
/* Bytes that one stream may have at all. */
uint64_t run_output_most(const Run *run);
/* The files of its streams have its number. */
void run_name_files(Run *run);

/* output.c */
/*
 * Called before anything of the run is born. Makes the output folder where the run has a use for it; where it asks for its
 * files, that is being remembered from now on. Whatever fails takes the list of files from the result, and nothing else:
 * `files_left_out` is UINT64_MAX then.
 */
void outputs_begin(Run *run);
/* The run is over: lists what it put there, and calls run_finish(), at once or later. */
void outputs_collect(Run *run);
/* Forgets it; of a run that is freed. */
void outputs_abandon(Run *run);

/* run-result.c */
/* The reason of a process's end, from how it ended and what its leaf met; one that is known already stays. */
void run_explain(Run *run, const siginfo_t *info);
void run_finish(Run *run);
/* What its streams call. */
extern const StreamWatcher run_watcher;

/* run-methods.c */
int method_memory(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);
int method_run(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);
int method_stop(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);

/* run-recording.c */
void keeper_record_run_start(const Run *run);
void keeper_record_run(const Run *run, const RunResult *result);
/* A leaf that an earlier keeper left was ended. */
void keeper_record_run_abandoned(Keeper *keeper, const char *leaf);
/* `why`: the sentence that the caller got. `asked`: as far as it could be read. */
void keeper_record_run_refusal(Keeper *keeper, const Peer *peer, const RunOptions *asked, const char *why);
