/* SPDX-License-Identifier: MIT */
#include "shell/bus/server.h"
#include "shell/base/log.h"
#include "shell/base/rate.h"
#include "shell/base/str.h"
#include "shell/bus/bus.h"
#include "shell/bus/received.h"

#include <string.h>
#include <sys/socket.h>

#define ACCEPT_PAUSE_USEC (200U * 1000U)

struct Server {
	ServerConfig config;
	sd_event *event;
	sd_event_source *accept_source, *pause_source;
	int listen_fd;
	Peer *peers;
	Rate complaints; /* log lines that peers cause */
};

const Method *method_find(const Method *methods, const char *member)
{
	for (const Method *method = methods; method->member; method++)
		if (strcmp(method->member, member) == 0)
			return method;
	return NULL;
}

static void complain(Server *server, const Peer *peer, const char *what, const char *detail)
{
	uint64_t suppressed;
	char quoted[96];

	if (!rate_take(&server->complaints, &suppressed))
		return;
	if (suppressed)
		log_warning("%llu lines about refused callers were left out", (unsigned long long)suppressed);
	log_warning("refused caller uid %u pid %d: %s%s%s", (unsigned int)peer->uid, (int)peer->pid, what,
		detail ? ": " : "", detail ? str_quote(detail, strlen(detail), quoted, sizeof(quoted)) : "");
}

static void peer_free(Peer *peer)
{
	Server *server = peer->server;

	for (Peer **p = &server->peers; *p; p = &(*p)->next)
		if (*p == peer) {
			*p = peer->next;
			break;
		}
	sd_event_source_disable_unref(peer->close_source);
	sd_bus_slot_unref(peer->gone_slot);
	sd_bus_slot_unref(peer->call_slot);
	if (peer->bus) {
		sd_bus_detach_event(peer->bus);
		sd_bus_close_unref(peer->bus);
	}
	if (peer->received)
		received_forget(peer->received);
	free(peer);
}

static int on_close(sd_event_source *source, void *userdata)
{
	Peer *peer = userdata;

	peer->server->config.peer_gone(peer->server->config.keeper, peer);
	peer_free(peer);
	return 0;
}

/* Not at once: the bus is on the stack of whoever calls this. Its reply is out already, unless the peer reads nothing:
 * nobody waits for such a one. */
static void peer_close_later(Peer *peer)
{
	if (!peer->close_source && sd_event_add_defer(peer->server->event, &peer->close_source, on_close, peer) < 0)
		log_error("out of memory: a connection stays open");
}

static int on_gone(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	Peer *peer = userdata;

	if (!peer->called && !peer->close_source)
		complain(peer->server, peer, "left without a call, or sent what is no D-Bus message", NULL);
	peer_close_later(peer);
	return 1;
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	Peer *peer = userdata;
	Server *server = peer->server;
	const char *member = sd_bus_message_get_member(message);
	const Method *method;
	uint64_t queued;
	int r;

	if (peer->close_source)
		return 1; /* already on its way out */
	if (!sd_bus_message_is_method_call(message, NULL, NULL))
		return 0;
	if (strcmp(sd_bus_message_get_path(message), KEEPER_OBJECT) != 0) {
		complain(server, peer, "unknown object", sd_bus_message_get_path(message));
		peer_close_later(peer);
		return sd_bus_error_set(error, SD_BUS_ERROR_UNKNOWN_OBJECT, "Unknown object.");
	}
	if (!sd_bus_message_is_method_call(message, KEEPER_INTERFACE, NULL)) {
		complain(server, peer, "unknown interface", sd_bus_message_get_interface(message));
		peer_close_later(peer);
		return sd_bus_error_set(error, SD_BUS_ERROR_UNKNOWN_INTERFACE, "Unknown interface.");
	}

	if (peer->kind == PEER_AGENT && sd_bus_get_n_queued_write(peer->bus, &queued) >= 0 &&
		queued >= SERVER_QUEUED_MAX) {
		complain(server, peer, "reads no answer", NULL);
		peer_close_later(peer);
		return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "Read the answers.");
	}

	method = method_find(server->config.methods, member);
	if (!method) {
		complain(server, peer, "unknown method", member);
		peer_close_later(peer);
		return sd_bus_error_set(error, SD_BUS_ERROR_UNKNOWN_METHOD, "Unknown method.");
	}
	if (!(method->who & peer->kind)) {
		complain(server, peer, "may not call", member);
		peer_close_later(peer);
		return sd_bus_error_setf(error, KEEPER_ERROR_DENIED, "You may not call %s.", method->member);
	}
	if (!sd_bus_message_has_signature(message, method->signature)) {
		complain(server, peer, "wrong types in a call of", member);
		peer_close_later(peer);
		return sd_bus_error_setf(
			error, SD_BUS_ERROR_INVALID_ARGS, "%s takes (%s).", method->member, method->signature);
	}
	peer->called = true;
	r = method->call(server->config.keeper, peer, message, error);
	/* 0 would make sd-bus look for another handler; a caller that wants no reply got none and that is fine */
	return r == 0 ? 1 : r;
}

static unsigned int count_peers(const Server *server, PeerKind kind)
{
	unsigned int n = 0;

	for (const Peer *peer = server->peers; peer; peer = peer->next)
		if (peer->kind == kind)
			n++;
	return n;
}

static int judge_peer(const Server *server, int fd, Peer *peer)
{
	struct ucred credentials;
	socklen_t n = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &n) < 0)
		return -errno;
	peer->uid = credentials.uid;
	peer->pid = credentials.pid;
	if (credentials.uid == server->config.front_uid)
		peer->kind = PEER_FRONT;
	else if (credentials.uid == server->config.agent_uid)
		peer->kind = PEER_AGENT;
	else if (credentials.uid == 0)
		peer->kind = PEER_ROOT;
	else
		return -EPERM;
	return 0;
}

/* It may call a row that takes a descriptor. */
static bool kind_sends_fds(const Method *methods, PeerKind kind)
{
	for (const Method *method = methods; method->member; method++)
		if (method->who & kind && strchr(method->signature, 'h'))
			return true;
	return false;
}

/* Takes `fd`. Whatever happens later ends with on_gone(). */
static int peer_start(Peer *peer, int fd)
{
	sd_id128_t id;
	int r;

	r = sd_bus_new(&peer->bus);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	r = sd_bus_set_fd(peer->bus, fd, fd);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	r = sd_id128_randomize(&id);
	if (r >= 0)
		r = sd_bus_set_server(peer->bus, 1, id);
	/* The front gets descriptors from us. Who may get some may send some, too, whether or not its rows take any. */
	if (r >= 0 && (peer->kind == PEER_FRONT || kind_sends_fds(peer->server->config.methods, peer->kind))) {
		r = received_watch(fd);
		peer->received = r > 0 ? r : 0;
	}
	if (r >= 0)
		r = sd_bus_negotiate_fds(peer->bus, peer->received > 0);
	if (r >= 0)
		r = sd_bus_start(peer->bus);
	if (r >= 0)
		r = sd_bus_match_signal(peer->bus, &peer->gone_slot, NULL, NULL, "org.freedesktop.DBus.Local",
			"Disconnected", on_gone, peer);
	if (r >= 0)
		/* before what sd-bus itself would answer: other objects, org.freedesktop.DBus.Peer */
		r = sd_bus_add_filter(peer->bus, &peer->call_slot, on_message, peer);
	if (r >= 0)
		r = sd_bus_attach_event(peer->bus, peer->server->event, SD_EVENT_PRIORITY_NORMAL);
	return r;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	Server *server = userdata;

	server->pause_source = sd_event_source_disable_unref(server->pause_source);
	return sd_event_source_set_enabled(server->accept_source, SD_EVENT_ON);
}

/* Out of descriptors: who knocks waits in the kernel's queue, and does not wake this process all the time. */
static int accept_pause(Server *server)
{
	int r;

	log_error("out of descriptors: no connection is taken for a moment");
	r = sd_event_add_time_relative(
		server->event, &server->pause_source, CLOCK_MONOTONIC, ACCEPT_PAUSE_USEC, 0, on_pause_over, server);
	return r < 0 ? 0 : sd_event_source_set_enabled(server->accept_source, SD_EVENT_OFF);
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	Server *server = userdata;
	_cleanup_free_ Peer *peer = NULL;
	_cleanup_close_ int peer_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	if (peer_fd < 0)
		return errno == EMFILE || errno == ENFILE ? accept_pause(server) : 0;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return 0;
	peer->server = server;
	if (judge_peer(server, peer_fd, peer) < 0) {
		complain(server, peer, "not the front, this agent or root", NULL);
		return 0;
	}
	if (count_peers(server, peer->kind) >= (peer->kind == PEER_AGENT ? SERVER_AGENT_PEERS_MAX : SERVER_PEERS_MAX)) {
		complain(server, peer, "too many connections", NULL);
		return 0;
	}

	peer->next = server->peers;
	server->peers = peer;
	r = peer_start(peer, TAKE_FD(peer_fd));
	if (r < 0) {
		/* or out of memory; sd-bus reads the first bytes at once */
		complain(server, peer, "its first bytes are no D-Bus", strerror(-r));
		peer_free(TAKE_PTR(peer));
		return 0;
	}
	(void)TAKE_PTR(peer);
	return 0;
}

int server_new(sd_event *event, int listen_fd, const ServerConfig *config, Server **ret)
{
	_cleanup_(server_freep) Server *server = calloc(1, sizeof(*server));
	int r;

	if (!server) {
		fd_close(listen_fd);
		return -ENOMEM;
	}
	server->config = *config;
	server->event = sd_event_ref(event);
	server->listen_fd = listen_fd;
	server->complaints = (Rate){ .interval_usec = 1000000, .burst = 20 };
	r = sd_event_add_io(event, &server->accept_source, listen_fd, EPOLLIN, on_accept, server);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(server);
	return 0;
}

int peer_send(Peer *peer, sd_bus_message *message, size_t bytes)
{
	int r = sd_bus_send(peer->bus, message, NULL);

	if (r < 0)
		return r;
	unread_add(&peer->unread, bytes);
	return 0;
}

uint64_t server_unread(const Server *server)
{
	uint64_t sum = 0, queued;

	for (const Peer *peer = server->peers; peer; peer = peer->next)
		if (sd_bus_get_n_queued_write(peer->bus, &queued) >= 0)
			sum += unread_bytes(&peer->unread, queued);
	return sum;
}

bool server_has_agent(const Server *server)
{
	for (const Peer *peer = server->peers; peer; peer = peer->next)
		if (peer->kind == PEER_AGENT)
			return true;
	return false;
}

Server *server_free(Server *server)
{
	if (!server)
		return NULL;
	while (server->peers)
		peer_free(server->peers);
	sd_event_source_disable_unref(server->accept_source);
	sd_event_source_disable_unref(server->pause_source);
	sd_event_unref(server->event);
	fd_close(server->listen_fd);
	free(server);
	return NULL;
}
