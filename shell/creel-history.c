/* SPDX-License-Identifier: MIT */
/*
 * creel-history UID NAME SINCE COUNT FORMAT KIND SESSION: the records of one agent, on standard output. Started by its keeper, which
 * made the words; `-` stands for any kind or session. A NUL behind the last of them says that these were all.
 *
 * Runs as root without a capability, for the time of one question: it reads the record's files, which are root's, and parses what
 * journald wrote there of what agents did. What it writes goes to the agent alone.
 */
#include "shell/audit/show.h"
#include "shell/base/privilege.h"
#include "shell/base/str.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

#define MOST_SECONDS 60 /* also where nobody reads what it writes */

static int show_line(const RecordView *view, void *data)
{
	record_show_line(stdout, view);
	return ferror(stdout);
}

static int show_json(const RecordView *view, void *data)
{
	record_show_json(stdout, view);
	return ferror(stdout);
}

static int confine(void)
{
	const struct rlimit seconds = { MOST_SECONDS, MOST_SECONDS }, none = { 0, 0 };

	if (setrlimit(RLIMIT_CPU, &seconds) < 0 || setrlimit(RLIMIT_FSIZE, &none) < 0 ||
		setrlimit(RLIMIT_NPROC, &none) < 0)
		return -errno;
	(void)setpriority(PRIO_PROCESS, 0, 10);
	(void)alarm(MOST_SECONDS);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return privilege_drop(~UINT64_C(0));
}

static const char *wanted(const char *word)
{
	return strcmp(word, "-") == 0 ? NULL : word;
}

int main(int argc, char **argv)
{
	RecordFilter filter = { .front_uid = (uid_t)-1 };
	uint64_t uid;
	int r;

	if (argc != 8 || str_to_u64(argv[1], UINT32_MAX - 1, &uid) < 0 ||
		str_to_u64(argv[3], UINT64_MAX, &filter.since_usec) < 0 ||
		str_to_u64(argv[4], UINT64_MAX, &filter.count) < 0) {
		(void)fprintf(stderr,
			"usage: creel-history UID NAME SINCE COUNT lines|json KIND SESSION (started by the keeper)\n");
		return EXIT_FAILURE;
	}
	if (geteuid() != 0) {
		(void)fprintf(stderr, "creel-history: only root reads the record; see creel history\n");
		return EXIT_FAILURE;
	}
	filter.uid = (uid_t)uid;
	filter.agent = argv[2];
	filter.kind = wanted(argv[6]);
	filter.session = wanted(argv[7]);
	r = confine();
	if (r == 0)
		r = record_read(&filter, strcmp(argv[5], "json") == 0 ? show_json : show_line, NULL);
	if (r == -ENOENT)
		r = 0; /* nothing was recorded yet */
	if (r < 0) {
		(void)fprintf(stderr, "creel-history: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	(void)fputc('\0', stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
