/* SPDX-License-Identifier: MIT */
/* The tools: what each takes and gives. One table, from which the schemas are made and the arguments are read. */
#pragma once

#include "shell/tools/fields.h"
#include "shell/tools/mcp-server.h"

#define TOOL_ARGUMENTS_MAX 6

/* Arguments of all tools, read. Strings belong to the request; `arguments` is freed by input_done(). */
typedef struct ToolInput {
	FieldText code;
	const char *session, *language, *path, *folder;
	char **arguments;
	uint64_t timeout_usec, offset, bytes;
	bool figures, recursive;
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

/* mcp-call.c */
json_t *tool_run(McpRequest *request, const McpTool *tool, const ToolInput *input);
json_t *tool_run_file(McpRequest *request, const McpTool *tool, const ToolInput *input);
json_t *tool_reset(McpRequest *request, const McpTool *tool, const ToolInput *input);
json_t *tool_sessions(McpRequest *request, const McpTool *tool, const ToolInput *input);
/* mcp-resources.c */
json_t *tool_list(McpRequest *request, const McpTool *tool, const ToolInput *input);
json_t *tool_read(McpRequest *request, const McpTool *tool, const ToolInput *input);

const McpTool *tool_find(const char *name);

/* Returns 0, -ENOMEM, or -EINVAL with a sentence that names the argument in `why`. */
_must_check_ int input_read(const McpTool *tool, const json_t *arguments, ToolInput *ret, char *why, size_t why_size);
void input_done(ToolInput *input);
