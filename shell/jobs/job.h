/* SPDX-License-Identifier: MIT */
/*
 * Jobs: commands that outlive the session, as transient units of the agent's user manager.
 *
 * What is known of a job is the unit while it lives, and ~/.creel/jobs/NAME.json, which the unit itself writes when it begins and
 * when it ended. A file without an end and no unit means that the machine or the user manager went down in between.
 */
#pragma once

#include "shell/base/str.h"
#include "shell/jobs/manager.h"
#include "shell/jobs/name.h"
#include "shell/jobs/options.h"

#define JOB_LOG_MAX (10U << 20) /* bytes of a log, and of what was there before it became so large */
#define JOB_ID_SIZE 24U

/* The file: what a job was asked to do, and how it went. Numbers that are not known are UINT64_MAX. */
typedef struct JobRecord {
	char name[NAME_MAX_BYTES + 1];
	char id[JOB_ID_SIZE]; /* of one `start` */
	StrList command;
	char *directory;
	bool restart;
	uint64_t timeout_usec;             /* UINT64_MAX: none */
	uint64_t started_usec, ended_usec; /* realtime; ended: 0 while it runs */
	uint64_t restarts;
	pid_t pid;
	char result[24]; /* systemd's: success, exit-code, signal, core-dump, timeout, oom-kill, ... */
	int exit_code;   /* -1: it did not exit by itself */
	int signal;      /* 0: it was not ended by one */
	uint64_t memory_peak, cpu_usec;
} JobRecord;

void job_record_done(JobRecord *record);
#define _cleanup_job_record_ _cleanup_(job_record_done)

/* The text of the file. NULL when memory is out. The caller frees. */
_must_check_ char *job_record_text(const JobRecord *record, size_t *ret_n);
/* Pure. Returns 0, -ENOMEM, or -EINVAL with the reason. `ret` is the caller's to free on success. */
_must_check_ int job_record_parse(const char *text, size_t n, JobRecord *ret, Reason *ret_reason);
/* -ENOENT: there is none. */
_must_check_ int job_record_read(const char *name, JobRecord *ret, Reason *ret_reason);
/* Where nothing can be made anew on a full disk, the file that is there is written over. */
_must_check_ int job_record_write(const JobRecord *record, Reason *ret_reason);

/* ---- as it is now ---- */

typedef enum JobState {
	JOB_STARTING,
	JOB_RUNNING,
	JOB_BACKGROUND, /* its program ended well, others that it started go on */
	JOB_RESTARTING,
	JOB_STOPPING,
	JOB_DONE,    /* exit status 0 */
	JOB_FAILED,  /* another */
	JOB_STOPPED, /* by SIGTERM or the like */
	JOB_KILLED,  /* by another signal */
	JOB_TIMEOUT,
	JOB_MEMORY, /* out of it */
	JOB_LOST,   /* the machine or the user manager went down */
} JobState;

const char *job_state_name(JobState state);
/* It ended, however. */
bool job_state_over(JobState state);

typedef struct Job {
	JobRecord record;
	Unit unit; /* where it has one */
	bool has_unit;
	JobState state;
} Job;

void job_done(Job *job);
#define _cleanup_job_ _cleanup_(job_done)

/*
 * -ENOENT: there is no such job, and the reason says so. A job that was lost is marked so in its file, and its PID file is taken
 * away.
 */
_must_check_ int job_find(Manager *manager, const char *name, Job *ret, Reason *ret_reason);

/* Names of all jobs, sorted: of files and of units. */
_must_check_ int job_names(Manager *manager, StrList *ret, Reason *ret_reason);

/* creel-job-NAME.service. Returns `buffer`. */
const char *job_unit_name(const char *name, char *buffer, size_t size);
/* The exit status for who waited: the program's own, 128 and the signal, 124 for the time limit, 1 where none is known. */
int job_exit_status(const Job *job);
/* "exit 3", "killed by SIGSEGV", "time limit of 5m 0s": how it ended, or is. Returns `buffer`. */
const char *job_words(const Job *job, char *buffer, size_t size);

/* ---- verbs: words behind the verb's name; return the exit status ---- */

int job_start_main(int argc, char **argv);
int job_list_main(int argc, char **argv);
int job_status_main(int argc, char **argv);
int job_logs_main(int argc, char **argv);
int job_stop_main(int argc, char **argv);
int job_wait_main(int argc, char **argv);
int job_rm_main(int argc, char **argv);
/* of the unit */
int job_inside_main(int argc, char **argv);
int job_ended_main(int argc, char **argv);

/* The verb was called wrongly: says so, and returns EXIT_WRONG_USAGE. */
int job_usage(const char *why);
/*
 * What most verbs need: options, one name, checked, and the manager, unless `ret_manager` is NULL. Returns EXIT_SUCCESS, or what
 * the verb shall return.
 */
_must_check_ int job_begin(
	int argc, char **argv, const struct Option *options, const char **ret_name, Manager **ret_manager);
