/* SPDX-License-Identifier: MIT */
/*
 * Recording terminals ([audit] terminals): between the agent's terminal and the front a process passes the bytes on, and writes down
 * what was shown (shell/creel-recorder.c). The front gets another terminal instead of the agent's, with nothing but that process at
 * its other end, so nothing is different for it.
 *
 * The recorder lies in the leaf `recorders` of the agent's slice: it lives on when this keeper is restarted, and what it passes on
 * costs the agent's CPU time. It is moved there after its start, so that a slice that is full keeps nobody from being recorded.
 *
 * A terminal that should be recorded and cannot be is refused, but for one reason: the agent's recordings take all the room that they
 * have. Then its command's entry in the record says that there is none. What is there is never removed for room.
 */
#include "shell/keeper/terminal-recording.h"
#include "shell/audit/cast.h"
#include "shell/audit/recordings.h"
#include "shell/base/file.h"
#include "shell/base/log.h"
#include "shell/keeper/entry.h"
#include "shell/keeper/helper.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#define PROGRAM CREEL_LIBEXECDIR "/creel-recorder"
#define LEAF "recorders"
#define PRUNE_USEC (6 * UINT64_C(3600000000))

/* Of what is left of the room, so that some is left for the next. */
#define PART_OF_LEFT 8U
#define PART_OF_ALL 16U

static int folder_open(const Keeper *keeper, bool make, int *ret_fd)
{
	_cleanup_free_ char *path = str_format(RECORDINGS_FOLDER "/%s", keeper->identity->name);
	int fd;

	if (!path)
		return -ENOMEM;
	/* their parent comes with the system (units/tmpfiles.conf.in) */
	if (make && mkdir(RECORDINGS_FOLDER, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int prune(const Keeper *keeper, int dir_fd, uint64_t *ret_used)
{
	uint64_t now = clock_realtime_usec(), age = keeper->policy->audit_retention_usec;

	return recordings_prune(dir_fd, now > age ? now - age : 0, ret_used);
}

/* It goes with the last recorder; one that an earlier keeper started may have been that. */
static void forget_leaf(const Keeper *keeper)
{
	int r = leaf_remove(keeper->leaves_fd, LEAF);

	if (r < 0 && r != -EBUSY && r != -ENOENT)
		log_error("cannot remove the leaf " LEAF ": %s", strerror(-r));
}

static int on_prune(sd_event_source *source, uint64_t usec, void *userdata)
{
	_cleanup_close_ int dir_fd = -EBADF;
	Keeper *keeper = userdata;
	uint64_t used;

	keeper->recordings_timer = sd_event_source_disable_unref(keeper->recordings_timer);
	/* without a policy nobody says how old they may become */
	if (keeper->policy && folder_open(keeper, false, &dir_fd) == 0 && prune(keeper, dir_fd, &used) < 0)
		log_error("cannot remove old recordings of terminals");
	forget_leaf(keeper);
	terminal_recordings_watch(keeper);
	return 0;
}

void terminal_recordings_watch(Keeper *keeper)
{
	uint64_t first = keeper->recordings_watched ? PRUNE_USEC : 0;

	if (keeper->recordings_timer)
		return;
	keeper->recordings_watched = true;
	if (sd_event_add_time_relative(keeper->event, &keeper->recordings_timer, CLOCK_BOOTTIME, first, PRUNE_USEC / 10,
		    on_prune, keeper) < 0)
		log_error("old recordings of terminals are not removed: out of memory");
}

/* What a new one may have: 0 when there is no room. */
static uint64_t allotment(const Keeper *keeper, uint64_t used)
{
	uint64_t room = keeper->policy->audit_terminals_room, left = room > used ? room - used : 0;
	uint64_t most = left / PART_OF_LEFT < room / PART_OF_ALL ? left / PART_OF_LEFT : room / PART_OF_ALL;

	return most < CAST_LEAST ? 0 : most;
}

/* The front's terminal: what is written to one end is read at the other, unchanged. */
static int relay_open(int terminal_fd, int *ret_front_fd, int *ret_recorder_fd)
{
	_cleanup_close_ int front_fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), recorder_fd = -EBADF;
	struct winsize size;
	struct termios tio;
	int locked = 0;

	if (front_fd < 0 || ioctl(front_fd, TIOCSPTLCK, &locked) < 0)
		return -errno;
	recorder_fd = ioctl(front_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (recorder_fd < 0 || tcgetattr(recorder_fd, &tio) < 0)
		return -errno;
	cfmakeraw(&tio);
	if (tcsetattr(recorder_fd, TCSANOW, &tio) < 0 || ioctl(terminal_fd, TIOCGWINSZ, &size) < 0 ||
		ioctl(front_fd, TIOCSWINSZ, &size) < 0)
		return -errno;
	*ret_front_fd = TAKE_FD(front_fd);
	*ret_recorder_fd = TAKE_FD(recorder_fd);
	return 0;
}

static int on_ended(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	Keeper *keeper = userdata;

	if ((info->si_code != CLD_EXITED || info->si_status != 0) && rate_take(&keeper->record_failures, NULL))
		log_warning(PROGRAM " ended badly: a recording may lack its end");
	forget_leaf(keeper);
	sd_event_source_disable_unref(source);
	return 0;
}

static int move(const Keeper *keeper, pid_t pid)
{
	_cleanup_close_ int leaf_fd = -EBADF;
	char text[16];
	int r;

	r = leaf_make(keeper->leaves_fd, LEAF, NULL, false, &leaf_fd);
	if (r == -EEXIST)
		r = leaf_open(keeper->leaves_fd, LEAF, &leaf_fd);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	return file_put_at(leaf_fd, "cgroup.procs", text);
}

static int start(Keeper *keeper, char *const argv[], const int fds[static HELPER_FDS])
{
	sd_event_source *source;
	pid_t pid = 0;
	int r;

	r = helper_start(argv, fds, &pid);
	if (r < 0)
		return r;
	r = sd_event_add_child(keeper->event, &source, pid, WEXITED, on_ended, keeper);
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		return r;
	}
	r = move(keeper, pid);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	return r < 0 ? r : 0;
}

/* Reserved as a whole, so that what is promised to this one is nobody else's; the recorder gives back what it did not need. */
static int file_make(int dir_fd, const char *name, uint64_t most, int *ret_fd)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	/* as long as the recorder lives, which has the same open file: what is locked is not given back (recordings_prune()) */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 ||
		(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)most) < 0 && errno != EOPNOTSUPP)) {
		int r = -errno;

		(void)unlinkat(dir_fd, name, 0);
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int record(Channel *channel, int dir_fd, uint64_t most, const char *term, int *terminal_fd)
{
	_cleanup_close_ int file_fd = -EBADF, front_fd = -EBADF, recorder_fd = -EBADF;
	Keeper *keeper = channel->session->keeper;
	char name[RECORDING_NAME_MAX], bytes[24], title[160];
	int r;

	(void)snprintf(name, sizeof(name), "%s-%u" RECORDINGS_SUFFIX, channel->session->id, channel->number);
	(void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)most);
	(void)snprintf(title, sizeof(title), "%s, session %s, channel %u", keeper->identity->name, channel->session->id,
		channel->number);
	r = file_make(dir_fd, name, most, &file_fd);
	if (r < 0)
		return r;
	r = relay_open(*terminal_fd, &front_fd, &recorder_fd);
	if (r == 0)
		r = start(keeper,
			(char *const[]){ (char *)PROGRAM, bytes, (char *)term, keeper->policy->shell, title, NULL },
			(const int[]){ *terminal_fd, recorder_fd, -EBADF, file_fd });
	if (r == 0)
		r = str_set(&channel->recording, name);
	if (r < 0) {
		(void)unlinkat(dir_fd, name, 0);
		return r;
	}
	fd_close(*terminal_fd);
	*terminal_fd = TAKE_FD(front_fd);
	return 0;
}

int terminal_record(Channel *channel, const char *term, int *terminal_fd)
{
	Keeper *keeper = channel->session->keeper;
	_cleanup_close_ int dir_fd = -EBADF;
	uint64_t used = 0, most;
	int r;

	if (!keeper->policy->audit_terminals || !keeper_records(keeper))
		return 0;
	r = folder_open(keeper, true, &dir_fd);
	if (r == 0)
		r = prune(keeper, dir_fd, &used);
	if (r < 0)
		return r;
	most = allotment(keeper, used);
	if (most)
		return record(channel, dir_fd, most, term, terminal_fd);
	if (rate_take(&keeper->record_failures, NULL))
		keeper_record_event(keeper, "a terminal is not recorded: the room for recordings is used up");
	return str_set(&channel->recording, "none");
}

void terminal_record_undo(Channel *channel)
{
	_cleanup_close_ int dir_fd = -EBADF;

	if (channel->recording && folder_open(channel->session->keeper, false, &dir_fd) == 0)
		(void)unlinkat(dir_fd, channel->recording, 0);
}
