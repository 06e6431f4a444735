/* SPDX-License-Identifier: MIT */
/* creel's commands about runs. Each gets the arguments behind its name, and returns the exit status. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>

#define EXIT_USAGE 2

/* creel run. `timeout_usec`: where no option says one; RUN_DEFAULT: the policy's. */
int run_main(int argc, char **argv, uint64_t timeout_usec);
/* creel check. `timeout_usec`: of each, where no option says one; RUN_DEFAULT: the policy's. */
int check_main(int argc, char **argv, uint64_t timeout_usec);
int history_main(int argc, char **argv);
int secret_main(int argc, char **argv);
int sessions_main(int argc, char **argv);
int exec_server_main(int argc, char **argv);
/* asks no keeper */
int render_main(int argc, char **argv);

/* creel mcp. Where the workspace and the output folder are: absolute, or below the home. */
int mcp_main(const char *workspace, const char *output);
