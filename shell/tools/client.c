/* SPDX-License-Identifier: MIT */
#include "shell/tools/client.h"
#include "shell/base/file.h"
#include "shell/base/str.h"
#include "shell/bus/bus.h"
#include "shell/bus/client.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#define CALL_TIMEOUT_USEC (90 * UINT64_C(1000000)) /* a keeper answers at once; a busy machine does not */

struct ClientRun {
	ClientRun *next;
	Client *client;
	const ClientHandler *handler;
	void *userdata;
	sd_bus_slot *call_slot;
	uint64_t number; /* 0: the keeper has not answered yet */
	bool stopping;
};

typedef struct Call {
	struct Call *next;
	Client *client;
	ClientAnswer answer;
	void *userdata;
	sd_bus_slot *slot;
} Call;

struct Client {
	sd_event *event;
	sd_bus *bus;
	sd_bus_slot *gone_slot, *filter_slot;
	ClientRun *runs;
	Call *calls;
	void (*gone)(void *userdata);
	void *userdata;
	bool paused;
};

static void run_free(ClientRun *run)
{
	for (ClientRun **p = &run->client->runs; *p; p = &(*p)->next)
		if (*p == run) {
			*p = run->next;
			break;
		}
	sd_bus_slot_unref(run->call_slot);
	free(run);
}

/* The run is out of the list before its handler is called, which may begin another one. */
static void run_finish(ClientRun *run, const RunResult *result)
{
	const ClientHandler *handler = run->handler;
	void *userdata = run->userdata;

	run_free(run);
	handler->finished(userdata, result);
}

static void run_end_as(ClientRun *run, RunReason reason, const char *why)
{
	_cleanup_free_ char *error = str_format("Error: %s", why);
	RunResult result = {
		.stdout_fd = -EBADF,
		.stderr_fd = -EBADF,
		.stdout_file = "",
		.stderr_file = "",
		.error = error ? error : "Error: out of memory",
		.exit_code = -1,
		.reason = reason,
		.files_directory = "",
	};

	run_finish(run, &result);
}

static ClientRun *run_find(const Client *client, uint64_t number)
{
	for (ClientRun *run = client->runs; run; run = run->next)
		if (run->number == number)
			return run;
	return NULL;
}

/* ---- what the keeper says ---- */

static void on_output(Client *client, sd_bus_message *message)
{
	const void *bytes;
	const ClientRun *run;
	uint64_t number;
	uint32_t stream = 0;
	size_t n = 0;

	if (sd_bus_message_read(message, "tu", &number, &stream) < 0 ||
		sd_bus_message_read_array(message, 'y', &bytes, &n) < 0)
		return;
	run = run_find(client, number);
	if (run && run->handler->output && (stream == 1 || stream == 2))
		run->handler->output(run->userdata, stream, bytes, n);
}

static void on_finished(Client *client, sd_bus_message *message)
{
	RunResult result = { 0 };
	uint64_t number;
	ClientRun *run;

	if (sd_bus_message_read(message, "t", &number) < 0)
		return;
	run = run_find(client, number);
	if (!run)
		return;
	if (run_result_read(message, &result) < 0) {
		run_end_as(run, RUN_CANCELLED, "the keeper's result cannot be read");
		return;
	}
	run_finish(run, &result);
	run_result_done(&result);
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	Client *client = userdata;

	if (sd_bus_message_is_signal(message, KEEPER_INTERFACE, "Output"))
		on_output(client, message);
	else if (sd_bus_message_is_signal(message, KEEPER_INTERFACE, "Finished"))
		on_finished(client, message);
	else
		return 0;
	return 1;
}

static int on_gone(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	Client *client = userdata;
	void (*gone)(void *) = client->gone;
	void *gone_userdata = client->userdata;

	while (client->runs)
		run_end_as(client->runs, RUN_CANCELLED, "the keeper ended the connection");
	if (gone)
		gone(gone_userdata);
	return 1;
}

/* ---- connection ---- */

int client_new(sd_event *event, void (*gone)(void *userdata), void *userdata, Client **ret, char *why, size_t why_size)
{
	_cleanup_(client_freep) Client *client = calloc(1, sizeof(*client));
	int r;

	if (!client) {
		(void)keeper_failure(-ENOMEM, NULL, why, why_size);
		return -ENOMEM;
	}
	client->event = sd_event_ref(event);
	client->gone = gone;
	client->userdata = userdata;
	r = keeper_connect(getuid(), &client->bus);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(client->bus, CALL_TIMEOUT_USEC);
	if (r >= 0)
		r = sd_bus_match_signal(client->bus, &client->gone_slot, NULL, NULL, "org.freedesktop.DBus.Local",
			"Disconnected", on_gone, client);
	if (r >= 0)
		r = sd_bus_add_filter(client->bus, &client->filter_slot, on_message, client);
	if (r >= 0)
		r = sd_bus_attach_event(client->bus, event, SD_EVENT_PRIORITY_NORMAL);
	if (r < 0) {
		(void)keeper_failure(r, NULL, why, why_size);
		return r;
	}
	*ret = TAKE_PTR(client);
	return 0;
}

static void call_free(Call *call)
{
	for (Call **p = &call->client->calls; *p; p = &(*p)->next)
		if (*p == call) {
			*p = call->next;
			break;
		}
	sd_bus_slot_unref(call->slot);
	free(call);
}

Client *client_free(Client *client)
{
	if (!client)
		return NULL;
	while (client->runs)
		run_free(client->runs);
	while (client->calls)
		call_free(client->calls);
	sd_bus_slot_unref(client->gone_slot);
	sd_bus_slot_unref(client->filter_slot);
	if (client->bus) {
		sd_bus_detach_event(client->bus);
		sd_bus_close_unref(client->bus);
	}
	sd_event_unref(client->event);
	free(client);
	return NULL;
}

int client_pause(Client *client, bool paused)
{
	int r;

	if (client->paused == paused)
		return 0;
	r = paused ? sd_bus_detach_event(client->bus)
		   : sd_bus_attach_event(client->bus, client->event, SD_EVENT_PRIORITY_NORMAL);
	if (r < 0)
		return r;
	client->paused = paused;
	return 0;
}

/* ---- calls ---- */

static int keepers_memory(sd_bus *bus, int *ret_fd)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int fd, r;

	r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Memory", NULL, &reply, "");
	if (r >= 0)
		r = sd_bus_message_read(reply, "h", &fd);
	if (r < 0)
		return r;
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? -errno : 0;
}

int keeper_seal(sd_bus *bus, const void *bytes, size_t n, bool keepers)
{
	_cleanup_close_ int fd = -EBADF;
	void (*before)(int);
	int r;

	/* of the keeper's, which gives none where the policy needs none */
	if (!keepers || keepers_memory(bus, &fd) < 0)
		fd = memfd_create("code", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 && !keepers && errno == EPERM) {
		r = keepers_memory(bus, &fd);
		if (r < 0)
			return r;
	}
	if (fd < 0)
		return -errno;
	/* the limit of a file's size holds for memory, too: a write that fails is told in words */
	before = signal(SIGXFSZ, SIG_IGN);
	r = file_write_all(fd, bytes, n);
	(void)signal(SIGXFSZ, before);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int client_seal(Client *client, const void *bytes, size_t n, bool keepers)
{
	return keeper_seal(client->bus, bytes, n, keepers);
}

static int on_stopped(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	return 1; /* a run that is over cannot be stopped: its result is on the way */
}

static void stop_send(ClientRun *run)
{
	(void)sd_bus_call_method_async(run->client->bus, NULL, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Stop",
		on_stopped, NULL, "t", run->number);
}

void client_stop(ClientRun *run)
{
	if (run->stopping)
		return;
	run->stopping = true;
	if (run->number)
		stop_send(run);
}

/* As it was said: who shows it to a person escapes it. */
static const char *why_failed(const sd_bus_error *failure, char *buffer, size_t size)
{
	return failure->message ? failure->message
				: keeper_failure(-sd_bus_error_get_errno(failure), NULL, buffer, size);
}

static int on_run(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const sd_bus_error *failure = sd_bus_message_get_error(message);
	ClientRun *run = userdata;
	char why[512];
	int r;

	if (failure) {
		run_end_as(run, RUN_REFUSED, why_failed(failure, why, sizeof(why)));
		return 1;
	}
	r = sd_bus_message_read(message, "t", &run->number);
	if (r < 0 || !run->number) {
		run_end_as(run, RUN_REFUSED, "the keeper's answer cannot be read");
		return 1;
	}
	if (run->stopping)
		stop_send(run);
	return 1;
}

int client_run(Client *client, int code_fd, const RunOptions *options, const ClientHandler *handler, void *userdata,
	ClientRun **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	_cleanup_free_ ClientRun *run = calloc(1, sizeof(*run));
	int r;

	if (!run)
		return -ENOMEM;
	*run = (ClientRun){ .client = client, .handler = handler, .userdata = userdata };
	r = sd_bus_message_new_method_call(client->bus, &message, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Run");
	if (r >= 0)
		r = sd_bus_message_append(message, "h", code_fd);
	if (r >= 0)
		r = run_options_append(message, options);
	if (r >= 0)
		r = sd_bus_call_async(client->bus, &run->call_slot, message, on_run, run, 0);
	if (r < 0)
		return r;
	run->next = client->runs;
	client->runs = run;
	*ret = TAKE_PTR(run);
	return 0;
}

static int on_answer(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const sd_bus_error *failure = sd_bus_message_get_error(message);
	Call *call = userdata;
	ClientAnswer answer = call->answer;
	void *answer_userdata = call->userdata;
	char why[512];

	call_free(call);
	if (failure)
		answer(answer_userdata, NULL, why_failed(failure, why, sizeof(why)));
	else
		answer(answer_userdata, message, "");
	return 1;
}

int client_call(Client *client, const char *member, ClientAnswer answer, void *userdata, const char *types, ...)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	_cleanup_free_ Call *call = calloc(1, sizeof(*call));
	va_list arguments;
	int r;

	if (!call)
		return -ENOMEM;
	*call = (Call){ .client = client, .answer = answer, .userdata = userdata };
	r = sd_bus_message_new_method_call(client->bus, &message, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, member);
	if (r >= 0 && *types) {
		va_start(arguments, types);
		r = sd_bus_message_appendv(message, types, arguments);
		va_end(arguments);
	}
	if (r >= 0)
		r = sd_bus_call_async(client->bus, &call->slot, message, on_answer, call, 0);
	if (r < 0)
		return r;
	call->next = client->calls;
	client->calls = call;
	(void)TAKE_PTR(call);
	return 0;
}
