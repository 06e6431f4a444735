/* SPDX-License-Identifier: MIT */
#include "shell/policy/transfer.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

void transfer_month(time_t now, char ret[static TRANSFER_MONTH_SIZE])
{
	struct tm when = { 0 };

	if (!gmtime_r(&now, &when) || strftime(ret, TRANSFER_MONTH_SIZE, "%Y-%m", &when) == 0)
		(void)snprintf(ret, TRANSFER_MONTH_SIZE, "?");
}

static char *path_of(const char *root, uid_t uid)
{
	return str_format("%s%s/%u", root, TRANSFER_DIR, uid);
}

int transfer_read(const char *root, uid_t uid, Transfer *ret)
{
	_cleanup_free_ char *path = path_of(root, uid), *text = NULL;
	Transfer transfer = { .sent = 0 };
	int end = 0, r;

	if (!path)
		return -ENOMEM;
	r = file_read_at(AT_FDCWD, path, O_NOFOLLOW, 4096, &text, NULL);
	if (r < 0)
		return r;
	if (sscanf(text,
		    "month %7[0-9-]\nsent %" SCNu64 "\nreceived %" SCNu64 "\nseen %39[0-9a-f-] %" SCNu64 " %" SCNu64
		    "\n%n",
		    transfer.month, &transfer.sent, &transfer.received, transfer.boot, &transfer.seen_sent,
		    &transfer.seen_received, &end) != 6 ||
		!end || text[end])
		return -EBADMSG;
	*ret = transfer;
	return 0;
}

int transfer_write(const char *root, uid_t uid, const Transfer *transfer)
{
	_cleanup_free_ char *path = path_of(root, uid), *text = NULL;

	text = str_format("month %s\nsent %" PRIu64 "\nreceived %" PRIu64 "\nseen %s %" PRIu64 " %" PRIu64 "\n",
		transfer->month, transfer->sent, transfer->received, transfer->boot, transfer->seen_sent,
		transfer->seen_received);
	return path && text ? file_replace_at(AT_FDCWD, path, text, strlen(text), 0644) : -ENOMEM;
}

int transfer_forget(const char *root, uid_t uid)
{
	_cleanup_free_ char *path = path_of(root, uid);

	if (!path)
		return -ENOMEM;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static uint64_t grown(uint64_t before, uint64_t now, bool same)
{
	return same && now >= before ? now - before : now;
}

void transfer_add(Transfer *transfer, const char *month, const char *boot, uint64_t sent, uint64_t received)
{
	bool same = strcmp(transfer->boot, boot) == 0;

	if (strcmp(transfer->month, month) != 0) {
		transfer->sent = transfer->received = 0;
		(void)snprintf(transfer->month, sizeof(transfer->month), "%s", month);
	}
	transfer->sent += grown(transfer->seen_sent, sent, same);
	transfer->received += grown(transfer->seen_received, received, same);
	(void)snprintf(transfer->boot, sizeof(transfer->boot), "%s", boot);
	transfer->seen_sent = sent;
	transfer->seen_received = received;
}
