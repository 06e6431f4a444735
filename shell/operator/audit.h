/* SPDX-License-Identifier: MIT */
/* What the verbs of `creelctl audit` share: which entries are meant. */
#pragma once

#include "shell/audit/read.h"
#include "shell/operator/operator.h"
#include "shell/operator/when.h"

typedef struct AuditWords {
	const char *agent, *session, *kind, *result, *since, *until, *count; /* as they were typed; NULL: not */
} AuditWords;

/* clang-format off */
#define AUDIT_OPTIONS(words)                          \
	{ "--agent", .value = &(words).agent },       \
	{ "--session", .value = &(words).session },   \
	{ "--kind", .value = &(words).kind },         \
	{ "--result", .value = &(words).result },     \
	{ "--since", .value = &(words).since },       \
	{ "--until", .value = &(words).until }
/* clang-format on */

/* `ret` borrows the words. Returns 0, or -EINVAL after it said what is wrong. */
_must_check_ int audit_filter(const AuditWords *words, RecordFilter *ret);

/* Says why the record could not be read. Returns EXIT_FAILURE. */
int audit_failed(int r);
