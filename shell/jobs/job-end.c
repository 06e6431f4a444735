/* SPDX-License-Identifier: MIT */
/* creel job stop, creel job wait, creel job rm. */
#include "shell/jobs/commands.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/job-show.h"
#include "shell/jobs/options.h"
#include "shell/jobs/pidfile.h"
#include "shell/jobs/span.h"

#include <string.h>

#define STOP_WAIT_USEC (60 * USEC_PER_SEC) /* the unit's own limit is shorter; a busy machine needs its time to kill */
#define LOOK_USEC (5 * USEC_PER_SEC)       /* also when nothing was told */

static int complain(const char *name, const Reason *reason)
{
	reason_tell("job", name, reason->text);
	return EXIT_FAILURE;
}

int job_stop_main(int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_job_ Job job = { 0 }, after = { 0 };
	const char *name = NULL;
	const Option options[] = { { NULL } };
	char unit[MANAGER_UNIT_MAX], words[128];
	Reason reason;
	int r, status = job_begin(argc, argv, options, &name, &manager);

	if (status)
		return status;
	if (job_find(manager, name, &job, &reason) < 0)
		return complain(name, &reason);
	if (job_state_over(job.state)) {
		(void)printf("%s: ended already (%s)\n", name, job_words(&job, words, sizeof(words)));
		return EXIT_SUCCESS;
	}
	r = manager_change(manager, "StopUnit", job_unit_name(name, unit, sizeof(unit)), STOP_WAIT_USEC, &reason);
	if (r < 0 && r != -ENOENT)
		return complain(name, &reason);
	if (job_find(manager, name, &after, &reason) < 0)
		return complain(name, &reason);
	(void)printf("%s: ended (%s)\n", name, job_words(&after, words, sizeof(words)));
	return EXIT_SUCCESS;
}

/* `end`: monotonic. Returns 1 when the job is over, 0 when the time is, or a negative errno. */
static int wait_over(Manager *manager, const char *name, uint64_t end, Job *ret, Reason *ret_reason)
{
	for (;;) {
		_cleanup_job_ Job job = { 0 };
		uint64_t now = now_monotonic(), left = end > now ? end - now : 0;
		int r = job_find(manager, name, &job, ret_reason);

		if (r < 0)
			return r;
		if (job_state_over(job.state)) {
			*ret = job;
			job = (Job){ 0 };
			return 1;
		}
		if (!left)
			return 0;
		r = manager_wait(manager, left < LOOK_USEC ? left : LOOK_USEC, ret_reason);
		if (r < 0)
			return r;
	}
}

int job_wait_main(int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_job_ Job job = { 0 };
	const char *name = NULL, *timeout = NULL;
	bool json = false;
	const Option options[] = { { "--timeout", .value = &timeout }, { "--json", .flag = &json }, { NULL } };
	uint64_t usec, end = UINT64_MAX;
	char words[128];
	Reason reason;
	int r, status = job_begin(argc, argv, options, &name, &manager);

	if (status)
		return status;
	if (timeout && span_parse(timeout, &usec) < 0)
		return job_usage("--timeout: a span of time is needed, as 90s, 10m or 1h30m");
	if (timeout)
		end = now_monotonic() + usec;
	r = wait_over(manager, name, end, &job, &reason);
	if (r < 0)
		return complain(name, &reason);
	if (r == 0) {
		reason_tell("job", name, "it still runs; it was waited for as long as was asked");
		return EXIT_TIME_OVER;
	}
	if (json) {
		job_show_json(stdout, &job);
		(void)fputc('\n', stdout);
	} else {
		(void)printf("%s: %s\n", name, job_words(&job, words, sizeof(words)));
	}
	return fflush(stdout) == 0 ? job_exit_status(&job) : EXIT_FAILURE;
}

/* What is not there is gone as well. */
static int remove_files(const char *name, Reason *ret_reason)
{
	static const struct {
		const char *folder, *format_end;
	} files[] = {
		{ FOLDER_LOGS, ".log" },
		{ FOLDER_LOGS, ".log.1" },
		{ FOLDER_LOGS, ".log.old" },
		{ FOLDER_JOBS, ".json" },
	};

	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		_cleanup_close_ int fd = folder_open(files[i].folder, false, ret_reason);
		char file[NAME_MAX_BYTES + 16];

		if (fd == -ENOENT)
			continue;
		if (fd < 0)
			return fd;
		(void)snprintf(file, sizeof(file), "%s%s", name, files[i].format_end);
		if (unlinkat(fd, file, 0) < 0 && errno != ENOENT)
			return reason_set(ret_reason, -errno, "~/%s/%s: %s", files[i].folder, file, strerror(errno));
	}
	pidfile_remove(name);
	return 0;
}

int job_rm_main(int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_job_ Job job = { 0 };
	const char *name = NULL;
	const Option options[] = { { NULL } };
	Reason reason;
	int r, status = job_begin(argc, argv, options, &name, &manager);

	if (status)
		return status;
	r = job_find(manager, name, &job, &reason);
	if (r < 0 && r != -EINVAL) /* a file that cannot be understood can be taken away */
		return complain(name, &reason);
	if (r == 0 && !job_state_over(job.state)) {
		(void)reason_set(
			&reason, -EBUSY, "it is %s; `creel job stop %s` ends it", job_state_name(job.state), name);
		return complain(name, &reason);
	}
	return remove_files(name, &reason) < 0 ? complain(name, &reason) : EXIT_SUCCESS;
}
