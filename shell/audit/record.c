/* SPDX-License-Identifier: MIT */
/*
 * Values are written in the protocol's binary form (name, newline, 64-bit little-endian length, bytes, newline) when
 * they hold a newline, so nothing that a user typed can start a field of its own. An entry that is larger than a
 * datagram goes as a sealed memfd, as the protocol says.
 */
#include "shell/audit/record.h"
#include "shell/audit/redact.h"
#include "shell/base/rate.h"
#include "shell/base/str.h"

#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#define ENTRY_COST 512U                   /* bytes that the journal takes for an entry, beside its text */
#define LARGEST (256U * 1024)             /* bytes that one may have: a command of 128K, or code with its output */
#define CUT_BEHIND 1024U                  /* bytes behind a cut in which a secret that begins before it may end */
#define LOST_PAUSE_USEC UINT64_C(5000000) /* between two entries about lost ones */
#define DAY_USEC UINT64_C(86400000000)
#define LAST_MSEC 2000           /* for what waits at the end, while the journal takes it */
#define SOON_USEC UINT64_C(2000) /* it takes a few entries at a time (net.unix.max_dgram_qlen) */
#define LATER_USEC UINT64_C(200000)

typedef struct Waiting {
	struct Waiting *next;
	size_t n;
	char data[];
} Waiting;

struct Record {
	int fd;
	uint64_t lost, lost_said_usec;
	char *identifier;
	const char *agent;
	uid_t uid;
	Waiting *first, **last;
	size_t waiting_n; /* bytes */
	bool full;        /* the journal is there, and took no more when it was tried last */
	bool bounded;
	RecordBudget budget;
	uint64_t room, room_usec; /* bytes that may be written, as of then (CLOCK_MONOTONIC) */
	Rate important, others;   /* beyond that */
	Rate strangers;           /* beside that */
};

int record_new(const char *identifier, Record **ret)
{
	_cleanup_(record_freep) Record *record = calloc(1, sizeof(*record));

	if (!record)
		return -ENOMEM;
	record->fd = -EBADF;
	record->last = &record->first;
	record->important = (Rate){ .interval_usec = 1000000, .burst = 600 };
	record->others = (Rate){ .interval_usec = 10000000, .burst = 100 };
	/* about as many bytes a day as an agent may write */
	record->strangers = (Rate){ .interval_usec = 4000000, .burst = 1000 };
	record->identifier = strdup(identifier);
	if (!record->identifier)
		return -ENOMEM;
	*ret = TAKE_PTR(record);
	return 0;
}

static void entry_append(RecordEntry *entry, const void *data, size_t n)
{
	if (entry->error)
		return;
	if (entry->n + n > entry->room) {
		size_t room = (entry->n + n) * 2 + 512;
		char *bigger = realloc(entry->data, room);

		if (!bigger) {
			entry->error = -ENOMEM;
			return;
		}
		entry->data = bigger;
		entry->room = room;
	}
	memcpy(entry->data + entry->n, data, n);
	entry->n += n;
}

static void append_field(RecordEntry *entry, const char *field, const void *value, size_t n)
{
	entry_append(entry, field, strlen(field));
	if (memchr(value, '\n', n)) {
		uint64_t size = htole64(n);

		entry_append(entry, "\n", 1);
		entry_append(entry, &size, sizeof(size));
	} else {
		entry_append(entry, "=", 1);
	}
	entry_append(entry, value, n);
	entry_append(entry, "\n", 1);
}

/* The one place that every value passes. One that cannot be looked through is not written. */
void entry_bytes(RecordEntry *entry, const char *field, const void *value, size_t n)
{
	_cleanup_free_ char *clean = NULL;
	const size_t most = entry->most ? entry->most : SIZE_MAX;
	size_t clean_n = 0;
	int r;

	if (entry->error)
		return;
	/* first the secrets: half of one would look like none */
	if (n > most) {
		n = n < most + CUT_BEHIND ? n : most + CUT_BEHIND;
		entry->cut++;
	}
	r = redact(value, n, &clean, &clean_n);
	if (r < 0)
		entry->error = r;
	else if (r > 0)
		entry->redacted += (unsigned int)r;
	if (clean)
		n = clean_n;
	append_field(entry, field, clean ? clean : value, n < most ? n : most);
}

void entry_text(RecordEntry *entry, const char *field, const char *value)
{
	if (value && *value)
		entry_bytes(entry, field, value, strlen(value));
}

void entry_number(RecordEntry *entry, const char *field, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	entry_text(entry, field, text);
}

void entry_format(RecordEntry *entry, const char *field, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = vasprintf(&text, format, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		entry->error = -ENOMEM;
		return;
	}
	entry_text(entry, field, text);
}

void entry_done(RecordEntry *entry)
{
	free(entry->data);
	*entry = (RecordEntry){ 0 };
}

static int record_connect(Record *record)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = RECORD_SOCKET };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int size = 1 << 20;

	if (fd < 0)
		return -errno;
	/* the default of 208 KiB is less than one long command needs; a failure only means more memfds */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	fd_close(record->fd);
	record->fd = TAKE_FD(fd);
	return 0;
}

static int send_as_memfd(int fd, const RecordEntry *entry)
{
	_cleanup_close_ int memory_fd = memfd_create("creel-record", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_control = control.space, .msg_controllen = sizeof(control.space) };
	struct cmsghdr *header;

	if (memory_fd < 0)
		return -errno;
	if (write(memory_fd, entry->data, entry->n) != (ssize_t)entry->n)
		return -EIO;
	if (fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;

	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &memory_fd, sizeof(int));
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int write_once(Record *record, const RecordEntry *entry)
{
	int r;

	if (record->fd < 0) {
		r = record_connect(record);
		if (r < 0)
			return r;
	}
	if (send(record->fd, entry->data, entry->n, MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == EMSGSIZE)
		return send_as_memfd(record->fd, entry);
	return -errno;
}

static int record_write(Record *record, const RecordEntry *entry)
{
	int r = write_once(record, entry);

	if (r == -ECONNREFUSED || r == -ENOTCONN || r == -ENOENT || r == -ECONNRESET) {
		/* journald was restarted: its socket is a new one */
		record->fd = fd_close(record->fd);
		r = write_once(record, entry);
	}
	record->full = r == -EAGAIN;
	return r;
}

/* ---- how much may be written ---- */

void record_bound(Record *record, const RecordBudget *budget)
{
	record->bounded = true;
	record->budget = *budget;
	record->room = budget->burst;
	record->room_usec = clock_monotonic_usec();
}

void record_name(Record *record, const char *agent, uid_t uid)
{
	record->agent = agent;
	record->uid = uid;
}

static void refill(Record *record)
{
	uint64_t now = clock_monotonic_usec(), passed = now - record->room_usec, more;

	if (passed > DAY_USEC)
		passed = DAY_USEC;
	more = (uint64_t)((double)passed / (double)DAY_USEC * (double)record->budget.day);
	/* less than a byte: the time that it took is not lost */
	if (!more)
		return;
	record->room_usec = now;
	record->room = record->room + more > record->budget.burst ? record->budget.burst : record->room + more;
}

void record_begin(Record *record, RecordEntry *entry, bool important)
{
	entry->important = important;
	if (!record->bounded)
		return;
	refill(record);
	if (record->room < LARGEST)
		entry->most = RECORD_SHORT;
}

void record_begin_of_strangers(RecordEntry *entry)
{
	entry->important = entry->of_strangers = true;
}

static bool may_write(Record *record, const RecordEntry *entry)
{
	uint64_t cost = entry->n + ENTRY_COST;

	if (!record->bounded)
		return true;
	if (entry->of_strangers)
		return rate_take(&record->strangers, NULL);
	if (record->room >= cost && !entry->most) {
		record->room -= cost;
		return true;
	}
	return rate_take(entry->important ? &record->important : &record->others, NULL);
}

/* ---- what waits ---- */

static int wait_for_journal(Record *record, const RecordEntry *entry)
{
	Waiting *waiting;

	if (record->waiting_n + entry->n > RECORD_WAITING_MAX)
		return -ENOBUFS;
	waiting = malloc(sizeof(*waiting) + entry->n);
	if (!waiting)
		return -ENOMEM;
	waiting->next = NULL;
	waiting->n = entry->n;
	memcpy(waiting->data, entry->data, entry->n);
	*record->last = waiting;
	record->last = &waiting->next;
	record->waiting_n += entry->n;
	return 0;
}

static void say_lost(Record *record)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	uint64_t now = clock_monotonic_usec();

	if (!record->lost || (record->lost_said_usec && now - record->lost_said_usec < LOST_PAUSE_USEC))
		return;
	entry_number(&entry, "PRIORITY", LOG_WARNING);
	entry_text(&entry, "CREEL_KIND", "lost");
	if (record->agent) {
		entry_text(&entry, "CREEL_AGENT", record->agent);
		entry_number(&entry, "CREEL_UID", record->uid);
	}
	entry_format(&entry, "MESSAGE", "%llu records were lost: there were too many, or the journal took none",
		(unsigned long long)record->lost);
	entry_number(&entry, "CREEL_LOST", record->lost);
	entry_text(&entry, "SYSLOG_IDENTIFIER", record->identifier);
	if (entry.error || record_write(record, &entry) < 0)
		return;
	record->lost = 0;
	record->lost_said_usec = now;
}

void record_lose(Record *record, uint64_t n)
{
	record->lost += n;
}

bool record_waits(const Record *record)
{
	return record->first || record->lost;
}

uint64_t record_again_usec(const Record *record)
{
	return record->first && record->full ? SOON_USEC : LATER_USEC;
}

void record_flush(Record *record)
{
	while (record->first) {
		Waiting *waiting = record->first;
		const RecordEntry entry = { .data = waiting->data, .n = waiting->n };

		if (record_write(record, &entry) < 0)
			return;
		record->first = waiting->next;
		if (!record->first)
			record->last = &record->first;
		record->waiting_n -= waiting->n;
		free(waiting);
	}
	say_lost(record);
}

/* Waits for a journal that is busy, and for none that is not there. */
static void flush_at_the_end(Record *record)
{
	const uint64_t end = clock_monotonic_usec() + LAST_MSEC * UINT64_C(1000);

	record_flush(record);
	while (record->first && record->full && clock_monotonic_usec() < end) {
		struct pollfd journal = { .fd = record->fd, .events = POLLOUT };

		(void)poll(&journal, 1, LAST_MSEC / 10);
		record_flush(record);
	}
}

Record *record_free(Record *record)
{
	if (record) {
		/* the last chance, also for the number of those that were lost */
		record->lost_said_usec = 0;
		flush_at_the_end(record);
		for (Waiting *waiting = record->first, *next; waiting; waiting = next) {
			next = waiting->next;
			free(waiting);
		}
		fd_close(record->fd);
		free(record->identifier);
		free(record);
	}
	return NULL;
}

int record_send(Record *record, RecordEntry *entry)
{
	int r;

	entry_text(entry, "SYSLOG_IDENTIFIER", record->identifier);
	if (entry->redacted)
		entry_number(entry, "CREEL_REDACTED", entry->redacted);
	if (entry->cut)
		entry_number(entry, "CREEL_CUT", entry->cut);

	r = entry->error ? entry->error : may_write(record, entry) ? 0 : -EDQUOT;
	if (!r)
		record_flush(record);
	/* in their order */
	if (!r && (record->first || record_write(record, entry) < 0)) {
		entry_number(entry, "CREEL_TIME_USEC", clock_realtime_usec());
		r = entry->error ? entry->error : wait_for_journal(record, entry);
	}
	if (r < 0)
		record->lost++;
	entry_done(entry);
	return r;
}
