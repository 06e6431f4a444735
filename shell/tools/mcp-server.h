/* SPDX-License-Identifier: MIT */
/* What the files of the server share. Who builds a message that memory is out for passes NULL on; server_send() notes it. */
#pragma once

#include "shell/tools/mcp.h"

#include <stdbool.h>

/* JSON-RPC 2.0, and what MCP adds. */
#define MCP_PARSE_ERROR -32700
#define MCP_INVALID_REQUEST -32600
#define MCP_METHOD_NOT_FOUND -32601
#define MCP_INVALID_PARAMS -32602
#define MCP_INTERNAL_ERROR -32603
#define MCP_RESOURCE_NOT_FOUND -32002 /* up to 2025-11-25; MCP_INVALID_PARAMS since */
#define MCP_UNSUPPORTED_VERSION -32022

typedef enum McpVersion {
	MCP_2024_11_05,
	MCP_2025_03_26,
	MCP_2025_06_18,
	MCP_2025_11_25,
	MCP_2026_07_28,
	MCP_VERSIONS_N,
	MCP_NONE = MCP_VERSIONS_N, /* nothing was agreed on */
} McpVersion;

#define MCP_LATEST_LEGACY MCP_2025_11_25 /* the last one with a handshake */

/* Answers of a batch: sent together, once all are there. */
typedef struct McpBatch {
	json_t *answers;
	size_t waiting; /* messages that are not done with, and one for the reading of the batch */
	size_t read;    /* bytes of files in the answers */
} McpBatch;

/* A request while it is looked at. */
typedef struct McpRequest {
	Mcp *mcp;
	json_t *id, *params, *token; /* borrowed; params and token may be NULL */
	McpVersion version;
	McpBatch *batch; /* NULL: it came alone */
	json_t *error;   /* set by request_fail() */
	bool pending;    /* a call was made: the answer comes later, or never */
} McpRequest;

typedef struct McpTool McpTool; /* mcp-tools.h */

/* A request that waits for its answer. */
struct McpCall {
	Mcp *mcp;
	McpCall *next;
	json_t *id, *token; /* owned; token may be NULL */
	McpVersion version;
	McpBatch *batch;
	const McpTool *tool; /* NULL: subscriptions/listen */
	const char *language;
	uint64_t begun_usec, timeout_usec; /* CLOCK_MONOTONIC; RUN_DEFAULT: not asked for */
	char line[160];                    /* the last line of output */
	size_t line_n;
	bool line_ended;
	void *run;
};

struct Mcp {
	const McpHooks *hooks;
	void *userdata;
	McpFolders folders;
	McpVersion version; /* of the handshake; MCP_NONE before it */
	McpCall *calls;
	size_t n_calls, n_listeners;
	bool failed; /* memory was out */
};

/* mcp-message.c */
void server_send(Mcp *mcp, json_t *message);                                 /* consumes it */
void server_answer(Mcp *mcp, McpBatch *batch, json_t *message);              /* the same, with the rest of its batch */
McpBatch *batch_unref(Mcp *mcp, McpBatch *batch);                            /* one message less to wait for */
json_t *server_result(McpVersion version, const json_t *id, json_t *result); /* the message; consumes the result */

/* The request fails; returns NULL. `data` is consumed and may be NULL. */
json_t *request_fail(McpRequest *request, int code, json_t *data, const char *format, ...) _printf_(4, 5);

/* A call that waits, and its end. */
McpCall *call_new(McpRequest *request);
void call_free(McpCall *call);

/* mcp-version.c */
const char *mcp_version_name(McpVersion version);
McpVersion mcp_version_of(const char *name); /* MCP_NONE: none of ours */
json_t *mcp_server_info(void);
json_t *mcp_versions(void); /* the names of all, newest first */
json_t *method_initialize(McpRequest *request);
json_t *method_discover(McpRequest *request);

/* mcp-tools.c */
json_t *method_tools_list(McpRequest *request);
json_t *tool_result(McpVersion version, json_t *structured, bool failed);
json_t *tool_failure(const McpTool *tool, McpVersion version, const char *why);

/* mcp-call.c */
json_t *method_tools_call(McpRequest *request);
int call_answer(McpCall *call, json_t *result); /* consumes both; 0 or -ENOMEM */

/* mcp-resources.c */
json_t *method_resources_list(McpRequest *request);
json_t *method_resources_read(McpRequest *request);
json_t *method_templates_list(McpRequest *request);
void resource_links(const Mcp *mcp, json_t *content, const json_t *files);
