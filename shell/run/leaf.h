/* SPDX-License-Identifier: MIT */
/*
 * Leaves: the cgroups (v2) at the end of an agent's tree, in which its processes are born, limited, counted and ended.
 *
 * All paths are relative to descriptors of folders that root owns; an agent can read the tree but write nowhere in it.
 * What the keeper must know again after a restart is kept in user.creel.* extended attributes of the leaf itself
 * (kernel >= 5.7), so that the knowledge ends with the leaf and cannot go stale.
 *
 * Privilege: uid 0 (owner of the cgroup files); no capability is needed. Context: keeper, before clone.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LEAF_UNLIMITED UINT64_MAX

typedef struct LeafLimits {
	uint64_t memory; /* bytes */
	uint64_t tasks;
	uint64_t cpu; /* microseconds of CPU time a second */
} LeafLimits;

typedef struct LeafUsage {
	uint64_t cpu_usec;
	uint64_t memory_peak; /* bytes; 0 where the kernel has no memory.peak (before 5.19) */
	uint64_t oom_kills;
	uint64_t tasks_refused; /* forks that met pids.max of this leaf */
} LeafUsage;

/* The cgroup v2 path of systemd unit `unit` in `slice` ("user-1000.slice") below /sys/fs/cgroup, opened as a folder. */
_must_check_ int leaf_open_unit(const char *slice, const char *unit, int *ret_fd);

/*
 * Makes a delegated unit's cgroup ready to hold leaves: moves the unit's sleeping process into `hold/` and enables the
 * controllers for children. Safe to repeat. Returns 0 or a negative errno.
 */
_must_check_ int leaf_prepare_unit(int unit_fd);

/* Makes `name` in `parent_fd` with limits (NULL: none). `branch`: it will hold leaves itself. -EEXIST if it is there. */
_must_check_ int leaf_make(int parent_fd, const char *name, const LeafLimits *limits, bool branch, int *ret_fd);

/* Sets all limits anew; LEAF_UNLIMITED lifts one. Memory that is in use beyond its limit is taken by ending processes. */
_must_check_ int leaf_limit(int leaf_fd, const LeafLimits *limits);

/* Opens an existing one. */
_must_check_ int leaf_open(int parent_fd, const char *name, int *ret_fd);

/* Removes an empty one; removes empty children first. -EBUSY while something lives in it; 0 if it is gone already. */
_must_check_ int leaf_remove(int parent_fd, const char *name);

/* Reads what it used. Values that the kernel does not offer are 0. */
void leaf_usage(int leaf_fd, LeafUsage *ret);

/* For a leaf that is asked again and again: the files that tell it, kept open. Starts as LEAF_METERS_NONE. */
#define LEAF_METERS 4U
typedef struct LeafMeters {
	int fds[LEAF_METERS];
} LeafMeters;

#define LEAF_METERS_NONE ((LeafMeters){ { -EBADF, -EBADF, -EBADF, -EBADF } })

/* What cannot be opened is a value that the kernel does not offer. */
void leaf_meters_open(int leaf_fd, LeafMeters *ret);
void leaf_meters_done(LeafMeters *meters);
void leaf_meters_read(const LeafMeters *meters, LeafUsage *ret);

/*
 * Forks that were refused anywhere in and below a branch, of at most 256 cgroups: whoever may make cgroups there gains
 * nothing by hiding. It counts what lives; an ended cgroup takes its count along. (Before Linux 6.12 pids.events counts at
 * the cgroup that forks, not at the one whose limit was met.)
 */
uint64_t leaf_forks_refused(int branch_fd);

/* Reads one number file ("memory.max": `max` is LEAF_UNLIMITED). */
_must_check_ int leaf_number(int leaf_fd, const char *file, uint64_t *ret);

/* Reads one "key value" line of a flat keyed file ("memory.stat", "anon"). -ENODATA when the key is missing. */
_must_check_ int leaf_keyed(int leaf_fd, const char *file, const char *key, uint64_t *ret);

/* Ends everything in it and below with SIGKILL (cgroup.kill, kernel >= 5.14). */
_must_check_ int leaf_kill(int leaf_fd);

/* Something lives in it or below. */
_must_check_ int leaf_populated(int leaf_fd, bool *ret);

/* Process `pid` is in this very leaf. */
bool leaf_has_process(int leaf_fd, pid_t pid);

/*
 * Hang-up: stops the leaf, moves what asked to survive into `kept_fd`, ends all else. A process asked to survive when it
 * ignores SIGHUP (as nohup does) or left the session of `main_sid` (as setsid and screen do).
 * The leaf is frozen meanwhile, so that nothing forks through the gap. Returns the number of survivors or a negative
 * errno; on failure everything in the leaf was ended.
 */
_must_check_ int leaf_hang_up(int leaf_fd, pid_t main_sid, int kept_fd);

/* An extended attribute may have 64 KiB (xattr(7)), those of a cgroup 128 KiB together. */
#define LEAF_MARK_MAX 60000U

/*
 * Marks: text in an extended attribute user.creel.NAME, cut at LEAF_MARK_MAX bytes. -ENODATA when there is none.
 */
_must_check_ int leaf_mark(int leaf_fd, const char *name, const char *value);
_must_check_ int leaf_mark_number(int leaf_fd, const char *name, uint64_t value);
_must_check_ int leaf_marked(int leaf_fd, const char *name, char **ret);
_must_check_ int leaf_marked_number(int leaf_fd, const char *name, uint64_t *ret);
bool leaf_is_marked(int leaf_fd, const char *name);
