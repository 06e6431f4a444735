/* SPDX-License-Identifier: MIT */
/*
 * The monitor: holds the host key, signs exchange hashes, verifies users' signatures, and talks to the keepers. It has no
 * connection to the network; what it parses are bounded messages from workers, which it does not believe, and typed
 * answers from keepers, which are root.
 *
 * Inside: monitor.c connections and their messages, monitor-login.c who may come in, monitor-channel.c what a login
 * runs, monitor-forward.c what it reaches, monitor-keeper.c the buses.
 */
#pragma once

#include "shell/audit/record.h"
#include "shell/base/rate.h"
#include "sshd-sub/allow.h"
#include "sshd-sub/hostkey.h"
#include "sshd-sub/options.h"
#include "sshd-sub/wire.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

/* Where the listener's link is when the program starts as the monitor. */
#define MONITOR_CONTROL_FD 3

/*
 * Context: a process of its own, started by the listener (option -m). Reads the host key, gives its public half to the
 * listener, and serves until the listener and all connections are gone. Does not return.
 */
_Noreturn void monitor_run(const Options *options);

/* ---- inside ---- */

typedef struct Monitor Monitor;
typedef struct Connection Connection;
typedef struct Reach Reach;

/* The bus to one agent's keeper, kept open. Never freed: there are as many as agents. */
typedef struct KeeperLink {
	Monitor *monitor;
	struct KeeperLink *next;
	uid_t uid;
	sd_bus *bus;
	bool lost; /* the bus ended; it goes when nothing of it is on the stack */
	sd_event_source *retry_source;
	uint64_t delay_usec;
	uint64_t missing_usec; /* CLOCK_MONOTONIC since when there is no socket; 0: there is one */
} KeeperLink;

typedef enum TaskState {
	TASK_STARTING,
	TASK_RUNNING,
	TASK_LEFT,    /* it ended and left others behind; the worker will say whether the client was told */
	TASK_TOLD,    /* the client was told; the keeper has not confirmed that it knows */
	TASK_CLOSING, /* being hung up */
} TaskState;

/* A process that a connection runs. */
typedef struct Task {
	struct Task *next;
	Connection *connection;
	uint32_t number;
	TaskState state;
	sd_bus_slot *slot; /* of Start, Told or Hangup */
} Task;

struct Connection {
	Monitor *monitor;
	Connection *next, **link; /* in order of arrival */
	uint32_t id;
	int link_fd, worker_fd; /* worker_fd is a pidfd */
	sd_event_source *source;
	AllowState state;
	uint32_t counts[WIRE_TYPES];
	char peer[WIRE_PEER_MAX + 1];
	uint64_t since_usec;
	uint8_t session_id[WIRE_HASH_MAX];
	size_t session_id_n;

	/* logging in; `user` is whom the last try was for */
	char user[KEEPER_USER_MAX + 1];
	KeeperLink *keeper; /* of that user, NULL: no agent */
	unsigned int denials;
	bool keeper_knows; /* the keeper itself recorded the refusal */
	uint8_t *key;      /* that was authorized for `user` */
	size_t key_n;
	uint64_t asked_usec;
	bool is_login;      /* what is asked: Login, or whether a key may */
	char algorithm[64]; /* of the signature that was verified */
	uint32_t presence;  /* flags of a security key's signature; else 0 */
	sd_bus_slot *slot;
	sd_event_source *decoy_source;
	sd_event_source
		*end_source; /* the session is gone: what the worker was told has this long to reach the client */

	/* logged in */
	char *session;
	Task *tasks;
	unsigned int n_tasks;
	Rate signals;
	Reach *reaches; /* being connected: monitor-forward.c */

	bool over; /* waits only for an answer: to Login, to log out again; to Logout, to end the worker then */
	WireBye bye;
	char bye_text[WIRE_TEXT_MAX + 1];
};

struct Monitor {
	const Options *options;
	sd_event *event;
	int control_fd;
	sd_event_source *control_source, *grace_source, *idle_source;
	EVP_PKEY *hostkey;
	Connection *connections, **connections_end;
	KeeperLink *keepers;
	Rate refusals;        /* log lines that strangers cause */
	Record *record;       /* refusals that no keeper hears of */
	uint64_t answer_usec; /* how long keepers take to answer about a key, smoothed */
	uint8_t payload[WIRE_PAYLOAD_MAX + 1];
};

/* monitor.c */

/* Sends to the worker. A worker that does not read its link is ended by the caller. Returns 0 or a negative errno. */
_must_check_ int connection_tell(Connection *connection, WireType type, uint32_t number, uint32_t value,
	const WireWriter *payload, const int *fds, size_t n_fds);
/*
 * Ends worker and connection; `why` is for the log when nobody had logged in, NULL: what the worker said. Frees it, at once
 * or when the keeper has hung up what it ran: until then the worker holds the pipes and terminals.
 */
void connection_end(Connection *connection, const char *why);
/* Logged in: tells the listener. */
void connection_admitted(Connection *connection);

/* monitor-login.c; 0, or a negative errno: the connection must end. */
_must_check_ int login_sign(Connection *connection, const uint8_t *hash, size_t n);
_must_check_ int login_query(Connection *connection, WireReader *reader);
_must_check_ int login_verify(Connection *connection, WireReader *reader);
_must_check_ int login_verify_sk(Connection *connection, WireReader *reader);
void login_log_refusal(Connection *connection, const char *why);
/* A connection that had logged in did not end as connections do. */
void login_log_break(Connection *connection);
/* The connection is over: true when it must wait for the answer to Login. */
bool login_cancel(Connection *connection);

/* monitor-channel.c; as above. */
/* Answers a request of the worker's by a reason for its client, cut at WIRE_TEXT_MAX bytes. Returns 0 or a negative errno. */
_must_check_ int connection_refuse(Connection *connection, WireType type, uint32_t number, const char *why);
_must_check_ int task_start(Connection *connection, uint32_t number, WireReader *reader);
_must_check_ int task_signal(Connection *connection, uint32_t number, WireReader *reader);
_must_check_ int task_close(Connection *connection, uint32_t number);
_must_check_ int task_told(Connection *connection, uint32_t number);
void task_free_all(Connection *connection);
/* The keeper said that a process ended. */
int task_on_exited(sd_bus_message *message, void *userdata, sd_bus_error *error);
/* The keeper said that an operator ended a session: its connection ends, with the Logout of every end. */
int task_on_ended(sd_bus_message *message, void *userdata, sd_bus_error *error);
/* The keeper came back: claims the sessions, learns what still runs. */
void task_attach(Connection *connection);

/* monitor-forward.c; as above. */
_must_check_ int forward_open(Connection *connection, uint32_t number, WireReader *reader);
void forward_free_all(Connection *connection);

/* monitor-keeper.c */

/* How long a keeper may take for a call: a changed list of [commands] makes it read all programs first. */
#define KEEPER_TIMEOUT_USEC (30U * 1000U * 1000U)

/* The keeper of that uid, connected. Returns 0, -ENOENT (no agent), or another negative errno (its socket refuses). */
_must_check_ int keeper_find(Monitor *monitor, uid_t uid, KeeperLink **ret);
/* Nobody new comes in: buses that no connection uses are closed, later. Does nothing while there is a listener. */
void keeper_drop_idle(Monitor *monitor);
/* A call of KEEPER_INTERFACE, to be filled. -ENOTCONN while the keeper is away. */
_must_check_ int keeper_call_new(KeeperLink *keeper, const char *member, sd_bus_message **ret);
/* Sends it; `handler` gets the answer, or an error after KEEPER_TIMEOUT_USEC or when the bus ends. */
_must_check_ int keeper_call(KeeperLink *keeper, sd_bus_message *call, sd_bus_message_handler_t handler, void *userdata,
	sd_bus_slot **ret_slot);
/* Sends it without waiting for an answer. `types` and what follows are sd_bus_message_append()'s. */
void keeper_tell(KeeperLink *keeper, const char *member, const char *types, ...);
