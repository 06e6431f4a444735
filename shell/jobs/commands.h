/* SPDX-License-Identifier: MIT */
/* creel's commands about what lives on. Each gets the words behind its name, and returns the exit status. */
#pragma once

#include "shell/base/cleanup.h"

/* As systemctl(1) and timeout(1) have them; 128 and a signal's number: ended by that signal. */
#define EXIT_WRONG_USAGE 2
#define EXIT_NOT_RUNNING 3
#define EXIT_TIME_OVER 124
#define EXIT_BY_SIGNAL 128

int job_main(int argc, char **argv);
int screen_main(int argc, char **argv);
int cron_main(int argc, char **argv);
/* The program crontab: all words, with its name before them. */
int crontab_main(int argc, char **argv);
int service_main(int argc, char **argv);
int serve_main(int argc, char **argv);
/* what runs, of whatever kind */
int ps_main(int argc, char **argv);
int ps_stop_main(int argc, char **argv);
int ps_logs_main(int argc, char **argv);
int resource_status_main(int argc, char **argv);
/* the agent's own usual mistakes */
int mistakes_main(int argc, char **argv);
