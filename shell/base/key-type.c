/* SPDX-License-Identifier: MIT */
#include "shell/base/key-type.h"

#include <string.h>

const char *const key_types[KEY_TYPES] = {
	"ssh-ed25519",
	"ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521",
	"ssh-rsa",
	"sk-ssh-ed25519@openssh.com",
	"sk-ecdsa-sha2-nistp256@openssh.com",
};

bool key_type_is_known(const char *name, size_t n)
{
	for (size_t i = 0; i < KEY_TYPES; i++)
		if (strlen(key_types[i]) == n && memcmp(key_types[i], name, n) == 0)
			return true;
	return false;
}
