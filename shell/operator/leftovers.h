/* SPDX-License-Identifier: MIT */
/* What a uid leaves in a folder that everybody may write to. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>
#include <sys/types.h>

/*
 * Removes everything of `uid` below `folder`, on its file system only. What is somebody else's stays; a folder of the
 * uid's that has such things in it becomes root's, with the sticky bit, so that their owners may still remove them and
 * nobody else. Afterwards nothing there has that uid. No link is followed, and no path: others may move things meanwhile.
 *
 * The uid must have no process. Returns 0; -EAGAIN when others moved folders of their own about all the time, in which
 * something may be left; another negative errno.
 * Nothing to do if `folder` is missing. Privilege: CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_CHOWN. Context: creelctl.
 */
_must_check_ int leftovers_remove(const char *folder, uid_t uid);
