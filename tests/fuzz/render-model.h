/* SPDX-License-Identifier: MIT */
/* What messengers make of a message, as far as it can hurt: a reader of each channel's rules, written apart from the writer. */
#pragma once

#include "shell/tools/render.h"

/*
 * NULL, or what is wrong: over the limit, no UTF-8, a frame that ends early or never, words outside of frames that are not
 * creel's own, a mention, a link, a sign that does not show.
 */
const char *render_model_check(const RenderChannel *channel, const char *language, const char *message, size_t n);
