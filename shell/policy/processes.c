/* SPDX-License-Identifier: MIT */
/* Counted processes, for those who need the numbers or must know whether there are any. */
#include "shell/policy/enforced.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <string.h>

#define USAGE_MAX (256U * 1024)

int process_usage_read(const char *root, uid_t uid, ProcessUsage *ret)
{
	_cleanup_free_ char *path = str_format("%s%s", root, PROCESS_USAGE_FILE), *data = NULL;
	unsigned long long line_uid, count, limit, refused;
	_cleanup_close_ int fd = -EBADF;
	char *rest, *line;
	int r;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = file_read_fd(fd, USAGE_MAX, &data, NULL);
	if (r < 0)
		return r;
	rest = data;
	while ((line = strsep(&rest, "\n"))) {
		if (sscanf(line, "%llu %llu %llu %llu", &line_uid, &count, &limit, &refused) != 4 || line_uid != uid)
			continue;
		*ret = (ProcessUsage){ .count = count, .limit = limit, .refused = refused };
		return 0;
	}
	return -ENOENT;
}

const char *bpf_lsm_missing(const char *root)
{
	_cleanup_free_ char *types = str_format("%s/sys/kernel/btf/vmlinux", root);
	_cleanup_free_ char *modules = str_format("%s/sys/kernel/security/lsm", root);
	char list[512], *rest = list, *word;

	if (!types || !modules)
		return "out of memory";
	if (access(types, R_OK) < 0)
		return "the kernel was built without BTF";
	if (file_get_at(AT_FDCWD, modules, list, sizeof(list)) < 0)
		return "/sys/kernel/security/lsm cannot be read";
	while ((word = strsep(&rest, ",")))
		if (strcmp(word, "bpf") == 0)
			return NULL;
	return "the BPF LSM is off: the kernel's command line needs bpf in lsm=";
}

bool processes_counted(const char *root, uid_t uid)
{
	_cleanup_enforced_ Enforced enforced = { 0 };
	size_t row;

	if (mechanism_find("processes", &row) < 0)
		return false;
	if (enforced_read(root, uid, &enforced) == 0 && enforced.results[row].state != MECHANISM_UNKNOWN)
		return enforced.results[row].state == MECHANISM_OK;
	return !bpf_lsm_missing(root);
}
