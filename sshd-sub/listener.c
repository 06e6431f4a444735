/* SPDX-License-Identifier: MIT */
/*
 * The main process. It never holds the host key: the monitor is a process of its own that reads it. It never talks to
 * clients: workers are forked for that, from a process that is warmed up and has a libssh session ready; one is
 * forked ahead whenever there is a pause, so that a connection mostly finds its worker waiting, confined already.
 *
 * SIGTERM ends only this process: connections go on with their workers and their monitor, and a new instance may take the
 * listening sockets meanwhile. Signals are looked at between connections, so none is lost half accepted.
 *
 * Workers share this process's address-space layout. When one crashes, the next might be aimed better: we start anew
 * (execve), with a new layout and a new monitor, after a pause; live connections stay with the old monitor, and who waits
 * goes on waiting (anew.h).
 */
#include "sshd-sub/listener.h"
#include "shell/base/file.h"
#include "shell/base/log.h"
#include "shell/base/rate.h"
#include "sshd-sub/anew.h"
#include "sshd-sub/children.h"
#include "sshd-sub/hostkey.h"
#include "sshd-sub/monitor.h"
#include "sshd-sub/offer.h"
#include "sshd-sub/sandbox.h"
#include "sshd-sub/selftest.h"
#include "sshd-sub/spare.h"
#include "sshd-sub/split.h"
#include "sshd-sub/waiting.h"
#include "sshd-sub/worker.h"

#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#define LISTENING_MAX 8U
#define ACCEPT_ROUND 16U    /* accepted before signals are looked at again */
#define FULL_TICK_MSEC 200U /* while the bound is reached */
#define DROP_ROUND 16U
/* The lines about a full waiting room: so many at once, then one in so long. */
#define FULL_BURST 3U
#define FULL_INTERVAL_USEC (10U * 1000U * 1000U)
#define BANNER_MAX (16U * 1024)
/* From the last connection to the next spare: forking at once takes time from the worker that has just begun. */
#define SPARE_PAUSE_MSEC 3U
#define CRASH_PAUSE_SEC 1
#define MONITOR_ARGUMENTS_MAX 16U

typedef struct Listener {
	const Options *options;
	char *const *argv; /* for the monitor, and for starting anew */
	int listening_fds[LISTENING_MAX];
	unsigned int n_listening;
	int signal_fd, control_fd, landlock_fd;
	pid_t monitor_pid;
	ssh_bind offer;
	char *banner;        /* the text itself, NULL: none */
	ssh_session session; /* for the next worker; the listener itself never uses it */
	Sources sources;
	Children children;
	Room room;            /* accepted, and not served yet */
	Rate full;            /* log lines about it */
	uint64_t full_logged; /* refusals that were told */
	Spare spare;
	sigset_t signals;
	uint64_t tick_usec; /* when room is made next */
	bool crashed, ending, no_spares;
} Listener;

/* Set once here, inherited by every connection: no call for any of them. */
static int socket_tune(int fd)
{
	static const struct {
		int level, option, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 }, /* a client that vanished without a word: after about eight minutes */
		{ IPPROTO_TCP, TCP_KEEPIDLE, 300 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 30 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 6 },
	};

	for (size_t i = 0; i < ELEMENTSOF(options); i++)
		if (setsockopt(fd, options[i].level, options[i].option, &options[i].value, sizeof(int)) < 0)
			return -errno;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static int socket_open(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int listener_take_sockets(Listener *listener)
{
	int n = sd_listen_fds(0), r;

	if (n < 0)
		return n;
	if (n > (int)LISTENING_MAX)
		return -E2BIG;
	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
			return -ENOTSOCK;
		listener->listening_fds[listener->n_listening++] = fd;
	}
	if (!n && listener->options->port) {
		r = socket_open(listener->options->port);
		if (r < 0)
			return r;
		listener->listening_fds[listener->n_listening++] = r;
	}
	if (!listener->n_listening)
		return -ENOTCONN;
	for (unsigned int i = 0; i < listener->n_listening; i++) {
		r = socket_tune(listener->listening_fds[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int listener_catch_signals(Listener *listener)
{
	static const int signals[] = { SIGCHLD, SIGTERM, SIGINT };

	(void)sigemptyset(&listener->signals);
	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		(void)sigaddset(&listener->signals, signals[i]);
	if (sigprocmask(SIG_BLOCK, &listener->signals, NULL) < 0)
		return -errno;
	listener->signal_fd = signalfd(-1, &listener->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return listener->signal_fd < 0 ? -errno : 0;
}

/*
 * A new image: its address-space layout is not the one that the workers know. What remains: the standard descriptors and
 * our end of the pair.
 */
_Noreturn static void listener_become_monitor(Listener *listener, int control_fd)
{
	char *argv[MONITOR_ARGUMENTS_MAX + 3] = { listener->argv[0], (char *)"-m" };
	size_t n = 2;

	for (char *const *argument = listener->argv + 1; *argument && n < ELEMENTSOF(argv) - 1; argument++)
		argv[n++] = *argument;
	if (control_fd <= MONITOR_CONTROL_FD || dup2(control_fd, MONITOR_CONTROL_FD) < 0 ||
		close_range(MONITOR_CONTROL_FD + 1, ~0U, 0) < 0)
		_exit(1);
	(void)sigprocmask(SIG_UNBLOCK, &listener->signals, NULL);
	(void)execv("/proc/self/exe", argv);
	log_error("cannot start the monitor: %s", strerror(errno));
	_exit(1);
}

/* Returns the public half of the host key, which only the monitor has whole. */
static int listener_fork_monitor(Listener *listener, uint8_t ret_public[static HOSTKEY_PUBLIC_SIZE])
{
	static uint8_t payload[WIRE_PAYLOAD_MAX + 1];
	int pair[2], fds[WIRE_FDS_MAX], r;
	WireHeader header;
	size_t n_fds;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	listener->monitor_pid = fork();
	if (listener->monitor_pid < 0) {
		r = -errno;
		fd_close(pair[0]);
		fd_close(pair[1]);
		return r;
	}
	if (!listener->monitor_pid)
		listener_become_monitor(listener, pair[1]);
	fd_close(pair[1]);
	listener->control_fd = pair[0];

	r = wire_receive(listener->control_fd, &header, payload, fds, &n_fds, 0);
	if (r == 0)
		return -ENOKEY; /* it said why itself */
	if (r < 0)
		return r;
	if (header.type != WIRE_HOSTKEY || header.length != HOSTKEY_PUBLIC_SIZE || n_fds)
		return -EPROTO;
	memcpy(ret_public, payload, HOSTKEY_PUBLIC_SIZE);
	return 0;
}

/* Here, because a worker can open no file. A banner that cannot be read keeps nobody out, and none is no fault. */
static int listener_read_banner(Listener *listener, const char **ret_step)
{
	const char *path = listener->options->banner_path;
	int r;

	*ret_step = "banner";
	if (!path)
		return 0;
	r = file_read_at(AT_FDCWD, path, 0, BANNER_MAX, &listener->banner, NULL);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && r != -ENOENT)
		log_error("banner %s: %s: clients get none", path, strerror(-r));
	return 0;
}

static int listener_prepare(Listener *listener, const char **ret_step)
{
	_cleanup_free_ char *hollow = NULL;
	uint8_t public[HOSTKEY_PUBLIC_SIZE];
	int r;

	*ret_step = "listening sockets";
	r = listener_take_sockets(listener);
	if (r < 0)
		return r;
	*ret_step = "signals";
	r = listener_catch_signals(listener);
	if (r < 0)
		return r;
	*ret_step = "monitor";
	r = listener_fork_monitor(listener, public);
	if (r < 0)
		return r;
	*ret_step = "offer";
	hollow = hostkey_write_hollow(public);
	if (!hollow)
		return -ENOMEM;
	r = offer_new(hollow, listener->options->older_clients, &listener->offer);
	if (r < 0)
		return r;
	*ret_step = "self-test";
	r = selftest_run(listener->offer, listener->control_fd, public, ret_step);
	if (r < 0)
		return r;
	*ret_step = "sandbox";
	r = sandbox_prepare(&listener->landlock_fd);
	if (r < 0)
		return r;
	*ret_step = "session";
	r = offer_session_new(
		listener->offer, WORKER_CONNECTION_FD, listener->options->rekey_bytes, &listener->session);
	return r < 0 ? r : listener_read_banner(listener, ret_step);
}

static int listener_make_spare(Listener *listener)
{
	return spare_make(
		&listener->spare, listener->session, listener->landlock_fd, listener->options, listener->banner);
}

/* Tells the monitor of a worker. What that said meanwhile waits in its link. */
static int listener_announce(Listener *listener, uint32_t id, const char *peer)
{
	WireHeader header = { .type = WIRE_CONNECTION, .number = id };
	uint8_t buffer[WIRE_PEER_MAX + 16];
	WireWriter payload = { .data = buffer, .room = sizeof(buffer) };
	_cleanup_close_ int worker_fd = (int)syscall(SYS_pidfd_open, listener->spare.pid, 0);
	int fds[2] = { listener->spare.link_fd, worker_fd };

	if (worker_fd < 0)
		return -errno;
	wire_put_string(&payload, peer);
	header.length = (uint32_t)payload.used;
	return wire_send(listener->control_fd, &header, payload.data, fds, 2, 0);
}

/* A spare that ended while it waited is found out here, and replaced once. */
static int listener_hand_over(Listener *listener, int connection_fd)
{
	int r = -EAGAIN;

	for (int try = 0; try < 2 && r < 0; try++) {
		r = spare_waits(&listener->spare) ? 0 : listener_make_spare(listener);
		if (r >= 0)
			r = spare_hand_over(&listener->spare, connection_fd);
		if (r < 0)
			spare_drop(&listener->spare);
	}
	return r;
}

static int listener_serve(Listener *listener, Waiting *waiting)
{
	struct sockaddr_storage local;
	socklen_t local_n = sizeof(local);
	char peer[WIRE_PEER_MAX];
	uint32_t id = ++listener->children.last_id;
	int r;

	if (getsockname(waiting->fd, (struct sockaddr *)&local, &local_n) < 0)
		return -errno;
	r = peer_describe(&waiting->remote, &local, peer);
	if (r < 0)
		return r;
	r = listener_hand_over(listener, waiting->fd);
	if (r < 0)
		return r;
	r = listener_announce(listener, id, peer);
	if (r >= 0)
		r = children_add(&listener->children, listener->spare.pid, waiting->fd, peer, waiting->source, id);
	if (r >= 0) {
		TAKE_FD(waiting->fd);
		listener->no_spares = false;
	}
	spare_drop(&listener->spare); /* on failure its link ends here, and so does it */
	return r;
}

/* Serves who waits, as far as the bound allows; at the end, whom we accepted is served all the same. */
static void listener_serve_waiting(Listener *listener)
{
	while (listener->room.n &&
		(listener->ending || listener->children.unauthenticated < listener->options->unauthenticated)) {
		Waiting *waiting = room_next(&listener->room);
		int r = listener_serve(listener, waiting);

		room_remove(&listener->room, waiting, clock_monotonic_usec());
		if (r < 0) {
			log_error("cannot serve a connection: %s", strerror(-r));
			if (r == -EAGAIN || r == -ENOMEM) /* no more processes */
				(void)poll(NULL, 0, FULL_TICK_MSEC);
		}
	}
}

static void listener_accept(Listener *listener, int fd)
{
	for (unsigned int i = 0; i < ACCEPT_ROUND; i++) {
		_cleanup_close_ int connection_fd = -EBADF;
		struct sockaddr_storage remote;
		socklen_t remote_n = sizeof(remote);
		int r;

		connection_fd = accept4(fd, (struct sockaddr *)&remote, &remote_n, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (connection_fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
				log_error("cannot accept: %s", strerror(errno));
				(void)poll(NULL, 0, FULL_TICK_MSEC);
			}
			return;
		}
		r = room_add(&listener->room, connection_fd, &remote, clock_monotonic_usec());
		if (r < 0)
			log_error("cannot take a connection: %s", strerror(-r));
		else
			TAKE_FD(connection_fd);
		listener_serve_waiting(listener);
	}
}

/* The bound is reached, and somebody waits: does anybody keep us waiting, or hold more than that one? */
static void listener_make_room(Listener *listener)
{
	uint64_t now_usec = clock_monotonic_usec();

	Child *victims[DROP_ROUND];
	const Waiting *next;
	size_t n;

	if (now_usec > WAITING_USEC)
		room_close_older(&listener->room, now_usec - WAITING_USEC, now_usec);
	next = room_next(&listener->room);
	if (!next)
		return;
	n = children_choose_victims(&listener->children, next->source, room_is_crowded(&listener->room), now_usec,
		victims, listener->room.n < DROP_ROUND ? listener->room.n : DROP_ROUND);
	for (size_t i = 0; i < n; i++) {
		WireHeader header = { .type = WIRE_DROP, .number = victims[i]->id };

		if (wire_send(listener->control_fd, &header, NULL, NULL, 0, 0) < 0)
			return;
	}
}

/* Who was not let wait, because too many do already. */
static void listener_log_refusals(Listener *listener)
{
	uint64_t left_out;

	if (listener->room.refused == listener->full_logged || !rate_take(&listener->full, &left_out))
		return;
	log_notice("%llu connections closed: %u wait already, and their sources had no better claim",
		(unsigned long long)(listener->room.refused - listener->full_logged), listener->room.most);
	listener->full_logged = listener->room.refused;
}

/* While somebody waits: at most every FULL_TICK_MSEC, however much else there is to do. */
static void listener_tick(Listener *listener)
{
	uint64_t now_usec = clock_monotonic_usec();

	if (now_usec < listener->tick_usec)
		return;
	listener->tick_usec = now_usec + FULL_TICK_MSEC * 1000U;
	listener_make_room(listener);
	listener_log_refusals(listener);
}

static bool is_crash(int status)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP };

	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		if (WIFSIGNALED(status) && WTERMSIG(status) == signals[i])
			return true;
	return false;
}

/* Returns 0, or -ECHILD when the monitor is no more. */
static int listener_reap(Listener *listener)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		Child *child = children_find(&listener->children, pid);

		if (pid == listener->monitor_pid) {
			log_error("the monitor ended (status %#x): starting anew", (unsigned int)status);
			return -ECHILD;
		}
		if (is_crash(status)) {
			log_line(LOG_CRIT,
				"worker of %s CRASHED with SIG%s: a fault of ours, or somebody tried to make one",
				child                        ? child->peer
				: pid == listener->spare.pid ? "nobody yet"
							     : "an earlier instance",
				sigabbrev_np(WTERMSIG(status)));
			listener->crashed = true;
		}
		if (child)
			children_remove(&listener->children, child);
		if (pid == listener->spare.pid) {
			/* not again and again, should it be ours to blame: the next one is made when it is needed, and
			 * none ahead before that has worked */
			log_error("a worker ended before it had a connection (status %#x)", (unsigned int)status);
			spare_drop(&listener->spare);
			listener->no_spares = true;
		}
	}
	return 0;
}

static void listener_read_control(Listener *listener)
{
	static uint8_t payload[WIRE_PAYLOAD_MAX + 1];
	int fds[WIRE_FDS_MAX];
	WireHeader header;
	size_t n_fds;

	while (wire_receive(listener->control_fd, &header, payload, fds, &n_fds, MSG_DONTWAIT) > 0)
		if (header.type == WIRE_ADMITTED)
			children_admit(&listener->children, header.number);
}

static bool listener_wants_spare(const Listener *listener)
{
	return !spare_waits(&listener->spare) && !listener->no_spares &&
	       listener->children.unauthenticated < listener->options->unauthenticated;
}

static int listener_timeout(const Listener *listener)
{
	if (listener_wants_spare(listener))
		return (int)SPARE_PAUSE_MSEC;
	return listener->room.n ? (int)FULL_TICK_MSEC : -1;
}

/* Returns 1 to go on, 0 to end, or a negative errno. */
static int listener_round(Listener *listener)
{
	struct pollfd fds[2 + LISTENING_MAX] = {
		{ .fd = listener->signal_fd, .events = POLLIN },
		/* while there is room nobody need wake up to learn that there is more; it is read before it is used */
		{ .fd = listener->control_fd, .events = 0 },
	};
	nfds_t n = 2;
	int r;

	if (listener->room.n) /* then the bound is reached, and every login and every end makes room */
		fds[1].events = POLLIN;
	for (unsigned int i = 0; i < listener->n_listening; i++)
		fds[n++] = (struct pollfd){ .fd = listener->listening_fds[i], .events = POLLIN };
	r = poll(fds, n, listener_timeout(listener));
	if (r < 0)
		return errno == EINTR ? 1 : -errno;
	if (r > 0)
		listener_read_control(listener);
	else if (listener_wants_spare(listener) && listener_make_spare(listener) < 0)
		listener->no_spares = true; /* the next connection tries again, and says so */
	if (fds[0].revents) {
		struct signalfd_siginfo infos[8];
		ssize_t size = read(listener->signal_fd, infos, sizeof(infos));

		for (ssize_t i = 0; i < size / (ssize_t)sizeof(infos[0]); i++)
			if (infos[i].ssi_signo != SIGCHLD)
				return 0;
		r = listener_reap(listener);
		if (r < 0 || listener->crashed)
			return r < 0 ? r : 1;
	}
	for (nfds_t i = 2; i < n; i++)
		if (fds[i].revents)
			listener_accept(listener, fds[i].fd);
	listener_serve_waiting(listener);
	if (listener->room.n)
		listener_tick(listener);
	return 1;
}

int listener_run(const Options *options, char *const argv[])
{
	static Listener listener;
	const char *step;
	unsigned int waited;
	int r;

	listener = (Listener){
		.options = options,
		.argv = argv,
		.signal_fd = -EBADF,
		.control_fd = -EBADF,
		.landlock_fd = -EBADF,
		.spare = SPARE_NONE,
		.full = { .burst = FULL_BURST, .interval_usec = FULL_INTERVAL_USEC },
	};
	r = sources_init(&listener.sources);
	if (r < 0) {
		log_error("no random numbers: %s", strerror(-r));
		return 1;
	}
	children_init(&listener.children, &listener.sources);
	room_init(&listener.room, &listener.sources, options->unauthenticated);
	waited = anew_take_waiting(&listener.room, clock_monotonic_usec());
	r = listener_prepare(&listener, &step);
	if (r == -EPROTO)
		log_error("%s: this libssh does not keep to what split keys need; refusing to serve", step);
	else if (r < 0 && r != -ENOKEY)
		log_error("%s: %s", step, strerror(-r));
	if (r < 0)
		return 1;
	if (listener.landlock_fd < 0)
		log_notice("this kernel has no Landlock: workers are held by the system-call filter alone");
#ifdef CREEL_ADDRESS_SANITIZER
	log_warning("sanitizer build: workers are NOT confined");
#endif
	(void)malloc_trim(0); /* what the self-test left free is then empty, not copied by every worker that uses it */
	(void)sd_notify(0, "READY=1");
	if (waited)
		log_notice("%u connections that waited wait on", waited);
	log_debug("serving");

	do
		r = listener_round(&listener);
	while (r > 0 && !listener.crashed);
	if (r == 0) {
		listener.ending = true;
		listener_serve_waiting(&listener);
		(void)sd_notify(0, "STOPPING=1");
		return 0;
	}
	(void)sleep(CRASH_PAUSE_SEC);
	r = anew_execute(argv, listener.listening_fds, listener.n_listening, &listener.room);
	log_error("cannot start anew: %s", strerror(-r));
	return 1;
}
