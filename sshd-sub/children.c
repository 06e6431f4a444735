/* SPDX-License-Identifier: MIT */
#include "sshd-sub/children.h"
#include "shell/base/rate.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

void children_init(Children *children)
{
	*children = (Children){ 0 };
	children->end = &children->first;
}

int children_add(
	Children *children, pid_t pid, int connection_fd, const char *peer, const PeerSource *source, uint32_t id)
{
	Child *child = calloc(1, sizeof(*child));

	if (!child)
		return -ENOMEM;
	child->id = id;
	child->pid = pid;
	child->connection_fd = connection_fd;
	child->source = *source;
	child->since_usec = clock_monotonic_usec();
	(void)snprintf(child->peer, sizeof(child->peer), "%s", peer);
	*children->end = child;
	children->end = &child->next;
	children->unauthenticated++;
	return 0;
}

static void child_counts_no_more(Children *children, Child *child)
{
	if (!child->admitted)
		children->unauthenticated--;
	child->admitted = true;
	child->connection_fd = fd_close(child->connection_fd);
}

void children_admit(Children *children, uint32_t id)
{
	for (Child *child = children->first; child; child = child->next)
		if (child->id == id) {
			child_counts_no_more(children, child);
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
	child_counts_no_more(children, child);
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

unsigned int children_count_source(const Children *children, const PeerSource *source)
{
	unsigned int n = 0;

	for (const Child *child = children->first; child; child = child->next)
		if (!child->admitted && !child->dropped && memcmp(&child->source, source, sizeof(*source)) == 0)
			n++;
	return n;
}

/* May it be dropped for somebody whose source holds `theirs`, while its own holds `n`? */
static bool child_had_its_turn(const Child *child, unsigned int n, unsigned int theirs, uint64_t now_usec)
{
	if (child_overdue(child))
		return true;
	if (n <= theirs)
		return false;
	return now_usec - child->since_usec >= (n > theirs + 1 ? CHILD_TURN_USEC : CHILD_LONG_TURN_USEC);
}

Child *children_choose_victim(Children *children, const PeerSource *waiting, uint64_t now_usec)
{
	unsigned int most = 0, theirs = children_count_source(children, waiting);
	Child *victim = NULL;

	for (Child *child = children->first; child; child = child->next) {
		unsigned int n;

		if (child->admitted || child->dropped)
			continue;
		n = children_count_source(children, &child->source);
		/* the first of equals is the oldest */
		if (n > most && child_had_its_turn(child, n, theirs, now_usec)) {
			most = n;
			victim = child;
		}
	}
	if (victim)
		victim->dropped = true;
	return victim;
}
