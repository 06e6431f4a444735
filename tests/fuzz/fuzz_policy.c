/* SPDX-License-Identifier: MIT */
/*
 * Policy files: an agent's text, or creel.conf's when the first byte is odd. What is accepted must be
 * complete, and each of its values must be accepted again as it is written out.
 */
#include "shell/policy/policy.h"
#include "shell/policy/table.h"
#include "shell/policy/value.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_values(const Policy *policy)
{
	for (size_t i = 0; i < policy_keys_n; i++) {
		char *text = value_format(&policy_keys[i], policy), *again, reason[256];
		Policy scratch = { 0 };

		if (!text || !policy->origins[i] ||
			value_parse(&policy_keys[i], text, &scratch, reason, sizeof(reason)) != 0)
			__builtin_trap();
		again = value_format(&policy_keys[i], &scratch);
		if (!again || strcmp(text, again) != 0)
			__builtin_trap();
		value_done(&policy_keys[i], &scratch);
		free(text);
		free(again);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	PolicyText text = { .label = "input", .text = (const char *)data + 1, .n = n ? n - 1 : 0 };
	static const PolicyText nothing = { .label = "nothing", .text = "" };
	PolicyError error = { "" };
	Policy *policy = NULL;
	int r;

	if (!n)
		return 0;
	r = data[0] & 1 ? policy_load_text("/nonexistent", "fuzz", &text, &nothing, &policy, &error)
			: policy_load_text("/nonexistent", "fuzz", &nothing, &text, &policy, &error);
	if ((r == 0) != (policy != NULL) || !memchr(error.text, '\0', sizeof(error.text)))
		__builtin_trap();
	if (r < 0 && !error.text[0])
		__builtin_trap();
	if (policy)
		check_values(policy);
	policy_free(policy);
	return 0;
}
