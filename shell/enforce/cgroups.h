/* SPDX-License-Identifier: MIT */
/* Cgroups that were removed, and stay in the kernel's memory. */
#pragma once

#include "shell/enforce/enforce.h"

/*
 * Of agents whose slices have many of them (CGROUPS_RECLAIM), the kernel gives up pages that keep them: cached ones, not those of
 * files in memory. memory.reclaim of cgroup2, Linux 5.19; older kernels do it when memory is short.
 */
void cgroups_reclaim(const EnforceAgents *agents);
