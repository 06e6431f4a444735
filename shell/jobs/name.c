/* SPDX-License-Identifier: MIT */
#include "shell/jobs/name.h"

#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define RULE "a name has letters, digits, `.`, `_` and `-`, and begins with a letter or digit"

int jobs_name_check(const char *name, Reason *ret_reason)
{
	size_t good = strspn(name, LETTERS "._-");

	if (!*name)
		return reason_set(ret_reason, -EINVAL, "the name is empty; %s", RULE);
	if (name[good])
		return reason_set(ret_reason, -EINVAL, "%s is not allowed in a name; %s",
			name[good] == ' '                   ? "a space"
			: name[good] == '/'                 ? "a slash"
			: (unsigned char)name[good] <= 0x20 ? "a control character"
			: (unsigned char)name[good] >= 0x7f ? "a letter outside ASCII"
							    : (const char[]){ '`', name[good], '`', '\0' },
			RULE);
	if (!strchr(LETTERS, name[0]))
		return reason_set(ret_reason, -EINVAL, "a name does not begin with `%c`; %s", name[0], RULE);
	if (good > NAME_MAX_BYTES)
		return reason_set(
			ret_reason, -EINVAL, "the name has %zu characters; %u are allowed", good, NAME_MAX_BYTES);
	return 0;
}
