/* SPDX-License-Identifier: MIT */
/*
 * REPLs: interpreters of the agent's that keep their state from one call to the next. Each is known by its language and a
 * name, belongs to no connection, and has a leaf repl-LANGUAGE-NAME with one driver process (shell/drivers) and what the code
 * started; calls of it are runs (run.h) that borrow its pipes one after the other.
 *
 *   REPL_STARTING  born, its driver has not said that it is ready
 *   REPL_IDLE      ready; `call` is NULL
 *   REPL_BUSY      the code of `call` is being handed over, or runs
 *   REPL_ENDING    killed; its leaf is not empty yet. Calls that wait get a new one of that name
 *
 * What is written between two calls stays in the pipes and comes with the next one.
 */
#pragma once

#include "shell/keeper/run.h"
#include "shell/run/frame.h"

#define REPL_WAITING_MAX 16U /* calls of one REPL that wait for another */

typedef struct Repl Repl;

typedef enum ReplState { REPL_STARTING, REPL_IDLE, REPL_BUSY, REPL_ENDING } ReplState;

struct Repl {
	Keeper *keeper;
	Repl *next;
	ReplState state;
	char language[16], name[RUN_NAME_MAX + 1];
	char leaf[96];
	/* as the call wished that it was made for */
	char network[16];
	bool independent;

	int leaf_fd;
	LeafLimits limits; /* of the leaf, between calls */
	LeafMeters meters; /* its own */
	pid_t pid;
	int pid_fd;
	int channel_fd;          /* its driver's descriptor 3, the other end */
	int output_fd, error_fd; /* our ends of its pipes */
	int report_fd;           /* how its program ended (birth_ending()) */
	bool scratch_full;       /* then */
	siginfo_t ending;        /* of its process; si_signo 0 while it lives */
	bool broken;             /* its driver said what no driver of ours says */
	bool old;                /* it had its [repl] max_duration: it ends with the call that is going on */
	uint64_t since_usec;     /* CLOCK_REALTIME */
	uint64_t used_usec;      /* CLOCK_MONOTONIC, of the last call's begin or end */
	sd_event_source *exit_source, *empty_source, *channel_source, *turn_source, *idle_timer, *age_timer;
	FrameReader frames;

	Run *call;
	Run *waiting[REPL_WAITING_MAX];
	size_t n_waiting;
	/* of `call` */
	uint8_t begin[FRAME_BEGIN_MAX]; /* what goes before its code */
	size_t begin_n;
	uint64_t sent;           /* bytes of both */
	unsigned int interrupts; /* that were sent to it */
	bool interrupted, narrowed;
	uint64_t grace_usec; /* CLOCK_MONOTONIC: it is killed then */
	LeafUsage before;
	sd_event_source *grace_timer;
};

/* repl.c */
/* For the first call `run`, in whose surroundings it is born. Is linked into the keeper's. */
_must_check_ int repl_new(Keeper *keeper, const Run *run, Repl **ret, sd_bus_error *ret_error);
/* Takes a run that has begun; it is over when its turn came and went, or run_stop() was called, but not on return. */
void repl_add(Repl *repl, Run *run);
/* Ends it: its call with what reason it has or `reason`, its processes at once. `why`: for the record. */
void repl_end(Repl *repl, RunReason reason, const char *why);
/* Kills it and frees it, without waiting and without a word to anybody. */
void repl_abandon(Repl *repl);
/* It is idle: takes what waits, or waits itself, for [repl] idle. */
void repl_rest(Repl *repl);

/* repl-call.c */
/* Its driver is ready: hands over the code of `call`. */
void repl_call_begin(Repl *repl);
void repl_call_stop(Run *run);
/* `run` waits no longer. */
void repl_forget_waiting(Repl *repl, const Run *run);
/* Bytes came from the driver, or may go to it. */
int repl_on_channel(sd_event_source *source, int fd, uint32_t events, void *userdata);
/* What its call used, and how it ended, when the process did. Frees the call. */
void repl_call_lost(Repl *repl);

/* repls.c */
/* A run with a session: it was begun, or `ret_error` says why not. */
_must_check_ int repl_call(Run *run, sd_bus_error *ret_error);
/* The agent's slice is short of memory: the REPL that is idle the longest is ended. Asked before births. */
void repls_make_memory(Keeper *keeper);
/* From the first REPL or prepared interpreter on that is asked too when the slice meets its limit; without one, births alone ask. */
void repls_watch_memory(Keeper *keeper);
void repls_done(Keeper *keeper);
/* One of that name lives: a call of it needs no birth. */
bool repls_have(const Keeper *keeper, const char *language, const char *name);
int method_repls(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);
int method_reset(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);
