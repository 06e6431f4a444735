/* SPDX-License-Identifier: MIT */
#include "shell/policy/agents.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int is_policy(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

int agents_list(const char *root, StrList *ret, StrList *ret_odd)
{
	_cleanup_free_ char *path = str_format("%s%s/agents", root, POLICY_DIR);
	_cleanup_strlist_ StrList names = { 0 }, odd = { 0 };
	struct dirent **entries = NULL;
	int n, r = 0;

	if (!path)
		return -ENOMEM;
	n = scandir(path, &entries, is_policy, alphasort);
	if (n < 0 && errno != ENOENT)
		return -errno;
	for (int i = 0; i < n; i++) {
		char *name = entries[i]->d_name;

		name[strlen(name) - strlen(".conf")] = '\0';
		if (!r && policy_name_valid(name))
			r = strlist_add(&names, name);
		else if (!r)
			r = strlist_add(&odd, name);
		free(entries[i]);
	}
	free(entries);
	if (r < 0)
		return r;
	*ret = names;
	names = (StrList){ 0 };
	if (ret_odd) {
		*ret_odd = odd;
		odd = (StrList){ 0 };
	}
	return 0;
}

static int by_uid(const void *a, const void *b)
{
	const AgentMark *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

static void mark_read(int dir_fd, const char *file, AgentMark *mark)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	(void)snprintf(mark->name, sizeof(mark->name), "?");
	if (file_read_at(dir_fd, file, O_NOFOLLOW, POLICY_NAME_MAX + 1, &text, &n) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (policy_name_valid(text))
		(void)snprintf(mark->name, sizeof(mark->name), "%s", text);
}

int marks_list(const char *root, AgentMark **ret, size_t *ret_n)
{
	_cleanup_free_ char *path = str_format("%s%s", root, POLICY_MARK_DIR);
	_cleanup_free_ AgentMark *marks = NULL;
	_cleanup_closedir_ DIR *dir = NULL;
	size_t n = 0, room = 0;
	struct dirent *entry;

	if (!path)
		return -ENOMEM;
	dir = opendir(path);
	if (!dir && errno != ENOENT)
		return -errno;
	for (;;) {
		uint64_t uid;

		errno = 0;
		entry = dir ? readdir(dir) : NULL;
		if (!entry)
			break;
		/* what is no uid of an agent's marks nothing: a file in the making, the folder's own entries */
		if (str_to_u64(entry->d_name, AGENT_UID_MAX, &uid) < 0 || !agent_uid_in_range((uid_t)uid))
			continue;
		if (n == room) {
			AgentMark *more = reallocarray(marks, room ? room * 2 : 16, sizeof(*marks));

			if (!more)
				return -ENOMEM;
			marks = more;
			room = room ? room * 2 : 16;
		}
		marks[n].uid = (uid_t)uid;
		mark_read(dirfd(dir), entry->d_name, &marks[n++]);
	}
	if (dir && errno)
		return -errno;
	if (n)
		qsort(marks, n, sizeof(*marks), by_uid);
	*ret = TAKE_PTR(marks);
	*ret_n = n;
	return 0;
}

int mark_set(const char *root, uid_t uid, const char *name)
{
	_cleanup_free_ char *folder = str_format("%s%s", root, POLICY_MARK_DIR);
	_cleanup_free_ char *path = str_format("%s%s/%u", root, POLICY_MARK_DIR, uid);
	_cleanup_free_ char *text = str_format("%s\n", name);

	if (!folder || !path || !text)
		return -ENOMEM;
	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	return file_replace_at(AT_FDCWD, path, text, strlen(text), 0644);
}

int mark_clear(const char *root, uid_t uid)
{
	_cleanup_free_ char *path = str_format("%s%s/%u", root, POLICY_MARK_DIR, uid);

	if (!path)
		return -ENOMEM;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}
