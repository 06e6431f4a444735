/* SPDX-License-Identifier: MIT */
#include "shell/enforce/tables.h"
#include "shell/base/file.h"
#include "shell/enforce/program.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int table_list(const char *name, char **ret, EnforceReason *ret_reason)
{
	const char *const argv[] = { TABLE_LISTING, name, NULL };

	return program_run(argv, NULL, ret, ret_reason);
}

int table_note(const char *name, EnforceReason *ret_reason)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r = table_list(name, &text, ret_reason);

	if (r)
		return r < 0 ? r : -EPROTO;
	if (mkdir(TABLES_DIR, 0755) < 0 && errno != EEXIST)
		return enforce_reason(ret_reason, -errno, TABLES_DIR ": %s", strerror(errno));
	fd = open(TABLES_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : file_replace_at(fd, name, text, strlen(text), 0644);
	return r < 0 ? enforce_reason(ret_reason, r, TABLES_DIR "/%s: %s", name, strerror(-r)) : 0;
}

bool table_is_as_noted(const char *name)
{
	_cleanup_free_ char *path = str_format(TABLES_DIR "/%s", name), *noted = NULL, *now = NULL;

	return path && file_read_at(AT_FDCWD, path, 0, TABLE_MAX, &noted, NULL) == 0 &&
	       table_list(name, &now, NULL) == 0 && strcmp(noted, now) == 0;
}

const char *table_changed(void)
{
	static const char *const names[] = { FIREWALL_TABLE, NETWORK_TABLE };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (!table_is_as_noted(names[i]))
			return names[i];
	return NULL;
}
