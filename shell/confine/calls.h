/* SPDX-License-Identifier: MIT */
/* The system calls of agents' processes: the table, and the filter that is made from it. */
#pragma once

#include "shell/confine/filter.h"

#include <stdbool.h>

typedef struct CallsOptions {
	bool kill; /* [calls] action = kill: what is refused with EPERM ends the process with SIGSYS instead */
	bool memory; /* files without a name: memfd_create(2). They can be executed, and no rule about files covers them */
} CallsOptions;

/* Returns 0, or filter_compile()'s errors. */
_must_check_ int calls_prepare(const CallsOptions *options, Filter *ret);
