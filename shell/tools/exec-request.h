/* SPDX-License-Identifier: MIT */
/* One line of a client of creel exec-server (creel-exec-server(7)), read. Pure: whatever the bytes are, the answer is a request or a sentence. */
#pragma once

#include "shell/bus/run.h"
#include "shell/tools/fields.h"

#define EXEC_ID_MAX 256U /* bytes of an id that is a string */

typedef enum ExecMethod {
	EXEC_RUN,
	EXEC_CANCEL,
	EXEC_RESET,
	EXEC_SESSIONS,
	EXEC_LIMITS,
	EXEC_METHODS_N,
} ExecMethod;

typedef struct ExecRequest {
	json_t *json; /* all strings belong to it */
	json_t *id;   /* a string or an integer; NULL where the line has none that can be used */
	ExecMethod method;
	FieldText code, input; /* run; input.bytes NULL: none */
	json_t *target;        /* cancel: the id of a run */
	RunOptions options;    /* run; reset: language and session */
} ExecRequest;

/* What is wrong, in a word that programs compare. */
typedef enum ExecError {
	EXEC_PARSE,   /* no JSON */
	EXEC_INVALID, /* JSON, but no request */
	EXEC_UNKNOWN_METHOD,
	EXEC_DUPLICATE_ID,
	EXEC_TOO_LONG,    /* a line */
	EXEC_TOO_MANY,    /* in flight */
	EXEC_HALF_LINE,   /* at the end of the input */
	EXEC_UNAVAILABLE, /* the keeper */
	EXEC_FAILED,      /* memory, or the keeper refused what is no run */
	EXEC_ERRORS_N,
} ExecError;

const char *exec_error_name(ExecError error);

/*
 * Returns 0, -ENOMEM, or -EINVAL with `ret_error` and a sentence in `why`. `ret` is to be freed by exec_request_done() in
 * each case: its id is there as soon as the line had one.
 */
_must_check_ int exec_request_read(
	const char *line, size_t n, ExecRequest *ret, ExecError *ret_error, char *why, size_t why_size);
void exec_request_done(ExecRequest *request);
