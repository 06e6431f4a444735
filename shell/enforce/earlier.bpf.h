/* SPDX-License-Identifier: MIT */
/* What security modules before this one decided, passed on by programs at the kernel's security hooks. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define ERRNO_MAX 4095

/*
 * `ret` as it came. Linux 6.12 and later load no such program unless they can prove that it returns 0 or a negative errno
 * (kernel/bpf/verifier.c, check_return_code); what is neither, and so from no module, refuses. The two comparisons stay apart, or
 * the compiler would make one of a sum that the kernel does not connect with `ret`.
 */
static __always_inline int earlier(int ret)
{
	if (ret >= 0)
		return ret ? -1 : 0;
	asm volatile("" : "+r"(ret));
	if (ret < -ERRNO_MAX)
		return -1;
	return ret;
}
