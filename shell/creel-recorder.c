/* SPDX-License-Identifier: MIT */
/*
 * creel-recorder MOST TERM SHELL TITLE: passes on what a terminal of an agent's shows and what is typed, and records what it shows.
 * Started by the agent's keeper, for one terminal. 0: the master of the agent's terminal; 1: the other end of the one that the front
 * has, in raw mode; 3: the file. MOST: bytes that the file may have.
 *
 * Runs as root without a capability, in the agent's slice: what it passes on costs the agent's CPU time, and it cannot be reached by the
 * agent. What an agent writes is bytes to it, but for what looks like a secret. When the filter is in force it opens nothing any
 * more, and can do little else than read and write.
 *
 * Either side's end is the end: the agent's terminal hangs up when the front closed its own, and the front reads the end when nobody
 * has the agent's terminal open any more, behind its last byte. A window that changes is told by SIGWINCH, as to any program.
 */
#include "shell/audit/cast.h"
#include "shell/base/privilege.h"
#include "shell/base/rate.h"
#include "shell/base/str.h"
#include "shell/confine/filter.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#define TERMINAL_FD 0
#define FRONT_FD 1
#define FILE_FD 3
#define MEMORY_MAX (64UL << 20)

/* Bytes on their way in one direction; more is read when they are gone. */
typedef struct Way {
	int from_fd, to_fd;
	char data[16384];
	size_t at, n;
} Way;

typedef struct Recorder {
	Cast cast;
	Way shown, typed;
	int signal_fd;
	struct winsize size;
} Recorder;

static const FilterRow rows[] = {
	FILTER_ALLOW(read, "what is shown and typed, signals"),
	FILTER_ALLOW(write, "the same, and the file"),
	FILTER_ALLOW(poll, "the loop"),
	FILTER_ALLOW(ppoll, "the loop"),
	FILTER_ALLOW(ioctl, "the window's size", FILTER_EQUAL(1, TIOCGWINSZ)),
	FILTER_ALLOW(ioctl, "the window's size", FILTER_EQUAL(1, TIOCSWINSZ)),
	FILTER_ALLOW(ftruncate, "gives back what the file did not need"),
	FILTER_ALLOW(lseek, "how much that is"),
	FILTER_ALLOW(brk, "malloc"),
	FILTER_ALLOW(mmap, "malloc; no code", FILTER_WITHOUT(2, PROT_EXEC)),
	FILTER_ALLOW(mprotect, "malloc; no code", FILTER_WITHOUT(2, PROT_EXEC)),
	FILTER_ALLOW(munmap, "malloc"),
	FILTER_ALLOW(mremap, "realloc"),
	FILTER_ALLOW(madvise, "malloc"),
	FILTER_ALLOW(clock_gettime, "where the vDSO has no clock"),
	FILTER_ALLOW(rt_sigprocmask, "abort()"),
	FILTER_ALLOW(restart_syscall, "a poll that was stopped and continued"),
	FILTER_ALLOW(exit_group, "the end"),
};

/* The front's terminal becomes the own one, or nobody told of its size. */
static int prepare_signals(Recorder *recorder)
{
	sigset_t all, window;

	sigfillset(&all);
	sigemptyset(&window);
	sigaddset(&window, SIGWINCH);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return -errno;
	recorder->signal_fd = signalfd(-1, &window, SFD_CLOEXEC | SFD_NONBLOCK);
	if (recorder->signal_fd < 0)
		return -errno;
	return setsid() < 0 || ioctl(FRONT_FD, TIOCSCTTY, 0) < 0 ? -errno : 0;
}

static int confine(uint64_t most)
{
	const struct rlimit none = { 0, 0 }, memory = { MEMORY_MAX, MEMORY_MAX }, size = { most, most };
	_cleanup_(filter_done) Filter filter = { 0 };
	int r;

	r = filter_prepare(rows, ELEMENTSOF(rows), &filter);
	if (r < 0)
		return r;
	if (setrlimit(RLIMIT_FSIZE, &size) < 0 || setrlimit(RLIMIT_NPROC, &none) < 0 ||
		setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_AS, &memory) < 0 ||
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = privilege_drop(~UINT64_C(0));
	return r < 0 ? r : filter_apply(&filter);
}

static int without_waiting(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

/* The front's size, to the agent's terminal where it became another one. */
static void pass_size(Recorder *recorder)
{
	struct winsize size;

	if (ioctl(FRONT_FD, TIOCGWINSZ, &size) < 0 || memcmp(&size, &recorder->size, sizeof(size)) == 0)
		return;
	recorder->size = size;
	(void)ioctl(TERMINAL_FD, TIOCSWINSZ, &size);
	cast_size(&recorder->cast, clock_monotonic_usec(), size.ws_col, size.ws_row);
}

static void on_signal(Recorder *recorder)
{
	struct signalfd_siginfo info;

	while (read(recorder->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
	pass_size(recorder);
}

/* Returns 1 when bytes came, 0 when none are there, -EPIPE at the end. */
static int way_read(Way *way)
{
	ssize_t n = read(way->from_fd, way->data, sizeof(way->data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -EPIPE;
	way->at = 0;
	way->n = (size_t)n;
	return 1;
}

/* Returns 0, or -EPIPE when nobody takes it any more. */
static int way_write(Way *way)
{
	ssize_t n;

	if (!way->n)
		return 0;
	n = write(way->to_fd, way->data + way->at, way->n);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
	way->at += (size_t)n;
	way->n -= (size_t)n;
	return 0;
}

/* What was shown last reaches the front, or the front goes. */
static void drain(Recorder *recorder)
{
	struct pollfd front = { .fd = FRONT_FD, .events = POLLOUT };

	while (recorder->shown.n && poll(&front, 1, -1) >= 0 && !(front.revents & (POLLHUP | POLLERR)))
		if (way_write(&recorder->shown) < 0)
			return;
}

static int pass(Recorder *recorder, const struct pollfd *terminal, const struct pollfd *front)
{
	Way *shown = &recorder->shown, *typed = &recorder->typed;
	int r;

	if (front->revents & (POLLHUP | POLLERR))
		return -EPIPE;
	if (!shown->n && (terminal->revents & (POLLIN | POLLHUP | POLLERR))) {
		r = way_read(shown);
		if (r < 0)
			return r;
		if (r > 0)
			cast_output(&recorder->cast, clock_monotonic_usec(), shown->data, shown->n);
	}
	if (!typed->n && (front->revents & POLLIN) && way_read(typed) < 0)
		return -EPIPE;
	/* a terminal that is over takes nothing; what it showed last is still to be read */
	if (way_write(typed) < 0)
		typed->n = 0;
	return way_write(shown);
}

static void loop(Recorder *recorder)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = TERMINAL_FD,
				.events =
					(short)((recorder->shown.n ? 0 : POLLIN) | (recorder->typed.n ? POLLOUT : 0)) },
			{ .fd = FRONT_FD,
				.events =
					(short)((recorder->typed.n ? 0 : POLLIN) | (recorder->shown.n ? POLLOUT : 0)) },
			{ .fd = recorder->signal_fd, .events = POLLIN },
		};

		/* a terminal that is over is reported without being asked for: only what the front takes counts then */
		if (recorder->shown.n && !recorder->typed.n)
			fds[0].fd = -1;
		if (poll(fds, ELEMENTSOF(fds), -1) < 0 && errno != EINTR)
			return;
		if (fds[2].revents)
			on_signal(recorder);
		if (pass(recorder, &fds[0], &fds[1]) < 0) {
			drain(recorder);
			return;
		}
	}
}

int main(int argc, char **argv)
{
	static Recorder recorder = {
		.shown = { .from_fd = TERMINAL_FD, .to_fd = FRONT_FD },
		.typed = { .from_fd = FRONT_FD, .to_fd = TERMINAL_FD },
	};
	CastHeader header = { .since_usec = clock_realtime_usec() };
	uint64_t most;
	off_t end;

	if (argc != 5 || str_to_u64(argv[1], UINT64_MAX / 2, &most) < 0)
		return EXIT_FAILURE;
	header.term = argv[2];
	header.shell = argv[3];
	header.title = argv[4];
	if (prepare_signals(&recorder) < 0 || without_waiting(TERMINAL_FD) < 0 || without_waiting(FRONT_FD) < 0 ||
		ioctl(TERMINAL_FD, TIOCGWINSZ, &recorder.size) < 0 || confine(most) < 0)
		return EXIT_FAILURE;
	header.columns = recorder.size.ws_col;
	header.rows = recorder.size.ws_row;
	if (cast_begin(&recorder.cast, FILE_FD, most, clock_monotonic_usec(), &header) < 0)
		return EXIT_FAILURE;
	/* it may have become another one before anybody listened */
	pass_size(&recorder);
	loop(&recorder);
	end = lseek(FILE_FD, 0, SEEK_CUR);
	return end < 0 || ftruncate(FILE_FD, end) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
