/* SPDX-License-Identifier: MIT */
/*
 * The keeper's end of the bus: connections, who they are, and the one table of what they may call.
 *
 * A connection is judged once, by the uid that the kernel reports (SO_PEERCRED). A call is judged by the table: unknown
 * objects and members, wrong signatures and callers that a row does not name get an error, a log line, and the connection
 * closed. So does, without an error that it could read, a peer that speaks no D-Bus. A row takes descriptors when its
 * signature has an h; those that come along with another call are closed by sd-bus, unread. They belong to their message:
 * who keeps one copies it (F_DUPFD_CLOEXEC).
 */
#pragma once

#include "shell/base/cleanup.h"
#include "shell/bus/unread.h"

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef enum PeerKind { PEER_FRONT = 1, PEER_AGENT = 2, PEER_ROOT = 4 } PeerKind;

typedef struct Server Server;

typedef struct Peer {
	Server *server;
	struct Peer *next;
	sd_bus *bus;
	sd_bus_slot *gone_slot, *call_slot;
	bool called; /* made a call that was let through */
	PeerKind kind;
	int received; /* received_watch()'s ticket; 0: it may send no descriptors */
	pid_t pid;
	uid_t uid;
	sd_event_source *close_source;
	Unread unread; /* what peer_send() sent */
} Peer;

/* One row: who may call `member` with that signature. Rows end with member = NULL. */
typedef struct Method {
	const char *member;
	const char *signature;
	unsigned int who; /* PeerKind bits */
	/* Replies itself and returns >= 0; or fills `error`, or returns a negative errno, for an error reply. */
	int (*call)(void *keeper, Peer *peer, sd_bus_message *message, sd_bus_error *error);
} Method;

typedef struct ServerConfig {
	uid_t front_uid, agent_uid;
	const Method *methods;
	void *keeper;                                /* first argument of the calls */
	void (*peer_gone)(void *keeper, Peer *peer); /* a peer left, or broke the table */
} ServerConfig;

/* Connections at a time, for each kind of peer; of the agent's, more than the runs that it may have. */
#define SERVER_PEERS_MAX 16U
#define SERVER_AGENT_PEERS_MAX 40U
/* Messages that wait for one of the agent's: who calls and calls, and reads no answer, is dropped. */
#define SERVER_QUEUED_MAX 100U

/* Serves the listening stream socket `listen_fd`, which it takes, in `event`. */
_must_check_ int server_new(sd_event *event, int listen_fd, const ServerConfig *config, Server **ret);

/* Accepts NULL. Returns NULL. Drops all connections without peer_gone(): the keeper goes, its peers stay. */
Server *server_free(Server *server);
DEFINE_CLEANUP(Server, server_free)

/* Sends a signal of about `bytes` without waiting; they count until the peer has read them. 0 or a negative errno. */
_must_check_ int peer_send(Peer *peer, sd_bus_message *message, size_t bytes);

/* Whether a connection of the agent's is open. */
bool server_has_agent(const Server *server);

/* Bytes that peer_send() sent and that wait in this process, for all peers together. */
uint64_t server_unread(const Server *server);

/* The row for `member`, or NULL. Pure. */
const Method *method_find(const Method *methods, const char *member);
