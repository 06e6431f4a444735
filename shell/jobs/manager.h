/* SPDX-License-Identifier: MIT */
/*
 * The agent's user manager: systemd, over its own socket or the user's bus. All that is asked is bounded in time.
 *
 * Functions return 0 or a negative errno with the reason; what systemd says is passed on in its own words.
 */
#pragma once

#include "shell/jobs/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#define MANAGER_NAME "org.freedesktop.systemd1"
#define MANAGER_OBJECT "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"
#define UNIT_INTERFACE "org.freedesktop.systemd1.Unit"
#define SERVICE_INTERFACE "org.freedesktop.systemd1.Service"
#define TIMER_INTERFACE "org.freedesktop.systemd1.Timer"

#define MANAGER_UNIT_MAX 256U /* bytes of a unit's name with its NUL */

typedef struct Manager Manager;

_must_check_ int manager_connect(Manager **ret, Reason *ret_reason);
/* Accepts NULL. Returns NULL. */
Manager *manager_free(Manager *manager);
DEFINE_CLEANUP(Manager, manager_free)

/* For calls that are not here; owned by the manager. */
sd_bus *manager_bus(Manager *manager);

/* ---- what is there ---- */

/* One unit as it is now. What does not apply, or is not known, is 0, "" or UINT64_MAX (bytes, CPU time). */
typedef struct Unit {
	char name[MANAGER_UNIT_MAX];
	char *description, *fragment, *cgroup, *working_directory,
		*status_text; /* owned; never NULL once it was read */
	char load[24], active[24], sub[24], result[24];
	char enabled[24];   /* "enabled", "disabled", "static", "transient", ... */
	bool reload_needed; /* its file was changed since it was loaded */
	pid_t main_pid;
	/* of the last main process: CLD_EXITED, CLD_KILLED, CLD_DUMPED, or 0 before one ended; exit status or signal */
	int code, status;
	uint64_t started_usec, ended_usec; /* realtime: of the last main process */
	uint64_t active_usec;              /* realtime: since when it is active */
	uint64_t memory, cpu_usec, tasks, restarts;
	uint64_t next_usec, last_usec; /* realtime; of timers */
} Unit;

void unit_done(Unit *unit);
#define _cleanup_unit_ _cleanup_(unit_done)

/* -ENOENT: nothing of that name is loaded and there is no file of it. */
_must_check_ int manager_unit(Manager *manager, const char *name, Unit *ret, Reason *ret_reason);
/* It runs, or will without anybody's doing: active, activating, reloading, deactivating. */
bool unit_lives(const Unit *unit);

/* A row of all that is loaded. */
typedef struct UnitRow {
	char name[MANAGER_UNIT_MAX];
	char *description;
	char load[24], active[24], sub[24];
} UnitRow;

typedef struct UnitRows {
	UnitRow *items;
	size_t n;
} UnitRows;

void unit_rows_done(UnitRows *rows);
#define _cleanup_unit_rows_ _cleanup_(unit_rows_done)

/* Loaded units whose names match one of the NULL-terminated patterns (glob(7)), sorted by name. */
_must_check_ int manager_list(Manager *manager, const char *const *patterns, UnitRows *ret, Reason *ret_reason);

/* ---- what is done ---- */

/* Adds "(sv)" properties of a transient unit: sd_bus_message_append() and the like. Returns 0 or a negative errno. */
typedef int (*ManagerProperties)(sd_bus_message *message, void *userdata);

/*
 * Starts a unit that exists only while it runs, and waits until it runs or failed (at most `timeout_usec`). -EEXIST: one of
 * that name is loaded. -EREMOTEIO: it was started and failed, manager_unit() may know more. -ETIMEDOUT.
 */
_must_check_ int manager_start_transient(Manager *manager, const char *name, ManagerProperties properties,
	void *userdata, uint64_t timeout_usec, Reason *ret_reason);

/*
 * `method`: "StartUnit", "StopUnit", "RestartUnit", "ReloadUnit", "TryRestartUnit"; waits for it, with the errors above.
 * A unit that is not there: -ENOENT.
 */
_must_check_ int manager_change(
	Manager *manager, const char *method, const char *name, uint64_t timeout_usec, Reason *ret_reason);

/* What the unit that was started last told of itself (sd_notify(3), STATUS=); "": nothing. Good until the next call. */
const char *manager_status(Manager *manager);

/* A signal to all its processes. */
_must_check_ int manager_kill(Manager *manager, const char *name, int signal, Reason *ret_reason);
/* Forgets that it failed; one that did not, or is not there, is no error. */
void manager_reset(Manager *manager, const char *name);
/* Reads all unit files anew, and runs the generators. */
_must_check_ int manager_reload(Manager *manager, Reason *ret_reason);
_must_check_ int manager_enable(Manager *manager, const char *name, Reason *ret_reason);
_must_check_ int manager_disable(Manager *manager, const char *name, Reason *ret_reason);

/*
 * Waits until something of any unit changed, or `timeout_usec` is over; also true after a change that does not matter to the
 * caller, who looks again. The first call returns at once: what happened before it is not told. Returns 1, 0 (time over) or a
 * negative errno.
 */
_must_check_ int manager_wait(Manager *manager, uint64_t timeout_usec, Reason *ret_reason);
