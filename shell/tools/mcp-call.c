/* SPDX-License-Identifier: MIT */
/* tools/call: from a request to what the keeper is asked for, and from what came of it to the answer. */
#include "shell/tools/language.h"
#include "shell/tools/mcp-files.h"
#include "shell/tools/mcp-tools.h"
#include "shell/base/str.h"

#include <string.h>

/* A call of a tool, or NULL: memory is out. */
McpCall *tool_call_new(McpRequest *request, const McpTool *tool)
{
	McpCall *call = call_new(request);

	if (!call)
		return NULL;
	call->tool = tool;
	request->mcp->n_calls++;
	request->pending = true;
	return call;
}

/* What was asked of the program failed at once: answered now. */
json_t *tool_call_refused(McpRequest *request, McpCall *call, const char *why)
{
	const McpTool *tool = call->tool;

	request->pending = false;
	call_free(call);
	return tool_failure(tool, request->version, why);
}

static json_t *run_begin(McpRequest *request, const McpTool *tool, const ToolInput *input, const char *language,
	const char *label, const char *code, size_t n)
{
	RunOptions options = RUN_OPTIONS_NONE;
	McpCall *call;
	char why[512];
	int r;

	call = tool_call_new(request, tool);
	if (!call)
		return NULL;
	options.language = language;
	options.label = label;
	options.arguments = input->arguments;
	options.timeout_usec = call->timeout_usec = input->timeout_usec;
	options.session = input->session;
	options.figures = input->figures;
	options.follow = call->token != NULL;
	options.collect = true;
	r = request->mcp->hooks->run(request->mcp->userdata, call, &options, code, n, why, sizeof(why));
	return r < 0 ? tool_call_refused(request, call, why) : NULL;
}

json_t *tool_run(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	return run_begin(request, tool, input, input->language, "", input->code.bytes, input->code.n);
}

json_t *tool_run_file(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	const McpFolders *folders = &request->mcp->folders;
	const char *below, *language = input->language, *label;
	_cleanup_free_ char *code = NULL;
	_cleanup_close_ int fd = -EBADF;
	FileFolder folder;
	struct stat status = { 0 };
	char why[512];
	size_t n = 0;
	int r;

	r = folder_find(folders, input->path, FOLDER_WORKSPACE, &folder, &below);
	if (r == 0)
		r = folder_open_file(folder_path(folders, folder), below, &fd, &status);
	if (r == 0 && (uint64_t)status.st_size > RUN_CODE_MAX)
		r = -E2BIG;
	if (r == 0)
		r = folder_read(fd, 0, (size_t)status.st_size, &code, &n);
	if (r == -ENOMEM)
		return NULL;
	if (r < 0)
		return tool_failure(tool, request->version, folder_failure(r, input->path, why, sizeof(why)));
	if (!language)
		language = language_of_path(input->path);
	if (!language)
		language = language_of_code(code, n);
	if (!language)
		return tool_failure(tool, request->version,
			"`language` is needed: neither the file's extension nor its first line says it");
	/* the end of a long path says more than its begin */
	label = input->path;
	if (strlen(label) > RUN_LABEL_MAX)
		label += strlen(label) - RUN_LABEL_MAX;
	return run_begin(request, tool, input, language, label, code, n);
}

json_t *tool_reset(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	McpCall *call = tool_call_new(request, tool);
	char why[512];

	if (!call)
		return NULL;
	call->language = strcmp(input->language, "python") == 0       ? "Python"
			 : strcmp(input->language, "javascript") == 0 ? "JavaScript"
			 : strcmp(input->language, "typescript") == 0 ? "TypeScript"
								      : "Bash";
	if (request->mcp->hooks->reset(
		    request->mcp->userdata, call, input->language, input->session, why, sizeof(why)) < 0)
		return tool_call_refused(request, call, why);
	return NULL;
}

json_t *tool_sessions(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	McpCall *call = tool_call_new(request, tool);
	char why[512];

	if (!call)
		return NULL;
	if (request->mcp->hooks->sessions(request->mcp->userdata, call, why, sizeof(why)) < 0)
		return tool_call_refused(request, call, why);
	return NULL;
}

json_t *method_tools_call(McpRequest *request)
{
	const json_t *name = json_object_get(request->params, "name"),
		     *arguments = json_object_get(request->params, "arguments");
	ToolInput input = { 0 };
	const McpTool *tool;
	char why[512];
	json_t *result;
	int r;

	if (!json_is_string(name))
		return request_fail(request, MCP_INVALID_PARAMS, NULL, "tools/call: name must be a string");
	tool = tool_find(json_string_value(name));
	if (!tool)
		return request_fail(request, MCP_INVALID_PARAMS, NULL, "Unknown tool: %s",
			str_quote(json_string_value(name), json_string_length(name), why, 128));
	if (json_is_null(arguments))
		arguments = NULL;
	if (arguments && !json_is_object(arguments))
		return request_fail(request, MCP_INVALID_PARAMS, NULL, "tools/call: arguments must be an object");
	if (request->mcp->n_calls >= MCP_CALLS_MAX) {
		(void)snprintf(why, sizeof(why), "%u calls wait for their results already", MCP_CALLS_MAX);
		return tool_failure(tool, request->version, why);
	}
	r = input_read(tool, arguments, &input, why, sizeof(why));
	if (r < 0)
		return r == -EINVAL ? tool_failure(tool, request->version, why) : NULL;
	result = tool->call(request, tool, &input);
	input_done(&input);
	return result;
}

/* ---- what came of it ---- */

void mcp_call_set(McpCall *call, void *run)
{
	call->run = run;
}

void *mcp_call_get(const McpCall *call)
{
	return call->run;
}

/* Keeps the begin of the last line that has one. */
void mcp_call_output(McpCall *call, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n' || bytes[i] == '\r') {
			call->line_ended = true;
			continue;
		}
		if (call->line_ended)
			call->line_n = 0;
		call->line_ended = false;
		if (call->line_n < sizeof(call->line))
			call->line[call->line_n++] = bytes[i];
	}
}

int call_answer(McpCall *call, json_t *result)
{
	Mcp *mcp = call->mcp;

	server_answer(mcp, call->batch, result ? server_result(call->version, call->id, result) : NULL);
	call_free(call);
	return mcp->failed ? -ENOMEM : 0;
}

int mcp_call_result(McpCall *call, json_t *result)
{
	_cleanup_json_ json_t *files = json_incref(json_object_get(result, "files"));
	bool failed = !json_is_null(json_object_get(result, "error"));
	json_t *answer = tool_result(call->version, result, failed);

	if (answer && call->version >= MCP_2025_06_18)
		resource_links(call->mcp, json_object_get(answer, "content"), files);
	return call_answer(call, answer);
}

int mcp_call_sessions(McpCall *call, json_t *sessions)
{
	return call_answer(call, tool_result(call->version, json_pack("{s:o}", "sessions", sessions), false));
}

int mcp_call_reset(McpCall *call)
{
	_cleanup_free_ char *text = str_format("%s REPL reset.\n", call->language);

	return call_answer(
		call, text ? tool_result(call->version,
				     json_pack("{s:s, s:s, s:n}", "stdout", text, "stderr", "", "error"), false)
			   : NULL);
}

int mcp_call_failed(McpCall *call, const char *why)
{
	return call_answer(call, tool_failure(call->tool, call->version, why));
}
