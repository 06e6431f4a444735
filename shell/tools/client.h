/* SPDX-License-Identifier: MIT */
/*
 * Runs by the agent's own keeper, several at a time, in an event loop. Context: programs of the agent; no privilege.
 *
 * A call that the keeper refuses ends like a run: with a result whose reason is `refused`. So do the runs of a connection
 * that is lost, as `cancelled`.
 */
#pragma once

#include "shell/bus/run.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Client Client;
typedef struct ClientRun ClientRun;

/* Called from the event loop. What they are given lives until they return. */
typedef struct ClientHandler {
	/* stream 1 or 2; only where options->follow; may be NULL */
	void (*output)(void *userdata, unsigned int stream, const void *bytes, size_t n);
	/*
	 * Once for each run, the last of it: the ClientRun is gone. It may begin other runs; it must not call client_free(),
	 * which calls no handlers.
	 */
	void (*finished)(void *userdata, const RunResult *result);
} ClientHandler;

/*
 * Connects to the keeper of the calling user. `gone` (may be NULL) is called after the runs' ends when the keeper leaves,
 * and may call client_free(). Returns 0, or a negative errno with a line for a person in `why`.
 */
_must_check_ int client_new(
	sd_event *event, void (*gone)(void *userdata), void *userdata, Client **ret, char *why, size_t why_size);

/* Accepts NULL. Returns NULL. The keeper ends the runs. */
Client *client_free(Client *client);
DEFINE_CLEANUP(Client, client_free)

/*
 * A memfd with those bytes, read from their begin, sealed as the keeper wants it: for code, and for input. It is the
 * keeper's where this process may make none, or `keepers`: such a one nobody can execute, so that it is taken for stdin
 * whatever the policy says. Returns the descriptor or a negative errno. Waits for the keeper.
 */
_must_check_ int client_seal(Client *client, const void *bytes, size_t n, bool keepers);
/* The same for a connection without an event loop (shell/bus/client.h). */
_must_check_ int keeper_seal(sd_bus *bus, const void *bytes, size_t n, bool keepers);

/*
 * Sends Run; all of `options` and the descriptor are only used until this returns. Returns 0 or a negative errno; `ret` is
 * good until the handler's finished() is called, which is never before this returns.
 */
_must_check_ int client_run(Client *client, int code_fd, const RunOptions *options, const ClientHandler *handler,
	void *userdata, ClientRun **ret);

/* Ends it; its result says `cancelled`, unless it was faster. May be called at any time while the run is there. */
void client_stop(ClientRun *run);

/*
 * While paused nothing is read from the keeper: no handler is called, and output that is followed may be lost (the keeper
 * waits for nobody). Results wait.
 */
_must_check_ int client_pause(Client *client, bool paused);

/* Any other call, as in sd_bus_call_method_async(). `answer` gets the reply, or NULL and a sentence, not escaped. */
typedef void (*ClientAnswer)(void *userdata, sd_bus_message *reply, const char *why);
_must_check_ int client_call(
	Client *client, const char *member, ClientAnswer answer, void *userdata, const char *types, ...);
