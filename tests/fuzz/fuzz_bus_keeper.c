/* SPDX-License-Identifier: MIT */
/*
 * What a keeper reads from its socket: the bytes of a peer, through sd-bus, the table of calls and shell/keeper/methods.c.
 * Behind those is no keeper but the functions below, which check that what reaches them is in the bounds that bus.h
 * promises, and that it came from whom the table names.
 *
 * Input: who the peer is (1 byte), how many descriptors come with the first message (1 byte), D-Bus messages. libsystemd (252)
 * loses the descriptors of a message that it drops; shell/bus/received.c does not, or this target finds them open.
 */
#include "shell/bus/bus.h"
#include "shell/bus/secret.h"
#include "shell/keeper/entry.h"
#include "shell/keeper/helper.h"
#include "shell/keeper/place.h"
#include "shell/keeper/repl.h"
#include "shell/keeper/target.h"
#include "tests/fuzz/bus.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ROUNDS_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static Identity identity = { .name = (char *)"agent" };
static Policy policy;
static Keeper keeper;
static Session session; /* the one that Login opens */
static Channel channels[KEEPER_CHANNELS_MAX];
static PeerKind kind;
static bool logged_in;

static void expect_text(const char *text, size_t most)
{
	expect(text && strlen(text) <= most);
}

/* ---- what methods.c and the server call ---- */

int keys_authorize(const Identity *who, const Policy *rules, const uint8_t *blob, size_t blob_n,
	KeyOptions *ret_options, KeyReason *ret_reason)
{
	expect(kind == PEER_FRONT && blob_n <= KEEPER_KEY_BLOB_MAX);
	/* the blob's end says what becomes of it */
	if (!blob_n || blob[blob_n - 1] == 'u')
		return KEY_UNKNOWN;
	if (blob[blob_n - 1] == 'r') {
		(void)snprintf(ret_reason->text, sizeof(ret_reason->text), "refused");
		return KEY_REFUSED;
	}
	if (key_options_parse((const char *)blob, blob_n - 1, ret_options, ret_reason) < 0)
		*ret_options = KEY_OPTIONS_NONE;
	return KEY_ALLOWED;
}

bool key_is_security_key(const uint8_t *blob, size_t blob_n)
{
	return blob_n && blob[0] == 's';
}

int account_check(Account *account, const char *address, const char **ret_reason)
{
	expect_text(address, 64);
	*ret_reason = "expired";
	return address[0] == '9';
}

uint64_t keeper_count_sessions(const Keeper *k)
{
	return logged_in;
}

void keeper_refresh_policy(Keeper *k)
{
}

void keeper_load_policy(Keeper *k)
{
	expect(kind == PEER_ROOT);
	k->policy = k->policy ? NULL : &policy; /* both happen */
}

const char *keeper_unenforced(Keeper *k, char *reason, size_t size)
{
	return NULL;
}

int keeper_append_limits(Keeper *k, pid_t pid, sd_bus_message *reply)
{
	expect(kind != PEER_FRONT);
	return sd_bus_message_append(reply, "a(ssss)", 1, "a", "b", "c", "d");
}

void keeper_record_login(Keeper *k, const Session *s, const char *algorithm)
{
	expect(s == &session);
	expect_text(algorithm, 64);
}

void keeper_record_refusal(Keeper *k, const char *user, const char *peer, const char *key, const char *reason)
{
	expect(kind == PEER_FRONT);
	expect_text(user, KEEPER_USER_MAX);
	expect_text(peer, 128);
	expect(peer[0] && strspn(peer, "0123456789abcdefABCDEF.:% ") == strlen(peer));
	if (key)
		expect_text(key, 64);
	expect_text(reason, sizeof(keeper.key_reason.text) + 260);
}

static void expect_door(const DoorRequest *request)
{
	const char *const texts[] = { request->service, request->terminal, request->host, request->user };

	expect(kind == PEER_ROOT && *request->service);
	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		expect_text(texts[i], KEEPER_DOOR_TEXT_MAX);
		for (const char *c = texts[i]; *c; c++)
			expect(!iscntrl((unsigned char)*c));
	}
}

int door_open(Keeper *k, pid_t pid, const DoorRequest *request, Session **ret)
{
	expect(k->policy && pid == getpid());
	expect_door(request);
	if (logged_in)
		return -EMFILE;
	logged_in = true;
	session = (Session){ .keeper = k, .id = "s1" };
	*ret = &session;
	return 0;
}

void keeper_record_door(Keeper *k, const Session *s, const DoorRequest *request)
{
	expect(s == &session);
	expect_door(request);
}

void keeper_record_door_refusal(Keeper *k, const DoorRequest *request, const char *reason)
{
	expect_door(request);
	expect_text(reason, 512);
}

int session_new(Keeper *k, Peer *front, const char *peer, const char *key, KeyOptions *options, Session **ret)
{
	expect(kind == PEER_FRONT && front->kind == PEER_FRONT);
	expect_text(peer, 128);
	expect_text(key, 64);
	if (logged_in) {
		key_options_done(options);
		return -EMFILE;
	}
	logged_in = true;
	session = (Session){ .keeper = k, .front = front, .id = "s1", .options = *options };
	*options = (KeyOptions){ 0 };
	*ret = &session;
	return 0;
}

Session *session_find(Keeper *k, const char *id)
{
	return logged_in && strcmp(id, session.id) == 0 ? &session : NULL;
}

Channel *session_channel(Session *s, uint32_t number)
{
	for (Channel *channel = s->channels; channel; channel = channel->next)
		if (channel->number == number)
			return channel;
	return NULL;
}

/* Every third has ended. */
Channel *session_left_channel(Session *s, uint32_t number)
{
	return number % 3 ? NULL : session_channel(s, number);
}

void channel_tell(Channel *channel)
{
	expect(kind == PEER_FRONT && channel->session == &session);
	channel->told = true;
}

void session_hang_up(Session *s)
{
	expect(kind == PEER_FRONT);
	s->over = true;
}

void session_collect(Session *s)
{
	expect(s->over);
	key_options_done(&s->options);
	logged_in = false;
}

unsigned int session_running(const Session *s)
{
	unsigned int n = 0;

	for (const Channel *channel = s->channels; channel; channel = channel->next)
		n++;
	return n;
}

int channel_start(
	Session *s, const ChannelRequest *request, int ret_fds[static 3], size_t *ret_n, sd_bus_error *ret_error)
{
	size_t n = 0;

	expect(kind == PEER_FRONT && s == &session && session_running(s) < KEEPER_CHANNELS_MAX);
	expect(!request->terminal || s->options.terminal);
	expect(request->kind && *request->kind);
	expect_text(request->command, KEEPER_COMMAND_MAX);
	expect_text(request->term, KEEPER_TERM_MAX);
	expect(request->modes_n <= KEEPER_MODES_MAX && (request->modes || !request->modes_n));
	for (char *const *variable = request->environment; variable && *variable; variable++, n++)
		expect_text(*variable, KEEPER_ENVIRONMENT_BYTES);
	expect(n <= KEEPER_ENVIRONMENT_MAX);

	if (request->command[0] == 'f')
		return sd_bus_error_set(ret_error, KEEPER_ERROR_FULL, "full");
	if (session_channel(s, request->number))
		return sd_bus_error_set(ret_error, SD_BUS_ERROR_INVALID_ARGS, "taken");
	n = request->terminal ? 1 : 3;
	for (size_t i = 0; i < n; i++) {
		ret_fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		expect(ret_fds[i] >= 0);
	}
	*ret_n = n;
	n = session_running(s);
	channels[n] = (Channel){ .session = s, .next = s->channels, .number = request->number };
	s->channels = &channels[n];
	return 0;
}

int channel_signal(Channel *channel, const char *name)
{
	expect(kind == PEER_FRONT && channel->session == &session);
	return strcmp(name, "TERM") == 0 ? 0 : strcmp(name, "KILL") == 0 ? -ESRCH : -EINVAL;
}

void channel_hang_up(Channel *channel)
{
	expect(kind == PEER_FRONT && channel->session == &session);
	channel->hung_up = true;
}

int forward_start(Session *s, const char *host, uint32_t port, sd_bus_message *call, sd_bus_error *ret_error)
{
	const PortList any = { .own = true };
	Target target;
	const char *refusal;

	expect(kind == PEER_FRONT && s == &session);
	expect_text(host, KEEPER_HOST_MAX);
	refusal = target_judge(&s->options, &any, host, port, &target);
	if (refusal)
		return sd_bus_error_set(ret_error, KEEPER_ERROR_DENIED, refusal);
	return sd_bus_reply_method_return(call, "h", STDIN_FILENO);
}

/* A run that ends at once. */
int run_new(Keeper *k, Peer *peer, const RunOptions *asked, int code_fd, Run **ret, sd_bus_error *ret_error)
{
	size_t n = 0, bytes = 0;

	expect(kind == PEER_AGENT && peer->kind == PEER_AGENT && k->policy);
	expect(fcntl(code_fd, F_GETFD) >= 0 && (asked->input_fd == -EBADF || fcntl(asked->input_fd, F_GETFD) >= 0));
	expect(*asked->language);
	expect_text(asked->language, RUN_NAME_MAX);
	expect_text(asked->label, RUN_LABEL_MAX);
	expect_text(asked->session, RUN_NAME_MAX);
	expect(!strpbrk(asked->session, "/\n ") && asked->session[0] != '.');
	expect_text(asked->directory, RUN_PATH_MAX - 1);
	expect_text(asked->network, strlen("restricted"));
	for (char *const *argument = asked->arguments; argument && *argument; argument++, n++)
		bytes += strlen(*argument) + 1;
	expect(n <= RUN_ARGUMENTS_MAX && bytes <= RUN_ARGUMENTS_BYTES);
	if (asked->language[0] == 'f')
		return sd_bus_error_set(ret_error, KEEPER_ERROR_FULL, "full");
	*ret = calloc(1, sizeof(**ret));
	expect(*ret);
	(*ret)->options.session = asked->follow ? "s" : "";
	return 0;
}

Run *run_free(Run *run)
{
	free(run);
	return NULL;
}

int run_start(Run *run, sd_bus_error *ret_error)
{
	static Run other;

	other = (Run){ .number = 7 };
	keeper.runs = &other;
	return sd_bus_error_set(ret_error, KEEPER_ERROR_FAILED, "over already");
}

int repl_call(Run *run, sd_bus_error *ret_error)
{
	expect(*run->options.session);
	return run_start(run, ret_error);
}

bool repls_have(const Keeper *k, const char *language, const char *name)
{
	expect(kind == PEER_AGENT);
	return *name && strcmp(language, "bash") == 0;
}

void repls_make_memory(Keeper *k)
{
	expect(kind == PEER_AGENT);
}

int method_repls(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	expect(kind != PEER_FRONT && peer->kind == kind);
	return sd_bus_reply_method_return(
		message, "a(sssttt)", 1, "main", "python", "idle", UINT64_C(1), UINT64_C(2), UINT64_C(3));
}

int method_reset(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	const char *language, *name;

	expect(kind == PEER_AGENT && sd_bus_message_read(message, "ss", &language, &name) > 0 && language && name);
	return sd_bus_reply_method_return(message, "b", true);
}

unsigned int runs_count(const Keeper *k)
{
	return 0;
}

int method_sessions(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	expect(kind == PEER_ROOT && peer->kind == kind);
	return sd_bus_reply_method_return(message, "a(sssstba(uusst))", 0);
}

int method_history(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	expect(kind == PEER_AGENT && peer->kind == kind);
	return sd_bus_reply_method_return(message, "h", STDIN_FILENO);
}

/* secrets.c is the keeper's own; what it has others do is here. */
int helper_start(char *const argv[], const int fds[static HELPER_FDS], pid_t *ret)
{
	const bool sets = strcmp(argv[1], "set") == 0;
	struct stat st;

	expect(kind == PEER_AGENT && secret_name_valid(argv[3]) && !argv[4] && fds[1] >= 0);
	expect(sets ? fstat(fds[0], &st) == 0 && st.st_size > 0 && st.st_size <= (off_t)SECRET_MAX : fds[0] < 0);
	return -EAGAIN;
}

int place_read(pid_t pid, uid_t uid, char ret[static PLACE_SIZE])
{
	return -ESRCH;
}

void keeper_entry_begin(const Keeper *k, RecordEntry *entry, const char *what, int priority)
{
}

void keeper_entry_caller(const Keeper *k, const char *place, RecordEntry *entry)
{
}

void keeper_entry_send(Keeper *k, RecordEntry *entry)
{
	expect(kind == PEER_AGENT);
}

int method_end(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	const char *id;

	expect(kind == PEER_ROOT && sd_bus_message_read(message, "s", &id) > 0 && id);
	return sd_bus_reply_method_return(message, NULL);
}

Run *run_find(Keeper *k, uint64_t number)
{
	return k->runs && k->runs->number == number ? k->runs : NULL;
}

void run_stop(Run *run, RunReason reason)
{
	expect(kind == PEER_AGENT && reason == RUN_CANCELLED && run == keeper.runs);
}

void keeper_record_run_refusal(Keeper *k, const Peer *peer, const RunOptions *asked, const char *why)
{
	expect(kind == PEER_AGENT && asked->language && asked->label && asked->session && why);
}

/* ---- the peer ---- */

static void on_peer_gone(void *userdata, Peer *peer)
{
	if (logged_in && session.front == peer)
		session.front = NULL;
}

static struct sockaddr_un address = { .sun_family = AF_UNIX };

static int listen_once(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t n = sizeof(address);

	/* a name in the abstract namespace, by the kernel's choice (unix(7), autobind) */
	expect(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 && listen(fd, 4) == 0);
	expect(getsockname(fd, (struct sockaddr *)&address, &n) == 0);
	return fd;
}

static int connect_there(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* autobind makes five hexadecimal digits behind the NUL */
	expect(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(sa_family_t) + 6) == 0);
	return fd;
}

static void authenticate(int fd)
{
	char uid[16], line[128];
	int n = 0, at;

	(void)snprintf(uid, sizeof(uid), "%u", (unsigned int)geteuid());
	at = snprintf(line, sizeof(line), "%cAUTH EXTERNAL ", 0);
	for (; uid[n]; n++)
		at += snprintf(line + at, sizeof(line) - (size_t)at, "%02x", (unsigned int)uid[n]);
	at += snprintf(line + at, sizeof(line) - (size_t)at, "\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
	send_all(fd, (const uint8_t *)line, (size_t)at, 0);
}

static void serve(int listen_fd, const uint8_t *data, size_t n, size_t n_fds)
{
	const uid_t nobody = (uid_t)-2, me = geteuid();
	ServerConfig config = {
		.front_uid = kind == PEER_FRONT ? me : nobody,
		.agent_uid = kind == PEER_AGENT ? me : nobody,
		.methods = keeper_methods,
		.keeper = &keeper,
		.peer_gone = on_peer_gone,
	};
	sd_event *event = NULL;
	Server *server = NULL;
	int fd;

	expect(sd_event_new(&event) >= 0);
	expect(server_new(event, fcntl(listen_fd, F_DUPFD_CLOEXEC, 3), &config, &server) >= 0);
	fd = connect_there();
	authenticate(fd);
	send_all(fd, data, n, n_fds);
	expect(shutdown(fd, SHUT_WR) == 0);
	for (int i = 0; i < ROUNDS_MAX && sd_event_run(event, 0) > 0; i++)
		;
	(void)close(fd);
	for (int i = 0; i < ROUNDS_MAX && sd_event_run(event, 0) > 0; i++)
		;
	server_free(server);
	sd_event_unref(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const PeerKind kinds[] = { PEER_FRONT, PEER_FRONT, PEER_AGENT, PEER_ROOT };
	static int listen_fd = -EBADF;
	unsigned int n_fds;

	if (n < 2)
		return 0;
	if (listen_fd < 0) {
		(void)setenv("SYSTEMD_LOG_LEVEL", "emerg", 1);
		listen_fd = listen_once();
	}
	kind = kinds[data[0] % ELEMENTSOF(kinds)];
	if (kind == PEER_ROOT && geteuid() != 0)
		return 0;
	policy.sessions = 2;
	keeper = (Keeper){ .identity = &identity, .policy = &policy, .secrets = { .interval_usec = 1, .burst = 50 } };
	logged_in = false;
	n_fds = count_fds();
	serve(listen_fd, data + 2, n - 2, data[1] % (FDS_MAX + 1));
	if (logged_in)
		key_options_done(&session.options);
	expect(count_fds() == n_fds); /* nothing that came or was made stays open */
	return 0;
}
