/* SPDX-License-Identifier: MIT */
/* The leaves of runs that an earlier keeper left: they are ended, and the record says so. */
#include "shell/keeper/run.h"
#include "shell/base/log.h"

#include <fcntl.h>
#include <string.h>

#define REMOVE_TRIES 2000U /* milliseconds, all leaves together */

static unsigned int end_leaf(Keeper *keeper, const char *name, unsigned int tries)
{
	_cleanup_close_ int leaf_fd = -EBADF;
	_cleanup_free_ char *mark = NULL;
	bool spare = false;
	char run[64];
	int r;

	r = leaf_open(keeper->leaves_fd, name, &leaf_fd);
	if (!r)
		spare = leaf_marked(leaf_fd, RUN_MARK_SPARE, &mark) == 0 && strcmp(mark, "idle") == 0;
	if (!r)
		r = leaf_kill(leaf_fd);
	if (!r)
		while ((r = leaf_remove(keeper->leaves_fd, name)) == -EBUSY && tries) {
			tries--;
			(void)usleep(1000);
		}
	if (r < 0)
		log_error("cannot remove the leaf %s of an earlier keeper: %s", name, strerror(-r));
	/* the collector of a run that is there as well is told with it */
	if (strncmp(name, "outputs-", 8) == 0) {
		(void)snprintf(run, sizeof(run), "run-%s", name + 8);
		if (faccessat(keeper->leaves_fd, run, F_OK, 0) == 0)
			return tries;
		name = run;
	}
	if (!spare)
		keeper_record_run_abandoned(keeper, name);
	return tries;
}

void runs_end_adopted(Keeper *keeper)
{
	/* in this order: what an "outputs" tells depends on the run's own leaf */
	static const char *const kinds[] = { "outputs-", "run-", "repl-" };
	int fd = openat(keeper->leaves_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	unsigned int tries = REMOVE_TRIES;
	struct dirent *entry;

	if (!dir) {
		fd_close(fd);
		return;
	}
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		rewinddir(dir);
		while ((entry = readdir(dir)))
			if (entry->d_type == DT_DIR && strncmp(entry->d_name, kinds[i], strlen(kinds[i])) == 0)
				tries = end_leaf(keeper, entry->d_name, tries);
	}
}
