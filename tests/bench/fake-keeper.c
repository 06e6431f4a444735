/* SPDX-License-Identifier: MIT */
/*
 * A keeper for tests and measurements of the front alone: the real interface (shell/bus), no privilege, no confinement,
 * no record. It accepts the keys of one file for the user who runs it, and starts processes as that user.
 *
 *   fake-keeper SOCKET KEYFILE
 *
 * Sessions and processes do not outlive it, except that SIGUSR1 makes it drop all connections, as a restarted keeper would;
 * then Attach says what still runs.
 */
#include "shell/base/file.h"
#include "shell/base/log.h"
#include "shell/base/str.h"
#include "shell/bus/bus.h"
#include "shell/bus/server.h"
#include "shell/session/terminal.h"
#include "tests/bench/fake-forward.h"

#include <fcntl.h>
#include <pty.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define SFTP_SERVER "/usr/lib/openssh/sftp-server"
#define PIPE_SIZE (256 * 1024)
#define TEST_RUN "CREEL_TEST_RUN" /* by this variable tests find what they started */

typedef struct Process {
	struct Process *next;
	char session[16];
	uint32_t channel;
	pid_t pid;
	const char *note; /* a line for the user */
	bool left;        /* says that it left others behind, and waits until it hears that the client was told */
	bool ended;
	sd_event_source *source;
} Process;

typedef struct Session {
	struct Session *next;
	char id[16];
	Peer *front;
} Session;

typedef struct Fake {
	sd_event *event;
	const struct passwd *user;
	const char *keys_path;
	int listen_fd;
	Server *server;
	Session *sessions;
	Process *processes;
	unsigned int last_session;
} Fake;

static Fake fake;

static Session *find_session(const char *id)
{
	for (Session *session = fake.sessions; session; session = session->next)
		if (strcmp(session->id, id) == 0)
			return session;
	return NULL;
}

static Process *find_process(const char *session, uint32_t channel)
{
	for (Process *process = fake.processes; process; process = process->next)
		if (process->channel == channel && strcmp(process->session, session) == 0)
			return process;
	return NULL;
}

static int no_session(sd_bus_error *error)
{
	return sd_bus_error_set(error, KEEPER_ERROR_NO_SESSION, "no such session or channel");
}

/* ---- logging in ---- */

/* Returns where the key stands in the file, which the caller frees; NULL: nowhere. */
static char *key_search(const uint8_t *blob, size_t n, char **ret_text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	_cleanup_free_ char *text = NULL, *base64 = calloc(1, n * 2 + 8);
	size_t used = 0;

	if (!base64)
		return NULL;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t three = (uint32_t)blob[i] << 16 | (i + 1 < n ? (uint32_t)blob[i + 1] << 8 : 0) |
				 (i + 2 < n ? blob[i + 2] : 0);

		for (int k = 0; k < 4; k++)
			base64[used++] = i + (size_t)k <= n ? digits[three >> (18 - 6 * k) & 63] : '=';
	}
	if (file_read_at(AT_FDCWD, fake.keys_path, 0, 1 << 20, &text, NULL) < 0)
		return NULL;
	*ret_text = TAKE_PTR(text);
	return strstr(*ret_text, base64);
}

static bool key_is_known(const char *user, const uint8_t *blob, size_t n)
{
	_cleanup_free_ char *text = NULL;

	return strcmp(user, fake.user->pw_name) == 0 && key_search(blob, n, &text);
}

/* The one option that this keeper knows: `no-pty` before the type. */
static bool key_has_no_pty(const uint8_t *blob, size_t n)
{
	_cleanup_free_ char *text = NULL;
	const char *found = key_search(blob, n, &text), *line = found;

	while (found && line > text && line[-1] != '\n')
		line--;
	return found && strncmp(line, "no-pty ", strlen("no-pty ")) == 0;
}

static int method_authorize(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	const char *user, *from;
	const uint8_t *blob;
	size_t n;
	int r;

	r = sd_bus_message_read(message, "ss", &user, &from);
	if (r >= 0)
		r = sd_bus_message_read_array(message, 'y', (const void **)&blob, &n);
	if (r < 0)
		return r;
	return sd_bus_reply_method_return(message, "b", key_is_known(user, blob, n));
}

static int method_login(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	const char *user, *from, *algorithm, *fingerprint;
	const uint8_t *blob;
	uint32_t presence;
	Session *session;
	size_t n;
	int r;

	r = sd_bus_message_read(message, "ssssu", &user, &from, &algorithm, &fingerprint, &presence);
	if (r >= 0)
		r = sd_bus_message_read_array(message, 'y', (const void **)&blob, &n);
	if (r < 0)
		return r;
	if (!key_is_known(user, blob, n))
		return sd_bus_error_set(error, KEEPER_ERROR_DENIED, "denied");
	/* as the real one: a security key (its type starts with sk-) must say that it was touched */
	if (n > 7 && memcmp(blob + 4, "sk-", 3) == 0 && !(presence & 1))
		return sd_bus_error_set(error, KEEPER_ERROR_DENIED, "nobody touched the security key");
	session = calloc(1, sizeof(*session));
	if (!session)
		return -ENOMEM;
	(void)snprintf(session->id, sizeof(session->id), "f%u", ++fake.last_session);
	session->front = peer;
	session->next = fake.sessions;
	fake.sessions = session;
	log_debug("login %s from %s, %s %s: %s", user, from, algorithm, fingerprint, session->id);
	return sd_bus_reply_method_return(message, "sb", session->id, !key_has_no_pty(blob, n));
}

static int method_refused(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	const char *user, *from, *why;
	int r = sd_bus_message_read(message, "sss", &user, &from, &why);

	if (r < 0)
		return r;
	log_notice("refused %s from %s: %s", user, from, why);
	return sd_bus_reply_method_return(message, NULL);
}

/* ---- processes ---- */

static void process_free(Process *process)
{
	for (Process **p = &fake.processes; *p; p = &(*p)->next)
		if (*p == process) {
			*p = process->next;
			break;
		}
	sd_event_source_disable_unref(process->source);
	free(process);
}

static int on_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	Process *process = userdata;
	const Session *session = find_session(process->session);
	bool by_signal = info->si_code != CLD_EXITED;

	if (session && session->front &&
		sd_bus_emit_signal(session->front->bus, KEEPER_OBJECT, KEEPER_INTERFACE, "Exited", "susuus",
			session->id, process->channel, by_signal ? "signal" : "exit", (uint32_t)info->si_status,
			(info->si_code == CLD_DUMPED ? KEEPER_EXITED_CORE : 0) |
				(process->left ? KEEPER_EXITED_LEFT : 0),
			process->note) < 0)
		log_error("cannot report an end");
	log_debug("end of %s %u", process->session, process->channel);
	process->ended = true;
	process->source = sd_event_source_disable_unref(process->source);
	if (!process->left)
		process_free(process);
	return 0;
}

_Noreturn static void process_become(const char *kind, const char *command, char *const *environment, bool terminal,
	const char *term, const int fds[static 3])
{
	const char *run = getenv(TEST_RUN);
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setsid();
	if (terminal)
		(void)ioctl(fds[0], TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			_exit(127);
	closefrom(3);
	(void)clearenv();
	(void)setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
	(void)setenv("HOME", fake.user->pw_dir, 1);
	(void)setenv("USER", fake.user->pw_name, 1);
	if (run)
		(void)setenv(TEST_RUN, run, 1);
	if (terminal)
		(void)setenv("TERM", term, 1);
	for (; environment && *environment; environment++)
		(void)putenv(*environment);
	if (chdir(fake.user->pw_dir) < 0 && chdir("/") < 0)
		_exit(127);
	if (strcmp(kind, "subsystem") == 0)
		(void)execl(SFTP_SERVER, "sftp-server", NULL);
	else if (strcmp(kind, "shell") == 0)
		(void)execl("/bin/sh", "-sh", NULL);
	else
		(void)execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

typedef struct Ends {
	int ours[3], theirs[3];
	size_t n_ours;
} Ends;

static void ends_done(Ends *ends)
{
	for (size_t i = 0; i < 3; i++) {
		fd_close(ends->ours[i]);
		if (i == 0 || ends->theirs[i] != ends->theirs[0])
			fd_close(ends->theirs[i]);
	}
}

static int ends_open(bool terminal, const uint32_t *size, const uint8_t *modes, size_t modes_n, Ends *ends)
{
	if (terminal) {
		struct termios settings;
		struct winsize window = { (uint16_t)size[1], (uint16_t)size[0], (uint16_t)size[2], (uint16_t)size[3] };
		int slave;

		if (openpty(&ends->ours[0], &slave, NULL, NULL, &window) < 0)
			return -errno;
		for (size_t i = 0; i < 3; i++)
			ends->theirs[i] = slave;
		ends->n_ours = 1;
		if (tcgetattr(slave, &settings) < 0)
			return -errno;
		terminal_modes(modes, modes_n, &settings);
		if (tcsetattr(slave, TCSANOW, &settings) < 0)
			return -errno;
		return fcntl(ends->ours[0], F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
	}
	for (size_t i = 0; i < 3; i++) {
		int pair[2];

		if (pipe2(pair, O_CLOEXEC) < 0)
			return -errno;
		(void)fcntl(pair[0], F_SETPIPE_SZ, PIPE_SIZE);
		ends->ours[i] = pair[i == 0];
		ends->theirs[i] = pair[i != 0];
	}
	ends->n_ours = 3;
	return 0;
}

static int process_start(const Session *session, uint32_t channel, pid_t pid, const char *command)
{
	Process *process = calloc(1, sizeof(*process));
	int r;

	if (!process)
		return -ENOMEM;
	(void)snprintf(process->session, sizeof(process->session), "%s", session->id);
	process->channel = channel;
	process->pid = pid;
	process->note = strstr(command, "fake-limit") ? "creel: killed: out of memory (see `creel limits`)" : "";
	process->left = strstr(command, "fake-left");
	process->next = fake.processes;
	fake.processes = process;
	r = sd_event_add_child(fake.event, &process->source, pid, WEXITED, on_end, process);
	if (r < 0)
		process_free(process);
	return r;
}

static int reply_fds(sd_bus_message *call, const Ends *ends)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "h");
	for (size_t i = 0; i < ends->n_ours && r >= 0; i++)
		r = sd_bus_message_append(reply, "h", ends->ours[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static void strv_done(char ***strv)
{
	for (char **s = *strv; s && *s; s++)
		free(*s);
	free(*strv);
}

static int method_start(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(ends_done) Ends ends = { { -EBADF, -EBADF, -EBADF }, { -EBADF, -EBADF, -EBADF }, 0 };
	_cleanup_(strv_done) char **environment = NULL;
	const char *id, *kind, *command, *term;
	const uint8_t *modes;
	const uint32_t *size;
	size_t size_n, modes_n;
	uint32_t channel;
	Session *session;
	int terminal, r;
	pid_t pid;

	r = sd_bus_message_read(message, "suss", &id, &channel, &kind, &command);
	if (r >= 0)
		r = sd_bus_message_read_strv(message, &environment);
	if (r >= 0)
		r = sd_bus_message_read(message, "bs", &terminal, &term);
	if (r >= 0)
		r = sd_bus_message_read_array(message, 'u', (const void **)&size, &size_n);
	if (r >= 0)
		r = sd_bus_message_read_array(message, 'y', (const void **)&modes, &modes_n);
	if (r < 0)
		return r;
	session = find_session(id);
	if (!session || session->front != peer)
		return no_session(error);
	if (find_process(id, channel) || size_n != 4 * sizeof(*size))
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "bad channel or size");
	if (strcmp(kind, "subsystem") == 0 && strcmp(command, "sftp") != 0)
		return sd_bus_error_setf(error, KEEPER_ERROR_POLICY, "no subsystem \"%s\"", command);
	if (strcmp(command, "fake-full") == 0) /* for the tests of refusals */
		return sd_bus_error_set(error, KEEPER_ERROR_FULL, "the agent's limit of processes is reached");

	r = ends_open(terminal, size, modes, modes_n, &ends);
	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		process_become(kind, command, environment, terminal, term, ends.theirs);
	r = process_start(session, channel, pid, command);
	return r < 0 ? r : reply_fds(message, &ends);
}

static int method_signal(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	const char *id, *name;
	Process *process;
	uint32_t channel;
	int r = sd_bus_message_read(message, "sus", &id, &channel, &name);

	if (r < 0)
		return r;
	process = find_process(id, channel);
	if (!process)
		return no_session(error);
	for (int number = 1; number < NSIG; number++)
		if (sigabbrev_np(number) && strcmp(sigabbrev_np(number), name) == 0)
			(void)kill(-process->pid, number);
	return sd_bus_reply_method_return(message, NULL);
}

static int method_hangup(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Process *process;
	uint32_t channel;
	const char *id;
	int r = sd_bus_message_read(message, "su", &id, &channel);

	if (r < 0)
		return r;
	process = find_process(id, channel);
	if (!process)
		return no_session(error);
	(void)kill(-process->pid, SIGHUP);
	return sd_bus_reply_method_return(message, NULL);
}

static int method_told(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Process *process;
	uint32_t channel;
	const char *id;
	int r = sd_bus_message_read(message, "su", &id, &channel);

	if (r < 0)
		return r;
	process = find_process(id, channel);
	if (!process || !process->ended)
		return no_session(error);
	log_debug("told of the end of %s %u", id, channel);
	process_free(process);
	return sd_bus_reply_method_return(message, NULL);
}

static int method_logout(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	const char *id;
	int r = sd_bus_message_read(message, "s", &id);

	if (r < 0)
		return r;
	for (Process *process = fake.processes, *next; process; process = next) {
		next = process->next;
		if (strcmp(process->session, id) != 0)
			continue;
		(void)kill(-process->pid, SIGHUP);
		if (process->ended)
			process_free(process);
	}
	for (Session **s = &fake.sessions; *s; s = &(*s)->next)
		if (strcmp((*s)->id, id) == 0) {
			Session *session = *s;

			*s = session->next;
			free(session);
			return sd_bus_reply_method_return(message, NULL);
		}
	return no_session(error);
}

static int method_attach(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	Session *session;
	const char *id;
	int r = sd_bus_message_read(message, "s", &id);

	if (r < 0)
		return r;
	session = find_session(id);
	if (!session)
		return no_session(error);
	session->front = peer;
	log_debug("attached %s", id);
	r = sd_bus_message_new_method_return(message, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "u");
	for (const Process *process = fake.processes; process && r >= 0; process = process->next)
		if (strcmp(process->session, id) == 0 && !process->ended)
			r = sd_bus_message_append(reply, "u", process->channel);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_connect(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	const char *id, *host;
	uint32_t port;
	int r = sd_bus_message_read(message, "ssu", &id, &host, &port);

	if (r < 0)
		return r;
	return find_session(id) ? fake_connect(fake.event, message, host, port, error) : no_session(error);
}

static const Method methods[] = {
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
	{ 0 },
};

/* ---- the program ---- */

static void on_peer_gone(void *userdata, Peer *peer)
{
	for (Session *session = fake.sessions; session; session = session->next)
		if (session->front == peer)
			session->front = NULL;
}

static int serve(void)
{
	ServerConfig config = {
		.front_uid = getuid(),
		.agent_uid = (uid_t)-1,
		.methods = methods,
		.peer_gone = on_peer_gone,
	};
	int fd = fcntl(fake.listen_fd, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -errno : server_new(fake.event, fd, &config, &fake.server);
}

static int on_drop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	for (Session *session = fake.sessions; session; session = session->next)
		session->front = NULL;
	fake.server = server_free(fake.server);
	return serve();
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	(void)unlink(path);
	fake.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fake.listen_fd < 0 || bind(fake.listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fake.listen_fd, 64) < 0)
		return -errno;
	return 0;
}

int main(int argc, char *argv[])
{
	sigset_t signals;
	int r;

	log_open("fake-keeper");
	if (argc != 3) {
		(void)fprintf(stderr, "usage: fake-keeper SOCKET KEYFILE\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGCHLD);
	(void)sigaddset(&signals, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	fake.user = getpwuid(getuid());
	fake.keys_path = argv[2];
	r = fake.user ? listen_at(argv[1]) : -ENOENT;
	if (r >= 0)
		r = sd_event_new(&fake.event);
	if (r >= 0)
		r = sd_event_add_signal(fake.event, NULL, SIGUSR1, on_drop, NULL);
	if (r >= 0)
		r = serve();
	if (r >= 0)
		r = sd_event_loop(fake.event);
	if (r < 0)
		log_error("%s", strerror(-r));
	return r < 0;
}
