/* SPDX-License-Identifier: MIT */
/*
 * The ring is shared memory that the kernel writes (linux/bpf.h, BPF_MAP_TYPE_RINGBUF): a page with where the reader is, which alone
 * can be written here; a page with where the writer is; the data, mapped twice behind each other, so that no entry is cut in two. An
 * entry has its length before it, and a bit in it while it is being written.
 *
 * These records have a bound of their own: an agent that executes without end loses what it executes, and nothing else.
 */
#include "shell/keeper/executions.h"
#include "shell/base/job-words.h"
#include "shell/base/log.h"
#include "shell/base/privilege.h"
#include "shell/keeper/entry.h"
#include "shell/keeper/execution-line.h"
#include "shell/keeper/place.h"
#include "shell/policy/executions.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define AT_ONCE 64U   /* entries; then others of the keeper's events have their turn */
#define BEGUN_MAX 16U /* other processors' entries may come between the two that tell of a beginning */

#define ENTRIES_MAX (EXECUTIONS_RING / offsetof(struct execution, arguments)) /* in a ring */

/* Bytes of the record, at once and each day. */
#define EXECUTIONS_BURST (UINT64_C(32) << 20)
#define EXECUTIONS_DAY (UINT64_C(8) << 20)

struct Executions {
	int fd;
	size_t page;
	unsigned long *reader;       /* where the reader is: ours */
	const unsigned long *writer; /* and the writer; the data begins a page behind */
	sd_event_source *source;
	Record *record;
	uint64_t lost;                          /* as the last entry told */
	bool first;                             /* none was read yet */
	struct execution_unit begun[BEGUN_MAX]; /* and the execution is still to come; pid 0: unused */
	unsigned int begun_next;
};

static void ring_unmap(Executions *executions)
{
	if (executions->reader)
		(void)munmap(executions->reader, executions->page);
	if (executions->writer)
		(void)munmap((void *)executions->writer, executions->page + 2 * EXECUTIONS_RING);
	executions->fd = fd_close(executions->fd);
}

static int ring_map(Executions *executions)
{
	void *mapped;

	mapped = mmap(NULL, executions->page, PROT_READ | PROT_WRITE, MAP_SHARED, executions->fd, 0);
	if (mapped == MAP_FAILED)
		return -errno;
	executions->reader = mapped;
	mapped = mmap(NULL, executions->page + 2 * EXECUTIONS_RING, PROT_READ, MAP_SHARED, executions->fd,
		(off_t)executions->page);
	if (mapped == MAP_FAILED)
		return -errno;
	executions->writer = mapped;
	return 0;
}

static int ring_open(uid_t uid)
{
	union bpf_attr attributes = { 0 };
	char path[64];
	int fd, r;

	(void)snprintf(path, sizeof(path), EXECUTIONS_FOLDER "/%u", uid);
	if (access(path, F_OK) < 0)
		return -errno;
	attributes.pathname = (uintptr_t)path;
	r = privilege_raise(PRIVILEGE(CAP_SYS_ADMIN));
	if (r < 0)
		return r;
	fd = (int)syscall(SYS_bpf, BPF_OBJ_GET, &attributes, sizeof(attributes));
	r = fd < 0 ? -errno : fd;
	if (privilege_lower(PRIVILEGE(CAP_SYS_ADMIN)) < 0)
		log_error("a capability cannot be lowered again");
	return r;
}

/* ---- what an entry tells ---- */

static uint64_t cgroup_of(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* The leaf, or logind's scope, in which the process lies that opened it. */
static uint64_t cgroup_of_door(Session *session)
{
	_cleanup_close_ int fd = -EBADF;
	char place[PLACE_SIZE];
	uint64_t pid;

	if (session->door_leaf_fd >= 0)
		return cgroup_of(session->door_leaf_fd);
	if (!session->door_cgroup && session->door_fd >= 0 && leaf_marked_number(session->dir_fd, "pid", &pid) == 0 &&
		place_read((pid_t)pid, session->keeper->uid, place) == 0 && place_is_scope(place) &&
		leaf_open(session->keeper->slice_fd, place, &fd) == 0)
		session->door_cgroup = cgroup_of(fd);
	return session->door_cgroup;
}

/* The session that lies in that cgroup; `ret_channel`: the channel, NULL for a door's. */
static Session *session_of(Keeper *keeper, uint64_t cgroup, const Channel **ret_channel)
{
	*ret_channel = NULL;
	for (Session *session = keeper->sessions; session; session = session->next) {
		if (session->door && cgroup_of_door(session) == cgroup)
			return session;
		for (Channel *channel = session->channels; channel; channel = channel->next) {
			if (!channel->cgroup)
				channel->cgroup = cgroup_of(channel->leaf_fd);
			if (channel->cgroup == cgroup) {
				*ret_channel = channel;
				return session;
			}
		}
	}
	return NULL;
}

static void write_down(Keeper *keeper, const struct execution *event, size_t n)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	_cleanup_free_ char *line = NULL;
	char program[EXECUTION_PROGRAM], place[PLACE_SIZE];
	const Channel *channel;
	const Session *session = session_of(keeper, event->cgroup, &channel);
	bool typed = session && (!channel || channel->terminal);
	ProgramsMode wanted = keeper->policy ? keeper->policy->audit_programs : PROGRAMS_ALL;

	(void)snprintf(program, sizeof(program), "%.*s", (int)sizeof(event->program) - 1, event->program);
	if (!keeper_records(keeper) || wanted == PROGRAMS_NONE || (wanted == PROGRAMS_INTERACTIVE && !typed) ||
		execution_is_ours(program))
		return;
	line = execution_line(event->arguments, n, NULL);
	record_begin(keeper->executions->record, &entry, false);
	entry_number(&entry, "PRIORITY", LOG_INFO);
	entry_text(&entry, "CREEL_KIND", "exec");
	entry_text(&entry, "CREEL_AGENT", keeper->identity->name);
	entry_number(&entry, "CREEL_UID", keeper->uid);
	if (session)
		keeper_entry_session(session, &entry);
	else if (place_read((pid_t)event->pid, keeper->uid, place) == 0)
		entry_text(&entry, "CREEL_CALLER", place);
	if (channel)
		entry_number(&entry, "CREEL_CHANNEL", channel->number);
	entry_number(&entry, "CREEL_PID", event->pid);
	entry_number(&entry, "CREEL_PARENT", event->parent);
	entry_text(&entry, "CREEL_PROGRAM", program);
	entry_text(&entry, "CREEL_ARGUMENTS", line ? line : "?");
	if (event->bytes > EXECUTION_ARGUMENTS)
		entry.cut++;
	entry_format(&entry, "MESSAGE", "%s: executes %s", keeper->identity->name, program);
	(void)record_send(keeper->executions->record, &entry);
}

/* ---- what the user manager starts ---- */

static void unit_begins(Executions *executions, const struct execution_unit *unit)
{
	executions->begun[executions->begun_next++ % BEGUN_MAX] = *unit;
}

static void unit_executes(Keeper *keeper, const struct execution *event, size_t n)
{
	struct execution_unit *begun = keeper->executions->begun;

	for (size_t i = 0; i < BEGUN_MAX; i++)
		if (begun[i].pid == event->pid) {
			bool job = strncmp(begun[i].unit, JOB_UNIT_PREFIX, strlen(JOB_UNIT_PREFIX)) == 0;
			_cleanup_free_ char *line = execution_line(event->arguments, n, job ? job_word_decode : NULL);

			keeper_record_unit_start(keeper, &begun[i], event, line);
			begun[i].pid = 0;
			return;
		}
}

static void take(Keeper *keeper, const struct execution *event, size_t n)
{
	Executions *executions = keeper->executions;
	const size_t head = offsetof(struct execution, arguments);
	const struct execution_unit *unit = (const void *)event;
	size_t arguments;

	if (n < sizeof(*unit) && n < head)
		return;
	if (event->what == EXECUTION_OF_PROGRAM ? n < head || n > sizeof(*event) : n < sizeof(*unit))
		return;
	/* those before this keeper are nobody's loss now; a count that went back began anew */
	if (!executions->first && event->lost > executions->lost)
		record_lose(executions->record, event->lost - executions->lost);
	executions->lost = event->lost;
	executions->first = false;
	if (event->what == EXECUTION_UNIT_BEGINS) {
		unit_begins(executions, unit);
	} else if (event->what == EXECUTION_UNIT_ENDS) {
		keeper_record_unit(keeper, unit);
	} else if (event->what == EXECUTION_OF_PROGRAM) {
		arguments = n - head < event->bytes ? n - head : event->bytes;
		unit_executes(keeper, event, arguments);
		write_down(keeper, event, arguments);
	}
}

static void take_entries(Keeper *keeper, unsigned int most)
{
	Executions *executions = keeper->executions;
	const char *data = (const char *)executions->writer + executions->page;
	unsigned long at = __atomic_load_n(executions->reader, __ATOMIC_ACQUIRE);

	for (unsigned int i = 0; i < most && at < __atomic_load_n(executions->writer, __ATOMIC_ACQUIRE); i++) {
		const uint32_t *header = (const void *)(data + (at & (EXECUTIONS_RING - 1)));
		uint32_t length = __atomic_load_n(header, __ATOMIC_ACQUIRE);

		if (length & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(length & BPF_RINGBUF_DISCARD_BIT))
			take(keeper, (const void *)((const char *)header + BPF_RINGBUF_HDR_SZ), length);
		length &= ~BPF_RINGBUF_DISCARD_BIT;
		at += (length + BPF_RINGBUF_HDR_SZ + 7UL) & ~7UL;
		__atomic_store_n(executions->reader, at, __ATOMIC_RELEASE);
	}
	record_flush(executions->record);
	keeper_flush_later(keeper);
}

static int on_entries(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	take_entries(userdata, AT_ONCE);
	return 0;
}

void executions_drain(Keeper *keeper)
{
	if (keeper->executions)
		take_entries(keeper, ENTRIES_MAX);
}

/* ---- open and close ---- */

bool executions_wait(const Keeper *keeper)
{
	return keeper->executions && record_waits(keeper->executions->record);
}

uint64_t executions_again_usec(const Keeper *keeper)
{
	return executions_wait(keeper) ? record_again_usec(keeper->executions->record) : UINT64_MAX;
}

void executions_flush(Keeper *keeper)
{
	if (keeper->executions)
		record_flush(keeper->executions->record);
}

void executions_close(Keeper *keeper)
{
	Executions *executions = keeper->executions;

	if (!executions)
		return;
	sd_event_source_disable_unref(executions->source);
	ring_unmap(executions);
	record_free(executions->record);
	free(executions);
	keeper->executions = NULL;
}

void executions_open(Keeper *keeper)
{
	Executions *executions;
	int r;

	if (keeper->executions || !keeper_records(keeper))
		return;
	executions = calloc(1, sizeof(*executions));
	if (!executions)
		return;
	keeper->executions = executions;
	executions->page = (size_t)sysconf(_SC_PAGESIZE);
	executions->first = true;
	executions->fd = ring_open(keeper->uid);
	r = executions->fd < 0 ? executions->fd : ring_map(executions);
	if (!r)
		r = record_new("creel-keeper", &executions->record);
	if (!r)
		r = sd_event_add_io(keeper->event, &executions->source, executions->fd, EPOLLIN, on_entries, keeper);
	if (r >= 0) {
		/* what connects, forks and frames comes first */
		(void)sd_event_source_set_priority(executions->source, SD_EVENT_PRIORITY_IDLE);
		record_bound(executions->record, &(RecordBudget){ .burst = EXECUTIONS_BURST, .day = EXECUTIONS_DAY });
		record_name(executions->record, keeper->identity->name, keeper->uid);
		return;
	}
	/* none yet, as for a policy that was edited and not applied: creel-enforce makes it within a minute */
	if (r != -ENOENT && rate_take(&keeper->record_failures, NULL))
		log_error("what the agent executes is not recorded: %s", strerror(-r));
	executions_close(keeper);
}
