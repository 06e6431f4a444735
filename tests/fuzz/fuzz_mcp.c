/* SPDX-License-Identifier: MIT */
/*
 * Messages to `creel mcp`, line by line. Runs end when a line says so, in the order in which they began; what is answered must
 * be JSON of the protocol, each request at most once, and nothing may be left in the end.
 */
#include "shell/tools/mcp.h"
#include "shell/tools/result.h"

#include <string.h>

#define WAITING_MAX (MCP_CALLS_MAX + 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct {
	McpCall *calls[WAITING_MAX];
	size_t n;
} waiting;

static void check_message(const json_t *message)
{
	const json_t *version = json_object_get(message, "jsonrpc");

	if (!version || strcmp(json_string_value(version), "2.0") != 0 ||
		!json_object_get(message, "method") + !json_object_get(message, "result") +
				!json_object_get(message, "error") !=
			2)
		__builtin_trap();
}

static void hook_send(void *userdata, const json_t *message)
{
	json_t *one;
	size_t i;

	if (!json_is_array(message)) {
		check_message(message);
		return;
	}
	if (!json_array_size(message) || json_array_size(message) > MCP_BATCH_MAX)
		__builtin_trap();
	json_array_foreach(message, i, one) check_message(one);
}

static int wait_for(McpCall *call, char *why, size_t why_size)
{
	if (waiting.n >= WAITING_MAX)
		__builtin_trap();
	waiting.calls[waiting.n++] = call;
	return 0;
}

/* What asks for no time at all is refused. */
static int hook_run(void *userdata, McpCall *call, const RunOptions *options, const char *code, size_t n, char *why,
	size_t why_size)
{
	if (!*options->language || !options->timeout_usec)
		__builtin_trap();
	if (n && code[0] == '!') {
		(void)snprintf(why, why_size, "refused");
		return -EPERM;
	}
	mcp_call_output(call, code, n);
	return wait_for(call, why, why_size);
}

static int hook_sessions(void *userdata, McpCall *call, char *why, size_t why_size)
{
	return wait_for(call, why, why_size);
}

static int hook_reset(void *userdata, McpCall *call, const char *language, const char *name, char *why, size_t why_size)
{
	if (!language || !name)
		__builtin_trap();
	return wait_for(call, why, why_size);
}

/* Words of the client's are values of options, or stand behind "--". */
static int hook_verb(
	void *userdata, McpCall *call, const StrList *words, uint64_t timeout_usec, char *why, size_t why_size)
{
	if (!words->n || !timeout_usec)
		__builtin_trap();
	return wait_for(call, why, why_size);
}

static void hook_stop(void *userdata, McpCall *call)
{
	for (size_t i = 0; i < waiting.n; i++)
		if (waiting.calls[i] == call) {
			memmove(&waiting.calls[i], &waiting.calls[i + 1], (--waiting.n - i) * sizeof(*waiting.calls));
			return;
		}
	__builtin_trap();
}

static void finish_one(char how)
{
	static const RunFile files[] = { { .name = "a \xff.png", .bytes = 3, .sha256 = "00", .status = RUN_FILE_OK } };
	RunResult result = { .stdout_fd = -EBADF,
		.stderr_fd = -EBADF,
		.stdout_file = "",
		.stderr_file = "",
		.error = how == '1' ? "Error: exit status 1" : "",
		.files_directory = "/o",
		.files = (RunFile *)files,
		.n_files = 1 };
	json_t *object = NULL;
	McpCall *call;

	if (!waiting.n)
		return;
	call = waiting.calls[0];
	memmove(&waiting.calls[0], &waiting.calls[1], --waiting.n * sizeof(*waiting.calls));
	if (how == '3' || how == '4') {
		const ChildEnd end = {
			.status = how == '4', .out = "[1]\n", .out_n = 4, .err = "x: \xff\n", .err_n = 5
		};

		if (mcp_call_verb(call, &end) != 0)
			__builtin_trap();
		return;
	}
	if (how == '2') {
		if (mcp_call_failed(call, "gone") != 0)
			__builtin_trap();
		return;
	}
	if (result_json(&result, &object) != 0 || mcp_call_result(call, object) != 0)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const McpHooks hooks = { hook_send, hook_run, hook_sessions, hook_reset, hook_verb, hook_stop };
	static const McpFolders folders = { "/nonexistent", "/nonexistent/output", "/nonexistent/runs" };
	const char *line = (const char *)data;
	Mcp *mcp = NULL;

	if (mcp_new(&hooks, NULL, &folders, &mcp) != 0)
		__builtin_trap();
	while (n) {
		const char *end = memchr(line, '\n', n);
		size_t length = end ? (size_t)(end - line) : n;

		if (length == 2 && line[0] == '.')
			finish_one(line[1]);
		else if ((end ? mcp_line(mcp, line, length) : mcp_bad_line(mcp, "half a line")) != 0 ||
			 mcp_progress(mcp) != 0)
			__builtin_trap();
		length += end ? 1 : 0;
		line += length;
		n -= length;
	}
	if (mcp_calls(mcp) != waiting.n)
		__builtin_trap();
	mcp_free(mcp);
	if (waiting.n)
		__builtin_trap();
	return 0;
}
