/* SPDX-License-Identifier: MIT */
#include "shell/audit/kinds.h"
#include "shell/base/cleanup.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[] = {
	"login",
	"logout",
	"command-start",
	"command",
	"exec",
	"run-start",
	"run",
	"job-start",
	"job",
	"service-start",
	"service",
	"cron-start",
	"cron",
	"forward",
	"refusal",
	"secret",
	"policy",
	"operator",
	"lost",
	"keeper",
};

const char *record_kind(size_t i)
{
	return i < ELEMENTSOF(kinds) ? kinds[i] : NULL;
}

bool record_kind_known(const char *kind)
{
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
		if (strcmp(kind, kinds[i]) == 0)
			return true;
	return false;
}

const char *record_kinds(char buffer[static RECORD_KINDS_SIZE])
{
	size_t n = 0;

	for (size_t i = 0; i < ELEMENTSOF(kinds) && n < RECORD_KINDS_SIZE; i++)
		n += (size_t)snprintf(buffer + n, RECORD_KINDS_SIZE - n, "%s%s",
			i == 0                       ? ""
			: i + 1 == ELEMENTSOF(kinds) ? " or "
						     : ", ",
			kinds[i]);
	return buffer;
}
