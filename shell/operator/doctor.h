/* SPDX-License-Identifier: MIT */
/*
 * creelctl doctor: what this machine can enforce, what is on, what is missing. Each check is one row of a table and looks
 * at one thing; it changes nothing, waits for nobody longer than DOCTOR_PATIENCE, and never answers OK for what it could
 * not look at.
 *
 * To add a check: a function, and a row in one of the tables (doctor_kernel, ...); a row in tests/vm/test_doctor.py that
 * breaks what it checks; a line in creelctl(8) if it is a new group. An id is a promise to scripts: it does not change.
 */
#pragma once

#include "shell/operator/operator.h"

#include <sys/stat.h>

#define DOCTOR_PATIENCE 10U /* seconds, for whatever must answer */

typedef enum DoctorState {
	DOCTOR_OK,
	DOCTOR_UNSEEN,   /* could not be looked at: not root, or not the running machine */
	DOCTOR_DEGRADED, /* something holds less than it could, or will not hold after a restart */
	DOCTOR_MISSING,  /* something that creel promises does not hold, or cannot work */
} DoctorState;

typedef struct Finding {
	DoctorState state;
	char detail[480]; /* one line: what is there */
	char remedy[320]; /* empty: the row's */
} Finding;

/* Sets the state and its line. */
void finding_set(Finding *finding, DoctorState state, const char *format, ...) _printf_(3, 4);
void finding_remedy(Finding *finding, const char *format, ...) _printf_(2, 3);

/* `r` (a negative errno) while looking at `what`: -ENOENT is MISSING, refused access UNSEEN, others DEGRADED. */
void finding_error(Finding *finding, int r, const char *what);

typedef struct Doctor {
	const char *root;  /* "": the running machine; else a folder with another one's files */
	bool is_root;      /* this user is */
	Policy *defaults;  /* NULL: creel.conf is bad */
	PolicyError error; /* why */
	sd_bus *bus;       /* to the service manager; NULL: see `bus_why` */
	char bus_why[256];
	char *fresh; /* a folder with what the generator makes now; NULL: see `fresh_why` */
	char fresh_why[512];
} Doctor;

typedef struct DoctorAgent {
	Agent agent;
	Policy *policy; /* NULL: see `error` */
	PolicyError error;
} DoctorAgent;

/* What a check needs; without it the row is UNSEEN, and the check is not called. */
enum {
	NEEDS_ROOT = 1,
	NEEDS_LIVE = 2, /* the running machine, not files below a folder */
	NEEDS_BUS = 4 | NEEDS_LIVE,
	NEEDS_FRESH = 8 | NEEDS_LIVE, /* what the generator makes now */
	NEEDS_POLICY = 16,            /* rows of an agent: a policy that can be read */
	NEEDS_USER = 32,              /* rows of an agent: the unix user is there */
};

typedef struct DoctorCheck {
	const char *id;     /* GROUP.NAME */
	const char *what;   /* what holds when it is OK, for a person */
	const char *remedy; /* when it is not */
	unsigned int needs;
	/* `agent` is NULL for rows of the machine. Sets `ret`, which says OK and nothing before. */
	void (*check)(Doctor *doctor, const DoctorAgent *agent, Finding *ret);
} DoctorCheck;

/* The tables; each ends with a row without an id. Those of the second line have the rows of one agent. */
extern const DoctorCheck doctor_kernel[], doctor_units[], doctor_files[], doctor_doors[], doctor_network[];
extern const DoctorCheck doctor_agent[], doctor_enforced[], doctor_agent_network[];

/* ---- doctor-look.c: looking, below the root folder, bounded in time and size ---- */

/* A regular file as text. Returns 0 or a negative errno. */
_must_check_ int look_read(const Doctor *doctor, const char *path, size_t max, char **ret);

/* A small kernel file without its last newline. */
_must_check_ int look_get(const Doctor *doctor, const char *path, char *buffer, size_t size);

/* lstat(2). */
_must_check_ int look_stat(const Doctor *doctor, const char *path, struct stat *ret);

/* Kernel's number in a file of one line. */
_must_check_ int look_number(const Doctor *doctor, const char *path, uint64_t *ret);

/* `word` is one of those of `text`, which blanks, commas, newlines or [] part. Pure. */
bool look_word(const char *text, const char *word);

/* The gid of a group in /etc/group, and whether a user is named there. Returns 0, -ENOENT, or another negative errno. */
_must_check_ int look_group(const Doctor *doctor, const char *name, gid_t *ret);

/*
 * Whether a process of the cgroup at `path` (below /sys/fs/cgroup) executes a file that was replaced since. Returns 1, 0, or a negative
 * errno: -ESRCH without any process.
 */
_must_check_ int look_replaced(const char *path);

/* What the service manager knows about a unit. To be freed with unit_facts_done(). */
typedef struct UnitFacts {
	char *load, *active, *file_state, *fragment;
	StrList drop_ins;
	bool needs_reload;
} UnitFacts;

_must_check_ int look_unit(Doctor *doctor, const char *unit, UnitFacts *ret, Reason *ret_reason);
void unit_facts_done(UnitFacts *facts);

/* Whether a drop-in or unit file comes with creel or the distribution: it lies in /usr/lib, or the generator made it. */
bool look_shipped(const char *path);

/* ---- doctor-drift.c: what should be, beside what is; pure but for the folders that they are given ---- */

/*
 * Compares what the generator makes now (`fresh_fd`) with what the service manager loaded (`loaded_fd`), for one uid, or,
 * with DRIFT_MACHINE, for what is no agent's. Returns 1 with the first difference in `ret`, 0 without any, or a negative
 * errno.
 */
#define DRIFT_MACHINE ((uid_t)-1)
_must_check_ int drift_units(int fresh_fd, int loaded_fd, uid_t uid, char *ret, size_t size);

/*
 * Compares the limits in a slice's drop-in with the files of its cgroup. Returns 1 with all differences in `ret`, 0, or a
 * negative errno.
 */
_must_check_ int drift_slice(const char *drop_in, int cgroup_fd, char *ret, size_t size);

/* Writes what differs; files that the kernel does not have are none. Returns 0 or a negative errno. */
_must_check_ int drift_mend(const char *drop_in, int cgroup_fd);

/*
 * Compares what the drop-in of the user manager gives its process with the process itself, whose folder in /proc `proc_fd`
 * is: such settings take effect when it starts. As drift_slice().
 */
_must_check_ int drift_manager(const char *drop_in, int proc_fd, char *ret, size_t size);

/* ---- doctor.c ---- */

/* The worse of both: MISSING over DEGRADED over UNSEEN over OK. */
DoctorState doctor_worse(DoctorState a, DoctorState b);
