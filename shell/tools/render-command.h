/* SPDX-License-Identifier: MIT */
/* creel render: a result as a message of a channel, for creel(1). Reads and writes as who calls it; asks no keeper. */
#pragma once

/* `argv` begins behind "render". Returns the exit status. */
int render_main(int argc, char **argv);
