/* SPDX-License-Identifier: MIT */
/* A result as creel run --json prints it, read for showing. */
#pragma once

#include "shell/tools/jsontext.h"
#include "shell/tools/render.h"

/* Strings of `request` belong to `value`. */
typedef struct RenderResult {
	RenderRequest request;
	json_t *value;
	RenderFile *files;
} RenderResult;

/*
 * Every member may be missing; others are not looked at. What other programs write into JSON and is no text - bytes that are
 * no UTF-8, halves of surrogate pairs - becomes U+FFFD. Returns 0, -ENOMEM, or -EINVAL with the reason in `why`.
 */
_must_check_ int render_result_read(const char *text, size_t n, RenderResult *ret, char *why, size_t why_size);
void render_result_done(RenderResult *result);
