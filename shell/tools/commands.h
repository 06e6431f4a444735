/* SPDX-License-Identifier: MIT */
/* creel's commands about runs. Each gets the arguments behind its name, and returns the exit status. */
#pragma once

#include "shell/base/cleanup.h"

#define EXIT_USAGE 2

int run_main(int argc, char **argv);
int sessions_main(int argc, char **argv);
int exec_server_main(int argc, char **argv);
/* asks no keeper */
int render_main(int argc, char **argv);
