/* SPDX-License-Identifier: MIT */
/* What may stand in a list, and which paths are plain. Pure. */
#pragma once

#include "shell/policy/table.h"

/* NULL when `text` is an element of that kind; else why not, to be read behind the element: "is not a host
 * name". */
const char *element_refusal(ElementKind kind, const char *text);

/* No empty, `.` or `..` component, so that the path means one place and stays below its start. */
bool element_path_plain(const char *path);
