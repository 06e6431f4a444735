/* SPDX-License-Identifier: MIT */
/*
 * What the monitor reads from a keeper: answers and signals, through sd-bus and the handlers of monitor-login.c,
 * monitor-channel.c and monitor-forward.c. A keeper is believed to be root's; still nothing that it says may end the monitor,
 * which serves the other agents, too. In place of monitor.c stand the functions below.
 *
 * Input: what was asked (1 byte: how far the connection is; 0x20: command 1 is being closed; 0x40: the worker does not read
 * its link), the descriptors of well formed answers that come first (1 byte: low half to Start, high half to Connect), D-Bus
 * messages. These come without descriptors: libsystemd (252) loses those of a message that it drops.
 */
#include "sshd-sub/monitor.h"
#include "tests/fuzz/bus.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ROUNDS_MAX 1000
#define USER "nobody"
#define UID 65534U

enum { ASKED_KEY, ASKED_LOGIN, ENTERED, CAME_BACK, STAGES };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static Connection *alive; /* NULL: it was ended */
static bool stuck;

/* ---- what the handlers call ---- */

int hostkey_sign(EVP_PKEY *key, const uint8_t *data, size_t n, uint8_t ret[static 64])
{
	return -ENOKEY;
}

int connection_tell(Connection *connection, WireType type, uint32_t number, uint32_t value, const WireWriter *payload,
	const int *fds, size_t n_fds)
{
	expect(connection == alive && !connection->over);
	expect(type == WIRE_VERDICT || type == WIRE_STARTED || type == WIRE_REFUSED || type == WIRE_EXITED ||
		type == WIRE_CLOSED || type == WIRE_CONNECTED);
	expect((type == WIRE_VERDICT) == (connection->state != STATE_ENTERED) || value & VERDICT_YES);
	expect(n_fds <= WIRE_FDS_MAX);
	for (size_t i = 0; i < n_fds; i++)
		expect(fcntl(fds[i], F_GETFD) >= 0);
	if (payload && payload->failed)
		return -EMSGSIZE;
	expect(!payload || payload->used <= WIRE_PAYLOAD_MAX);
	return stuck ? -EAGAIN : 0;
}

static void connection_free(Connection *connection)
{
	*connection->link = connection->next;
	sd_event_source_disable_unref(connection->end_source);
	free(connection->key);
	free(connection->session);
	free(connection);
	alive = NULL;
}

void connection_end(Connection *connection, const char *why)
{
	expect(connection == alive);
	if (connection->over) {
		connection_free(connection);
		return;
	}
	task_free_all(connection);
	forward_free_all(connection);
	if (connection->session)
		keeper_tell(connection->keeper, "Logout", "s", connection->session);
	if (login_cancel(connection))
		connection->over = true;
	else
		connection_free(connection);
}

void connection_admitted(Connection *connection)
{
	expect(connection->state == STATE_ENTERED && connection->session);
}

/* ---- what a worker asked ---- */

static uint8_t payload[WIRE_PAYLOAD_MAX];

static WireReader reader_of(const WireWriter *writer)
{
	return (WireReader){ .at = writer->data, .left = writer->used };
}

static void ask_key(Connection *connection)
{
	static const uint8_t key[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
				     "12345678901234567890123456789012";
	WireWriter writer = { .data = payload, .room = sizeof(payload) };
	WireReader reader;

	wire_put_string(&writer, USER);
	wire_put_bytes(&writer, key, sizeof(key) - 1);
	reader = reader_of(&writer);
	connection->state = STATE_KEYED;
	expect(login_query(connection, &reader) == 0);
}

static void start(Connection *connection, uint32_t number, bool terminal)
{
	WireWriter writer = { .data = payload, .room = sizeof(payload) };
	WireReader reader;

	wire_put_u32(&writer, KIND_EXEC);
	wire_put_string(&writer, "true");
	wire_put_u32(&writer, terminal);
	wire_put_string(&writer, "xterm");
	for (int i = 0; i < 4; i++)
		wire_put_u32(&writer, 80);
	wire_put_bytes(&writer, "", 0);
	wire_put_u32(&writer, 0);
	reader = reader_of(&writer);
	expect(task_start(connection, number, &reader) == 0);
}

static void connect_to(Connection *connection)
{
	WireWriter writer = { .data = payload, .room = sizeof(payload) };
	WireReader reader;

	wire_put_string(&writer, "localhost");
	wire_put_u32(&writer, 3000);
	reader = reader_of(&writer);
	expect(forward_open(connection, 1, &reader) == 0);
}

/* Serials of the questions: 1, 2, 3 ... in this order; in ASKED_LOGIN, 2 is asked when 1 was answered by yes. */
static void ask(Connection *connection, int stage)
{
	if (stage == ASKED_KEY || stage == ASKED_LOGIN) {
		ask_key(connection);
		connection->is_login = stage == ASKED_LOGIN;
		return;
	}
	connection->state = STATE_ENTERED;
	(void)snprintf(connection->user, sizeof(connection->user), USER);
	expect(keeper_find(connection->monitor, UID, &connection->keeper) == 0);
	connection->session = strdup("s1");
	start(connection, 1, false);
	start(connection, 2, true);
	connect_to(connection);
	if (stage == CAME_BACK) {
		connection->tasks->state = TASK_RUNNING;
		task_attach(connection);
	}
}

/* ---- the keeper ---- */

static char folder[64];

static void folder_remove(void)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%u/keeper.sock", folder, UID);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/%u", folder, UID);
	(void)rmdir(path);
	(void)rmdir(folder);
}

static int listen_once(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(folder, "/tmp/creel-fuzz-XXXXXX");
	expect(fd >= 0 && mkdtemp(folder));
	(void)atexit(folder_remove);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%u", folder, UID);
	expect(mkdir(address.sun_path, 0700) == 0);
	strcat(address.sun_path, "/keeper.sock");
	expect(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 4) == 0);
	return fd;
}

/* The answer to call `to`, with `n` descriptors: an array of them, or one alone. */
static void send_fds(int fd, uint32_t to, bool array, size_t n)
{
	struct {
		uint8_t endian, type, flags, version;
		uint32_t body_size, serial, fields_size;
		struct __attribute__((packed)) {
			uint8_t code, signature[3];
			uint32_t value;
		} reply_serial, unix_fds;
		uint8_t signature[8];
		uint32_t body[1 + FDS_MAX];
	} message = {
		.endian = 'l',
		.type = SD_BUS_MESSAGE_METHOD_RETURN,
		.version = 1,
		.serial = 1000 + to,
		.reply_serial = { 5, { 1, 'u', 0 }, to },
		.unix_fds = { 9, { 1, 'u', 0 }, (uint32_t)n },
	};
	size_t at = 0;

	memcpy(message.signature,
		array ? "\x08\x01g\0\x02"
			"ah"
		      : "\x08\x01g\0\x01h\0",
		sizeof(message.signature));
	message.fields_size = array ? 24 : 23;
	if (array)
		message.body[at++] = (uint32_t)(n * sizeof(uint32_t));
	for (uint32_t i = 0; i < n; i++)
		message.body[at++] = i;
	message.body_size = (uint32_t)(at * sizeof(uint32_t));
	send_all(fd, (const uint8_t *)&message, offsetof(__typeof__(message), body) + message.body_size, n);
}

/* One connection an input: on a busy machine the time to look for the keeper again comes before the input's end. */
static void run(Monitor *monitor)
{
	for (int i = 0; i < ROUNDS_MAX && sd_event_run(monitor->event, 0) > 0; i++)
		if (monitor->keepers && monitor->keepers->retry_source)
			expect(sd_event_source_set_enabled(monitor->keepers->retry_source, SD_EVENT_OFF) >= 0);
}

static void serve(Monitor *monitor, int listen_fd, const uint8_t *data, size_t n, unsigned int with_fds)
{
	static const char welcome[] = "DATA\r\nOK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n";
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	expect(fd >= 0);
	run(monitor);
	send_all(fd, (const uint8_t *)welcome, sizeof(welcome) - 1, 0);
	run(monitor);
	if (with_fds & 15)
		send_fds(fd, 1, true, (with_fds & 15) % (FDS_MAX + 1));
	if (with_fds >> 4)
		send_fds(fd, 3, false, 1);
	send_all(fd, data, n, 0);
	expect(shutdown(fd, SHUT_WR) == 0);
	run(monitor);
	(void)close(fd);
	run(monitor);
}

static void keeper_forget(Monitor *monitor)
{
	KeeperLink *keeper = monitor->keepers;

	sd_event_source_disable_unref(keeper->retry_source);
	if (keeper->bus)
		sd_bus_detach_event(keeper->bus);
	sd_bus_close_unref(keeper->bus);
	free(keeper);
}

static Connection *connection_make(Monitor *monitor)
{
	Connection *connection = calloc(1, sizeof(*connection));

	expect(connection);
	*connection = (Connection){ .monitor = monitor,
		.link_fd = -EBADF,
		.worker_fd = -EBADF,
		.link = &monitor->connections,
		.peer = "192.0.2.1 1 192.0.2.2 22",
		.algorithm = "ssh-ed25519",
		.signals = { .burst = 8, .interval_usec = 1000 } };
	monitor->connections = connection;
	monitor->connections_end = &connection->next;
	return connection;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static Monitor monitor;
	static Options options;
	static int listen_fd = -EBADF;
	unsigned int n_fds;

	if (n < 2)
		return 0;
	if (listen_fd < 0) {
		(void)setenv("SYSTEMD_LOG_LEVEL", "emerg", 1);
		listen_fd = listen_once();
		options.keepers = folder;
	}
	n_fds = count_fds();
	monitor = (Monitor){ .options = &options, .control_fd = -EBADF, .answer_usec = 2000 };
	expect(sd_event_new(&monitor.event) >= 0);
	alive = connection_make(&monitor);
	stuck = false;
	ask(alive, data[0] % STAGES);
	if (data[0] & 0x20 && data[0] % STAGES >= ENTERED)
		expect(task_close(alive, 1) == 0);
	stuck = data[0] & 0x40;
	serve(&monitor, listen_fd, data + 2, n - 2, data[0] % STAGES >= ENTERED ? data[1] : 0);

	/* the bus is gone: all that was asked was answered, with an error if not otherwise */
	if (alive) {
		expect(!alive->over && !alive->slot && !alive->reaches);
		for (const Task *task = alive->tasks; task; task = task->next)
			expect((task->state == TASK_RUNNING || task->state == TASK_LEFT) && !task->slot);
		connection_end(alive, NULL);
	}
	expect(!alive);
	keeper_forget(&monitor);
	sd_event_unref(monitor.event);
	expect(count_fds() == n_fds); /* nothing that came or was made stays open */
	return 0;
}
