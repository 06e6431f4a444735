/* SPDX-License-Identifier: MIT */
/*
 * creel exec-server: one JSON object a line on stdin, answers and events on stdout (creel-exec-server(7)).
 *
 * Bounds: a line, the requests in flight, and what waits for a client that does not read. Beyond the last one nothing more
 * is read from the client and from the keeper until it reads again, so that memory ends with one more answer.
 *
 * At the end of the input its runs are cancelled: what a caller left has no reader. Their results are still written.
 */
#include "shell/base/str.h"
#include "shell/base/utf8.h"
#include "shell/bus/limit.h"
#include "shell/tools/client.h"
#include "shell/tools/commands.h"
#include "shell/tools/exec-request.h"
#include "shell/tools/lines.h"
#include "shell/tools/result.h"
#include "shell/tools/sessions.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#define WAITING_MAX (8U * 1024 * 1024) /* bytes for a client that does not read, before we stop reading */
#define WAITING_LOW (1024U * 1024)     /* and begin again */

typedef struct Server Server;

/* A request that was not answered yet. */
typedef struct Flight {
	struct Flight *next;
	Server *server;
	json_t *id;
	ExecMethod method;
	ClientRun *run; /* of EXEC_RUN */
	char cut[3][4]; /* by stream: the begin of a character that came in two pieces */
	size_t n_cut[3];
} Flight;

struct Server {
	sd_event *event;
	Client *client; /* NULL: not connected */
	LineReader reader;
	LineWriter *writer;
	sd_event_source *input, *signals[2];
	Flight *flights;
	size_t n_flights;
	bool ended; /* no more input */
	bool half;  /* it ended within a line */
	bool paused;
};

/* Why the loop ends: nothing is left to be done, or nobody hears it. */
static void leave(Server *server, int status)
{
	(void)sd_event_exit(server->event, status);
}

static void leave_when_done(Server *server)
{
	if (server->ended && !server->flights && !line_waiting(server->writer))
		leave(server, server->half ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ---- what goes out ---- */

static void pause_when_full(Server *server, size_t waiting)
{
	bool paused = waiting > (server->paused ? WAITING_LOW : WAITING_MAX);

	if (paused == server->paused)
		return;
	server->paused = paused;
	if ((server->input && sd_event_source_set_enabled(server->input, paused ? SD_EVENT_OFF : SD_EVENT_ON) < 0) ||
		(server->client && client_pause(server->client, paused) < 0))
		leave(server, EXIT_FAILURE);
}

/* Takes `object`; NULL: memory was out when it was made. */
static void say(Server *server, json_t *object)
{
	_cleanup_json_ json_t *owned = object;
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	text = owned ? jsontext_print(owned, &n) : NULL;
	if (!text || line_write(server->writer, text, n) < 0) {
		leave(server, EXIT_FAILURE);
		return;
	}
	pause_when_full(server, line_waiting(server->writer));
}

/* `id` NULL: of no request that is in flight. */
static void say_error(Server *server, const json_t *id, ExecError error, const char *why)
{
	say(server, json_pack("{s:O*, s:{s:s, s:o}}", "id", id ? id : json_null(), "error", "code",
			    exec_error_name(error), "message", jsontext_string(why, strlen(why))));
}

/* Takes `result`. */
static void say_result(Server *server, const json_t *id, json_t *result)
{
	say(server, json_pack("{s:O, s:o}", "id", id, "result", result));
}

/* ---- requests in flight ---- */

static Flight *flight_find(const Server *server, const json_t *id)
{
	for (Flight *flight = server->flights; flight; flight = flight->next)
		if (json_equal(flight->id, id))
			return flight;
	return NULL;
}

static Flight *flight_new(Server *server, const ExecRequest *request)
{
	Flight *flight = calloc(1, sizeof(*flight));

	if (!flight)
		return NULL;
	*flight = (Flight){
		.next = server->flights, .server = server, .id = json_incref(request->id), .method = request->method
	};
	server->flights = flight;
	server->n_flights++;
	return flight;
}

static void flight_free(Flight *flight)
{
	Server *server = flight->server;

	for (Flight **p = &server->flights; *p; p = &(*p)->next)
		if (*p == flight) {
			*p = flight->next;
			break;
		}
	server->n_flights--;
	json_decref(flight->id);
	free(flight);
}

/* ---- runs ---- */

/* Characters are never cut in two events: what is missing comes with the next bytes, or with the end. */
static void say_output(Flight *flight, unsigned int stream, const char *bytes, size_t n, bool last)
{
	_cleanup_free_ char *whole = malloc(flight->n_cut[stream] + n + 1);
	size_t cut;

	if (!whole) {
		leave(flight->server, EXIT_FAILURE);
		return;
	}
	memcpy(whole, flight->cut[stream], flight->n_cut[stream]);
	if (n)
		memcpy(whole + flight->n_cut[stream], bytes, n);
	n += flight->n_cut[stream];
	cut = last ? 0 : utf8_cut(whole, n);
	memcpy(flight->cut[stream], whole + n - cut, cut);
	flight->n_cut[stream] = cut;
	if (n > cut)
		say(flight->server,
			json_pack("{s:O, s:s, s:o}", "id", flight->id, "stream", stream == 1 ? "stdout" : "stderr",
				"data", jsontext_string(whole, n - cut)));
}

static void on_output(void *userdata, unsigned int stream, const void *bytes, size_t n)
{
	say_output(userdata, stream, bytes, n, false);
}

static void on_finished(void *userdata, const RunResult *result)
{
	Flight *flight = userdata;
	Server *server = flight->server;
	json_t *object = NULL;
	int r;

	for (unsigned int stream = 1; stream <= 2; stream++)
		if (flight->n_cut[stream])
			say_output(flight, stream, NULL, 0, true);
	r = result_json(result, &object);
	if (r < 0)
		say_error(server, flight->id, EXEC_FAILED, strerror(-r));
	else
		say_result(server, flight->id, object);
	flight_free(flight);
	leave_when_done(server);
}

static int begin(Flight *flight, ExecRequest *request)
{
	static const ClientHandler handler = { .output = on_output, .finished = on_finished };
	Client *client = flight->server->client;
	_cleanup_close_ int code_fd = client_seal(client, request->code.bytes, request->code.n, false),
			    input_fd = -EBADF;

	if (code_fd < 0)
		return code_fd;
	if (request->input.bytes) {
		input_fd = client_seal(client, request->input.bytes, request->input.n, true);
		if (input_fd < 0)
			return input_fd;
		request->options.input_fd = input_fd;
	}
	return client_run(client, code_fd, &request->options, &handler, flight, &flight->run);
}

/* ---- what else is asked of the keeper ---- */

static int limits_json(sd_bus_message *reply, json_t **ret)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	size_t n = 0;
	char why[128];
	int r;

	file = open_memstream(&text, &n);
	if (!file)
		return -ENOMEM;
	r = limits_print(file, reply, true);
	if (r >= 0 && fflush(file) != 0)
		r = -ENOMEM;
	return r < 0 ? r : jsontext_parse(text, n, ret, why, sizeof(why));
}

static int reset_json(sd_bus_message *reply, json_t **ret)
{
	int there, r = sd_bus_message_read(reply, "b", &there);

	if (r < 0)
		return r;
	*ret = json_pack("{s:b}", "reset", there);
	return *ret ? 0 : -ENOMEM;
}

static void on_answer(void *userdata, sd_bus_message *reply, const char *why)
{
	Flight *flight = userdata;
	Server *server = flight->server;
	json_t *object = NULL;
	int r = 0;

	if (reply)
		r = flight->method == EXEC_LIMITS  ? limits_json(reply, &object)
		    : flight->method == EXEC_RESET ? reset_json(reply, &object)
						   : sessions_json(reply, &object);
	if (!reply || r < 0)
		say_error(server, flight->id, EXEC_FAILED, reply ? strerror(-r) : why);
	else
		say_result(server, flight->id, object);
	flight_free(flight);
	leave_when_done(server);
}

/* The id of a run that is in flight, or of none: then it is over already, and that is no error. */
static void cancel(Server *server, const ExecRequest *request)
{
	const Flight *flight = flight_find(server, request->target);
	bool there = flight && flight->run;

	if (there)
		client_stop(flight->run);
	say_result(server, request->id, json_pack("{s:b}", "cancelled", there));
}

/* ---- what comes in ---- */

static void on_keeper_gone(void *userdata)
{
	Server *server = userdata;

	/* the next request looks for a new one */
	server->client = client_free(server->client);
}

static int ask(Flight *flight, ExecRequest *request)
{
	Client *client = flight->server->client;

	switch (request->method) {
	case EXEC_RUN:
		return begin(flight, request);
	case EXEC_RESET:
		return client_call(
			client, "Reset", on_answer, flight, "ss", request->options.language, request->options.session);
	case EXEC_LIMITS:
		return client_call(client, "Limits", on_answer, flight, "");
	default:
		return client_call(client, "Repls", on_answer, flight, "");
	}
}

static void serve(Server *server, ExecRequest *request)
{
	char why[512], id[EXEC_ID_MAX + 16];
	Flight *flight;
	int r;

	if (flight_find(server, request->id)) {
		/* not with the id: that would look like the answer to the request which has it */
		(void)snprintf(why, sizeof(why), "a request with the id `%s` is in flight",
			json_is_string(request->id)
				? str_quote(json_string_value(request->id), json_string_length(request->id), id,
					  sizeof(id))
				: (snprintf(id, sizeof(id), "%lld", (long long)json_integer_value(request->id)), id));
		say_error(server, NULL, EXEC_DUPLICATE_ID, why);
		return;
	}
	if (request->method == EXEC_CANCEL) {
		cancel(server, request);
		return;
	}
	if (server->n_flights >= RUNS_MAX) {
		(void)snprintf(why, sizeof(why), "%u requests are in flight", RUNS_MAX);
		say_error(server, request->id, EXEC_TOO_MANY, why);
		return;
	}
	if (!server->client &&
		client_new(server->event, on_keeper_gone, server, &server->client, why, sizeof(why)) < 0) {
		say_error(server, request->id, EXEC_UNAVAILABLE, why);
		return;
	}
	flight = flight_new(server, request);
	r = flight ? ask(flight, request) : -ENOMEM;
	if (r < 0) {
		say_error(server, request->id, r == -EINVAL ? EXEC_INVALID : EXEC_FAILED,
			r == -EINVAL ? "a string that the keeper cannot be told" : strerror(-r));
		if (flight)
			flight_free(flight);
	}
}

static void on_line(Server *server, const char *line, size_t n)
{
	ExecRequest request;
	ExecError error;
	char why[512];
	int r;

	if (strspn(line, " \t\r") >= n)
		return; /* an empty line is nobody's request */
	r = exec_request_read(line, n, &request, &error, why, sizeof(why));
	if (r >= 0)
		serve(server, &request);
	else if (r == -EINVAL)
		say_error(server, request.id && !flight_find(server, request.id) ? request.id : NULL, error, why);
	else
		leave(server, EXIT_FAILURE);
	exec_request_done(&request);
}

static void on_lines(Server *server)
{
	LineEvent event = LINE_NONE;
	char *line, why[96];
	size_t n;

	while (!server->paused && (event = line_next(&server->reader, &line, &n)) != LINE_NONE) {
		if (event == LINE_WHOLE) {
			on_line(server, line, n);
			continue;
		}
		(void)snprintf(why, sizeof(why), "a line of more than %u bytes was dropped", JSONTEXT_BYTES_MAX);
		say_error(server, NULL, EXEC_TOO_LONG, why);
	}
}

static void end_input(Server *server)
{
	char why[96];
	size_t pending = line_pending(&server->reader);

	server->input = sd_event_source_disable_unref(server->input);
	server->ended = true;
	if (pending) {
		server->half = true;
		(void)snprintf(why, sizeof(why), "the input ended %zu bytes into a line, which was dropped", pending);
		say_error(server, NULL, EXEC_HALF_LINE, why);
	}
	for (const Flight *flight = server->flights; flight; flight = flight->next)
		if (flight->run)
			client_stop(flight->run);
	leave_when_done(server);
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	Server *server = userdata;
	size_t room;
	char *at = line_room(&server->reader, &room);
	ssize_t n;

	if (!at) {
		leave(server, EXIT_FAILURE);
		return 0;
	}
	n = read(fd, at, room);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		end_input(server);
		return 0;
	}
	line_added(&server->reader, (size_t)n);
	on_lines(server);
	return 0;
}

static void on_progress(void *userdata)
{
	Server *server = userdata;

	pause_when_full(server, line_waiting(server->writer));
	if (!server->paused && !server->ended)
		on_lines(server); /* that were read before it paused */
	leave_when_done(server);
}

static void on_write_failed(void *userdata, int r)
{
	leave(userdata, EXIT_FAILURE);
}

static int server_start(Server *server)
{
	static const LineWriterHandler handler = { .progress = on_progress, .failed = on_write_failed };
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	r = sd_event_new(&server->event);
	if (r >= 0)
		r = sd_event_add_signal(server->event, &server->signals[0], SIGINT, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(server->event, &server->signals[1], SIGTERM, NULL, NULL);
	if (r >= 0)
		r = line_writer_new(server->event, STDOUT_FILENO, &handler, server, &server->writer);
	if (r >= 0)
		r = sd_event_add_io(server->event, &server->input, STDIN_FILENO, EPOLLIN, on_input, server);
	return r;
}

int exec_server_main(int argc, char **argv)
{
	Server server = { .reader = { .max = JSONTEXT_BYTES_MAX } };
	int r;

	if (argc) {
		(void)fprintf(stderr, "usage: creel exec-server\n");
		return EXIT_USAGE;
	}
	r = server_start(&server);
	if (r >= 0)
		r = sd_event_loop(server.event);
	if (r < 0) {
		(void)fprintf(stderr, "creel: exec-server: %s\n",
			r == -EPERM ? "stdin is a file; it must be a pipe, a socket or a terminal" : strerror(-r));
		r = EXIT_FAILURE;
	}
	while (server.flights)
		flight_free(server.flights);
	client_free(server.client);
	line_writer_free(server.writer);
	line_reader_done(&server.reader);
	sd_event_source_disable_unref(server.input);
	for (size_t i = 0; i < ELEMENTSOF(server.signals); i++)
		sd_event_source_disable_unref(server.signals[i]);
	sd_event_unref(server.event);
	return r;
}
