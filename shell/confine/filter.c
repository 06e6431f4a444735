/* SPDX-License-Identifier: MIT */
/*
 * libseccomp compiles the table; the program is taken out of it (2.5 can only write it to a descriptor), so that a
 * process which forks often compiles once and its children pay for one call.
 */
#include "shell/confine/filter.h"
#include "shell/base/file.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define FILTER_PROGRAM_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

static void filter_context_done(scmp_filter_ctx *context)
{
	if (*context)
		seccomp_release(*context);
}

static int filter_add(scmp_filter_ctx context, const FilterRow *row)
{
	struct scmp_arg_cmp compare[FILTER_CONDITIONS_MAX];
	unsigned int n = 0;

	for (size_t i = 0; i < FILTER_CONDITIONS_MAX; i++) {
		const FilterCondition *condition = &row->conditions[i];

		if (condition->mask)
			compare[n++] = (struct scmp_arg_cmp){ condition->index, SCMP_CMP_MASKED_EQ, condition->mask,
				condition->value };
	}
	return seccomp_rule_add_array(context, SCMP_ACT_ALLOW, row->call, n, compare);
}

int filter_prepare(const FilterRow *rows, size_t n, Filter *ret)
{
	_cleanup_(filter_context_done) scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *program = NULL;
	size_t size;
	int r;

	if (!context)
		return -ENOMEM;
	r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	for (size_t i = 0; !r && i < n; i++)
		r = filter_add(context, &rows[i]);
	if (r < 0)
		return r;

	fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(context, fd);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = file_read_fd(fd, FILTER_PROGRAM_MAX, &program, &size);
	if (r < 0)
		return r;
	if (!size || size % sizeof(struct sock_filter))
		return -EIO;
	*ret = (Filter){
		.program = (struct sock_filter *)TAKE_PTR(program),
		.n = (unsigned short)(size / sizeof(struct sock_filter)),
	};
	return 0;
}

void filter_done(Filter *filter)
{
	free(filter->program);
	*filter = (Filter){ 0 };
}

int filter_apply(const Filter *filter)
{
	struct sock_fprog program = { .len = filter->n, .filter = filter->program };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
