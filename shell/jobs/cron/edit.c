/* SPDX-License-Identifier: MIT */
/*
 * The editor gets a copy in a folder of its own, so that its backups and swap files go with it. What was edited is lost in no case but
 * that of an editor that fails: the copy stays where it could not be stored.
 */
#include "shell/jobs/cron/edit.h"
#include "shell/base/file.h"
#include "shell/base/str.h"
#include "shell/jobs/cron/reload.h"
#include "shell/jobs/cron/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

typedef struct Edit {
	char folder[512];
	char file[540];
	char *before; /* what is stored; "" where nothing is */
} Edit;

bool edit_ask(void)
{
	char line[80];

	for (;;) {
		(void)fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return false;
		if (*line == 'y' || *line == 'Y')
			return true;
		if (*line == 'n' || *line == 'N')
			return false;
		(void)fprintf(stderr, "Please enter Y or N: ");
	}
}

static const char *editor(void)
{
	const char *name = getenv("VISUAL");

	if (!name || !*name)
		name = getenv("EDITOR");
	if (name && *name)
		return name;
	return access("/usr/bin/editor", X_OK) == 0 ? "/usr/bin/editor" : "vi";
}

static int copy_make(Edit *edit)
{
	const char *place = getenv("TMPDIR");
	size_t n = strlen(edit->before);
	int fd, length;

	length = snprintf(
		edit->folder, sizeof(edit->folder), "%s/crontab.XXXXXX", place && *place == '/' ? place : "/tmp");
	if ((size_t)length >= sizeof(edit->folder))
		return -ENAMETOOLONG;
	if (!mkdtemp(edit->folder))
		return -errno;
	(void)snprintf(edit->file, sizeof(edit->file), "%s/crontab", edit->folder);
	fd = open(edit->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, edit->before, n) != (ssize_t)n) {
		(void)close(fd);
		return -ENOSPC;
	}
	return close(fd) < 0 ? -errno : 0;
}

/* The folder with whatever the editor left there. */
static void copy_remove(const Edit *edit)
{
	_cleanup_closedir_ DIR *folder = opendir(edit->folder);
	const struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)unlinkat(dirfd(folder), entry->d_name, 0);
	(void)rmdir(edit->folder);
}

/* Returns 0 or -1; then it was told. The keys of a terminal are the editor's meanwhile. */
static int editor_run(const Edit *edit)
{
	_cleanup_free_ char *command = str_format("%s \"$1\"", editor());
	pid_t pid;
	int status;

	if (!command)
		return -1;
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGINT, SIG_DFL);
		(void)signal(SIGQUIT, SIG_DFL);
		execl("/bin/sh", "sh", "-c", command, "sh", edit->file, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGQUIT, SIG_DFL);
	if (pid < 0) {
		(void)fprintf(stderr, "crontab: %s\n", strerror(errno));
		return -1;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status))
		(void)fprintf(stderr, "crontab: \"%s\" exited with status %d\n", editor(), WEXITSTATUS(status));
	else
		(void)fprintf(stderr, "crontab: \"%s\" killed; signal %d\n", editor(), WTERMSIG(status));
	return -1;
}

static int keep(const Edit *edit)
{
	(void)fprintf(stderr, "crontab: edits left in %s\n", edit->file);
	return EXIT_FAILURE;
}

/* Once or more often, until it is stored or given up. */
static int edit_loop(const Edit *edit)
{
	for (;;) {
		_cleanup_free_ char *text = NULL;
		size_t n;
		int r;

		if (editor_run(edit) < 0) {
			copy_remove(edit);
			return EXIT_FAILURE;
		}
		r = file_read_at(AT_FDCWD, edit->file, 0, CRONTAB_BYTES_MAX, &text, &n);
		if (r < 0) {
			(void)fprintf(stderr, "crontab: %s: %s\n", edit->file,
				r == -E2BIG ? "too large for a crontab" : strerror(-r));
			if (r != -ENOENT)
				return keep(edit);
			copy_remove(edit);
			return EXIT_FAILURE;
		}
		if (strlen(text) == n && strcmp(text, edit->before) == 0) {
			(void)fprintf(stderr, "No modification made\n");
			copy_remove(edit);
			return EXIT_SUCCESS;
		}
		(void)fprintf(stderr, "crontab: installing new crontab\n");
		switch (cron_install(NULL, edit->file, text, n, edit->before)) {
		case CRON_INSTALLED:
			copy_remove(edit);
			return EXIT_SUCCESS;
		case CRON_REFUSED:
			(void)fprintf(stderr, "errors in crontab file, can't install.\n");
			if (!isatty(STDIN_FILENO))
				return keep(edit);
			(void)printf("Do you want to retry the same edit? (y/n) ");
			if (!edit_ask())
				return keep(edit);
			break;
		case CRON_CHANGED:
			(void)fprintf(
				stderr, "crontab: the crontab was changed by somebody else meanwhile, and stays so\n");
			return keep(edit);
		default:
			return keep(edit);
		}
	}
}

int edit_main(const char *user)
{
	_cleanup_free_ char *before = NULL;
	Edit edit = { .before = NULL };
	Reason reason;
	size_t n;
	int r;

	r = store_read(&before, &n, &reason);
	if (r == -ENOENT) {
		(void)fprintf(stderr, "no crontab for %s - using an empty one\n", user);
		before = strdup("");
		r = before ? 0 : -ENOMEM;
	} else if (r < 0) {
		(void)fprintf(stderr, "crontab: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	edit.before = before;
	if (r >= 0)
		r = copy_make(&edit);
	if (r < 0) {
		(void)fprintf(stderr, "crontab: %s: %s\n", edit.folder, strerror(-r));
		if (*edit.file)
			copy_remove(&edit);
		return EXIT_FAILURE;
	}
	return edit_loop(&edit);
}
