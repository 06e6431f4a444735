/* SPDX-License-Identifier: MIT */
/*
 * The kernel counts in sets of the table, which rules that are replaced do not touch; here the counts go to disk each
 * minute (creel-count.timer), when the machine goes down, and before rules change. A machine that loses its power loses the
 * count of the last minute.
 */
#include "shell/enforce/transfer.h"
#include "shell/base/file.h"
#include "shell/enforce/network.h"
#include "shell/enforce/program.h"
#include "shell/policy/agents.h"
#include "shell/policy/transfer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ROTATION_FILE "/run/creel/network/rotation"
#define RESOLVER_DIR "/run/creel/resolver"
#define NAMES_PERIOD 600 /* seconds; at least twice what an answer may be kept (resolver.c) */

size_t transfer_parse(const char *text, TransferCount *ret, size_t max)
{
	size_t n = 0;

	/* "0x430003e8 counter packets 12 bytes 3456" */
	while (n < max && (text = strstr(text, "0x"))) {
		uint64_t packets;
		uint32_t mark;

		if (sscanf(text, "0x%" SCNx32 " counter packets %" SCNu64 " bytes %" SCNu64, &mark, &packets,
			    &ret[n].bytes) == 3)
			ret[n++].mark = mark;
		text += 2;
	}
	return n;
}

/* A process each: nft 1.0.6 finds only the last of several sets that it is asked for at once. */
static int counts_read(const char *set, char **ret)
{
	const char *const argv[] = { "/usr/sbin/nft", "list", "set", "inet", "creel_network", set, NULL };
	int r = program_run(argv, NULL, ret, NULL);

	return r > 0 ? -ENOENT : r;
}

static uint64_t count_of(const TransferCount *counts, size_t n, uint32_t mark)
{
	for (size_t i = 0; i < n; i++)
		if (counts[i].mark == mark)
			return counts[i].bytes;
	return 0;
}

static int save_one(uid_t uid, const char *month, const char *boot, uint64_t sent, uint64_t received)
{
	Transfer transfer = { .sent = 0 }, before;
	int r;

	r = transfer_read("", uid, &transfer);
	if (r < 0 && r != -ENOENT && r != -EBADMSG) /* a broken file begins anew */
		return r;
	before = transfer;
	transfer_add(&transfer, month, boot, sent, received);
	/* an idle agent's file is not written */
	if (r == 0 && transfer.sent == before.sent && transfer.received == before.received &&
		strcmp(transfer.month, before.month) == 0 && strcmp(transfer.boot, before.boot) == 0)
		return 0;
	return transfer_write("", uid, &transfer);
}

int transfer_save(void)
{
	_cleanup_free_ TransferCount *sent = calloc(AGENTS_MAX, sizeof(*sent)),
				     *received = calloc(AGENTS_MAX, sizeof(*sent));
	char month[TRANSFER_MONTH_SIZE], boot[TRANSFER_BOOT_SIZE];
	_cleanup_free_ char *sent_text = NULL, *received_text = NULL;
	size_t n_sent = 0, n_received = 0;
	int r;

	if (!sent || !received)
		return -ENOMEM;
	if ((mkdir("/var/lib/creel", 0755) < 0 && errno != EEXIST) ||
		(mkdir(TRANSFER_DIR, 0755) < 0 && errno != EEXIST))
		return -errno;
	r = file_get_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	if (r == 0)
		r = counts_read("sent", &sent_text);
	if (r == 0)
		r = counts_read("received", &received_text);
	if (r == 0) {
		n_sent = transfer_parse(sent_text, sent, AGENTS_MAX);
		n_received = transfer_parse(received_text, received, AGENTS_MAX);
	}
	transfer_month(time(NULL), month);
	for (size_t i = 0; i < n_sent && r == 0; i++)
		if ((sent[i].mark & NETWORK_MARK_MASK) == NETWORK_MARK)
			r = save_one(sent[i].mark & ~NETWORK_MARK_MASK, month, boot, sent[i].bytes,
				count_of(received, n_received, sent[i].mark));
	return r;
}

/* ---- names ---- */

static int flush_names(char which, EnforceReason *ret_reason)
{
	_cleanup_closedir_ DIR *dir = opendir(RESOLVER_DIR);
	_cleanup_free_ char *script = NULL;
	const struct dirent *entry;
	size_t size = 0;
	FILE *file;
	bool whole;

	if (!dir)
		return errno == ENOENT ? 0 : enforce_reason(ret_reason, -errno, RESOLVER_DIR ": %s", strerror(errno));
	file = open_memstream(&script, &size);
	if (!file)
		return -ENOMEM;
	while ((entry = readdir(dir))) {
		char digits[16];
		uint64_t uid;

		(void)snprintf(digits, sizeof(digits), "%.*s", (int)strcspn(entry->d_name, "."), entry->d_name);
		if (str_to_u64(digits, AGENT_UID_MAX, &uid) == 0)
			(void)fprintf(file,
				"flush set inet creel_network names4_%" PRIu64 "_%c\n"
				"flush set inet creel_network names6_%" PRIu64 "_%c\n",
				uid, which, uid, which);
	}
	whole = !ferror(file);
	if (fclose(file) != 0 || !whole)
		return -ENOMEM;
	return *script ? nft_load(script, ret_reason) : 0;
}

/* By the clock, so that it does not matter how often it is asked; a clock that is set only ends a period early. */
int names_forget(EnforceReason *ret_reason)
{
	uint64_t period = (uint64_t)time(NULL) / NAMES_PERIOD, before = 0;
	char text[64], which = 'a', last = 'b';
	int r;

	if (file_get_at(AT_FDCWD, ROTATION_FILE, text, sizeof(text)) == 0 &&
		sscanf(text, "%" SCNu64 " %c", &before, &last) == 2 && before == period)
		return 0;
	which = last == 'a' ? 'b' : 'a';
	/* the first time, the sets are younger than a period */
	if (before) {
		r = flush_names(which, ret_reason);
		if (r < 0)
			return r;
	}
	(void)snprintf(text, sizeof(text), "%" PRIu64 " %c\n", period, which);
	r = file_replace_at(AT_FDCWD, ROTATION_FILE, text, strlen(text), 0600);
	return r < 0 ? enforce_reason(ret_reason, r, ROTATION_FILE ": %s", strerror(-r)) : 0;
}
