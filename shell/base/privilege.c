/* SPDX-License-Identifier: MIT */
#include "shell/base/privilege.h"

#include <linux/capability.h>
#include <sys/syscall.h>

static int change(uint64_t raise, uint64_t lower, uint64_t drop)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (unsigned int i = 0; i < ELEMENTSOF(data); i++) {
		unsigned int shift = 32 * i;

		data[i].effective |= (uint32_t)(raise >> shift);
		data[i].effective &= ~(uint32_t)((lower | drop) >> shift);
		data[i].permitted &= ~(uint32_t)(drop >> shift);
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int privilege_raise(uint64_t capabilities)
{
	return change(capabilities, 0, 0);
}

int privilege_lower(uint64_t capabilities)
{
	return change(0, capabilities, 0);
}

int privilege_drop(uint64_t capabilities)
{
	return change(0, 0, capabilities);
}
