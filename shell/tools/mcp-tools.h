/* SPDX-License-Identifier: MIT */
/* The tools: what each takes and gives. One table, from which the schemas are made and the arguments are read. */
#pragma once

#include "shell/tools/fields.h"
#include "shell/tools/mcp-server.h"

#define TOOL_ARGUMENTS_MAX 10

/* Arguments of all tools, read. Strings belong to the request; the arrays are freed by input_done(). */
typedef struct ToolInput {
	FieldText code;
	const char *session, *language, *path, *folder;
	const char *name, *schedule, *script, *directory, *health, *ready_log, *restart;
	char **arguments, **environment;
	uint64_t timeout_usec, offset, bytes, port, lines;
	bool figures, recursive, replace, restarts, run_now;
} ToolInput;

typedef struct ToolArgument {
	Field field;
	const char *description;
	const char *words;    /* what it may be, by blanks; NULL: anything of its type */
	const char *fallback; /* as JSON; NULL: none is told */
} ToolArgument;

struct McpTool {
	const char *name, *title, *description;
	ToolArgument arguments[TOOL_ARGUMENTS_MAX];
	const char *output;             /* JSON schema */
	bool runs;                      /* its answer is a run's result, also when it fails */
	bool reads;                     /* changes nothing */
	const char *language, *session; /* of what it runs; session: where none is asked for */
	json_t *(*call)(McpRequest *request, const McpTool *tool, const ToolInput *input);
};

#define ARGUMENT(key, kind, member, ...)                                         \
	{                                                                        \
		.field = { key, kind, offsetof(ToolInput, member) }, __VA_ARGS__ \
	}
#define REQUIRED(key, kind, member, ...)                                               \
	{                                                                              \
		.field = { key, kind, offsetof(ToolInput, member), true }, __VA_ARGS__ \
	}
#define STRING_OR_NULL "{\"type\": [\"string\", \"null\"]}"
#define COUNT "{\"type\": \"integer\", \"minimum\": 0}"

/* mcp-call.c */
McpCall *tool_call_new(McpRequest *request, const McpTool *tool);
json_t *tool_call_refused(McpRequest *request, McpCall *call, const char *why);
json_t *tool_run(McpRequest *request, const McpTool *tool, const ToolInput *input);
json_t *tool_run_file(McpRequest *request, const McpTool *tool, const ToolInput *input);
json_t *tool_reset(McpRequest *request, const McpTool *tool, const ToolInput *input);
json_t *tool_sessions(McpRequest *request, const McpTool *tool, const ToolInput *input);
/* mcp-resources.c */
json_t *tool_list(McpRequest *request, const McpTool *tool, const ToolInput *input);
json_t *tool_read(McpRequest *request, const McpTool *tool, const ToolInput *input);

/* mcp-living.c: what lives on, by creel's own verbs */
extern const McpTool living_tools[];
extern const size_t living_tools_n;

const McpTool *tool_find(const char *name);

/* Returns 0, -ENOMEM, or -EINVAL with a sentence that names the argument in `why`. */
_must_check_ int input_read(const McpTool *tool, const json_t *arguments, ToolInput *ret, char *why, size_t why_size);
void input_done(ToolInput *input);
