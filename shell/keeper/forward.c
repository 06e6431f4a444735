/* SPDX-License-Identifier: MIT */
/*
 * Local forwarding (direct-tcpip, RFC 4254 section 7.2): a connection to one of the agent's own ports on loopback.
 *
 * The socket is made by a short-lived process in a leaf of the session, as the agent: so it belongs to the agent for
 * every filter and counter, and the keeper never waits for a connect. The process sends the connected socket back over a
 * socketpair, or nothing; the caller's reply waits for that.
 */
#include "shell/keeper/keeper.h"
#include "shell/keeper/target.h"
#include "shell/base/log.h"
#include "shell/base/passing.h"
#include "shell/bus/bus.h"
#include "shell/run/birth.h"
#include "shell/run/listening.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Loopback answers at once, or its listener's queue is full. */
#define CONNECT_TIMEOUT_SEC 2
/* A connector that has not answered by then does not run. */
#define CONNECTOR_MOST_USEC (3U * 1000U * 1000U)

/* The connector's answer besides errnos, none of which is as large. */
#define ANSWER_NOT_OWN 255

struct Forward {
	struct Forward *next;
	Session *session;
	sd_bus_message *call; /* answered when the connection is made; NULL: it was answered */
	Target target;
	char *host; /* as asked for */
	uint16_t port;
	int answer_fd, leaf_fd, pid_fd;
	sd_event_source *answer_source, *exit_source, *timer;
};

static Forward *forward_free(Forward *forward)
{
	if (forward) {
		sd_event_source_disable_unref(forward->answer_source);
		sd_event_source_disable_unref(forward->exit_source);
		sd_event_source_disable_unref(forward->timer);
		sd_bus_message_unref(forward->call);
		free(forward->host);
		fd_close(forward->answer_fd);
		fd_close(forward->leaf_fd);
		fd_close(forward->pid_fd);
		free(forward);
	}
	return NULL;
}
DEFINE_CLEANUP(Forward, forward_free)

/* ---- in the child, as the agent ---- */

static int connect_to(const struct sockaddr_storage *address, int *ret_fd)
{
	const struct timeval timeout = { .tv_sec = CONNECT_TIMEOUT_SEC };
	const int yes = 1;
	_cleanup_close_ int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* SO_SNDTIMEO bounds connect(2), too (socket(7)) */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) < 0 ||
		connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		/* connect(2) says EINPROGRESS when the time was up */
		return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/*
 * Asked right before the connect. Between the two the listener may change hands; who can bring that about runs as the
 * agent, and may connect to any loopback port without us.
 */
static int check_owner(const struct sockaddr_storage *address)
{
	uid_t uid;
	int r = listening_uid(address, &uid);

	if (r < 0)
		return r == -ENOENT ? -ECONNREFUSED : r;
	return uid == geteuid() ? 0 : -ANSWER_NOT_OWN;
}

/* Answers on its standard input: the socket, or one byte with the errno. */
static int connect_and_send(const void *argument)
{
	const Target *target = argument;
	int fd = -EBADF, r = -ECONNREFUSED;
	unsigned char error = 0;
	const struct iovec answer = { .iov_base = &error, .iov_len = 1 };

	for (size_t i = 0; i < target->n && r == -ECONNREFUSED; i++) {
		r = target->own ? check_owner(&target->addresses[i]) : 0;
		if (!r)
			r = connect_to(&target->addresses[i], &fd);
	}
	error = (unsigned char)-r;
	return passing_send(STDIN_FILENO, &answer, 1, &fd, r ? 0 : 1, 0) < 0;
}

/* ---- in the keeper ---- */

static void forward_collect(Forward *forward)
{
	for (Forward **p = &forward->session->forwards; *p; p = &(*p)->next)
		if (*p == forward) {
			*p = forward->next;
			break;
		}
	forward_free(forward);
}

/* Returns 0 with the socket, or why there is none. */
static int receive_answer(int fd, int *ret_fd)
{
	unsigned char error = 0;
	const struct iovec answer = { .iov_base = &error, .iov_len = 1 };
	size_t n_fds;
	ssize_t n = passing_receive(fd, &answer, 1, ret_fd, 1, &n_fds, MSG_DONTWAIT);

	if (n < 0)
		return (int)n;
	if (n_fds)
		return 0;
	return n == 0 ? -ECONNABORTED : error ? -(int)error : -EIO;
}

static const char *failure_text(int r)
{
	return r == -ANSWER_NOT_OWN
		       ? "the port is not in the policy's ports.forward, and it is not the agent who listens there"
		       : strerror(-r);
}

/* `r` is 0 with the connected socket, or why there is none. The connector has nothing more to do. */
static void forward_answer(Forward *forward, int r, int connected_fd)
{
	keeper_record_forward(forward->session, forward->host, forward->port, r < 0 ? failure_text(r) : NULL);
	if (r == 0)
		r = sd_bus_reply_method_return(forward->call, "h", connected_fd);
	else if (r == -ANSWER_NOT_OWN)
		r = sd_bus_reply_method_errorf(forward->call, KEEPER_ERROR_DENIED, "%s", failure_text(r));
	else
		r = sd_bus_reply_method_errorf(
			forward->call, KEEPER_ERROR_FAILED, "port %u: %s", forward->port, strerror(-r));
	if (r < 0)
		log_error("session %s: cannot answer a forwarding: %s", forward->session->id, strerror(-r));
	forward->call = sd_bus_message_unref(forward->call);
	forward->answer_source = sd_event_source_disable_unref(forward->answer_source);
	forward->timer = sd_event_source_disable_unref(forward->timer);
	/* the agent could have stopped it; it is gone already more often than not */
	if (pidfd_send_signal(forward->pid_fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		log_error("session %s: cannot end a connector: %s", forward->session->id, strerror(errno));
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	_cleanup_close_ int connected_fd = -EBADF;
	int r = receive_answer(fd, &connected_fd);

	if (r != -EAGAIN)
		forward_answer(userdata, r, connected_fd);
	return 0;
}

/* connect(2) itself gives up before that: the agent stopped its connector, or keeps it from running. */
static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	forward_answer(userdata, -ETIMEDOUT, -EBADF);
	return 0;
}

static int on_connector_exit(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	Forward *forward = userdata;

	/* the answer may be in the socket still: both events can come in one round */
	if (forward->call)
		(void)on_answer(NULL, forward->answer_fd, EPOLLIN, forward);
	if (forward->call)
		forward_answer(forward, -ECONNABORTED, -EBADF);
	forward_collect(forward);
	return 0;
}

static int open_leaf(Session *session, int *ret_fd)
{
	int r = leaf_make(session->dir_fd, "forward", NULL, false, ret_fd);

	return r == -EEXIST ? leaf_open(session->dir_fd, "forward", ret_fd) : r;
}

static int connector_start(Forward *forward)
{
	Keeper *keeper = forward->session->keeper;
	_cleanup_close_ int inside_fd = -EBADF;
	int pair[2], r;
	pid_t pid;
	BirthRequest order = { .confinement = &keeper->confinement,
		.home = "/",
		.entry = connect_and_send,
		.entry_argument = &forward->target };

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	forward->answer_fd = pair[0];
	inside_fd = pair[1];
	r = open_leaf(forward->session, &forward->leaf_fd);
	if (r < 0)
		return r;
	order.leaf_fd = forward->leaf_fd;
	order.input_fd = order.output_fd = order.error_fd = inside_fd;
	r = birth(&order, &pid, &forward->pid_fd);
	if (r < 0)
		return r;
	r = sd_event_add_child_pidfd(
		keeper->event, &forward->exit_source, forward->pid_fd, WEXITED, on_connector_exit, forward);
	if (r >= 0)
		r = sd_event_add_io(
			keeper->event, &forward->answer_source, forward->answer_fd, EPOLLIN, on_answer, forward);
	if (r >= 0)
		r = sd_event_add_time_relative(
			keeper->event, &forward->timer, CLOCK_MONOTONIC, CONNECTOR_MOST_USEC, 0, on_late, forward);
	return r < 0 ? r : 0;
}

static unsigned int count_pending(const Session *session)
{
	unsigned int n = 0;

	for (const Forward *forward = session->forwards; forward; forward = forward->next)
		n += !!forward->call;
	return n;
}

/* Unwatched it may not live: kills and reaps what started and is not in the session's list. */
static void connector_abort(Forward *forward)
{
	siginfo_t info;

	if (forward->pid_fd >= 0 && pidfd_send_signal(forward->pid_fd, SIGKILL, NULL, 0) == 0)
		(void)waitid(P_PIDFD, (id_t)forward->pid_fd, &info, WEXITED);
}

int forward_start(Session *session, const char *host, uint32_t port, sd_bus_message *call, sd_bus_error *ret_error)
{
	const char *refusal;
	_cleanup_(forward_freep) Forward *forward = calloc(1, sizeof(*forward));
	int r;

	if (!forward)
		return -ENOMEM;
	forward->answer_fd = forward->leaf_fd = forward->pid_fd = -EBADF;
	forward->session = session;
	refusal = target_judge(&session->options, &session->keeper->policy->forward, host, port, &forward->target);
	if (refusal) {
		keeper_record_forward(session, host, port, refusal);
		return sd_bus_error_set(ret_error, KEEPER_ERROR_DENIED, refusal);
	}
	if (count_pending(session) >= KEEPER_FORWARDS_MAX)
		return sd_bus_error_set(ret_error, KEEPER_ERROR_FULL, "too many forwardings are being connected");

	forward->port = (uint16_t)port;
	forward->host = strdup(host);
	r = forward->host ? connector_start(forward) : -ENOMEM;
	if (r < 0)
		connector_abort(forward);
	if (r < 0)
		return sd_bus_error_setf(ret_error, r == -EAGAIN ? KEEPER_ERROR_FULL : KEEPER_ERROR_FAILED,
			"cannot connect: %s", strerror(-r));
	forward->call = sd_bus_message_ref(call);
	forward->next = session->forwards;
	session->forwards = TAKE_PTR(forward);
	return 1;
}

void forward_abandon(Session *session)
{
	while (session->forwards) {
		connector_abort(session->forwards);
		forward_collect(session->forwards);
	}
}

void forward_end_adopted(Session *session)
{
	_cleanup_close_ int leaf_fd = -EBADF;

	/* whoever waited for the answer got an error when the earlier keeper went */
	if (leaf_open(session->dir_fd, "forward", &leaf_fd) == 0 && leaf_kill(leaf_fd) < 0)
		log_error("session %s: cannot end what an earlier keeper was connecting", session->id);
}
