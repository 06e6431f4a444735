/* SPDX-License-Identifier: MIT */
/* creel-enforce after a change of policies: once per batch, whatever their number. */
#include "shell/operator/operator.h"
#include "shell/policy/enforced.h"

int enforce_run(Reason *ret_reason)
{
	const char *const argv[] = { CREEL_LIBEXECDIR "/creel-enforce", NULL };

	return command_run(argv, ret_reason);
}

int enforce_check(uid_t uid, const Policy *policy, Reason *ret_reason)
{
	_cleanup_enforced_ Enforced enforced = { 0 };
	int r = enforced_read("", uid, &enforced);

	if (enforced_lacks(r < 0 ? NULL : &enforced, policy, false, ret_reason->text, sizeof(ret_reason->text)))
		return -EOPNOTSUPP;
	return 0;
}
