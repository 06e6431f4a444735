/* SPDX-License-Identifier: MIT */
/*
 * A keeper may die and come back at any time. Its socket is systemd's, so connecting again starts it; as long as a
 * session of it lives here, that is tried until it works, and then every session is claimed (Attach). Where even the
 * socket is gone and stays so, the agent is, and its connections end.
 * Without sessions the bus is opened again when somebody knocks.
 *
 * A keeper takes only so many connections. A monitor whose listener is gone keeps those that its connections use, and
 * gives back the others: old instances must not take the places of new ones.
 */
#include "shell/base/log.h"
#include "shell/base/str.h"
#include "sshd-sub/monitor.h"

#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define RETRY_FIRST_USEC (50U * 1000U)
#define RETRY_MOST_USEC (2U * 1000U * 1000U)
/* Without a socket for so long, an agent was removed, not its keeper restarted. */
#define MISSING_MOST_USEC (30U * 1000U * 1000U)

static int keeper_connect(KeeperLink *keeper);

static void keeper_drop_bus(KeeperLink *keeper)
{
	if (keeper->bus) {
		sd_bus_detach_event(keeper->bus);
		sd_bus_close_unref(keeper->bus);
	}
	keeper->bus = NULL;
	keeper->lost = false;
}

static bool keeper_has_sessions(const KeeperLink *keeper)
{
	for (const Connection *c = keeper->monitor->connections; c; c = c->next)
		if (c->keeper == keeper && c->session)
			return true;
	return false;
}

static void keeper_retry_later(KeeperLink *keeper);

static void keeper_end_connections(KeeperLink *keeper)
{
	Connection *next;

	log_notice("uid %u is no agent any more: its connections end", (unsigned int)keeper->uid);
	for (Connection *c = keeper->monitor->connections; c; c = next) {
		next = c->next;
		if (c->keeper == keeper && c->session)
			connection_end(c, NULL);
	}
}

/* The socket is missing, and that for long. */
static bool keeper_is_gone(KeeperLink *keeper, int error)
{
	uint64_t now = 0;

	if (error != -ENOENT) {
		keeper->missing_usec = 0;
		return false;
	}
	(void)sd_event_now(keeper->monitor->event, CLOCK_MONOTONIC, &now);
	if (!keeper->missing_usec)
		keeper->missing_usec = now;
	return now - keeper->missing_usec > MISSING_MOST_USEC;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	KeeperLink *keeper = userdata;
	int r;

	keeper->retry_source = sd_event_source_disable_unref(keeper->retry_source);
	if (keeper->bus && !keeper->lost)
		return 0; /* somebody knocked meanwhile */
	keeper_drop_bus(keeper);
	if (!keeper_has_sessions(keeper))
		return 0;
	r = keeper_connect(keeper);
	if (keeper_is_gone(keeper, r))
		keeper_end_connections(keeper);
	else if (r < 0)
		keeper_retry_later(keeper);
	return 0;
}

static void keeper_retry_later(KeeperLink *keeper)
{
	if (keeper->retry_source)
		return;
	if (sd_event_add_time_relative(keeper->monitor->event, &keeper->retry_source, CLOCK_MONOTONIC,
		    keeper->delay_usec, 0, on_retry, keeper) < 0)
		log_error("keeper of uid %u: out of memory; its sessions are not claimed again",
			(unsigned int)keeper->uid);
	keeper->delay_usec = keeper->delay_usec * 2 > RETRY_MOST_USEC ? RETRY_MOST_USEC : keeper->delay_usec * 2;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	KeeperLink *keeper = userdata;

	/* calls under way have got their errors already; the bus itself is on the stack and goes later */
	if (keeper_has_sessions(keeper))
		log_notice("keeper of uid %u went away; its sessions wait for it", (unsigned int)keeper->uid);
	keeper->lost = true;
	keeper_retry_later(keeper);
	return 1;
}

static int keeper_connect(KeeperLink *keeper)
{
	const Options *options = keeper->monitor->options;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_close_ int fd = -EBADF;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int n, r;

	if (options->keepers)
		n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%u/keeper.sock", options->keepers,
			(unsigned int)keeper->uid);
	else
		n = snprintf(
			address.sun_path, sizeof(address.sun_path), KEEPER_SOCKET_FORMAT, (unsigned int)keeper->uid);
	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;

	r = sd_bus_new(&bus);
	if (r < 0)
		return r;
	r = sd_bus_set_fd(bus, fd, fd);
	if (r < 0)
		return r;
	TAKE_FD(fd); /* the bus's from here */
	r = sd_bus_negotiate_fds(bus, 1);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = sd_bus_match_signal(
			bus, NULL, NULL, NULL, "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, keeper);
	if (r >= 0)
		r = sd_bus_match_signal(
			bus, NULL, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Exited", task_on_exited, keeper);
	if (r >= 0)
		r = sd_bus_match_signal(
			bus, NULL, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Ended", task_on_ended, keeper);
	if (r >= 0)
		r = sd_bus_attach_event(bus, keeper->monitor->event, SD_EVENT_PRIORITY_NORMAL);
	if (r < 0)
		return r;

	keeper->bus = TAKE_PTR(bus);
	keeper->delay_usec = RETRY_FIRST_USEC;
	keeper->missing_usec = 0;
	for (Connection *c = keeper->monitor->connections; c; c = c->next)
		if (c->keeper == keeper && c->session)
			task_attach(c);
	return 0;
}

int keeper_find(Monitor *monitor, uid_t uid, KeeperLink **ret)
{
	KeeperLink *keeper = monitor->keepers;
	int r;

	while (keeper && keeper->uid != uid)
		keeper = keeper->next;
	if (keeper && keeper->bus && !keeper->lost) {
		*ret = keeper;
		return 0;
	}
	if (keeper) {
		keeper_drop_bus(keeper);
		r = keeper_connect(keeper);
		if (r < 0 && keeper_has_sessions(keeper))
			keeper_retry_later(keeper);
	} else {
		keeper = calloc(1, sizeof(*keeper));
		if (!keeper)
			return -ENOMEM;
		keeper->monitor = monitor;
		keeper->uid = uid;
		keeper->delay_usec = RETRY_FIRST_USEC;
		r = keeper_connect(keeper);
		if (r < 0) {
			free(keeper); /* users that are no agents leave nothing behind */
			return r;
		}
		keeper->next = monitor->keepers;
		monitor->keepers = keeper;
	}
	if (r < 0)
		return r;
	*ret = keeper;
	return 0;
}

static bool keeper_is_used(const KeeperLink *keeper)
{
	for (const Connection *c = keeper->monitor->connections; c; c = c->next)
		if (c->keeper == keeper)
			return true;
	return false;
}

static int on_idle(sd_event_source *source, void *userdata)
{
	Monitor *monitor = userdata;

	for (KeeperLink *keeper = monitor->keepers; keeper; keeper = keeper->next) {
		uint64_t unsent = 0;

		if (!keeper->bus || keeper->lost || keeper_is_used(keeper))
			continue;
		/* a Logout that is not out yet: the bus goes with the next connection, or with us */
		if (sd_bus_get_n_queued_write(keeper->bus, &unsent) >= 0 && !unsent)
			keeper_drop_bus(keeper);
	}
	return 0;
}

void keeper_drop_idle(Monitor *monitor)
{
	int r;

	if (monitor->control_fd >= 0)
		return;
	if (monitor->idle_source)
		r = sd_event_source_set_enabled(monitor->idle_source, SD_EVENT_ONESHOT);
	else
		r = sd_event_add_defer(monitor->event, &monitor->idle_source, on_idle, monitor);
	if (r < 0)
		log_error("idle connections to keepers stay open: %s", strerror(-r));
}

int keeper_call_new(KeeperLink *keeper, const char *member, sd_bus_message **ret)
{
	if (!keeper->bus || keeper->lost)
		return -ENOTCONN;
	return sd_bus_message_new_method_call(keeper->bus, ret, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, member);
}

int keeper_call(KeeperLink *keeper, sd_bus_message *call, sd_bus_message_handler_t handler, void *userdata,
	sd_bus_slot **ret_slot)
{
	if (!keeper->bus || keeper->lost)
		return -ENOTCONN;
	return sd_bus_call_async(keeper->bus, ret_slot, call, handler, userdata, KEEPER_TIMEOUT_USEC);
}

void keeper_tell(KeeperLink *keeper, const char *member, const char *types, ...)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	va_list ap;
	int r;

	r = keeper_call_new(keeper, member, &call);
	if (r == -ENOTCONN)
		return; /* when it is back, what is not claimed is hung up by itself */
	if (r >= 0)
		r = sd_bus_message_set_expect_reply(call, 0);
	va_start(ap, types);
	if (r >= 0)
		r = sd_bus_message_appendv(call, types, ap);
	va_end(ap);
	if (r >= 0)
		r = sd_bus_send(keeper->bus, call, NULL);
	if (r < 0)
		log_error("keeper of uid %u: cannot send %s: %s", (unsigned int)keeper->uid, member, strerror(-r));
}
