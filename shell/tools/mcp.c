/* SPDX-License-Identifier: MIT */
/*
 * creel mcp: the server between stdin, stdout and the agent's keeper.
 *
 * The keeper is connected to when a tool first needs it, and anew after it went: what needs none is answered without it.
 * While a client does not read, nothing is read from it nor from the keeper, so that what waits in memory is what one line
 * or one result made. At the end of the input all runs end; a client that wants their answers keeps its end open.
 */
#include "shell/base/str.h"
#include "shell/tools/client.h"
#include "shell/tools/commands.h"
#include "shell/tools/lines.h"
#include "shell/tools/mcp.h"
#include "shell/tools/result.h"
#include "shell/tools/sessions.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#define WAITING_MAX (1024U * 1024)   /* bytes of answers beyond which nothing more is read */
#define JOBS_MAX (2 * MCP_CALLS_MAX) /* with those that were cancelled and have not ended yet */
#define TICK_USEC UINT64_C(1000000)
#define DRAIN_TICKS 10U /* for a client that reads its last answers */

typedef struct Server Server;

/* What is done for a call, mostly by the keeper. It outlives the call where that was cancelled. */
typedef struct Job {
	struct Job *next;
	Server *server;
	McpCall *call;  /* NULL: nobody waits */
	ClientRun *run; /* NULL: another call of the keeper's, or a verb */
	Child *child;   /* a verb of creel's own: no keeper's affair */
} Job;

struct Server {
	sd_event *event;
	sd_event_source *input, *timer;
	LineReader reader;
	LineWriter *writer;
	Client *client;
	Mcp *mcp;
	Job *jobs;
	size_t n_jobs;
	bool paused, ended;
	unsigned int drained; /* ticks since the end of the input */
};

static void server_fail(Server *server, int r)
{
	if (r < 0)
		(void)sd_event_exit(server->event, EXIT_FAILURE);
}

/* ---- jobs ---- */

static int job_new(Server *server, McpCall *call, Job **ret)
{
	Job *job;

	if (server->n_jobs >= JOBS_MAX)
		return -EBUSY;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	*job = (Job){ .next = server->jobs, .server = server, .call = call };
	server->jobs = job;
	server->n_jobs++;
	mcp_call_set(call, job);
	*ret = job;
	return 0;
}

/* Returns the call that waits for it, if any. */
static McpCall *job_end(Job *job)
{
	McpCall *call = job->call;
	Job **slot = &job->server->jobs;

	while (*slot != job)
		slot = &(*slot)->next;
	*slot = job->next;
	job->server->n_jobs--;
	free(job);
	return call;
}

static void on_run_output(void *userdata, unsigned int stream, const void *bytes, size_t n)
{
	const Job *job = userdata;

	if (job->call)
		mcp_call_output(job->call, bytes, n);
}

static void on_run_finished(void *userdata, const RunResult *result)
{
	Job *job = userdata;
	Server *server = job->server;
	McpCall *call = job_end(job);
	json_t *object = NULL;
	int r;

	if (!call)
		return;
	r = result_json(result, &object);
	server_fail(server, r < 0 ? mcp_call_failed(call, strerror(-r)) : mcp_call_result(call, object));
}

static const ClientHandler run_handler = { .output = on_run_output, .finished = on_run_finished };

static void on_sessions(void *userdata, sd_bus_message *reply, const char *why)
{
	Job *job = userdata;
	Server *server = job->server;
	McpCall *call = job_end(job);
	json_t *sessions = NULL;
	int r;

	if (!call)
		return;
	r = reply ? sessions_json(reply, &sessions) : 0;
	if (!reply || r < 0)
		server_fail(server, mcp_call_failed(call, reply ? strerror(-r) : why));
	else
		server_fail(server, mcp_call_sessions(call, sessions));
}

static void on_reset(void *userdata, sd_bus_message *reply, const char *why)
{
	Job *job = userdata;
	Server *server = job->server;
	McpCall *call = job_end(job);

	if (call)
		server_fail(server, reply ? mcp_call_reset(call) : mcp_call_failed(call, why));
}

static void on_verb(void *userdata, const ChildEnd *end)
{
	Job *job = userdata;
	Server *server = job->server;
	McpCall *call = job_end(job);

	if (call)
		server_fail(server, mcp_call_verb(call, end));
}

/* Runs were told before; calls of other kinds are not, and verbs go on. */
static void on_gone(void *userdata)
{
	Server *server = userdata;
	Job *next;

	server->client = client_free(server->client);
	for (Job *job = server->jobs; job; job = next) {
		McpCall *call;

		next = job->next;
		if (job->child)
			continue;
		call = job_end(job);
		if (call)
			server_fail(server, mcp_call_failed(call, "the keeper ended the connection"));
	}
}

static int server_connect(Server *server, char *why, size_t why_size)
{
	if (server->client)
		return 0;
	return client_new(server->event, on_gone, server, &server->client, why, why_size);
}

/* ---- hooks ---- */

static void hook_send(void *userdata, const json_t *message)
{
	Server *server = userdata;
	_cleanup_free_ char *text = NULL;
	size_t n;

	text = jsontext_print(message, &n);
	server_fail(server, text ? line_write(server->writer, text, n) : -ENOMEM);
}

static int hook_failed(Job *job, int r, char *why, size_t why_size)
{
	if (r < 0) {
		(void)snprintf(why, why_size, "%s",
			r == -EBUSY ? "runs that were cancelled have not ended yet" : strerror(-r));
		if (job)
			(void)job_end(job);
	}
	return r;
}

static int hook_run(void *userdata, McpCall *call, const RunOptions *options, const char *code, size_t n, char *why,
	size_t why_size)
{
	Server *server = userdata;
	_cleanup_close_ int code_fd = -EBADF;
	Job *job = NULL;
	int r;

	r = server_connect(server, why, why_size);
	if (r < 0)
		return r;
	code_fd = client_seal(server->client, code, n, false);
	if (code_fd < 0)
		return hook_failed(NULL, code_fd, why, why_size);
	r = job_new(server, call, &job);
	if (r >= 0)
		r = client_run(server->client, code_fd, options, &run_handler, job, &job->run);
	if (r >= 0)
		r = sd_event_source_set_enabled(server->timer, SD_EVENT_ON);
	return hook_failed(job, r, why, why_size);
}

static int hook_sessions(void *userdata, McpCall *call, char *why, size_t why_size)
{
	Server *server = userdata;
	Job *job = NULL;
	int r;

	r = server_connect(server, why, why_size);
	if (r < 0)
		return r;
	r = job_new(server, call, &job);
	if (r >= 0)
		r = client_call(server->client, "Repls", on_sessions, job, "");
	return hook_failed(job, r, why, why_size);
}

static int hook_reset(void *userdata, McpCall *call, const char *language, const char *name, char *why, size_t why_size)
{
	Server *server = userdata;
	Job *job = NULL;
	int r;

	r = server_connect(server, why, why_size);
	if (r < 0)
		return r;
	r = job_new(server, call, &job);
	if (r >= 0)
		r = client_call(server->client, "Reset", on_reset, job, "ss", language, name);
	return hook_failed(job, r, why, why_size);
}

/* This program again: a verb is tried and tested alone, and what goes wrong in it ends with it. */
static int hook_verb(
	void *userdata, McpCall *call, const StrList *words, uint64_t timeout_usec, char *why, size_t why_size)
{
	Server *server = userdata;
	_cleanup_free_ char **argv = calloc(words->n + 2, sizeof(*argv));
	Job *job = NULL;
	int r;

	if (!argv)
		return hook_failed(NULL, -ENOMEM, why, why_size);
	argv[0] = program_invocation_short_name;
	memcpy(argv + 1, words->items, words->n * sizeof(*argv));
	r = job_new(server, call, &job);
	if (r >= 0)
		r = child_start(server->event, "/proc/self/exe", argv, timeout_usec, on_verb, job, &job->child);
	if (r >= 0)
		r = sd_event_source_set_enabled(server->timer, SD_EVENT_ON);
	return hook_failed(job, r, why, why_size);
}

static void hook_stop(void *userdata, McpCall *call)
{
	Job *job = mcp_call_get(call);

	if (!job)
		return;
	job->call = NULL;
	if (job->run)
		client_stop(job->run);
	if (job->child)
		child_stop(job->child);
}

static const McpHooks hooks = {
	.send = hook_send,
	.run = hook_run,
	.sessions = hook_sessions,
	.reset = hook_reset,
	.verb = hook_verb,
	.stop = hook_stop,
};

/* ---- input and output ---- */

/* The client reads, or does not: so does the server. */
static int server_pause(Server *server)
{
	bool paused = line_waiting(server->writer) > WAITING_MAX;
	int r;

	if (server->client) {
		r = client_pause(server->client, paused);
		if (r < 0)
			return r;
	}
	server->paused = paused;
	return sd_event_source_set_enabled(server->input, paused || server->ended ? SD_EVENT_OFF : SD_EVENT_ON);
}

/* What the reader has. Stops in between when answers wait. */
static int server_serve(Server *server)
{
	int r = server_pause(server);

	while (r >= 0 && !server->paused) {
		char *line = NULL;
		size_t n = 0;
		LineEvent event = line_next(&server->reader, &line, &n);

		if (event == LINE_NONE)
			return 0;
		if (event == LINE_TOO_LONG)
			r = mcp_bad_line(server->mcp, "the message is longer than 16 MiB");
		else if (n > strspn(line, " \t"))
			r = mcp_line(server->mcp, line, n);
		if (r >= 0)
			r = server_pause(server);
	}
	return r;
}

static int server_end(Server *server)
{
	int r = 0;

	server->ended = true;
	if (line_pending(&server->reader))
		r = mcp_bad_line(server->mcp, "the input ended within a message");
	server->mcp = mcp_free(server->mcp);
	server->client = client_free(server->client);
	if (r >= 0)
		r = sd_event_source_set_enabled(server->input, SD_EVENT_OFF);
	if (r >= 0 && line_waiting(server->writer))
		return sd_event_source_set_enabled(server->timer, SD_EVENT_ON);
	return r < 0 ? r : sd_event_exit(server->event, EXIT_SUCCESS);
}

static int server_read(Server *server)
{
	size_t room = 0;
	char *at = line_room(&server->reader, &room);
	ssize_t n = at ? read(STDIN_FILENO, at, room) : -1;

	if (!at)
		return -ENOMEM;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return server_end(server);
	line_added(&server->reader, (size_t)n);
	return server_serve(server);
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	server_fail(userdata, server_read(userdata));
	return 0;
}

/* A regular file is always ready. */
static int on_input_file(sd_event_source *source, void *userdata)
{
	return on_input(source, STDIN_FILENO, EPOLLIN, userdata);
}

static void on_written(void *userdata)
{
	Server *server = userdata;

	if (server->ended) {
		if (!line_waiting(server->writer))
			(void)sd_event_exit(server->event, EXIT_SUCCESS);
		return;
	}
	if (server->paused && line_waiting(server->writer) <= WAITING_MAX / 2)
		server_fail(server, server_serve(server));
}

static void on_write_failed(void *userdata, int r)
{
	server_fail(userdata, r);
}

static const LineWriterHandler writer_handler = { .progress = on_written, .failed = on_write_failed };

static int on_tick(sd_event_source *source, uint64_t now, void *userdata)
{
	Server *server = userdata;
	int r;

	if (server->ended) {
		if (++server->drained >= DRAIN_TICKS)
			return sd_event_exit(server->event, EXIT_FAILURE);
	} else if (!mcp_calls(server->mcp)) {
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	} else if (!server->paused) {
		server_fail(server, mcp_progress(server->mcp));
	}
	r = sd_event_source_set_time(source, now + TICK_USEC);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ON);
}

static void server_done(Server *server)
{
	server->mcp = mcp_free(server->mcp);
	server->client = client_free(server->client);
	while (server->jobs) {
		server->jobs->child = child_free(server->jobs->child);
		(void)job_end(server->jobs);
	}
	server->writer = line_writer_free(server->writer);
	line_reader_done(&server->reader);
	sd_event_source_disable_unref(server->input);
	sd_event_source_disable_unref(server->timer);
	sd_event_unref(server->event);
}

static int server_run(Server *server, const McpFolders *folders)
{
	int r;

	r = sd_event_new(&server->event);
	if (r >= 0)
		r = line_writer_new(server->event, STDOUT_FILENO, &writer_handler, server, &server->writer);
	if (r >= 0)
		r = mcp_new(&hooks, server, folders, &server->mcp);
	if (r >= 0) {
		r = sd_event_add_io(server->event, &server->input, STDIN_FILENO, EPOLLIN, on_input, server);
		if (r == -EPERM)
			r = sd_event_add_defer(server->event, &server->input, on_input_file, server);
	}
	if (r >= 0)
		r = sd_event_source_set_enabled(server->input, SD_EVENT_ON);
	if (r >= 0)
		r = sd_event_add_time_relative(
			server->event, &server->timer, CLOCK_MONOTONIC, TICK_USEC, TICK_USEC / 10, on_tick, server);
	if (r >= 0)
		r = sd_event_source_set_enabled(server->timer, SD_EVENT_OFF);
	return r < 0 ? r : sd_event_loop(server->event);
}

int mcp_main(const char *workspace, const char *output)
{
	_cleanup_(server_done) Server server = { .reader = { .max = JSONTEXT_BYTES_MAX } };
	_cleanup_free_ char *workspace_path = NULL, *output_path = NULL, *runs_path = NULL;
	const char *home = getenv("HOME");
	McpFolders folders;
	int r;

	if (!home || *home != '/') {
		(void)fprintf(stderr, "creel: mcp: HOME is not set\n");
		return EXIT_FAILURE;
	}
	workspace_path = *workspace == '/' ? strdup(workspace) : str_format("%s/%s", home, workspace);
	output_path = *output == '/' ? strdup(output) : str_format("%s/%s", home, output);
	runs_path = str_format("%s/.creel/output", home);
	folders = (McpFolders){ .workspace = workspace_path, .output = output_path, .runs = runs_path };
	(void)signal(SIGPIPE, SIG_IGN);
	r = workspace_path && output_path && runs_path ? server_run(&server, &folders) : -ENOMEM;
	if (r < 0)
		(void)fprintf(stderr, "creel: mcp: %s\n", strerror(-r));
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
