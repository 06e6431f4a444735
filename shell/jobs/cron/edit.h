/* SPDX-License-Identifier: MIT */
/* crontab -e. */
#pragma once

#include <stdbool.h>

/* Edits the crontab of `user` in $VISUAL or $EDITOR. Returns the exit status. */
int edit_main(const char *user);

/* Waits for y or n on the standard input, whose end is a no. */
bool edit_ask(void);
