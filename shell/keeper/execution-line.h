/* SPDX-License-Identifier: MIT */
/* Arguments as a line for people: what a shell would take for the same words. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * "ls -l 'a b'": `n` bytes of arguments with a NUL behind each, as a line; `decode` (NULL: nothing) changes each word in place first.
 * New memory, NULL when it is out. Pure.
 */
_must_check_ char *execution_line(const char *arguments, size_t n, void (*decode)(char *word));

/* Is it a program of ours, which say nothing on the way to the agent's shell? `program` is a path as it was executed: any. */
bool execution_is_ours(const char *program);
