/* SPDX-License-Identifier: MIT */
/*
 * What the front, the agent and root may ask. The bus has checked who asks and the types; bounds and states are
 * checked here, before anything is done.
 */
#include "shell/keeper/repl.h"
#include "shell/base/log.h"
#include "shell/bus/bus.h"
#include "shell/session/keys.h"

#include <string.h>

static int bad_arguments(sd_bus_error *error, const char *what)
{
	return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "%s", what);
}

static int no_session(sd_bus_error *error)
{
	return sd_bus_error_set(error, KEEPER_ERROR_NO_SESSION, "no such session or channel");
}

/* A session of this very front; another connection's is as good as none. */
static Session *own_session(Keeper *keeper, const Peer *peer, const char *id)
{
	Session *session = session_find(keeper, id);

	return session && session->front == peer && !session->over ? session : NULL;
}

/* The session in which something is about to be born, and the policy is the one of now. */
static int active_session(Keeper *keeper, const Peer *peer, const char *id, Session **ret, sd_bus_error *error)
{
	Session *session = own_session(keeper, peer, id);
	char unenforced[256];

	if (!session)
		return no_session(error);
	keeper_refresh_policy(keeper);
	if (!keeper->policy)
		return sd_bus_error_set(error, KEEPER_ERROR_POLICY, keeper->policy_error.text);
	if (keeper_unenforced(keeper, unenforced, sizeof(unenforced)))
		return sd_bus_error_set(error, KEEPER_ERROR_POLICY, unenforced);
	*ret = session;
	return 0;
}

static bool peer_text_valid(const char *peer)
{
	size_t n = strlen(peer);

	if (n == 0 || n > 128)
		return false;
	return strspn(peer, "0123456789abcdefABCDEF.:% ") == n;
}

/* -- logging in -- */

typedef struct Claim {
	const char *user, *peer, *algorithm, *fingerprint;
	const uint8_t *blob;
	size_t blob_n;
	uint32_t presence;  /* of a security key */
	KeyOptions options; /* of the key, once it was found */
} Claim;

static void claim_done(Claim *claim)
{
	key_options_done(&claim->options);
}

#define PEER_ADDRESS_MAX 64

/* The client's address, the first word of "ADDRESS PORT LOCAL-ADDRESS LOCAL-PORT". */
static void peer_address(const char *peer, char ret[static PEER_ADDRESS_MAX])
{
	(void)snprintf(ret, PEER_ADDRESS_MAX, "%.*s", (int)strcspn(peer, " "), peer);
}

/* Returns NULL when the key may log in, else the reason for the record. */
static const char *judge(Keeper *keeper, Claim *claim, KeyReason *reason)
{
	const char *account_reason = "";
	char address[PEER_ADDRESS_MAX];
	int r;

	if (!keeper->policy)
		return keeper->policy_error.text;
	if (strcmp(claim->user, keeper->identity->name) != 0)
		return "the user is not this keeper's agent";
	r = keys_authorize(keeper->identity, keeper->policy, claim->blob, claim->blob_n, &claim->options, reason);
	if (r < 0)
		return strerror(-r);
	if (r == KEY_REFUSED)
		return reason->text;
	if (r != KEY_ALLOWED)
		return "the key is not in the authorized keys";

	peer_address(claim->peer, address);
	if (!key_options_admit(&claim->options, address, clock_realtime_usec() / 1000000U, reason))
		return reason->text;
	if (key_is_security_key(claim->blob, claim->blob_n) &&
		!key_options_admit_presence(&claim->options, claim->presence, reason))
		return reason->text;
	r = account_check(keeper->account, address, &account_reason);
	if (r < 0)
		return "the account cannot be checked";
	if (r > 0) {
		(void)snprintf(reason->text, sizeof(reason->text), "account: %s", account_reason);
		return reason->text;
	}
	if (keeper_unenforced(keeper, reason->text, sizeof(reason->text)))
		return reason->text;
	if (keeper_count_sessions(keeper) >= keeper->policy->sessions)
		return "too many sessions at a time (limits.sessions)";
	return NULL;
}

static int method_authorize(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Keeper *keeper = userdata;
	_cleanup_(claim_done) Claim claim = { 0 };
	char address[PEER_ADDRESS_MAX];
	KeyReason reason = { "" };
	int r;

	r = sd_bus_message_read(message, "ss", &claim.user, &claim.peer);
	if (r >= 0)
		r = sd_bus_message_read_array(message, 'y', (const void **)&claim.blob, &claim.blob_n);
	if (r < 0)
		return r;
	if (claim.blob_n > KEEPER_KEY_BLOB_MAX || strlen(claim.user) > KEEPER_USER_MAX)
		return bad_arguments(error, "key or user name too long");
	if (strcmp(claim.user, keeper->identity->name) != 0)
		return bad_arguments(error, "the user is not this keeper's agent");

	keeper_refresh_policy(keeper);
	r = keeper->policy ? keys_authorize(keeper->identity, keeper->policy, claim.blob, claim.blob_n, &claim.options,
				     &reason)
			   : KEY_UNKNOWN;
	if (r < 0)
		return r;
	peer_address(claim.peer, address);
	if (r == KEY_ALLOWED && !key_options_admit(&claim.options, address, clock_realtime_usec() / 1000000U, &reason))
		r = KEY_REFUSED;
	/* a refused line answers like an unknown key; Login or Refused put the reason into the record */
	if (r == KEY_REFUSED) {
		keeper->key_reason = reason;
		(void)snprintf(keeper->key_peer, sizeof(keeper->key_peer), "%s", claim.peer);
	}
	return sd_bus_reply_method_return(message, "b", r == KEY_ALLOWED);
}

static int method_login(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Keeper *keeper = userdata;
	_cleanup_(claim_done) Claim claim = { 0 };
	KeyReason reason = { "" };
	const char *refusal;
	Session *session;
	int r;

	r = sd_bus_message_read(
		message, "ssssu", &claim.user, &claim.peer, &claim.algorithm, &claim.fingerprint, &claim.presence);
	if (r >= 0)
		r = sd_bus_message_read_array(message, 'y', (const void **)&claim.blob, &claim.blob_n);
	if (r < 0)
		return r;
	if (claim.blob_n > KEEPER_KEY_BLOB_MAX || strlen(claim.user) > KEEPER_USER_MAX ||
		strlen(claim.algorithm) > 64 || strlen(claim.fingerprint) > 64 || !peer_text_valid(claim.peer))
		return bad_arguments(error, "an argument is too long or malformed");

	keeper_refresh_policy(keeper);
	refusal = judge(keeper, &claim, &reason);
	if (refusal) {
		keeper_record_refusal(keeper, claim.user, claim.peer, claim.fingerprint, refusal);
		return sd_bus_error_setf(
			error, keeper->policy ? KEEPER_ERROR_DENIED : KEEPER_ERROR_POLICY, "%s", refusal);
	}
	r = session_new(keeper, peer, claim.peer, claim.fingerprint, &claim.options, &session);
	if (r < 0) {
		log_error("cannot open a session: %s", strerror(-r));
		keeper_record_refusal(
			keeper, claim.user, claim.peer, claim.fingerprint, "the session could not be made");
		return sd_bus_error_setf(error, KEEPER_ERROR_FAILED, "cannot open a session: %s", strerror(-r));
	}
	r = sd_bus_reply_method_return(message, "sb", session->id, session->options.terminal);
	keeper_record_login(keeper, session, claim.algorithm);
	return r;
}

static int method_refused(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Keeper *keeper = userdata;
	const char *user, *from, *reason;
	char both[sizeof(keeper->key_reason.text) + 260];
	int r;

	r = sd_bus_message_read(message, "sss", &user, &from, &reason);
	if (r < 0)
		return r;
	if (strlen(user) > KEEPER_USER_MAX || strlen(reason) > 256 || !peer_text_valid(from))
		return bad_arguments(error, "an argument is too long or malformed");
	if (strcmp(from, keeper->key_peer) == 0 && keeper->key_reason.text[0]) {
		(void)snprintf(both, sizeof(both), "%s; %s", reason, keeper->key_reason.text);
		reason = both;
		keeper->key_reason.text[0] = '\0';
	}
	keeper_record_refusal(keeper, user, from, NULL, keeper->policy ? reason : keeper->policy_error.text);
	return sd_bus_reply_method_return(message, NULL);
}

/* -- sessions -- */

static int read_start(sd_bus_message *message, const char **ret_session, ChannelRequest *ret, char ***ret_environment)
{
	const uint32_t *size;
	size_t size_n;
	int terminal, r;

	r = sd_bus_message_read(message, "suss", ret_session, &ret->number, &ret->kind, &ret->command);
	if (r >= 0)
		r = sd_bus_message_read_strv(message, ret_environment);
	if (r >= 0)
		r = sd_bus_message_read(message, "bs", &terminal, &ret->term);
	if (r >= 0)
		r = sd_bus_message_read_array(message, 'u', (const void **)&size, &size_n);
	if (r >= 0 && size_n != 4 * sizeof(uint32_t))
		r = -EBADMSG;
	if (r >= 0)
		r = sd_bus_message_read_array(message, 'y', (const void **)&ret->modes, &ret->modes_n);
	if (r < 0)
		return r;
	ret->terminal = terminal;
	ret->size = (TerminalSize){ size[0], size[1], size[2], size[3] };
	ret->environment = *ret_environment;
	return 0;
}

static bool environment_in_bounds(char *const *environment)
{
	size_t n = 0;

	for (; environment && environment[n]; n++)
		if (n >= KEEPER_ENVIRONMENT_MAX || strlen(environment[n]) > KEEPER_ENVIRONMENT_BYTES)
			return false;
	return true;
}

static void strv_free(char ***strv)
{
	for (char **s = *strv; s && *s; s++)
		free(*s);
	free(*strv);
}

static int reply_fds(sd_bus_message *call, const int *fds, size_t n)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "h");
	for (size_t i = 0; i < n && r >= 0; i++)
		r = sd_bus_message_append(reply, "h", fds[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	return r;
}

static int method_start(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(strv_free) char **environment = NULL;
	ChannelRequest request = { 0 };
	int fds[3] = { -EBADF, -EBADF, -EBADF };
	Keeper *keeper = userdata;
	const char *id = "";
	Session *session;
	size_t n = 0;
	int r;

	r = read_start(message, &id, &request, &environment);
	if (r < 0)
		return r;
	r = active_session(keeper, peer, id, &session, error);
	if (r < 0)
		return r;
	if (request.terminal && !session->options.terminal)
		return sd_bus_error_set(error, KEEPER_ERROR_DENIED, "this key may not have a terminal");
	if (strlen(request.command) > KEEPER_COMMAND_MAX)
		return bad_arguments(error, "the command is longer than one argument of execve(2) may be");
	if (strlen(request.term) > KEEPER_TERM_MAX || request.modes_n > KEEPER_MODES_MAX ||
		!environment_in_bounds(environment))
		return bad_arguments(error, "terminal type, modes or environment too long");
	if (session_running(session) >= KEEPER_CHANNELS_MAX)
		return sd_bus_error_setf(
			error, KEEPER_ERROR_FULL, "a session has at most %u processes", KEEPER_CHANNELS_MAX);

	r = channel_start(session, &request, fds, &n, error);
	if (r >= 0)
		r = reply_fds(message, fds, n);
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		fds[i] = fd_close(fds[i]);
	return r;
}

/* One that runs, and one that ended without its client's knowing; NULL where there is none. */
static int find_channel(
	Keeper *keeper, const Peer *peer, sd_bus_message *message, Channel **ret_running, Channel **ret_left)
{
	const char *id;
	uint32_t number;
	Session *session;
	int r;

	r = sd_bus_message_read(message, "su", &id, &number);
	if (r < 0)
		return r;
	session = own_session(keeper, peer, id);
	*ret_running = session ? session_channel(session, number) : NULL;
	*ret_left = session ? session_left_channel(session, number) : NULL;
	return 0;
}

static int method_signal(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Channel *channel, *left;
	const char *name;
	int r;

	r = find_channel(userdata, peer, message, &channel, &left);
	if (r >= 0)
		r = sd_bus_message_read(message, "s", &name);
	if (r < 0)
		return r;
	if (!channel)
		return no_session(error);
	r = channel_signal(channel, name);
	if (r == -EINVAL)
		return bad_arguments(error, "not a signal that may be sent");
	if (r == -ESRCH)
		return no_session(error);
	return r < 0 ? r : sd_bus_reply_method_return(message, NULL);
}

static int method_hangup(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Channel *channel, *left;
	int r;

	r = find_channel(userdata, peer, message, &channel, &left);
	if (r < 0)
		return r;
	channel = channel ? channel : left;
	if (!channel)
		return no_session(error);
	channel_hang_up(channel);
	return sd_bus_reply_method_return(message, NULL);
}

static int method_told(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Channel *channel, *left;
	int r;

	r = find_channel(userdata, peer, message, &channel, &left);
	if (r < 0)
		return r;
	if (!left)
		return no_session(error);
	channel_tell(left);
	return sd_bus_reply_method_return(message, NULL);
}

static int method_logout(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Session *session;
	const char *id;
	int r;

	r = sd_bus_message_read(message, "s", &id);
	if (r < 0)
		return r;
	session = own_session(userdata, peer, id);
	if (!session)
		return no_session(error);
	session_hang_up(session);
	session_collect(session);
	return sd_bus_reply_method_return(message, NULL);
}

static int method_connect(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Keeper *keeper = userdata;
	const char *id, *host;
	Session *session;
	uint32_t port;
	int r;

	r = sd_bus_message_read(message, "ssu", &id, &host, &port);
	if (r < 0)
		return r;
	if (strlen(host) > KEEPER_HOST_MAX)
		return bad_arguments(error, "the name of the host is too long");
	r = active_session(keeper, peer, id, &session, error);
	if (r < 0)
		return r;
	return forward_start(session, host, port, message, error);
}

static int method_attach(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	Session *session;
	const char *id;
	int r;

	r = sd_bus_message_read(message, "s", &id);
	if (r < 0)
		return r;
	session = session_find(userdata, id);
	if (!session || session->over || session->door || (session->front && session->front != peer))
		return no_session(error);
	session->front = peer;

	r = sd_bus_message_new_method_return(message, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "u");
	for (Channel *channel = session->channels; channel && r >= 0; channel = channel->next)
		if (channel->state == CHANNEL_RUNNING)
			r = sd_bus_message_append(reply, "u", channel->number);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* -- the agent and root -- */

static bool door_text_valid(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			return false;
	return strlen(text) <= KEEPER_DOOR_TEXT_MAX;
}

/* Why not, or NULL. Sessions at a time are for those who come from outside: the operator's own su is not to be kept out. */
static const char *judge_door(Keeper *keeper, const DoorRequest *request, char *reason, size_t size)
{
	if (!keeper->policy)
		return keeper->policy_error.text;
	if (keeper_unenforced(keeper, reason, size))
		return reason;
	if (strcmp(request->service, "sshd") == 0 && keeper_count_sessions(keeper) >= keeper->policy->sessions)
		return "too many sessions at a time (limits.sessions)";
	return NULL;
}

static int method_adopt(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Keeper *keeper = userdata;
	const Policy *policy;
	DoorRequest request;
	const char *refusal;
	char reason[256];
	Session *session;
	int r;

	r = sd_bus_message_read(message, "ssss", &request.service, &request.terminal, &request.host, &request.user);
	if (r < 0)
		return r;
	if (!*request.service || !door_text_valid(request.service) || !door_text_valid(request.terminal) ||
		!door_text_valid(request.host) || !door_text_valid(request.user))
		return bad_arguments(error, "an argument is too long or malformed");

	keeper_refresh_policy(keeper);
	refusal = judge_door(keeper, &request, reason, sizeof(reason));
	if (refusal) {
		keeper_record_door_refusal(keeper, &request, refusal);
		return sd_bus_error_set(error, keeper->policy ? KEEPER_ERROR_DENIED : KEEPER_ERROR_POLICY, refusal);
	}
	r = door_open(keeper, peer->pid, &request, &session);
	if (r < 0) {
		keeper_record_door_refusal(keeper, &request, "the session could not be made");
		return sd_bus_error_setf(error, KEEPER_ERROR_FAILED, "cannot open a session: %s", strerror(-r));
	}
	policy = keeper->policy;
	keeper_record_door(keeper, session, &request);
	return sd_bus_reply_method_return(message, "stttt", session->id, policy->session_memory, policy->session_tasks,
		policy->session_cpu, policy->open_files);
}

/* What is done for the agent here is not counted in its slice: how often, is bounded. */
static int method_limits(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	Keeper *keeper = userdata;
	int r;

	if (peer->uid == keeper->uid && !rate_take(&keeper->looks, NULL))
		return sd_bus_error_set(
			error, KEEPER_ERROR_FULL, "limits were asked for too often: try again in a second");
	r = sd_bus_message_new_method_return(message, &reply);
	if (r >= 0)
		r = keeper_append_limits(keeper, peer->pid, reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_reload(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Keeper *keeper = userdata;

	keeper_load_policy(keeper);
	if (!keeper->policy)
		return sd_bus_error_set(error, KEEPER_ERROR_POLICY, keeper->policy_error.text);
	return sd_bus_reply_method_return(message, NULL);
}

const Method keeper_methods[] = {
	{ "Authorize", "ssay", PEER_FRONT, method_authorize },
	{ "Login", "ssssuay", PEER_FRONT, method_login },
	{ "Refused", "sss", PEER_FRONT, method_refused },
	{ "Start", "sussasbsauay", PEER_FRONT, method_start },
	{ "Signal", "sus", PEER_FRONT, method_signal },
	{ "Hangup", "su", PEER_FRONT, method_hangup },
	{ "Told", "su", PEER_FRONT, method_told },
	{ "Logout", "s", PEER_FRONT, method_logout },
	{ "Connect", "ssu", PEER_FRONT, method_connect },
	{ "Attach", "s", PEER_FRONT, method_attach },
	{ "Adopt", "ssss", PEER_ROOT, method_adopt },
	{ "Limits", "", PEER_AGENT | PEER_ROOT, method_limits },
	{ "Reload", "", PEER_ROOT, method_reload },
	{ "History", "bttss", PEER_AGENT, method_history },
	{ "SetSecret", "sh", PEER_AGENT, method_set_secret },
	{ "Secret", "s", PEER_AGENT, method_secret },
	{ "RemoveSecret", "s", PEER_AGENT, method_remove_secret },
	{ "Secrets", "", PEER_AGENT, method_secrets },
	{ "Sessions", "", PEER_ROOT, method_sessions },
	{ "End", "s", PEER_ROOT, method_end },
	{ "Memory", "", PEER_AGENT, method_memory },
	{ "Run", "ha{sv}", PEER_AGENT, method_run },
	{ "Stop", "t", PEER_AGENT, method_stop },
	{ "Repls", "", PEER_AGENT | PEER_ROOT, method_repls },
	{ "Reset", "ss", PEER_AGENT, method_reset },
	{ NULL, NULL, 0, NULL },
};
