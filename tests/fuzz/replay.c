/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over files, without a fuzzer: replay FOLDER. Every file of the corpus is one input; a target that
 * finds a fault ends the process, so that the last name printed is the culprit's.
 */
#include "shell/base/file.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#define INPUT_MAX (4U * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* In a child, so that one fault does not hide the next. */
static bool replay(const char *folder, const char *name)
{
	_cleanup_free_ char *path = str_format("%s/%s", folder, name);
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return false;
	if (!pid) {
		char *data = NULL;
		size_t n = 0;

		if (!path || file_read_at(AT_FDCWD, path, 0, INPUT_MAX, &data, &n) < 0)
			_exit(1);
		(void)LLVMFuzzerTestOneInput((const uint8_t *)data, n);
		free(data);
		exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char *argv[])
{
	struct dirent **entries = NULL;
	unsigned int passed = 0, failed = 0;
	int n;

	if (argc != 2) {
		(void)fprintf(stderr, "usage: replay FOLDER\n");
		return 2;
	}
	n = scandir(argv[1], &entries, not_hidden, by_name);
	if (n <= 0) {
		(void)fprintf(stderr, "%s: no corpus\n", argv[1]);
		return 2;
	}
	for (int i = 0; i < n; i++) {
		if (replay(argv[1], entries[i]->d_name)) {
			passed++;
		} else {
			failed++;
			(void)printf("%s/%s FAILED\n", argv[1], entries[i]->d_name);
		}
		free(entries[i]);
	}
	free(entries);
	(void)printf("%s: %u passed, %u failed\n", argv[1], passed, failed);
	return failed != 0;
}
