/* SPDX-License-Identifier: MIT */
/*
 * Landlock (Documentation/userspace-api/landlock.rst): what a process may do with files, as rights on files and on all
 * beneath folders. A set of rules names the rights that it is about; what no rule then grants is refused, with EACCES, or
 * EXDEV for a link or rename across folders.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * <linux/landlock.h> of Debian 12 ends at ABI 2. By ABI: 1 (Linux 5.13) has the first thirteen, 2 (5.19) REFER, 3 (6.2)
 * TRUNCATE, 5 (6.10) IOCTL_DEV; 4 (6.7) is about TCP ports, which creel judges elsewhere, 6 (6.12) about signals and
 * abstract sockets between domains: each login is one of its own, and an agent must reach its other logins' processes.
 */
#define RIGHT_EXECUTE (UINT64_C(1) << 0)
#define RIGHT_WRITE_FILE (UINT64_C(1) << 1)
#define RIGHT_READ_FILE (UINT64_C(1) << 2)
#define RIGHT_READ_DIR (UINT64_C(1) << 3)
#define RIGHT_REMOVE_DIR (UINT64_C(1) << 4)
#define RIGHT_REMOVE_FILE (UINT64_C(1) << 5)
#define RIGHT_MAKE_CHAR (UINT64_C(1) << 6)
#define RIGHT_MAKE_DIR (UINT64_C(1) << 7)
#define RIGHT_MAKE_REG (UINT64_C(1) << 8)
#define RIGHT_MAKE_SOCK (UINT64_C(1) << 9)
#define RIGHT_MAKE_FIFO (UINT64_C(1) << 10)
#define RIGHT_MAKE_BLOCK (UINT64_C(1) << 11)
#define RIGHT_MAKE_SYM (UINT64_C(1) << 12)
#define RIGHT_REFER (UINT64_C(1) << 13)
#define RIGHT_TRUNCATE (UINT64_C(1) << 14)
#define RIGHT_IOCTL_DEV (UINT64_C(1) << 15)

/* Those that a rule about something other than a folder may have. */
#define RIGHTS_OF_FILES (RIGHT_EXECUTE | RIGHT_WRITE_FILE | RIGHT_READ_FILE | RIGHT_TRUNCATE | RIGHT_IOCTL_DEV)

/* Below it every rename between two folders is refused, which no agent can work with. */
#define LANDLOCK_ABI_MIN 2

/* The kernel's ABI; -ENOSYS or -EOPNOTSUPP when it has none, or it is switched off. */
_must_check_ int landlock_abi(void);

/* The rights of `wanted` that this ABI knows. */
uint64_t landlock_rights(int abi, uint64_t wanted);

/* A set of rules about `handled`. The descriptor is close-on-exec. Returns 0 or a negative errno. */
_must_check_ int landlock_new(uint64_t handled, int *ret_fd);

/* Grants on what `path_fd` (O_PATH) is, and all beneath. Rights that do not fit its type are left out. */
_must_check_ int landlock_grant(int ruleset_fd, int path_fd, uint64_t rights);

/*
 * Context: the process to be bound, single-threaded; async-signal-safe. Privilege: needs no_new_privs.
 * Returns 0 or a negative errno (-E2BIG: sixteen layers are the most).
 */
_must_check_ int landlock_apply(int ruleset_fd);
