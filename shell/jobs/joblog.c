/* SPDX-License-Identifier: MIT */
#include "shell/jobs/joblog.h"
#include "shell/jobs/folders.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int log_begin(int folder_fd, const char *name, bool fresh, uint64_t max, Log *ret)
{
	Log log = { .folder_fd = folder_fd, .fd = -EBADF, .max = max };
	char before[112];

	(void)snprintf(log.name, sizeof(log.name), "%s", name);
	(void)snprintf(before, sizeof(before), "%s.1", log.name);
	log.fd = folder_log(folder_fd, log.name, fresh);
	if (log.fd < 0)
		return log.fd;
	if (fresh)
		(void)unlinkat(folder_fd, before, 0);
	*ret = log;
	return 0;
}

void log_end(Log *log)
{
	log->fd = fd_close(log->fd);
}

/* Without a file - somebody took the folder away - all is lost until one can be made again. */
static void open_anew(Log *log)
{
	int fd = folder_log(log->folder_fd, log->name, false);

	log->fd = fd_close(log->fd);
	if (fd >= 0)
		log->fd = fd;
	else
		log->error = -fd;
}

/* In a folder that may not be written to, what was there goes. False: there is no room, nor can any be made. */
static bool change(Log *log)
{
	char before[112];

	(void)snprintf(before, sizeof(before), "%s.1", log->name);
	if (renameat(log->folder_fd, log->name, log->folder_fd, before) < 0 &&
		unlinkat(log->folder_fd, log->name, 0) < 0 && ftruncate(log->fd, 0) < 0) {
		log->error = errno;
		return false;
	}
	open_anew(log);
	return true;
}

/* Returns how many bytes were written. */
static size_t put(Log *log, const char *bytes, size_t n)
{
	size_t done = 0;

	while (log->fd >= 0 && done < n) {
		ssize_t written = write(log->fd, bytes + done, n - done);

		if (written > 0) {
			done += (size_t)written;
		} else if (errno != EINTR) {
			log->error = errno;
			break;
		}
	}
	return done;
}

static void tell_lost(Log *log)
{
	char note[160];
	int n = snprintf(note, sizeof(note), "\n[creel: %llu bytes were not written: %s]\n",
		(unsigned long long)log->lost, strerror(log->error));

	if (put(log, note, (size_t)n) == (size_t)n)
		log->lost = 0;
}

static void add(Log *log, const char *bytes, size_t n)
{
	size_t done = 0;

	if (log->lost)
		tell_lost(log);
	if (!log->lost)
		done = put(log, bytes, n);
	log->lost += n - done;
}

void log_add(Log *log, const char *bytes, size_t n)
{
	while (n) {
		uint64_t room;
		struct stat st;
		size_t part = n;

		/* it may have been taken away, or emptied */
		if (log->fd < 0 || fstat(log->fd, &st) < 0 || st.st_nlink == 0) {
			open_anew(log);
			if (log->fd < 0 || fstat(log->fd, &st) < 0) {
				log->lost += n;
				return;
			}
		}
		room = (uint64_t)st.st_size < log->max ? log->max - (uint64_t)st.st_size : 0;
		if (part > room) {
			const char *line = room ? memrchr(bytes, '\n', (size_t)room) : NULL;

			/* a line longer than all the room there is cannot stay whole */
			part = line ? (size_t)(line - bytes) + 1 : st.st_size ? 0 : (size_t)room;
		}
		if (part)
			add(log, bytes, part);
		bytes += part;
		n -= part;
		if (n && !change(log)) {
			log->lost += n;
			return;
		}
	}
}
