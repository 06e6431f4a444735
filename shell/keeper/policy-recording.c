/* SPDX-License-Identifier: MIT */
/* What goes into the record when the keeper reads a policy that is another one than before, whoever wrote it and however. */
#include "shell/keeper/entry.h"
#include "shell/base/str.h"

#include <string.h>

/* One line a key: what it was, what it is, and which line of which file says so. */
static char *text_of(const PolicyChange *changes, size_t n)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		return NULL;
	for (size_t i = 0; i < n; i++)
		(void)fprintf(file, "%s%s.%s: %s -> %s (%s)", i ? "\n" : "", changes[i].section, changes[i].key,
			changes[i].was ? changes[i].was : "?", changes[i].is ? changes[i].is : "?", changes[i].origin);
	if (fclose(file) == 0)
		return text;
	free(text);
	return NULL;
}

static void record_changes(Keeper *keeper, const PolicyChange *changes, size_t n)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	_cleanup_free_ char *text = text_of(changes, n);

	keeper_entry_begin(keeper, &entry, "policy", LOG_NOTICE);
	if (n) {
		entry_format(&entry, "MESSAGE", "%s: the policy changed: %zu values", keeper->identity->name, n);
		entry_text(&entry, "CREEL_CHANGE", text ? text : "?");
	} else {
		entry_format(&entry, "MESSAGE", "%s: the policy is good again, with the values that it had",
			keeper->identity->name);
	}
	entry_text(&entry, "CREEL_RESULT", "done");
	keeper_entry_send(keeper, &entry);
}

static void record_refused(Keeper *keeper)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };

	keeper_entry_begin(keeper, &entry, "policy", LOG_WARNING);
	entry_format(&entry, "MESSAGE", "%s: the policy is refused, and with it every login: %s",
		keeper->identity->name, keeper->policy_error.text);
	entry_text(&entry, "CREEL_RESULT", "refused");
	entry_text(&entry, "CREEL_REASON", keeper->policy_error.text);
	keeper_entry_send(keeper, &entry);
}

void keeper_record_policy(Keeper *keeper, const Policy *before, const Policy *after)
{
	PolicyChange *changes = NULL;
	bool was_refused = keeper->policy_refusal;
	size_t n = 0;

	if (!after) {
		/* the same reason again is no news */
		if (!str_equal(keeper->policy_refusal, keeper->policy_error.text))
			record_refused(keeper);
		(void)!str_set(&keeper->policy_refusal, keeper->policy_error.text);
		return;
	}
	free(TAKE_PTR(keeper->policy_refusal));
	if (!before || policy_difference(before, after, &changes, &n) < 0)
		return;
	if (n || was_refused)
		record_changes(keeper, changes, n);
	policy_changes_free(changes, n);
}
