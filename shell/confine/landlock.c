/* SPDX-License-Identifier: MIT */
#include "shell/confine/landlock.h"

#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define RIGHTS_ABI_1 (RIGHT_REFER - 1)

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? -errno : (int)abi;
}

uint64_t landlock_rights(int abi, uint64_t wanted)
{
	uint64_t known = RIGHTS_ABI_1;

	if (abi >= 2)
		known |= RIGHT_REFER;
	if (abi >= 3)
		known |= RIGHT_TRUNCATE;
	if (abi >= 5)
		known |= RIGHT_IOCTL_DEV;
	return wanted & known;
}

int landlock_new(uint64_t handled, int *ret_fd)
{
	/* the first member only: all that ABI 2 has, and newer kernels take what is not given as nothing */
	const struct {
		uint64_t handled_access_fs;
	} attributes = { handled };
	long fd = syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);

	if (fd < 0)
		return -errno;
	*ret_fd = (int)fd;
	return 0;
}

int landlock_grant(int ruleset_fd, int path_fd, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = path_fd };
	struct stat st;

	if (fstat(path_fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= RIGHTS_OF_FILES;
	if (!rule.allowed_access) /* the kernel takes no empty rule */
		return 0;
	return syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

int landlock_apply(int ruleset_fd)
{
	return syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0 ? -errno : 0;
}
