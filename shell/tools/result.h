/* SPDX-License-Identifier: MIT */
/* The result of a run as a JSON object: what creel run --json, creel exec-server and creel mcp all give. */
#pragma once

#include "shell/bus/run.h"
#include "shell/tools/jsontext.h"

/*
 * The members stand in this order: stdout stderr error exit_code signal reason duration_ms cpu_ms memory_peak truncated
 * files state. Reads the descriptors of `result`, by pread(2). Returns 0 or a negative errno; the caller unrefs.
 */
_must_check_ int result_json(const RunResult *result, json_t **ret);

/*
 * One stream (1 or 2) as text in new memory: head and tail joined by a line that says what is left out; bytes that are no
 * UTF-8 are as they came. Returns 0 or a negative errno.
 */
_must_check_ int result_text(const RunResult *result, unsigned int stream, char **ret, size_t *ret_n);

/* "SIGKILL", "SIGRTMIN+3". Returns `buffer`; 32 bytes are enough. */
const char *result_signal(int signal_number, char *buffer, size_t size);
