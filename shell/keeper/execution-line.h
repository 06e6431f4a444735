/* SPDX-License-Identifier: MIT */
/* Arguments as a line for people: what a shell would take for the same words. */
#pragma once

#include "shell/base/cleanup.h"

#include <stddef.h>

/* "ls -l 'a b'": `n` bytes of arguments with a NUL behind each, as a line. New memory, NULL when it is out. Pure. */
_must_check_ char *execution_line(const char *arguments, size_t n);
