/* SPDX-License-Identifier: MIT */
/* What a Python script does, as far as its text tells. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * It imports matplotlib's pyplot (or pylab) and says nothing of a backend: no matplotlib.use(), no switch_backend(), no
 * MPLBACKEND. `text` is `n` bytes of anything.
 */
bool script_lacks_backend(const char *text, size_t n);
