/* SPDX-License-Identifier: MIT */
/* The kernel's text formats of cgroup files (Documentation/admin-guide/cgroup-v2.rst), read into a string already. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>

/* Flat keyed files ("KEY VALUE" lines). Returns 0, -ENODATA (no such key), or str_to_u64()'s errors. */
_must_check_ int keyed_u64(const char *text, const char *key, uint64_t *ret);

/*
 * cpu.max, "QUOTA PERIOD" or "max PERIOD": microseconds of CPU time a second; UINT64_MAX for "max". Returns 0 or
 * -EINVAL.
 */
_must_check_ int cpu_max_parse(const char *text, uint64_t *ret);
