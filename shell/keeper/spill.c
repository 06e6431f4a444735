/* SPDX-License-Identifier: MIT */
#include "shell/keeper/spill.h"
#include "shell/base/file.h"
#include "shell/base/privilege.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* Of the folder, which the agent may fill with anything. */
#define ENTRIES_MAX 4096U

void spill_init(Spill *spill, const Identity *identity, uint64_t most, const char *name)
{
	*spill = (Spill){ .identity = identity, .most = most, .fd = -EBADF };
	(void)snprintf(spill->name, sizeof(spill->name), "%s", name);
}

void spill_done(Spill *spill)
{
	spill->fd = fd_close(spill->fd);
	free(TAKE_PTR(spill->path));
}

/* ---- as the agent ---- */

/* The kernel lets whoever has it in effect write past a quota, and into what is reserved for root (capabilities(7)). */
#define PAST_QUOTAS PRIVILEGE(CAP_SYS_RESOURCE)

static void stop_being_agent(void)
{
	/* it was there before: nothing can refuse it */
	(void)!privilege_raise(PAST_QUOTAS);
	identity_give_back();
}

static int be_agent(const Identity *identity)
{
	int r = identity_borrow(identity);

	if (r < 0)
		return r;
	r = privilege_lower(PAST_QUOTAS);
	if (r < 0)
		identity_give_back();
	return r;
}

/* ---- the folder ---- */

static int open_below(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT && mkdirat(dir_fd, name, 0700) == 0)
		fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* As the agent. Its home is where root put it; what lies in it is the agent's. */
static int open_folder(const Identity *identity)
{
	_cleanup_close_ int home_fd = open(identity->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int creel_fd = -EBADF;

	if (home_fd < 0)
		return -errno;
	creel_fd = open_below(home_fd, ".creel");
	return creel_fd < 0 ? creel_fd : open_below(creel_fd, "output");
}

static int compare_newest_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* "run-NUMBER.stdout" or ".stderr"; 0: another file. */
static uint64_t file_number(const char *name)
{
	char number[24];
	uint64_t value;
	size_t n;

	if (strncmp(name, "run-", 4) != 0)
		return 0;
	n = strspn(name + 4, "0123456789");
	if (!n || n >= sizeof(number) || (strcmp(name + 4 + n, ".stdout") != 0 && strcmp(name + 4 + n, ".stderr") != 0))
		return 0;
	memcpy(number, name + 4, n);
	number[n] = '\0';
	return str_to_u64(number, UINT64_MAX, &value) < 0 ? 0 : value;
}

/* As the agent. Two passes: the numbers, then the names that are older than the last to stay. */
static void trim(int folder_fd)
{
	_cleanup_free_ uint64_t *numbers = calloc(ENTRIES_MAX, sizeof(uint64_t));
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	size_t n = 0, seen = 0;
	uint64_t number, oldest;
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		fd_close(fd);
	if (!dir || !numbers)
		return;
	while (seen++ < ENTRIES_MAX && (entry = readdir(dir))) {
		number = file_number(entry->d_name);
		if (number)
			numbers[n++] = number;
	}
	if (n <= SPILL_FILES_MAX)
		return;
	qsort(numbers, n, sizeof(*numbers), compare_newest_first);
	oldest = numbers[SPILL_FILES_MAX - 1];
	rewinddir(dir);
	for (seen = 0; seen < ENTRIES_MAX && (entry = readdir(dir)); seen++) {
		number = file_number(entry->d_name);
		if (number && number < oldest)
			(void)unlinkat(folder_fd, entry->d_name, 0);
	}
}

/* ---- one file ---- */

/* As the agent. */
static int open_file(Spill *spill)
{
	_cleanup_free_ char *path = str_format("%s/" SPILL_FOLDER "/%s", spill->identity->home, spill->name);
	_cleanup_close_ int folder_fd = open_folder(spill->identity);
	int fd;

	if (!path)
		return -ENOMEM;
	if (folder_fd < 0)
		return folder_fd;
	trim(folder_fd);
	fd = openat(folder_fd, spill->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	spill->fd = fd;
	spill->path = TAKE_PTR(path);
	return 0;
}

int spill_write(Spill *spill, const void *bytes, size_t n)
{
	const bool too_long = n > spill->most - spill->bytes;
	int r;

	if (too_long)
		n = (size_t)(spill->most - spill->bytes);
	r = be_agent(spill->identity);
	if (r < 0)
		return r;
	if (spill->fd < 0)
		r = open_file(spill);
	if (!r)
		r = file_write_all(spill->fd, bytes, n);
	if (!r)
		spill->bytes += n;
	stop_being_agent();
	return r < 0 ? r : too_long ? -EFBIG : 0;
}
