/* SPDX-License-Identifier: MIT */
#include "shell/policy/policy.h"

#include <string.h>

int policy_difference(const Policy *before, const Policy *after, PolicyChange **ret, size_t *ret_n)
{
	const char *section, *key, *origin, *other_section, *other_key, *other_origin;
	PolicyChange *changes = NULL;
	bool enforced, more = true;
	size_t n = 0;

	/* both have the same rows, in the same order: those of the one table */
	for (size_t i = 0; more; i++) {
		_cleanup_free_ char *was = NULL, *is = NULL;
		PolicyChange *grown;

		more = policy_row(before, i, &other_section, &other_key, &was, &other_origin, &enforced) &&
		       policy_row(after, i, &section, &key, &is, &origin, &enforced);
		if (!more || str_equal(was, is))
			continue;
		grown = realloc(changes, (n + 1) * sizeof(*changes));
		if (!grown) {
			policy_changes_free(changes, n);
			return -ENOMEM;
		}
		changes = grown;
		changes[n++] = (PolicyChange){ section, key, TAKE_PTR(was), TAKE_PTR(is), other_origin, origin };
	}
	*ret = changes;
	*ret_n = n;
	return 0;
}

void policy_changes_free(PolicyChange *changes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(changes[i].was);
		free(changes[i].is);
	}
	free(changes);
}
