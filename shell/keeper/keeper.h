/* SPDX-License-Identifier: MIT */
/*
 * The keeper's state: one agent, its sessions and their channels. Everything in this folder runs in creel-keeper, as
 * root, in one thread.
 *
 *   Keeper -> Session (one login: a folder session-ID of the cgroup tree)
 *             -> Channel (one process with its descendants: a leaf exec-NUMBER in it)
 *          -> Run (run.h)
 *          -> Repl (repl.h)
 *
 * What must survive the keeper's death is in the cgroup tree itself (shell/run/leaf.h); adopt.c reads it again.
 */
#pragma once

#include "shell/audit/record.h"
#include "shell/base/rate.h"
#include "shell/bus/server.h"
#include "shell/confine/confine.h"
#include "shell/keeper/answer.h"
#include "shell/keeper/budget.h"
#include "shell/policy/policy.h"
#include "shell/run/leaf.h"
#include "shell/session/account.h"
#include "shell/session/identity.h"
#include "shell/session/keys.h"
#include "shell/session/terminal.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Session Session;
typedef struct Channel Channel;
typedef struct Forward Forward;
typedef struct Executions Executions;
typedef struct Run Run;
typedef struct Repl Repl;

typedef struct Keeper {
	sd_event *event;
	uid_t uid;
	Identity *identity;
	Policy *policy; /* NULL: bad; policy_error says why, and every login is refused */
	PolicyError policy_error;
	Policy *last_policy;   /* while the policy is bad: the good one before it, to tell what changed */
	char *policy_refusal;  /* ... and why it is bad, as the record says; else NULL */
	uint64_t policy_stamp; /* of the files that it was read from */
	Confinement confinement;
	Confinement variants[4]; /* surroundings.c's own, prepared when they are needed; zero: not yet */
	bool renewing;           /* it ends as soon as nothing is lost by that (renewal.c) */
	bool unprepared;         /* the policy is good and the confinement was refused: what it needs may come back */
	Rate preparations;
	Account *account;
	Record *record;
	sd_event_source *record_timer;     /* while records wait for the journal */
	sd_event_source *recordings_timer; /* terminal-recording.c */
	bool recordings_watched;
	Answer history_answer; /* the record, read for the agent */
	Answer secret_answers[2];
	Rate secrets;           /* what is asked about them, by the agent itself */
	Executions *executions; /* executions.h; NULL: not told */
	Rate record_failures;   /* log lines about them */
	Rate refusals;          /* records of refused logins, which strangers cause */
	Rate forwards;          /* records of forwardings, of which a client can make very many */
	Rate looks;             /* at limits, by the agent itself */
	KeyReason key_reason; /* why a key that a file names was not accepted, of the last such peer: for its record */
	char key_peer[128];
	Server *server;

	int slice_fd;  /* user-UID.slice */
	int leaves_fd; /* creel-leaves@UID.service */
	int rescue_fd; /* creel-rescue@UID.service */
	int kept_fd;   /* leaves/kept: what outlived its connection */

	Session *sessions;
	Session *rescued;              /* the one session that may use the rescue leaf */
	uint64_t forks_refused;        /* in the slice, as seen at the last birth; 0 while it is less than half full */
	uint64_t processes_refused;    /* forks beyond limits.processes, as seen at the last birth */
	sd_event_source *attach_timer; /* after a restart: until when fronts may claim adopted sessions */

	Run *runs;                      /* run.h */
	Repl *repls;                    /* repl.h */
	struct Spares *spares;          /* spare.h; NULL: none was ever wanted */
	sd_event_source *memory_source; /* what the slice's memory limit met, since there are REPLs */
	uint64_t run_number;            /* of the last one */
	Budget budget;                  /* memory of runs and of their results */
	int own_fd;                     /* the keeper's own cgroup (room.h); -EBADF: it cannot be looked at */
	Rate run_refusals;              /* records of refused runs, of which the agent can make very many */
} Keeper;

#define SESSION_ID_SIZE 17

struct Session {
	Keeper *keeper;
	Session *next;
	Peer *front;              /* whom Exited signals go to; NULL: adopted, not claimed yet */
	char id[SESSION_ID_SIZE]; /* 16 random hex digits */
	char *peer;               /* "ADDRESS PORT LOCAL-ADDRESS LOCAL-PORT" */
	char *key;                /* fingerprint */
	KeyOptions options;       /* of that key */
	uint64_t since_usec;      /* CLOCK_REALTIME */
	int dir_fd;
	Forward *forwards; /* being connected */
	bool over;         /* the connection ended: goes when the last channel goes */
	Channel *channels;
	/* of a door that is not ours, else NULL and unset */
	char *door;                   /* its name for the record */
	int door_fd;                  /* pidfd of the process that opened it, while it lives */
	uint64_t door_cgroup;         /* number of that scope, once it was asked for */
	int door_leaf_fd;             /* unset where logind's scope holds it */
	sd_event_source *door_source; /* the process's end, then the leaf's */
};

typedef enum ChannelState {
	CHANNEL_RUNNING, /* the process lives */
	CHANNEL_ENDED,   /* it ended, descendants still live in the leaf */
} ChannelState;

struct Channel {
	Session *session;
	Channel *next;
	uint32_t number;
	ChannelState state;
	char name[24]; /* of the leaf */
	char kind[12];
	char *command;
	uint64_t command_bytes; /* adopted, and longer than a mark can hold: how long it was; else 0 */
	char *recording;        /* of its terminal: the file's name; "none": there was no room; else NULL */
	char *original;         /* what the client asked for where its key forced the command; NULL otherwise */
	bool terminal;
	bool rescue;  /* born in the rescue tree */
	bool adopted; /* an earlier keeper's child: how it ends nobody will know */
	bool hung_up;
	bool told; /* the client knows that it ended: what it left behind is nobody's command any more, and lives on */
	pid_t pid;
	int pid_fd;
	int leaf_fd;
	uint64_t cgroup;       /* number of the leaf, once it was asked for */
	int parent_fd;         /* the folder that holds the leaf; borrowed unless rescue */
	uint64_t started_usec; /* CLOCK_REALTIME */
	sd_event_source *exit_source, *hangup_timer, *empty_source;
};

/* session.c */
/* Takes what `options` holds, also on failure. */
_must_check_ int session_new(
	Keeper *keeper, Peer *front, const char *peer, const char *key, KeyOptions *options, Session **ret);
_must_check_ int session_adopt(Keeper *keeper, const char *id, Session **ret);
Session *session_find(Keeper *keeper, const char *id);
Channel *session_channel(Session *session, uint32_t number);
/* One that ended and left processes behind, and of which the client was not told. */
Channel *session_left_channel(Session *session, uint32_t number);
/* Its processes that run; what ended and left descendants behind is not among them. */
unsigned int session_running(const Session *session);
void session_hang_up(Session *session);
/*
 * Ends all that runs in it, and what it left behind there, by SIGKILL; whoever serves its connection is told to close it, and logs
 * out then. May free the session. Returns 0 or a negative errno.
 */
_must_check_ int session_kill(Session *session);
void session_collect(Session *session);               /* frees it if it is over and empty */
uint64_t keeper_count_sessions(const Keeper *keeper); /* those whose connection lives */

/* start.c */
typedef struct ChannelRequest {
	uint32_t number;
	const char *kind, *command;
	char *const *environment;
	bool terminal;
	const char *term;
	TerminalSize size;
	const uint8_t *modes;
	size_t modes_n;
} ChannelRequest;

/*
 * Gives birth. `ret_fds` gets one descriptor with a terminal, else three; the caller closes them.
 * `ret_error` is filled with a KEEPER_ERROR_* and a message that the user may see.
 */
_must_check_ int channel_start(
	Session *session, const ChannelRequest *request, int ret_fds[static 3], size_t *ret_n, sd_bus_error *ret_error);

/* channel.c */
/* Takes `command`, also on failure; NULL is -ENOMEM. */
_must_check_ int channel_make(Session *session, const char *kind, char *command, Channel **ret);
void channel_link(Channel *channel);
Channel *channel_free(Channel *channel);
DEFINE_CLEANUP(Channel, channel_free)

/* RFC 4254 section 6.9. -EINVAL: not a signal that a client may send. */
_must_check_ int channel_signal(Channel *channel, const char *name);
/* Ends what it runs, and what it left behind, unless the client was told that it ended. */
void channel_hang_up(Channel *channel);
void channel_tell(Channel *channel);
/* Once, when its process ended: `how` is exit, signal or unknown. May free the channel and its session. */
void channel_finish(Channel *channel, const char *how, int value, bool core);
/* Collects an ended channel, now or when its last descendant ended. May free the channel and its session. */
void channel_wait_empty(Channel *channel);

/*
 * forward.c: connects as the agent; answers `call` later with the connected socket, or an error. Returns 1, or fills
 * `ret_error`.
 */
_must_check_ int forward_start(
	Session *session, const char *host, uint32_t port, sd_bus_message *call, sd_bus_error *ret_error);
/* Ends and reaps what is being connected. */
void forward_abandon(Session *session);
/* Ends what an earlier keeper was connecting. */
void forward_end_adopted(Session *session);

/* door.c: sessions of doors that are not ours. All strings are within KEEPER_DOOR_TEXT_MAX, and control characters free. */
typedef struct DoorRequest {
	const char *service, *terminal, *host, *user; /* "" where PAM knows none */
} DoorRequest;

/* What people call a PAM service: "openssh", "console", "su"; any other goes by its own name. */
const char *door_name(const char *service);
/* Opens a session for the waiting root process `pid`, which is in the session's leaf or in logind's scope afterwards. */
_must_check_ int door_open(Keeper *keeper, pid_t pid, const DoorRequest *request, Session **ret);
/* For a session that was read from its folder; 0 also where it is none of a door's. */
_must_check_ int door_adopt(Session *session);
/* ... and once its channels were read, too. May free the session. */
void door_after_adoption(Session *session);
/* Its process, or something in its leaf, lives. */
bool door_lives(const Session *session);
void door_done(Session *session);
/* Ends the process that opened it, and all in logind's scope where it lies in one. Returns 0 or a negative errno. */
_must_check_ int door_kill(Session *session);

/* adopt.c: at start, what an earlier keeper left running. */
_must_check_ int keeper_adopt(Keeper *keeper);

/*
 * renewal.c: from now on SIGHUP, which is blocked by this, has the keeper end as soon as nothing is lost by that.
 * Returns >= 0 or a negative errno.
 */
_must_check_ int keeper_renew_on_reload(Keeper *keeper);

/* rescue.c. At start: forks that were refused before are nobody's trouble now. */
void rescue_prepare(Keeper *keeper);
/* The slice has no room to work in, by tasks, processes or memory. */
bool rescue_is_due(Keeper *keeper);
/* By processes: what is born there now could execute nothing. */
bool slice_is_full(const Keeper *keeper);
_must_check_ int rescue_open(Keeper *keeper, Session *session, int *ret_fd);
/* Gives the rescue leaf back if the session has it and nothing lives there any more. */
void rescue_leave(Session *session);

/* recording.c: what goes into the record. */
void keeper_record_login(Keeper *keeper, const Session *session, const char *algorithm);
void keeper_record_logout(Keeper *keeper, const Session *session);
void keeper_record_refusal(Keeper *keeper, const char *user, const char *peer, const char *key, const char *reason);
/* `user`: who asked, as PAM knows. */
void keeper_record_door(Keeper *keeper, const Session *session, const DoorRequest *request);
void keeper_record_door_refusal(Keeper *keeper, const DoorRequest *request, const char *reason);
void keeper_record_command_start(const Channel *channel);
void keeper_record_command(
	const Channel *channel, const char *result, int value, const LeafUsage *usage, const char *note);
/* `failure` NULL: connected. */
void keeper_record_forward(const Session *session, const char *host, uint32_t port, const char *failure);
void keeper_record_event(Keeper *keeper, const char *text);

/* policy-recording.c: `before` NULL: none was known; `after` NULL: it is refused, for the reason in policy_error. */
void keeper_record_policy(Keeper *keeper, const Policy *before, const Policy *after);

/* methods.c: the rows of the table in shell/bus/server.h. */
extern const Method keeper_methods[];

/* history.c */
int method_history(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);

/* secrets.c */
int method_set_secret(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);
int method_secret(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);
int method_remove_secret(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);
int method_secrets(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);
/* Whoever still works on one goes on alone. */
void secrets_done(Keeper *keeper);

/* session-methods.c */
int method_sessions(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);
int method_end(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error);

/* enforced.c: NULL when what creel-enforce had to do for this agent is in force; else why logins are refused. */
const char *keeper_unenforced(Keeper *keeper, char *reason, size_t size);

/* consumption.c */
typedef struct DiskUse {
	uint64_t bytes, bytes_limit, files, files_limit; /* LEAF_UNLIMITED: none */
} DiskUse;

/* What the agent has on its home's file system. -ESRCH or -ENOSYS: nobody counts there. */
_must_check_ int keeper_disk(const Keeper *keeper, DiskUse *ret);
/* Bytes of this month (UTC), as of the last minute. */
_must_check_ int keeper_transfer(const Keeper *keeper, uint64_t *ret_sent, uint64_t *ret_received);

/* limits.c: to process `pid`, which has a session of its own or not. */
_must_check_ int keeper_append_limits(Keeper *keeper, pid_t pid, sd_bus_message *reply);

/* policy of the keeper: loads it anew; on failure every login is refused until it is mended. */
void keeper_load_policy(Keeper *keeper);

/* Loads it anew if its files changed since: asked before each login and birth, so that no edit is missed. */
void keeper_refresh_policy(Keeper *keeper);
