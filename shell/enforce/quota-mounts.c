/* SPDX-License-Identifier: MIT */
#include "shell/enforce/quota.h"

#include <ctype.h>
#include <string.h>

/* What keeps nothing on a disk: the kernel's interfaces, and memory, which the agent's slice counts. */
static const char *const weightless[] = { "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs",
	"devpts", "devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "ramfs",
	"rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tmpfs", "tracefs" };

/* Blanks and backslashes are octal in mountinfo. */
static void unescape(char *text)
{
	char *to = text;

	while (*text)
		if (text[0] == '\\' && isdigit((unsigned char)text[1]) && isdigit((unsigned char)text[2]) &&
			isdigit((unsigned char)text[3])) {
			*to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	*to = '\0';
}

static bool option_is_set(const char *options, const char *wanted)
{
	size_t n = strlen(wanted);

	for (;;) {
		if (strncmp(options, wanted, n) == 0 && (options[n] == ',' || options[n] == '\0'))
			return true;
		options = strchr(options, ',');
		if (!options)
			return false;
		options++;
	}
}

static bool is_weightless(const char *type)
{
	for (size_t i = 0; i < ELEMENTSOF(weightless); i++)
		if (strcmp(type, weightless[i]) == 0)
			return true;
	return false;
}

/* "ID PARENT DEVICE ROOT POINT OPTIONS [TAG ...] - TYPE SOURCE SUPER-OPTIONS". Returns 1 when it counts, 0, or -ENOMEM. */
static int parse_line(const char *line, Mount *ret)
{
	char point[4096], options[1024], super[1024] = "";
	const char *behind = strstr(line, " - ");

	if (sscanf(line, "%*u %*u %15s %*s %4095s %1023s", ret->device, point, options) != 3 || !behind ||
		sscanf(behind, " - %31s %*s %1023s", ret->type, super) < 1)
		return 0;
	if (is_weightless(ret->type) || option_is_set(options, "ro") || option_is_set(super, "ro"))
		return 0;
	unescape(point);
	return strlist_add(&ret->points, point) < 0 ? -ENOMEM : 1;
}

/* Takes what `mount` holds. */
static int mounts_add(Mount **mounts, size_t *n, Mount *mount)
{
	Mount *more;

	for (size_t i = 0; i < *n; i++)
		if (strcmp((*mounts)[i].device, mount->device) == 0)
			return strlist_push(&(*mounts)[i].points, TAKE_PTR(mount->points.items[0]));
	more = realloc(*mounts, (*n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	*mounts = more;
	more[(*n)++] = *mount;
	mount->points = (StrList){ 0 };
	return 0;
}

int mounts_parse(const char *mountinfo, Mount **ret, size_t *ret_n)
{
	_cleanup_free_ char *copy = strdup(mountinfo);
	Mount *mounts = NULL;
	size_t n = 0;
	int r = copy ? 0 : -ENOMEM;

	for (char *rest = copy, *line; r >= 0 && rest && (line = strsep(&rest, "\n"));) {
		Mount mount = { .points = { 0 } };

		r = parse_line(line, &mount);
		if (r > 0)
			r = mounts_add(&mounts, &n, &mount);
		strlist_done(&mount.points);
	}
	if (r < 0) {
		mounts_free(mounts, n);
		return r;
	}
	*ret = mounts;
	*ret_n = n;
	return 0;
}

void mounts_free(Mount *mounts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		strlist_done(&mounts[i].points);
	free(mounts);
}
