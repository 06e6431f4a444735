/* SPDX-License-Identifier: MIT */
/*
 * Services: the units of ~/.config/systemd/user, made here or by hand. What they are stands in their files, how they are is asked of
 * systemd, of the kernel and of themselves; nothing else is kept.
 *
 * Context: creel, as the agent. Privilege: none.
 */
#pragma once

#include "shell/jobs/address.h"
#include "shell/jobs/manager.h"
#include "shell/jobs/name.h"
#include "shell/jobs/probe.h"
#include "shell/jobs/service-spec.h"
#include "shell/jobs/span.h"

#define SERVICE_SUFFIX ".service"
#define SERVICE_TIMEOUT (15 * USEC_PER_SEC)      /* to become healthy */
#define SERVICE_JOB_TIMEOUT (120 * USEC_PER_SEC) /* systemd itself kills after 90 s what does not stop */

typedef struct Service {
	char *name, *unit, *path, *text; /* path: of its file */
	ServiceSpec spec;
	bool own, edited;      /* as service_spec_read() has it */
	bool link;             /* the file is a symbolic link, which is never written through */
	uint64_t changed_usec; /* when the file was: since 1970 */
} Service;

void service_done(Service *service);
#define _cleanup_service_ _cleanup_(service_done)

/* `name` may end with .service. -ENOENT: there is no such file. */
_must_check_ int service_load(const char *name, Service *ret, Reason *ret_reason);

/* All of them, sorted by name: names without .service; templates (x@.service) are not told. */
_must_check_ int service_names(StrList *ret, Reason *ret_reason);

/* How it is at a moment. */
typedef struct ServiceState {
	Unit unit;
	bool ported;        /* it listens on its port, at `at` */
	bool loopback;      /* ... on loopback alone */
	uint16_t elsewhere; /* it listens on this port and not on its own; 0: no */
	Listener at;
	bool asked; /* `probe` is what it answered */
	Probe probe;
	char url[ADDRESS_URL]; /* "" where it has no port */
} ServiceState;

void service_state_done(ServiceState *state);
#define _cleanup_state_ _cleanup_(service_state_done)

/* Looks once; `probe_msec` bounds its answer. -ENOENT: systemd does not know it. */
_must_check_ int service_look(
	Manager *manager, const Service *service, int probe_msec, ServiceState *ret, Reason *ret_reason);

/* Its main process runs; its health is that of ServiceSpec.health, as far as a look tells: a log is not read. */
bool service_runs(const ServiceState *state);
bool service_is_healthy(const Service *service, const ServiceState *state);
/* "GET /health: answered 200", "takes connections", "listens on 127.0.0.1 only", "-": for people. Returns `buffer`. */
const char *service_health_words(const Service *service, const ServiceState *state, char *buffer, size_t size);

/* What becomes of it once it was started. */
typedef struct ServiceWait {
	uint64_t timeout_usec;
	bool quiet;   /* its log is not shown meanwhile */
	StrList tail; /* the last lines that it wrote */
} ServiceWait;

/* `method` as manager_change() takes it. Reads the files anew first, then starts and waits until it is healthy. -EPROTO: it did not become it. */
_must_check_ int service_start(Manager *manager, const Service *service, const char *method, ServiceWait *wait,
	ServiceState *ret, Reason *ret_reason);

/* Why it ended, or is not healthy when the time is over. Fills the reason. */
void service_why(
	const Service *service, const ServiceState *state, const StrList *tail, uint64_t waited_usec, Reason *ret);

/* Why systemd cannot load it (`unit->load` is not "loaded"): its own words, with the file's line. */
void service_file_why(const Service *service, const Unit *unit, Reason *ret);

/* May `port` be listened on, by the policy? Where that cannot be told the kernel decides later. 0 or -EACCES with the ranges. */
_must_check_ int service_port_allowed(uint16_t port, Reason *ret_reason);
/* "3000-9000,9100". Returns false when there are none, or that cannot be told. */
bool service_port_ranges(char *buffer, size_t size);
/* Nobody but the cgroup `own` ("" is none) listens on it. 0 or -EADDRINUSE, with who does and the way out. */
_must_check_ int service_port_free(uint16_t port, const char *own, Reason *ret_reason);

/* The unit of the user manager that a cgroup is in: its kind, as creel ps has it, and its name there. NULL: in none. Pure. */
const char *service_port_holder(const char *cgroup, uid_t uid, char *ret_name, size_t size);

/* A port that may be listened on and is free, the first from `first` on. */
_must_check_ int service_port_choose(uint16_t first, uint16_t *ret, Reason *ret_reason);

/* Says that it runs: URL, PID, log and how it is stopped; or as an object, with the reason when it does not. */
void service_tell(const Service *service, const ServiceState *state);
void service_tell_json(
	FILE *file, const Service *service, const ServiceState *state, const StrList *tail, const char *reason);

/* What is asked for in `spec` becomes a file, and runs. `change` tells what of it was said. */
typedef struct ServiceOrder {
	const char *verb; /* of messages: "service", "serve" */
	const char *name;
	ServiceSpec spec;
	ServiceChange change;
	bool replace, json;
	uint64_t timeout_usec;
} ServiceOrder;

/* Its program and folder become absolute. Says what came of it; returns the exit status. */
int service_make(ServiceOrder *order);

/* Verbs of creel service: the words behind them. Return the exit status. */
int service_create_main(int argc, char **argv);
int service_list_main(int argc, char **argv);
int service_status_main(int argc, char **argv);
int service_logs_main(int argc, char **argv);
int service_stop_main(int argc, char **argv);
int service_start_main(int argc, char **argv);
int service_restart_main(int argc, char **argv);
int service_rm_main(int argc, char **argv);

/* Reads `--json` and the like with exactly one name; tells what is wrong. Returns 0, or the exit status to end with. */
struct Option;
int service_words(const char *verb, int argc, char **argv, const struct Option *options, const char **ret_name);
