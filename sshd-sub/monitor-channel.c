/* SPDX-License-Identifier: MIT */
/*
 * What a login runs: one task a channel, from the worker's request to the keeper's report of its end, or to the keeper's
 * answer that it is hung up. Where a command left processes behind, a task lives until it is clear whether the client was
 * told of the end: only then do they live on without it (docs/architecture.md).
 * The worker's numbers are unique in its session; here and in the keeper they are only names.
 */
#include "shell/base/log.h"
#include "shell/base/str.h"
#include "sshd-sub/monitor.h"

#include <string.h>
#include <sys/socket.h>

#define AWAY_TEXT "creel: the agent's keeper is restarting, try again"
#define GONE_TEXT "creel: this login's session is gone, log in again"
#define GONE_LINGER_USEC (1000U * 1000U)

/* Those of channels that are open, and as many that are being hung up. */
#define TASKS_MAX (2U * KEEPER_CHANNELS_MAX)

static Task *task_find(Connection *connection, uint32_t number)
{
	for (Task *task = connection->tasks; task; task = task->next)
		if (task->number == number)
			return task;
	return NULL;
}

static void task_free(Task *task)
{
	Connection *connection = task->connection;

	for (Task **t = &connection->tasks; *t; t = &(*t)->next)
		if (*t == task) {
			*t = task->next;
			connection->n_tasks--;
			break;
		}
	sd_bus_slot_unref(task->slot);
	free(task);
}

void task_free_all(Connection *connection)
{
	while (connection->tasks)
		task_free(connection->tasks);
}

int connection_refuse(Connection *connection, WireType type, uint32_t number, const char *why)
{
	uint8_t buffer[WIRE_TEXT_MAX + 16];
	WireWriter payload = { .data = buffer, .room = sizeof(buffer) };
	size_t n = strlen(why);

	wire_put_bytes(&payload, why, n < WIRE_TEXT_MAX ? n : WIRE_TEXT_MAX);
	return connection_tell(connection, type, number, 0, &payload, NULL, 0);
}

static int task_report_exit(
	Connection *connection, uint32_t number, WireExit how, uint32_t code, uint32_t flags, const char *note)
{
	uint8_t buffer[WIRE_TEXT_MAX + 32];
	WireWriter payload = { .data = buffer, .room = sizeof(buffer) };
	size_t n = strlen(note);

	wire_put_u32(&payload, code);
	wire_put_u32(&payload, flags);
	wire_put_bytes(&payload, note, n < WIRE_TEXT_MAX ? n : WIRE_TEXT_MAX);
	return connection_tell(connection, WIRE_EXITED, number, how, &payload, NULL, 0);
}

/* Hands the descriptors of a reply to the worker; they stay the message's. */
static int task_hand_over(Task *task, sd_bus_message *answer)
{
	int fds[WIRE_FDS_MAX], r;
	size_t n = 0;

	r = sd_bus_message_enter_container(answer, 'a', "h");
	while (r > 0 && n < ELEMENTSOF(fds)) {
		r = sd_bus_message_read_basic(answer, 'h', &fds[n]);
		if (r > 0)
			n++;
	}
	if (r < 0)
		return r;
	if (n != 1 && n != 3)
		return -EBADMSG;
	return connection_tell(task->connection, WIRE_STARTED, task->number, 0, NULL, fds, n);
}

static int on_start(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	Task *task = userdata;
	Connection *connection = task->connection;
	uint32_t number = task->number;
	int r;

	task->slot = sd_bus_slot_unref(task->slot);
	if (!sd_bus_message_is_method_error(answer, NULL)) {
		task->state = TASK_RUNNING;
		r = task_hand_over(task, answer);
	} else {
		const sd_bus_error *failure = sd_bus_message_get_error(answer);
		_cleanup_free_ char *why = NULL;

		if (strncmp(failure->name, "org.creel.Error.", strlen("org.creel.Error.")) == 0 && failure->message)
			why = str_format("creel: %s", failure->message);
		else if (sd_bus_error_has_name(failure, SD_BUS_ERROR_NO_REPLY) && connection->keeper->lost)
			why = strdup(AWAY_TEXT);
		else
			why = str_format("creel: the agent's keeper did not start it: %s",
				failure->message ? failure->message : failure->name);
		task_free(task);
		/* it may have been born all the same, and the answer come too late */
		keeper_tell(connection->keeper, "Hangup", "su", connection->session, number);
		r = connection_refuse(connection, WIRE_REFUSED, number, why ? why : "creel: out of memory");
	}
	if (r < 0)
		connection_end(connection, NULL);
	return 1;
}

static int read_start(WireReader *reader, sd_bus_message *call)
{
	static const char *const kinds[] = {
		[KIND_EXEC] = "exec",
		[KIND_SHELL] = "shell",
		[KIND_SUBSYSTEM] = "subsystem",
	};
	uint32_t kind = wire_get_u32(reader), n, size[4];
	const uint8_t *modes;
	size_t modes_n;
	const char *command = wire_get_string(reader, KEEPER_COMMAND_MAX);
	bool terminal = wire_get_u32(reader);
	const char *term = wire_get_string(reader, KEEPER_TERM_MAX);
	int r;

	for (size_t i = 0; i < ELEMENTSOF(size); i++)
		size[i] = wire_get_u32(reader);
	modes = wire_get_bytes(reader, KEEPER_MODES_MAX, &modes_n);
	n = wire_get_u32(reader);
	if (reader->failed || kind >= ELEMENTSOF(kinds) || n > KEEPER_ENVIRONMENT_MAX)
		return -EBADMSG;
	r = sd_bus_message_append(call, "ss", kinds[kind], command);
	if (r >= 0)
		r = sd_bus_message_open_container(call, 'a', "s");
	for (uint32_t i = 0; i < n && r >= 0; i++)
		r = sd_bus_message_append(call, "s", wire_get_string(reader, KEEPER_ENVIRONMENT_BYTES));
	if (r >= 0)
		r = sd_bus_message_close_container(call);
	if (r >= 0)
		r = sd_bus_message_append(call, "bs", terminal, term);
	if (r >= 0)
		r = sd_bus_message_append_array(call, 'u', size, sizeof(size));
	if (r >= 0)
		r = sd_bus_message_append_array(call, 'y', modes, modes_n);
	if (r < 0)
		return r;
	return wire_done(reader) ? 0 : -EBADMSG;
}

int task_start(Connection *connection, uint32_t number, WireReader *reader)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	Task *task;
	int r;

	if (task_find(connection, number))
		return -EBADMSG;
	if (connection->n_tasks >= TASKS_MAX)
		return connection_refuse(
			connection, WIRE_REFUSED, number, "creel: too many commands at a time on this connection");
	if (!connection->session)
		return connection_refuse(connection, WIRE_REFUSED, number, GONE_TEXT);
	r = keeper_call_new(connection->keeper, "Start", &call);
	/* who knocks starts the next one, which reads that the session is claimed before it reads this */
	if (r == -ENOTCONN && keeper_find(connection->monitor, connection->keeper->uid, &connection->keeper) == 0)
		r = keeper_call_new(connection->keeper, "Start", &call);
	if (r == -ENOTCONN)
		return connection_refuse(connection, WIRE_REFUSED, number, AWAY_TEXT);
	if (r >= 0)
		r = sd_bus_message_append(call, "su", connection->session, number);
	if (r >= 0)
		r = read_start(reader, call);
	if (r < 0)
		return r;

	task = calloc(1, sizeof(*task));
	if (!task)
		return -ENOMEM;
	*task = (Task){ .connection = connection, .number = number, .next = connection->tasks };
	connection->tasks = task;
	connection->n_tasks++;
	r = keeper_call(connection->keeper, call, on_start, task, &task->slot);
	if (r < 0) {
		task_free(task);
		return connection_refuse(connection, WIRE_REFUSED, number, AWAY_TEXT);
	}
	return 0;
}

int task_signal(Connection *connection, uint32_t number, WireReader *reader)
{
	const char *name = wire_get_string(reader, 16);
	uint64_t left_out;

	if (!wire_done(reader))
		return -EBADMSG;
	/* what is not bounded by an answer is bounded by time: a worker cannot fill the keeper's queue */
	if (task_find(connection, number) && rate_take(&connection->signals, &left_out))
		keeper_tell(connection->keeper, "Signal", "sus", connection->session, number, name);
	return 0;
}

static int on_hangup(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	Task *task = userdata;
	Connection *connection = task->connection;
	uint32_t number = task->number;

	/* an error says that there is nothing to hang up, or that the keeper went, which hangs up what nobody claims */
	task_free(task);
	if (connection_tell(connection, WIRE_CLOSED, number, 0, NULL, NULL, 0) < 0)
		connection_end(connection, NULL);
	return 1;
}

static int task_call(Task *task, const char *member, sd_bus_message_handler_t handler)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	KeeperLink *keeper = task->connection->keeper;
	int r;

	task->slot = sd_bus_slot_unref(task->slot);
	if (!task->connection->session)
		return -ENOTCONN;
	r = keeper_call_new(keeper, member, &call);
	if (r >= 0)
		r = sd_bus_message_append(call, "su", task->connection->session, task->number);
	if (r >= 0)
		r = keeper_call(keeper, call, handler, task, &task->slot);
	return r;
}

int task_close(Connection *connection, uint32_t number)
{
	Task *task = task_find(connection, number);
	int r;

	if (task && task->state >= TASK_TOLD)
		return -EBADMSG;
	r = task ? task_call(task, "Hangup", on_hangup) : -ENOENT;
	if (r >= 0) {
		task->state = TASK_CLOSING;
		return 0;
	}
	/* its end is on the way to the worker, or the keeper is away */
	if (task)
		task_free(task);
	if (r != -ENOENT && r != -ENOTCONN)
		return r;
	return connection_tell(connection, WIRE_CLOSED, number, 0, NULL, NULL, 0);
}

static int on_told(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	Task *task = userdata;

	task->slot = sd_bus_slot_unref(task->slot);
	/* a keeper that went meanwhile is told again when it is back */
	if (!sd_bus_message_is_method_error(answer, NULL) ||
		sd_bus_message_is_method_error(answer, KEEPER_ERROR_NO_SESSION))
		task_free(task);
	return 1;
}

/* Returns 0, also while the keeper is away. */
static int task_tell(Task *task)
{
	int r = task_call(task, "Told", on_told);

	return r < 0 && r != -ENOTCONN ? r : 0;
}

int task_told(Connection *connection, uint32_t number)
{
	Task *task = task_find(connection, number);

	if (!task || task->state != TASK_LEFT)
		return -EBADMSG;
	task->state = TASK_TOLD;
	return task_tell(task);
}

static Connection *connection_of_session(const KeeperLink *keeper, const char *session)
{
	for (Connection *c = keeper->monitor->connections; c; c = c->next)
		if (c->keeper == keeper && c->session && strcmp(c->session, session) == 0)
			return c;
	return NULL;
}

/* Its process ended. */
static void task_end(Task *task, uint32_t flags)
{
	if (!(flags & KEEPER_EXITED_LEFT)) {
		task_free(task);
		return;
	}
	task->state = TASK_LEFT;
	task->slot = sd_bus_slot_unref(task->slot);
}

int task_on_exited(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	KeeperLink *keeper = userdata;
	const char *session, *how, *note;
	Connection *connection;
	uint32_t number, code, flags;
	Task *task;
	int r;

	r = sd_bus_message_read(message, "susuus", &session, &number, &how, &code, &flags, &note);
	if (r < 0) {
		log_error("keeper of uid %u: Exited makes no sense: %s", (unsigned int)keeper->uid, strerror(-r));
		return 1;
	}
	connection = connection_of_session(keeper, session);
	task = connection ? task_find(connection, number) : NULL;
	if (!task || task->state > TASK_RUNNING)
		return 1; /* closed meanwhile */
	task_end(task, flags);
	r = task_report_exit(connection, number,
		strcmp(how, "exit") == 0     ? EXIT_STATUS
		: strcmp(how, "signal") == 0 ? EXIT_SIGNAL
					     : EXIT_UNKNOWN,
		code, flags, note);
	if (r < 0)
		connection_end(connection, NULL);
	return 1;
}

int task_on_ended(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	KeeperLink *keeper = userdata;
	Connection *connection;
	const char *session;
	int r;

	r = sd_bus_message_read(message, "s", &session);
	if (r < 0) {
		log_error("keeper of uid %u: Ended makes no sense: %s", (unsigned int)keeper->uid, strerror(-r));
		return 1;
	}
	connection = connection_of_session(keeper, session);
	if (connection)
		connection_end(connection, NULL);
	return 1;
}

/*
 * What ended while the keeper was away, and nobody saw how; it may have left processes behind, so the keeper is told when the
 * client is. Returns 0 or a negative errno: the worker does not read.
 */
static int task_settle(Connection *connection, const uint32_t *running, size_t n)
{
	for (Task *task = connection->tasks, *next; task; task = next) {
		uint32_t number = task->number;
		bool runs = false;
		int r;

		next = task->next;
		if (task->state == TASK_TOLD) {
			r = task_tell(task);
			if (r < 0)
				return r;
		}
		for (size_t i = 0; i < n && !runs; i++)
			runs = running[i] == number;
		if (runs || task->state != TASK_RUNNING)
			continue;
		task_end(task, KEEPER_EXITED_LEFT);
		r = task_report_exit(connection, number, EXIT_UNKNOWN, 0, KEEPER_EXITED_LEFT,
			"creel: the command ended while its keeper was away; how is not known");
		if (r < 0)
			return r;
	}
	/* and what was born when nobody waited for it any more */
	for (size_t i = 0; i < n; i++)
		if (!task_find(connection, running[i]))
			keeper_tell(connection->keeper, "Hangup", "su", connection->session, running[i]);
	return 0;
}

static int on_gone_linger(sd_event_source *source, uint64_t usec, void *userdata)
{
	connection_end(userdata, NULL);
	return 0;
}

/*
 * The keeper does not know the session any more, and may give its uid's next login to anybody: from here on the connection
 * has none, and it ends as soon as the client may have heard how its commands ended. Returns 0 or a negative errno.
 */
static int connection_lose_session(Connection *connection)
{
	free(TAKE_PTR(connection->session));
	return sd_event_add_time_relative(connection->monitor->event, &connection->end_source, CLOCK_MONOTONIC,
		GONE_LINGER_USEC, 0, on_gone_linger, connection);
}

static int on_attach(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	Connection *connection = userdata;
	const uint32_t *running = NULL;
	bool gone = false;
	size_t size = 0;
	int r;

	connection->slot = sd_bus_slot_unref(connection->slot);
	if (sd_bus_message_is_method_error(answer, NULL)) {
		if (!sd_bus_message_is_method_error(answer, KEEPER_ERROR_NO_SESSION))
			return 1; /* away again, or late: the next connect asks again */
		gone = true;
	} else if (sd_bus_message_read_array(answer, 'u', (const void **)&running, &size) < 0) {
		return 1;
	}
	r = task_settle(connection, running, size / sizeof(uint32_t));
	if (r >= 0 && gone)
		r = connection_lose_session(connection);
	if (r < 0)
		connection_end(connection, NULL);
	return 1;
}

void task_attach(Connection *connection)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r;

	connection->slot = sd_bus_slot_unref(connection->slot);
	r = keeper_call_new(connection->keeper, "Attach", &call);
	if (r >= 0)
		r = sd_bus_message_append(call, "s", connection->session);
	if (r >= 0)
		r = keeper_call(connection->keeper, call, on_attach, connection, &connection->slot);
	if (r < 0)
		log_error("keeper of uid %u: cannot claim session %s: %s", (unsigned int)connection->keeper->uid,
			connection->session, strerror(-r));
}
