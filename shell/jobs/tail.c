/* SPDX-License-Identifier: MIT */
#include "shell/jobs/tail.h"
#include "shell/base/json.h"
#include "shell/base/str.h"
#include "shell/base/utf8.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/span.h"
#include "shell/tools/clean.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define BLOCK 65536U
#define LOOK_USEC USEC_PER_SEC /* whether it is over; a log is told of at once */

int tail_lines_parse(const char *text, uint64_t *ret)
{
	if (!text)
		*ret = TAIL_LINES;
	else if (strcmp(text, "all") == 0)
		*ret = TAIL_ALL;
	else
		return str_to_u64(text, TAIL_ALL - 1, ret) < 0 ? -EINVAL : 0;
	return 0;
}

static int open_log(int folder_fd, const char *name)
{
	int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		fd_close(fd);
		return -ENOTSUP;
	}
	return fd;
}

/* ---- writing ---- */

TailForm tail_form(bool json)
{
	return json ? TAIL_JSON : isatty(STDOUT_FILENO) ? TAIL_CLEAN : TAIL_BYTES;
}

static int put_line(const char *line, size_t n)
{
	bool first = true;

	(void)fputc('{', stdout);
	json_text(stdout, &first, "time", NULL);
	json_text(stdout, &first, "by", "log");
	json_key(stdout, &first, "message");
	json_quote(stdout, line, n);
	return fputs("}\n", stdout) == EOF ? -EPIPE : 0;
}

/* All whole lines, and what is too long for one. Returns how many bytes that are, or a negative errno. */
static ssize_t put_lines(const char *bytes, size_t n)
{
	size_t done = 0;

	while (done < n) {
		const char *end = memchr(bytes + done, '\n', n - done);
		size_t length = end ? (size_t)(end - bytes) - done : n - done;
		int r;

		if (!end && length <= TAIL_LINE_MAX)
			break;
		if (length > TAIL_LINE_MAX) {
			length = TAIL_LINE_MAX;
			length -= utf8_cut(bytes + done, length);
			end = NULL;
		}
		r = put_line(bytes + done, length);
		if (r < 0)
			return r;
		done += length + (end ? 1 : 0);
	}
	return (ssize_t)done;
}

static int put_clean(const char *bytes, size_t n)
{
	_cleanup_free_ char *clean = NULL;
	size_t clean_n;
	int r = text_clean(bytes, n, false, &clean, &clean_n);

	if (r < 0)
		return r;
	return fwrite(clean, 1, clean_n, stdout) == clean_n ? 0 : -EPIPE;
}

int tail_put(Tail *tail, const char *bytes, size_t n)
{
	_cleanup_free_ char *whole = NULL;
	size_t all = tail->part_n + n;
	ssize_t done;
	int r = 0;

	if (tail->form == TAIL_BYTES)
		return fwrite(bytes, 1, n, stdout) == n ? 0 : -EPIPE;
	whole = malloc(all + 1);
	if (!whole)
		return -ENOMEM;
	if (tail->part_n)
		memcpy(whole, tail->part, tail->part_n);
	memcpy(whole + tail->part_n, bytes, n);
	if (tail->form == TAIL_JSON) {
		done = put_lines(whole, all);
		if (done < 0)
			return (int)done;
	} else {
		done = (ssize_t)(all - utf8_cut(whole, all));
		r = put_clean(whole, (size_t)done);
	}
	tail->part_n = all - (size_t)done;
	memmove(whole, whole + done, tail->part_n);
	free(tail->part);
	tail->part = TAKE_PTR(whole);
	return r;
}

void tail_end(Tail *tail)
{
	/* nobody is told where it cannot be written: the log itself is whole */
	if (tail->part_n)
		(void)(tail->form == TAIL_JSON ? put_line(tail->part, tail->part_n)
					       : put_clean(tail->part, tail->part_n));
	free(tail->part);
	tail->part = NULL;
	tail->part_n = 0;
	tail->fd = fd_close(tail->fd);
	tail->folder_fd = fd_close(tail->folder_fd);
}

/* From where the file stands to its end. Returns 1, 0 or a negative errno. */
static int put_rest(Tail *tail, int fd)
{
	char bytes[BLOCK];
	ssize_t n;
	int r, some = 0;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		r = tail_put(tail, bytes, (size_t)n);
		if (r < 0)
			return r;
		some = 1;
	}
	if (some && fflush(stdout) != 0)
		return -EPIPE;
	return n < 0 ? -errno : some;
}

/* ---- the last lines ---- */

/* Leaves the file where its last `lines` begin. Returns how many there are from there on. */
static uint64_t seek_lines(int fd, uint64_t lines)
{
	off_t end = lseek(fd, 0, SEEK_END), at = end;
	char bytes[BLOCK];
	uint64_t found = 0;

	if (lines == 0)
		return 0;
	while (at > 0) {
		size_t want = at < (off_t)sizeof(bytes) ? (size_t)at : sizeof(bytes);
		ssize_t n = pread(fd, bytes, want, at - (off_t)want);

		if (n != (ssize_t)want)
			break;
		for (size_t i = want; i; i--) {
			/* the last one's own end does not begin another */
			if (bytes[i - 1] != '\n' || at - (off_t)want + (off_t)i == end)
				continue;
			if (++found == lines) {
				(void)lseek(fd, at - (off_t)want + (off_t)i, SEEK_SET);
				return found;
			}
		}
		at -= (off_t)want;
	}
	(void)lseek(fd, 0, SEEK_SET);
	return found + (end > 0);
}

/* `folder_fd` is the tail's from here on; `shown`: how the file is called in a reason. */
static int begin_at(int folder_fd, const char *name, const char *shown, bool later, uint64_t lines, TailForm form,
	Tail *ret, Reason *ret_reason)
{
	_cleanup_tail_ Tail tail = TAIL_NONE(form);
	_cleanup_close_ int before_fd = -EBADF;
	char before[sizeof(tail.name) + 16];
	uint64_t here;
	int r = 0;

	tail.folder_fd = folder_fd;
	if (strlen(name) >= sizeof(tail.name))
		return reason_set(ret_reason, -ENAMETOOLONG, "%s: %s", shown, strerror(ENAMETOOLONG));
	(void)snprintf(tail.name, sizeof(tail.name), "%s", name);
	(void)snprintf(before, sizeof(before), "%s.1", tail.name);
	tail.fd = open_log(tail.folder_fd, tail.name);
	if (tail.fd == -ENOENT && later)
		goto begun;
	if (tail.fd < 0)
		return reason_set(ret_reason, tail.fd, "%s: %s", shown,
			tail.fd == -ELOOP     ? "it is a symbolic link, which a log never is"
			: tail.fd == -ENOTSUP ? "it is no file, and keeps nothing"
					      : strerror(-tail.fd));
	here = seek_lines(tail.fd, lines);
	if (here < lines)
		before_fd = open_log(tail.folder_fd, before);
	if (before_fd >= 0) {
		(void)seek_lines(before_fd, lines == TAIL_ALL ? lines : lines - here);
		r = put_rest(&tail, before_fd);
	}
	if (r >= 0)
		r = put_rest(&tail, tail.fd);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", shown, strerror(-r));
begun:
	*ret = tail;
	tail = (Tail)TAIL_NONE(form);
	return 0;
}

int tail_begin(const char *below, const char *name, uint64_t lines, TailForm form, Tail *ret, Reason *ret_reason)
{
	int folder_fd = folder_open(below, false, ret_reason);
	char shown[160];

	if (folder_fd < 0)
		return folder_fd;
	(void)snprintf(shown, sizeof(shown), "~/%s/%s", below, name);
	return begin_at(folder_fd, name, shown, false, lines, form, ret, ret_reason);
}

int tail_begin_path(const char *path, bool later, uint64_t lines, TailForm form, Tail *ret, Reason *ret_reason)
{
	_cleanup_free_ char *real = realpath(path, NULL), *copy = NULL;
	int folder_fd;
	char *slash;

	if (!real && !(errno == ENOENT && later))
		return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
	copy = strdup(real ? real : path);
	slash = copy ? strrchr(copy, '/') : NULL;
	if (!slash)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	*slash = '\0';
	folder_fd = open(*copy ? copy : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder_fd < 0)
		return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
	return begin_at(folder_fd, slash + 1, path, later, lines, form, ret, ret_reason);
}

/* ---- what follows ---- */

int tail_more(Tail *tail)
{
	struct stat here = { 0 }, there;
	int r = 0, fd;

	if (tail->fd >= 0) {
		if (fstat(tail->fd, &here) == 0 && here.st_size < lseek(tail->fd, 0, SEEK_CUR))
			(void)lseek(tail->fd, 0, SEEK_SET); /* somebody emptied it */
		r = put_rest(tail, tail->fd);
		if (r != 0)
			return r;
	}
	if (fstatat(tail->folder_fd, tail->name, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
		(here.st_ino == there.st_ino && here.st_dev == there.st_dev))
		return 0;
	/* what came between the end of the old one and the new one */
	if (tail->fd >= 0)
		r = put_rest(tail, tail->fd);
	if (r < 0)
		return r;
	fd = open_log(tail->folder_fd, tail->name);
	if (fd < 0)
		return r;
	fd_close(tail->fd);
	tail->fd = fd;
	return 1;
}

int tail_follow(Tail *tail, bool (*over)(void *userdata), void *userdata, Reason *ret_reason)
{
	_cleanup_close_ int watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[64], events[4096];
	struct pollfd fds[] = { { .fd = watch_fd, .events = POLLIN }, { .fd = STDOUT_FILENO } };
	uint64_t look = now_monotonic() + LOOK_USEC;
	bool ended = false;
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", tail->folder_fd);
	if (watch_fd < 0 || inotify_add_watch(watch_fd, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		return reason_set(ret_reason, -errno, "the log cannot be watched: %s", strerror(errno));
	for (;;) {
		while ((r = tail_more(tail)) > 0)
			continue;
		if (r == -EPIPE || (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)))
			return 0;
		if (r < 0)
			return reason_set(ret_reason, r, "~/%s: %s", tail->name, strerror(-r));
		if (ended)
			return 0;
		r = poll(fds, ELEMENTSOF(fds), LOOK_USEC / 1000);
		if (r < 0 && errno != EINTR)
			return reason_set(ret_reason, -errno, "poll: %s", strerror(errno));
		if (r > 0 && fds[0].revents)
			while (read(watch_fd, events, sizeof(events)) > 0)
				continue;
		/* by the clock: other logs of the folder may be told of without a pause */
		if (now_monotonic() >= look) {
			ended = over && over(userdata);
			look = now_monotonic() + LOOK_USEC;
		}
	}
}
