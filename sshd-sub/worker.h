/* SPDX-License-Identifier: MIT */
/*
 * One worker, one connection: everything that strangers send is parsed here, and here nothing else can be reached.
 *
 * Inside: worker.c the loop, worker-auth.c logging in, channel.c requests and states,
 * forwarding.c connections for the client, pump.c bytes.
 */
#pragma once

#include "sshd-sub/departure.h"
#include "sshd-sub/link.h"
#include "sshd-sub/options.h"
#include "sshd-sub/sftp-window.h"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

/*
 * A worker's descriptors. The connection comes through the hand-off, and gets the first number that is free: the one that
 * the listener's prepared session expects. The hand-off and Landlock's rules are closed by then.
 */
#define WORKER_CONNECTION_FD 3
#define WORKER_LINK_FD 4
#define WORKER_HANDOFF_FD 5
#define WORKER_LANDLOCK_FD 6

/* Two packets of libssh 0.10, which sends at most the client's 32768 bytes less 10. */
#define WORKER_CHUNK (2U * 32758U)

/* Input of all channels that no process has taken yet: beyond it the channel that holds most is ended. */
#define WORKER_INPUT_MAX (16U * 1024 * 1024)

/* Read from a client that does not read our answers, before we read no more of it either. */
#define WORKER_UNANSWERED_MAX (256U * 1024)

/*
 * Context: a fresh child of the listener, which has the link, the hand-off, the Landlock rules (-EBADF: none) and the
 * standard descriptors, and nothing else; the sandbox is not on yet. Waits for its connection: one WIRE_CONNECTION message
 * with the descriptor, or the end of the hand-off, which is its own. `banner` is sent to whoever begins to log in, NULL:
 * nothing. Does not return.
 */
_Noreturn void worker_run(ssh_session session, int landlock_fd, const Options *options, const char *banner);

/* ---- inside ---- */

typedef struct Worker Worker;
typedef struct Opening Opening; /* a forwarding that is asked for: forwarding.c */

typedef enum ChannelState {
	CHANNEL_OPEN,     /* nothing asked for yet */
	CHANNEL_STARTING, /* asked; the client's answer was yes, the monitor's is due */
	CHANNEL_RUNNING,
	CHANNEL_EXITED, /* the process ended, or never began; what it wrote is sent, then the client told, the channel closed */
} ChannelState;

typedef struct Channel {
	Worker *worker;
	ssh_channel ssh;
	struct ssh_channel_callbacks_struct callbacks;
	uint32_t number;
	ChannelState state;
	bool closed; /* by the client, or broken */

	/* the request that is being put together */
	bool terminal;
	bool forwards; /* no process but a socket, for both directions: forwarding.c */
	char term[KEEPER_TERM_MAX];
	uint8_t modes[KEEPER_MODES_MAX]; /* of the terminal, as the client encoded them */
	size_t modes_n;
	uint32_t columns, rows, x_pixels, y_pixels;
	char *environment; /* "NAME=value" strings, each with its NUL */
	size_t environment_n, variables;

	/* the process's side; with a terminal all three are one descriptor, in out_fd */
	int in_fd, out_fd, err_fd;

	/* towards the process */
	bool client_eof, eof_sent;
	uint64_t silent_usec; /* when its output was seen closed; 0 before */
	bool unread;          /* libssh holds input that we have not taken */
	size_t held_n;        /* so much */
	bool far;             /* may send more ahead: window.c */
	size_t taken_n;       /* bytes of input since the window was looked at */
	bool in_blocked;      /* the pipe is full */
	uint8_t *staged;      /* taken from libssh, not yet written */
	size_t staged_at, staged_n;
	SftpWindow sftp;

	/* towards the client */
	uint8_t *pending; /* read from the process, not yet taken by libssh */
	size_t pending_at, pending_n;
	bool pending_stderr;

	/* after the end */
	WireExit how;
	uint32_t code;
	bool core;
	bool left;             /* it left processes behind, which live on if the client is told of the end */
	bool departed;         /* the keeper hangs up what it ran, whose descriptors are with the departures */
	char *note;            /* a line for the user, or NULL */
	bool noted;            /* it was sent */
	bool out_dry, err_dry; /* found empty since the exit */
	uint64_t exited_usec, heard_usec;
	size_t drained_n;
} Channel;

struct Worker {
	ssh_session session;
	ssh_event event;
	Link link;
	bool entered, broken;
	bool no_more_sessions; /* the client asked for it: who takes it over later opens none */
	bool no_terminal;      /* this login's key has none */
	uint32_t last_number;
	Channel *channels[KEEPER_CHANNELS_MAX];
	size_t n_channels;
	Opening *openings;
	size_t n_openings;
	Departures departures;
	uint8_t chunk[WORKER_CHUNK];
};

/* channel.c */

/* libssh's callback for an opened session channel; `userdata` is the worker. NULL refuses it. */
ssh_channel channel_on_open(ssh_session session, void *userdata);
Channel *channel_find(Worker *worker, uint32_t number);
/* What the monitor answered or reported. */
void channel_started(Channel *channel, LinkMessage *message);
void channel_refused(Channel *channel, const LinkMessage *message);
void channel_exited(Channel *channel, const LinkMessage *message);
/* When a drain may end by itself, CLOCK_MONOTONIC; UINT64_MAX: nothing to wait for. */
uint64_t channel_deadline(const Channel *channel);
/* The client sent more than the connection may hold, most of it here: says so, and ends what runs. */
void channel_overflow(Channel *channel);
/* After each round of the loop: sends what is due. Returns true when the channel is over and may be freed. */
bool channel_step(Channel *channel, uint64_t now_usec);
void channel_discard(Channel *channel);
/* A forwarding's channel, already accepted. Takes `fd`. Returns 0 or -ENOMEM. */
_must_check_ int channel_adopt_socket(Worker *worker, ssh_channel ssh, int fd);

/* pump.c */

/* Reads once from the process's output. */
void pump_output(Channel *channel, bool is_stderr);
/* Writes what libssh or we hold to the process's input, as far as it goes. */
void pump_input(Channel *channel);
/* Copies: bytes of the client's that are no longer in libssh, the next for the process. Returns 0 or -ENOMEM. */
_must_check_ int pump_stage(Channel *channel, const uint8_t *data, size_t n);
/* libssh's callback for data: returns how many bytes were taken. */
uint32_t pump_take(Channel *channel, const uint8_t *data, uint32_t n);
/* Sends to the client; what libssh does not take stays pending. */
void pump_send(Channel *channel, const uint8_t *data, size_t n, bool is_stderr);
void pump_flush(Channel *channel);
void pump_close_input(Channel *channel);
void pump_close_output(Channel *channel, bool is_stderr);
bool pump_wants_output(const Channel *channel, bool is_stderr);
/* Bytes of the client's that the process has not taken. */
size_t pump_held(const Channel *channel);
