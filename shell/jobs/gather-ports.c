/* SPDX-License-Identifier: MIT */
/*
 * Who listens where. Descriptors tell it, where a login may look into a process: its own. Else the kernel says in which cgroup a
 * socket was made, and those who are there, or were moved from there to kept/ when it ended, can have it. Of several rows it is
 * the one that alone has the port in its command line. What still is nobody's is a row by itself: a port that is taken is not
 * left out.
 */
#include "shell/jobs/gather.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

static RowReach reach_of(const Listener *listener)
{
	return listener_is_loopback(listener)   ? REACH_LOOPBACK
	       : listener_is_wildcard(listener) ? REACH_ANY
						: REACH_ADDRESS;
}

/* The folder's inode, or 0 where it cannot be told. */
static uint64_t cgroup_id(const char *cgroup)
{
	_cleanup_free_ char *path = str_format(CGROUP_ROOT "%s", cgroup);
	struct stat st;

	return path && stat(path, &st) == 0 ? st.st_ino : 0;
}

typedef struct Places {
	uint64_t *ids; /* of each process' cgroup; 0: not to be told */
	bool *open;    /* all its sockets were looked at */
} Places;

/* Fills `owners`, beside the listeners, with the rows of sockets that this process has. False: it may not be looked into. */
static bool look_into(const Gathered *gathered, const Process *process, size_t row, size_t *owners)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)process->pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while ((entry = readdir(dir))) {
		unsigned int inode;
		char target[64];
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (n < 0 && errno == EACCES)
			return false;
		if (n < 0)
			continue;
		target[n] = '\0';
		if (sscanf(target, "socket:[%u]", &inode) != 1)
			continue;
		for (size_t i = 0; i < gathered->n_listeners; i++)
			if (gathered->listeners[i].inode == inode)
				owners[i] = row;
	}
	return true;
}

/* The port's number stands in the command line, not as a part of a longer one. */
static bool names_port(const char *command, uint16_t port)
{
	char digits[8];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%u", port);

	for (const char *at = strstr(command, digits); at; at = strstr(at + 1, digits)) {
		bool begins = at == command || at[-1] < '0' || at[-1] > '9';

		if (begins && (at[n] < '0' || at[n] > '9'))
			return true;
	}
	return false;
}

/* Which rows can have a socket. */
typedef struct Candidates {
	uint64_t cgroup; /* they are in it; 0: they are in a folder that takes up what is left of others */
	uint16_t port;
	bool named; /* their command line has the port in it */
} Candidates;

static bool can_have(const Gathered *gathered, const Places *places, size_t i, const Candidates *candidates)
{
	const Process *process = &gathered->processes.items[i];

	if (places->open[i] || gathered->owner[i] == SIZE_MAX)
		return false;
	if (candidates->cgroup ? places->ids[i] != candidates->cgroup
			       : places->ids[i] && process->where.kind != WHERE_KEPT)
		return false;
	return !candidates->named || names_port(process->command, candidates->port);
}

/* The only row that can have it; SIZE_MAX: none, or several. */
static size_t only_candidate(const Gathered *gathered, const Places *places, const Candidates *candidates)
{
	size_t found = SIZE_MAX;

	for (size_t i = 0; i < gathered->processes.n; i++) {
		if (gathered->owner[i] == found || !can_have(gathered, places, i, candidates))
			continue;
		if (found != SIZE_MAX)
			return SIZE_MAX;
		found = gathered->owner[i];
	}
	return found;
}

static size_t row_of(const Gathered *gathered, const Places *places, const Listener *listener)
{
	Candidates candidates = { .port = listener->port };
	size_t row;

	for (size_t i = 0; listener->cgroup && i < gathered->processes.n; i++)
		if (places->ids[i] == listener->cgroup)
			candidates.cgroup = listener->cgroup;
	row = only_candidate(gathered, places, &candidates);
	candidates.named = true;
	return row != SIZE_MAX ? row : only_candidate(gathered, places, &candidates);
}

static int nobodys(Gathered *gathered, uint16_t port, RowReach reach)
{
	char name[32];
	Row *row;

	(void)snprintf(name, sizeof(name), "port-%u", port);
	for (size_t i = 0; i < gathered->rows.n; i++)
		if (gathered->rows.items[i].kind == ROW_STRAY && strcmp(gathered->rows.items[i].name, name) == 0)
			return row_add_port(&gathered->rows.items[i], port, reach);
	row = rows_add(&gathered->rows, ROW_STRAY, name);
	if (!row)
		return -ENOMEM;
	(void)snprintf(row->state, sizeof(row->state), "listening");
	return row_add_port(row, port, reach);
}

static int give(Gathered *gathered, const Places *places, const size_t *owners)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < gathered->n_listeners; i++) {
		const Listener *listener = &gathered->listeners[i];
		size_t row = owners[i];

		if (listener->uid != getuid())
			continue;
		if (row == SIZE_MAX)
			row = row_of(gathered, places, listener);
		r = row == SIZE_MAX ? nobodys(gathered, listener->port, reach_of(listener))
				    : row_add_port(&gathered->rows.items[row], listener->port, reach_of(listener));
	}
	return r;
}

int gather_ports(Gathered *gathered)
{
	_cleanup_free_ uint64_t *ids = calloc(gathered->processes.n + 1, sizeof(*ids));
	_cleanup_free_ bool *open = calloc(gathered->processes.n + 1, sizeof(*open));
	_cleanup_free_ size_t *owners = NULL;
	Places places = { ids, open };
	int r;

	r = listeners_read(&gathered->listeners, &gathered->n_listeners);
	if (r == -EPROTONOSUPPORT || r == -EPERM || r == -EACCES)
		return 0; /* a policy that has no sockets of that kind: the table has no ports */
	if (r < 0)
		return r;
	owners = malloc((gathered->n_listeners + 1) * sizeof(*owners));
	if (!ids || !open || !owners)
		return -ENOMEM;
	memset(owners, 0xff, (gathered->n_listeners + 1) * sizeof(*owners)); /* SIZE_MAX each */
	for (size_t i = 0; i < gathered->processes.n; i++) {
		const Process *process = &gathered->processes.items[i];

		if (i && strcmp(process->cgroup, process[-1].cgroup) == 0)
			ids[i] = ids[i - 1];
		else
			ids[i] = cgroup_id(process->cgroup);
		if (process->where.kind != WHERE_UNIT)
			open[i] = look_into(gathered, process, gathered->owner[i], owners);
	}
	return give(gathered, &places, owners);
}
