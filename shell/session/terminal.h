/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals: opening one that the agent owns, its size and modes. */
#pragma once

#include "shell/base/cleanup.h"
#include "shell/session/identity.h"

#include <stdint.h>
#include <termios.h>

typedef struct TerminalSize {
	uint32_t columns, rows, width, height; /* characters, characters, pixels, pixels; 0 = unknown */
} TerminalSize;

#define TERMINAL_PATH_MAX 64

/*
 * Opens master and slave, close-on-exec, the slave owned by the agent with mode 0620 (devpts(5), gid=tty), size set,
 * modes applied. `modes`: RFC 4254 section 8, may be empty; unknown opcodes end the reading, as the RFC says.
 * Context: keeper. Privilege: as identity_borrow().
 */
_must_check_ int terminal_open(const Identity *identity, const TerminalSize *size, const uint8_t *modes, size_t modes_n,
	int *ret_master_fd, int *ret_slave_fd, char ret_path[static TERMINAL_PATH_MAX]);

/* Applies encoded modes to `tio`. Pure; never fails: what it does not know it leaves. */
void terminal_modes(const uint8_t *modes, size_t n, struct termios *tio);
