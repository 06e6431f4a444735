/* SPDX-License-Identifier: MIT */
#include "shell/bus/secret.h"

#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"

bool secret_name_valid(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= SECRET_NAME_MAX && strchr(LETTERS, name[0]) && strspn(name, LETTERS "0123456789") == n;
}
