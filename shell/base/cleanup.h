/* SPDX-License-Identifier: MIT */
/*
 * Ownership: who frees what is written where the variable is declared.
 *
 * A variable with a _cleanup_ attribute owns its value until TAKE_PTR() or TAKE_FD() hands it over.
 * Destructors accept NULL and half-built objects; an unset descriptor is -EBADF.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <dirent.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _must_check_ __attribute__((warn_unused_result))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))

/* Closes `fd` when it is one, keeps errno, and returns -EBADF so that `fd = fd_close(fd)` reads well. */
static inline int fd_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
	}
	return -EBADF;
}

static inline void fd_closep(int *fd)
{
	*fd = fd_close(*fd);
}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void filep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static inline void dirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(fd_closep)
#define _cleanup_fclose_ _cleanup_(filep)
#define _cleanup_closedir_ _cleanup_(dirp)

#define TAKE_PTR(p)                         \
	({                                  \
		__typeof__(p) _taken = (p); \
		(p) = NULL;                 \
		_taken;                     \
	})

#define TAKE_FD(fd)                \
	({                         \
		int _taken = (fd); \
		(fd) = -EBADF;     \
		_taken;            \
	})

/* Makes `name_freep()` for `_cleanup_(name_freep)` from `Type *name_free(Type *)`-like destructors. */
#define DEFINE_CLEANUP(Type, func)           \
	static inline void func##p(Type **p) \
	{                                    \
		if (*p)                      \
			(void)func(*p);      \
	}
