/* SPDX-License-Identifier: MIT */
/*
 * Connections: from the listener's message that there is one, to the end of its worker.
 *
 * A worker lives as long as its link, and, where its login runs something, until that is hung up. Whatever it may not say
 * ends it (SIGKILL by pidfd: a number could be another process by then), and so does the grace time. One refused connection makes one log line, written when it ends.
 */
#include "sshd-sub/monitor.h"
#include "shell/base/file.h"
#include "shell/base/log.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define CREDENTIAL "ssh_host_ed25519_key"

/* The lines that strangers can cause: so many at once, then one in so long. */
#define REFUSALS_BURST 100U
#define REFUSALS_INTERVAL_USEC (200U * 1000U)
#define SIGNALS_BURST 64U
#define SIGNALS_INTERVAL_USEC (50U * 1000U)

int connection_tell(Connection *connection, WireType type, uint32_t number, uint32_t value, const WireWriter *payload,
	const int *fds, size_t n_fds)
{
	WireHeader header = { .type = type, .number = number, .value = value };

	if (payload && payload->failed)
		return -EMSGSIZE;
	header.length = payload ? (uint32_t)payload->used : 0;
	return wire_send(connection->link_fd, &header, payload ? payload->data : NULL, fds, n_fds, MSG_DONTWAIT);
}

static void connection_free(Connection *connection)
{
	Monitor *monitor = connection->monitor;

	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	else
		monitor->connections_end = connection->link;
	sd_event_source_disable_unref(connection->source);
	sd_event_source_disable_unref(connection->end_source);
	fd_close(connection->link_fd);
	fd_close(connection->worker_fd);
	free(connection->key);
	free(connection->session);
	free(connection);
	if (!monitor->connections && monitor->control_fd < 0)
		(void)sd_event_exit(monitor->event, 0);
	else
		keeper_drop_idle(monitor);
}

static void connection_kill(const Connection *connection)
{
	if (connection->worker_fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, connection->worker_fd, SIGKILL, NULL, 0);
}

/* Also an error: the keeper had its time, or is gone. */
static int on_logout(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	Connection *connection = userdata;

	connection->slot = sd_bus_slot_unref(connection->slot);
	connection_kill(connection);
	connection_free(connection);
	return 1;
}

/*
 * Logs out. A command whose pipes and terminal close before it is hung up may end by that, as if its input had ended in
 * peace; so where any runs the worker, which holds them, must live until the keeper has answered. Returns whether it must.
 */
static bool connection_log_out(Connection *connection)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	_cleanup_free_ char *session = TAKE_PTR(connection->session);
	bool runs = connection->n_tasks > 0;
	int r;

	task_free_all(connection);
	forward_free_all(connection);
	if (!session)
		return false;
	if (!runs) {
		keeper_tell(connection->keeper, "Logout", "s", session);
		return false;
	}
	connection->slot = sd_bus_slot_unref(connection->slot); /* of Attach */
	r = keeper_call_new(connection->keeper, "Logout", &call);
	if (r >= 0)
		r = sd_bus_message_append(call, "s", session);
	if (r >= 0)
		r = keeper_call(connection->keeper, call, on_logout, connection, &connection->slot);
	if (r < 0 && r != -ENOTCONN)
		log_error("keeper of uid %u: cannot log out: %s", (unsigned int)connection->keeper->uid, strerror(-r));
	return r >= 0;
}

void connection_end(Connection *connection, const char *why)
{
	if (connection->over) {
		connection_free(connection);
		return;
	}
	if (connection->state != STATE_ENTERED && connection->state != STATE_SELFTEST)
		login_log_refusal(connection, why);
	else if (connection->bye == BYE_PROTOCOL || connection->bye == BYE_FAILED)
		login_log_break(connection);
	connection->over = connection_log_out(connection);
	if (connection->over) {
		connection->source = sd_event_source_disable_unref(connection->source);
		connection->end_source = sd_event_source_disable_unref(connection->end_source);
		return;
	}
	connection_kill(connection);
	if (!login_cancel(connection)) {
		connection_free(connection);
		return;
	}
	connection->over = true;
	connection->source = sd_event_source_disable_unref(connection->source);
	connection->link_fd = fd_close(connection->link_fd);
	connection->worker_fd = fd_close(connection->worker_fd);
}

void connection_admitted(Connection *connection)
{
	WireHeader header = { .type = WIRE_ADMITTED, .number = connection->id };
	Monitor *monitor = connection->monitor;

	/* should the listener's queue be full it learns from the worker's end, and counts one too many until then */
	if (monitor->control_fd >= 0 && wire_send(monitor->control_fd, &header, NULL, NULL, 0, MSG_DONTWAIT) < 0)
		log_debug("the listener was not told of a login");
}

/* Returns 0; a negative errno: the connection must end. -ECONNRESET: the worker said good-bye. */
static int connection_serve(Connection *connection, const WireHeader *header, size_t n_fds)
{
	WireReader reader = { .at = connection->monitor->payload, .left = header->length };
	const uint8_t *text;
	size_t n;

	if (!allow_message(connection->state, header, n_fds, connection->counts))
		return -EPROTO;
	switch (header->type) {
	case WIRE_SIGN:
		return login_sign(connection, reader.at, reader.left);
	case WIRE_QUERY:
		return login_query(connection, &reader);
	case WIRE_LOGIN:
		return login_verify(connection, &reader);
	case WIRE_LOGIN_SK:
		return login_verify_sk(connection, &reader);
	case WIRE_CONNECT:
		return forward_open(connection, header->number, &reader);
	case WIRE_START:
		return task_start(connection, header->number, &reader);
	case WIRE_SIGNAL:
		return task_signal(connection, header->number, &reader);
	case WIRE_CLOSE:
		return task_close(connection, header->number);
	case WIRE_TOLD:
		return task_told(connection, header->number);
	case WIRE_BYE:
		connection->bye = header->value <= BYE_FAILED ? (WireBye)header->value : BYE_FAILED;
		text = wire_get_bytes(&reader, WIRE_TEXT_MAX, &n);
		memcpy(connection->bye_text, text, n);
		return -ECONNRESET;
	default:
		return -EPROTO;
	}
}

static int on_link(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	Connection *connection = userdata;
	WireHeader header = { 0 };
	int fds[WIRE_FDS_MAX];
	size_t n_fds = 0;
	int r;

	r = wire_receive(fd, &header, connection->monitor->payload, fds, &n_fds, MSG_DONTWAIT);
	if (r == -EAGAIN)
		return 0;
	for (size_t i = 0; i < n_fds; i++)
		fd_close(fds[i]);
	if (r > 0)
		r = connection_serve(connection, &header, n_fds);
	else if (r == 0)
		r = -ECONNRESET;
	if (r >= 0)
		return 0;
	if (r != -ECONNRESET)
		log_warning("worker of %.*s broke the rules (message %u, state %u): %s",
			(int)strcspn(connection->peer, " "), connection->peer, header.type, connection->state,
			strerror(-r));
	connection_end(connection, r == -ECONNRESET ? NULL : "its worker broke the rules");
	return 0;
}

/* ---- the grace time: connections are in order of arrival, so one timer is enough ---- */

static int on_grace(sd_event_source *source, uint64_t usec, void *userdata);

static void grace_arm(Monitor *monitor)
{
	const Connection *first = monitor->connections;
	uint64_t due_usec;
	int r;

	while (first && (first->over || first->state == STATE_ENTERED))
		first = first->next;
	if (!first)
		return;
	due_usec = first->since_usec + monitor->options->grace_usec;
	if (monitor->grace_source) {
		r = sd_event_source_set_time(monitor->grace_source, due_usec);
		if (r >= 0)
			r = sd_event_source_set_enabled(monitor->grace_source, SD_EVENT_ONESHOT);
	} else {
		r = sd_event_add_time(
			monitor->event, &monitor->grace_source, CLOCK_MONOTONIC, due_usec, 0, on_grace, monitor);
	}
	if (r < 0)
		log_error("cannot set the grace timer: %s", strerror(-r));
}

static int on_grace(sd_event_source *source, uint64_t usec, void *userdata)
{
	Monitor *monitor = userdata;
	uint64_t now_usec = clock_monotonic_usec();
	char why[64];

	(void)snprintf(why, sizeof(why), "no login within %llu s",
		(unsigned long long)monitor->options->grace_usec / 1000000U);
	for (Connection *c = monitor->connections, *next; c; c = next) {
		next = c->next;
		if (c->since_usec + monitor->options->grace_usec > now_usec)
			break;
		if (!c->over && c->state != STATE_ENTERED)
			connection_end(c, why);
	}
	grace_arm(monitor);
	return 0;
}

static bool grace_armed(const Monitor *monitor)
{
	int enabled = SD_EVENT_OFF;

	return monitor->grace_source && sd_event_source_get_enabled(monitor->grace_source, &enabled) > 0;
}

/* ---- the listener ---- */

static int connection_new(Monitor *monitor, const WireHeader *header, int *link_fd, int *worker_fd)
{
	WireReader reader = { .at = monitor->payload, .left = header->length };
	Connection *connection;
	int r;

	connection = calloc(1, sizeof(*connection));
	if (!connection)
		return -ENOMEM;
	*connection = (Connection){
		.monitor = monitor,
		.id = header->number,
		.link_fd = -EBADF,
		.worker_fd = -EBADF,
		.state = header->value ? STATE_SELFTEST : STATE_FRESH,
		.since_usec = clock_monotonic_usec(),
		.signals = { .burst = SIGNALS_BURST, .interval_usec = SIGNALS_INTERVAL_USEC },
	};
	(void)snprintf(connection->peer, sizeof(connection->peer), "%s", wire_get_string(&reader, WIRE_PEER_MAX));
	r = sd_event_add_io(monitor->event, &connection->source, *link_fd, EPOLLIN, on_link, connection);
	if (r < 0) {
		free(connection);
		return r;
	}
	connection->link_fd = TAKE_FD(*link_fd);
	connection->worker_fd = TAKE_FD(*worker_fd);
	connection->link = monitor->connections_end;
	*connection->link = connection;
	monitor->connections_end = &connection->next;
	if (!grace_armed(monitor))
		grace_arm(monitor);
	return 0;
}

static void listener_is_gone(Monitor *monitor)
{
	monitor->control_source = sd_event_source_disable_unref(monitor->control_source);
	monitor->control_fd = fd_close(monitor->control_fd);
	if (!monitor->connections)
		(void)sd_event_exit(monitor->event, 0);
	else
		keeper_drop_idle(monitor);
}

static int on_control(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	Monitor *monitor = userdata;
	WireHeader header;
	int fds[WIRE_FDS_MAX];
	size_t n_fds = 0;
	int r;

	r = wire_receive(fd, &header, monitor->payload, fds, &n_fds, MSG_DONTWAIT);
	if (r == -EAGAIN)
		return 0;
	if (r <= 0) {
		listener_is_gone(monitor);
		return 0;
	}
	if (header.type == WIRE_CONNECTION && n_fds >= 1) {
		int worker_fd = n_fds > 1 ? TAKE_FD(fds[1]) : -EBADF;

		r = connection_new(monitor, &header, &fds[0], &worker_fd);
		if (r < 0)
			log_error("a connection is lost: %s", strerror(-r));
		fd_close(worker_fd);
	} else if (header.type == WIRE_DROP) {
		for (Connection *c = monitor->connections, *next; c; c = next) {
			next = c->next;
			if (c->id == header.number && !c->over && c->state != STATE_ENTERED)
				connection_end(c, "dropped for others: too many connections without a login");
		}
	}
	for (size_t i = 0; i < n_fds; i++)
		fd_close(fds[i]);
	return 0;
}

static int hostkey_load(const Options *options, EVP_PKEY **ret)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	size_t n;
	int r;

	if (options->key_path) {
		path = strdup(options->key_path);
	} else {
		const char *folder = getenv("CREDENTIALS_DIRECTORY");

		if (!folder) {
			log_error("no host key: neither a credential nor -k");
			return -ENOENT;
		}
		path = str_format("%s/" CREDENTIAL, folder);
	}
	if (!path)
		return -ENOMEM;
	r = file_read_at(AT_FDCWD, path, 0, HOSTKEY_FILE_MAX, &text, &n);
	if (r >= 0) {
		r = hostkey_parse(text, n, ret);
		explicit_bzero(text, n);
	}
	if (r < 0)
		log_error("host key %s: %s", path,
			r == -EBADMSG        ? "not an OpenSSH key file"
			: r == -EKEYREJECTED ? "not an unencrypted ed25519 key"
					     : strerror(-r));
	return r;
}

static int monitor_prepare(Monitor *monitor, const Options *options, int control_fd)
{
	WireHeader header = { .type = WIRE_HOSTKEY, .length = HOSTKEY_PUBLIC_SIZE };
	uint8_t public[HOSTKEY_PUBLIC_SIZE];
	struct rlimit fds;
	int r;

	if (fcntl(control_fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	*monitor = (Monitor){
		.options = options,
		.control_fd = control_fd,
		.refusals = { .burst = REFUSALS_BURST, .interval_usec = REFUSALS_INTERVAL_USEC },
		.answer_usec = 2000,
	};
	monitor->connections_end = &monitor->connections;

	/* two descriptors a connection: all that the unit allows */
	if (getrlimit(RLIMIT_NOFILE, &fds) < 0)
		return -errno;
	fds.rlim_cur = fds.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &fds) < 0)
		return -errno;

	r = record_new("creel-sshd", &monitor->record);
	if (r >= 0)
		r = hostkey_load(options, &monitor->hostkey);
	if (r < 0)
		return r;
	r = hostkey_public(monitor->hostkey, public);
	if (r >= 0)
		r = wire_send(control_fd, &header, public, NULL, 0, 0);
	if (r >= 0)
		r = sd_event_new(&monitor->event);
	if (r >= 0)
		r = sd_event_add_io(monitor->event, &monitor->control_source, control_fd, EPOLLIN, on_control, monitor);
	return r;
}

_Noreturn void monitor_run(const Options *options)
{
	static Monitor monitor;
	int r;

	/* same uid as the workers: none of them may look in here */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		log_error("monitor: cannot seal the process: %s", strerror(errno));
		_exit(1);
	}
	r = monitor_prepare(&monitor, options, MONITOR_CONTROL_FD);
	if (r >= 0)
		r = sd_event_loop(monitor.event);
	if (r < 0)
		log_error("monitor: %s", strerror(-r));
	_exit(r < 0);
}
