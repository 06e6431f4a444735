/* SPDX-License-Identifier: MIT */
#include "sshd-sub/children.h"
#include "shell/base/rate.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

void children_init(Children *children, Sources *sources)
{
	*children = (Children){ .sources = sources };
	children->end = &children->first;
}

int children_add(Children *children, pid_t pid, int connection_fd, const char *peer, Source *source, uint32_t id)
{
	Child *child = calloc(1, sizeof(*child));

	if (!child)
		return -ENOMEM;
	child->id = id;
	child->pid = pid;
	child->connection_fd = connection_fd;
	child->source = source;
	child->since_usec = clock_monotonic_usec();
	(void)snprintf(child->peer, sizeof(child->peer), "%s", peer);
	*children->end = child;
	children->end = &child->next;
	children->unauthenticated++;
	source_note(children->sources, source, SOURCE_SERVED, child->since_usec);
	return 0;
}

static void child_leaves_source(Children *children, Child *child, SourceEvent how)
{
	if (child->source)
		source_note(children->sources, child->source, how, clock_monotonic_usec());
	child->source = NULL;
}

static void child_counts_no_more(Children *children, Child *child, SourceEvent how)
{
	child_leaves_source(children, child, how);
	if (!child->admitted)
		children->unauthenticated--;
	child->admitted = true;
	child->connection_fd = fd_close(child->connection_fd);
}

void children_admit(Children *children, uint32_t id)
{
	for (Child *child = children->first; child; child = child->next)
		if (child->id == id) {
			child_counts_no_more(children, child, SOURCE_ENTERED);
			return;
		}
}

Child *children_find(Children *children, pid_t pid)
{
	for (Child *child = children->first; child; child = child->next)
		if (child->pid == pid)
			return child;
	return NULL;
}

void children_remove(Children *children, Child *child)
{
	Child **link = &children->first;

	while (*link != child)
		link = &(*link)->next;
	*link = child->next;
	if (children->end == &child->next)
		children->end = link;
	child_counts_no_more(children, child, SOURCE_USED_UP);
	free(child);
}

/* Does it keep us waiting, for longer than it may? */
static bool child_overdue(const Child *child)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);
	int unread = 0;

	if (ioctl(child->connection_fd, SIOCINQ, &unread) < 0 || unread > 0)
		return false; /* it is we who are slow */
	if (getsockopt(child->connection_fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return false;
	return info.tcpi_last_data_recv >=
	       (info.tcpi_bytes_received ? CHILD_IDLE_PATIENCE_MSEC : CHILD_SILENT_PATIENCE_MSEC);
}

/* How many places the side that `source` is compared by has: its group, or itself where both are of one group. */
static unsigned int places_beside(const Source *source, const Source *other)
{
	return source->above == other->above ? source->serving : source->above->serving;
}

/* May it be dropped for somebody of source `waiting`? */
static bool child_had_its_turn(const Child *child, const Source *waiting, bool crowded, uint64_t now_usec)
{
	unsigned int own = places_beside(child->source, waiting), theirs = places_beside(waiting, child->source);

	if (child->overdue)
		return true;
	if (own <= theirs)
		return false;
	return now_usec - child->since_usec >= (crowded || own > theirs + 1 ? CHILD_TURN_USEC : CHILD_LONG_TURN_USEC);
}

/* Of a group with more places, or of a source with more in the same one? The first of equals is the oldest. */
static bool child_goes_before(const Child *child, const Child *other)
{
	const Source *a = child->source, *b = other->source;

	if (a->above->serving != b->above->serving)
		return a->above->serving > b->above->serving;
	return a->serving > b->serving;
}

size_t children_choose_victims(
	Children *children, const Source *waiting, bool crowded, uint64_t now_usec, Child **ret, size_t n)
{
	size_t chosen = 0;

	for (Child *child = children->first; child; child = child->next)
		if (child->source)
			child->overdue = child_overdue(child);
	while (chosen < n) {
		Child *victim = NULL;

		for (Child *child = children->first; child; child = child->next)
			if (child->source && (!victim || child_goes_before(child, victim)) &&
				child_had_its_turn(child, waiting, crowded, now_usec))
				victim = child;
		if (!victim)
			break;
		child_leaves_source(children, victim, SOURCE_USED_UP);
		ret[chosen++] = victim;
	}
	return chosen;
}
