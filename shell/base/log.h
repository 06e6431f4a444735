/* SPDX-License-Identifier: MIT */
/*
 * One failure, one line, at the top of a program. Libraries do not log.
 *
 * Lines go to stderr; under systemd (JOURNAL_STREAM is set) each starts with sd-daemon(3)'s <N> so that the
 * journal knows the level. Values that a user controls must pass through str_quote() first.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <syslog.h>

/* Names the program in lines that a person reads; to be called once, at the top of main(). */
void log_open(const char *program);

/* Level is one of syslog(3)'s LOG_*. Never fails, keeps errno. */
void log_line(int level, const char *format, ...) _printf_(2, 3);

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
