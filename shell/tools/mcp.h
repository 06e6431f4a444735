/* SPDX-License-Identifier: MIT */
/*
 * A Model Context Protocol server without its descriptors: lines go in by mcp_line(), messages come out by a hook, and what
 * the keeper has to do is asked for by hooks and answered later. The program around it is mcp.c; tests and the fuzzer have
 * hooks of their own.
 *
 * Sources: modelcontextprotocol.io, revisions 2024-11-05, 2025-03-26, 2025-06-18 and 2025-11-25 (a handshake, then what was
 * agreed on holds for the connection) and 2026-07-28 (no handshake, each request says its revision). Both kinds may come over
 * one connection. JSON-RPC 2.0.
 *
 * Context: `creel mcp`, as the agent. Privilege: none; it reaches what the agent reaches.
 */
#pragma once

#include "shell/base/str.h"
#include "shell/bus/run.h"
#include "shell/tools/child.h"
#include "shell/tools/jsontext.h"

#define MCP_CALLS_MAX RUNS_MAX           /* calls of tools that are not answered yet */
#define MCP_LISTENERS_MAX 8U             /* subscriptions/listen */
#define MCP_BATCH_MAX 32U                /* messages of a batch */
#define MCP_ID_MAX 1024U                 /* bytes of an id or a progress token */
#define MCP_FILE_MAX (10U * 1024 * 1024) /* bytes of a resource, and of those of a batch */

typedef struct Mcp Mcp;
typedef struct McpCall McpCall;

/*
 * What is asked of the program. A call that was handed out is answered once, by one of the mcp_call_ functions below, unless
 * stop() took it back; it must not be touched after that. run(), sessions(), reset() and verb() return 0, or a negative errno
 * with the reason in `why`: then nothing was asked for.
 */
typedef struct McpHooks {
	void (*send)(void *userdata, const json_t *message);
	int (*run)(void *userdata, McpCall *call, const RunOptions *options, const char *code, size_t n, char *why,
		size_t why_size);
	int (*sessions)(void *userdata, McpCall *call, char *why, size_t why_size);
	int (*reset)(void *userdata, McpCall *call, const char *language, const char *name, char *why, size_t why_size);
	/* one of creel's own verbs, with its words behind the program's name; the call has its time limit */
	int (*verb)(
		void *userdata, McpCall *call, const StrList *words, uint64_t timeout_usec, char *why, size_t why_size);
	void (*stop)(void *userdata, McpCall *call); /* what it does ends; nothing more is told of it */
} McpHooks;

/* The folders that files are read from, absolute paths. */
typedef struct McpFolders {
	const char *workspace, *output, *runs;
} McpFolders;

/* `hooks` and what `folders` points to live longer than the server. Returns 0 or -ENOMEM. */
_must_check_ int mcp_new(const McpHooks *hooks, void *userdata, const McpFolders *folders, Mcp **ret);

/* Stops all calls. */
Mcp *mcp_free(Mcp *mcp);
DEFINE_CLEANUP(Mcp, mcp_free)

/* One line without its end. All that is wrong with it is answered. Returns 0, or -ENOMEM: the server is of no use any more. */
_must_check_ int mcp_line(Mcp *mcp, const char *line, size_t n);

/* A line that never came whole: too long, or the input ended within it. */
_must_check_ int mcp_bad_line(Mcp *mcp, const char *why);

/* Sends progress of each call whose client asked for it; once a second. */
_must_check_ int mcp_progress(Mcp *mcp);

/* Calls that are not answered yet. */
size_t mcp_calls(const Mcp *mcp);

/* What run() may keep with a call. */
void mcp_call_set(McpCall *call, void *run);
void *mcp_call_get(const McpCall *call);

/* Output while it runs: its last line stands in progress messages. Comes only where the options said `follow`. */
void mcp_call_output(McpCall *call, const char *bytes, size_t n);

/* Answers; each consumes `call` and the object. NULL is -ENOMEM. A run's result is the object of result.h. */
_must_check_ int mcp_call_result(McpCall *call, json_t *result);
_must_check_ int mcp_call_sessions(McpCall *call, json_t *sessions); /* an array */
_must_check_ int mcp_call_reset(McpCall *call);
_must_check_ int mcp_call_verb(McpCall *call, const ChildEnd *end);
_must_check_ int mcp_call_failed(McpCall *call, const char *why); /* a sentence */
