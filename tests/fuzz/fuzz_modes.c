/* SPDX-License-Identifier: MIT */
/* Terminal modes of a pty-req: what the worker lets pass, the keeper reads. */
#include "shell/session/terminal.h"
#include "sshd-sub/modes.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct termios before = { .c_lflag = ECHO }, after = before;

	if (modes_well_formed(data, n) && n % 5 > 1)
		abort();
	/* the keeper does not rely on the worker */
	terminal_modes(data, n, &after);
	if (n < 5 && memcmp(&before, &after, sizeof(before)) != 0)
		abort();
	return 0;
}
