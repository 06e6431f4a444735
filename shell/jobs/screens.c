/* SPDX-License-Identifier: MIT */
#include "shell/jobs/screens.h"
#include "shell/jobs/child.h"
#include "shell/jobs/span.h"

#include <poll.h>
#include <pwd.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#define SCREENS "/run/screen"
#define LIST_MAX (256U * 1024)
#define SCREEN_USEC (30 * USEC_PER_SEC)

static const char *const state_names[] = {
	[SCREEN_DETACHED] = "detached",
	[SCREEN_ATTACHED] = "attached",
	[SCREEN_DEAD] = "dead",
	[SCREEN_OTHER] = "unknown",
};

/* 0: it is gone. */
static uint64_t started(pid_t pid)
{
	char path[32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return stat(path, &st) == 0 ? (uint64_t)st.st_ctim.tv_sec * USEC_PER_SEC : 0;
}

const char *screen_state_name(ScreenState state)
{
	return state_names[state];
}

void screens_done(Screens *screens)
{
	for (size_t i = 0; i < screens->n; i++) {
		free(screens->items[i].name);
		free(screens->items[i].socket);
	}
	free(screens->items);
	*screens = (Screens){ 0 };
}

/* ---- its sockets ---- */

DIR *screens_folder(void)
{
	const char *folder = getenv("SCREENDIR");
	const struct passwd *user = getpwuid(getuid());
	char path[512];

	if (!folder || folder[0] != '/') {
		(void)snprintf(path, sizeof(path), SCREENS "/S-%s", user ? user->pw_name : "");
		folder = path;
	}
	return opendir(folder);
}

int screen_socket_parse(const char *socket, pid_t *ret_pid, const char **ret_name)
{
	const char *dot = strchr(socket, '.');
	char digits[16];
	uint64_t pid;

	if (!dot || (size_t)(dot - socket) >= sizeof(digits))
		return -EINVAL;
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)(dot - socket), socket);
	if (str_to_u64(digits, INT32_MAX, &pid) < 0)
		return -EINVAL;
	*ret_pid = (pid_t)pid;
	*ret_name = dot + 1;
	return 0;
}

static bool is_among(const Screens *screens, pid_t pid)
{
	for (size_t i = 0; i < screens->n; i++)
		if (screens->items[i].pid == pid)
			return true;
	return false;
}

int screens_came(const char *name, const Screens *before, Screens *ret)
{
	_cleanup_closedir_ DIR *dir = screens_folder();
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_screens_ Screens found = { 0 };
		const char *called;
		pid_t pid;

		if (screen_socket_parse(entry->d_name, &pid, &called) < 0 || strcmp(called, name) != 0 ||
			is_among(before, pid))
			continue;
		found.items = calloc(1, sizeof(*found.items));
		if (!found.items)
			return -ENOMEM;
		found.n = 1;
		found.items[0] = (Screen){ .pid = pid,
			.name = strdup(called),
			.socket = strdup(entry->d_name),
			.state = SCREEN_DETACHED,
			.started_usec = started(pid) };
		if (!found.items[0].name || !found.items[0].socket)
			return -ENOMEM;
		*ret = found;
		found = (Screens){ 0 };
		return 1;
	}
	return 0;
}

/* ---- what it lists ---- */

/* "\t1234.name\t(date)\t(Detached)", the date not in every version; a name has no blanks. */
static int line_take(const char *line, size_t n, Screens *screens)
{
	size_t socket_n, digits;
	Screen *grown, *screen;

	if (n < 2 || line[0] != '\t')
		return 0;
	line++;
	n--;
	socket_n = 0;
	while (socket_n < n && line[socket_n] != '\t' && line[socket_n] != ' ')
		socket_n++;
	digits = strspn(line, "0123456789");
	if (!digits || digits > 9 || digits + 1 >= socket_n || line[digits] != '.')
		return 0;
	grown = reallocarray(screens->items, screens->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	screens->items = grown;
	screen = &grown[screens->n];
	*screen = (Screen){
		.pid = (pid_t)strtol(line, NULL, 10),
		.name = strndup(line + digits + 1, socket_n - digits - 1),
		.socket = strndup(line, socket_n),
		.state = memmem(line, n, "(Detached)", 10)          ? SCREEN_DETACHED
			 : memmem(line, n, "(Attached)", 10)        ? SCREEN_ATTACHED
			 : memmem(line, n, "(Multi, attached)", 17) ? SCREEN_ATTACHED
			 : memmem(line, n, "(Multi, detached)", 17) ? SCREEN_DETACHED
			 : memmem(line, n, "(Dead", 5)              ? SCREEN_DEAD
								    : SCREEN_OTHER,
	};
	screens->n++;
	return screen->name && screen->socket ? 0 : -ENOMEM;
}

int screens_parse(const char *text, Screens *ret)
{
	_cleanup_screens_ Screens screens = { 0 };

	while (*text) {
		size_t n = strcspn(text, "\n");
		int r = line_take(text, n && text[n - 1] == '\r' ? n - 1 : n, &screens);

		if (r < 0)
			return r;
		text += n + (text[n] == '\n');
	}
	*ret = screens;
	screens = (Screens){ 0 };
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const Screen *one = a, *other = b;
	int r = strcmp(one->name, other->name);

	return r ? r : (one->pid > other->pid) - (one->pid < other->pid);
}

int screens_list(Screens *ret, Reason *ret_reason)
{
	static const char *const argv[] = { "screen", "-ls", NULL };
	_cleanup_free_ char *text = NULL;
	int r;

	/* its exit status says little, and another thing in each version */
	r = child_read(argv, SCREEN_USEC, LIST_MAX, &text, ret_reason);
	if (r == -ENOENT)
		return reason_set(ret_reason, r, "screen is not installed; an operator can: apt install screen");
	if (r < 0)
		return r;
	r = screens_parse(text, ret);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", strerror(-r));
	for (size_t i = 0; i < ret->n; i++)
		if (ret->items[i].state != SCREEN_DEAD)
			ret->items[i].started_usec = started(ret->items[i].pid);
	if (ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), by_name);
	return 0;
}

const Screen *screens_find(const Screens *screens, const char *name, Reason *ret_reason)
{
	const Screen *found = NULL;
	uint64_t pid = 0;

	if (str_to_u64(name, INT32_MAX, &pid) < 0)
		pid = 0;
	for (size_t i = 0; i < screens->n; i++) {
		const Screen *screen = &screens->items[i];

		if (strcmp(screen->socket, name) == 0 || (pid && screen->pid == (pid_t)pid))
			return screen;
		if (strcmp(screen->name, name) != 0)
			continue;
		if (found) {
			(void)reason_set(ret_reason, -EEXIST,
				"there are several of that name; say which by its PID: %d, %d", (int)found->pid,
				(int)screen->pid);
			return NULL;
		}
		found = screen;
	}
	if (!found)
		(void)reason_set(ret_reason, -ENOENT, "there is no screen of that name; `creel screen list` shows all");
	return found;
}

int screen_quit(const Screen *screen, Reason *ret_reason)
{
	const char *const quit[] = { "screen", "-S", screen->socket, "-X", "quit", NULL };
	const char *const wipe[] = { "screen", "-wipe", screen->socket, NULL };
	_cleanup_close_ int pid_fd = screen->state == SCREEN_DEAD ? -EBADF : pidfd_open(screen->pid, 0);
	struct pollfd ended = { .fd = pid_fd, .events = POLLIN };
	_cleanup_free_ char *text = NULL;
	int r;

	r = child_read(screen->state == SCREEN_DEAD ? wipe : quit, SCREEN_USEC, LIST_MAX, &text, ret_reason);
	if (r < 0)
		return r;
	if (screen->state == SCREEN_DEAD)
		return 0;
	if (r > 0 && pid_fd >= 0)
		return reason_set(ret_reason, -EREMOTEIO, "screen says: %.*s", (int)strcspn(text, "\r\n"), text);
	if (pid_fd >= 0 && poll(&ended, 1, (int)(SCREEN_USEC / 1000)) == 0)
		return reason_set(ret_reason, -ETIMEDOUT, "it does not end; `kill -9 %d` ends it", (int)screen->pid);
	return 0;
}
