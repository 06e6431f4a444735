/* SPDX-License-Identifier: MIT */
/*
 * probe TARGETS     tries every act; a line each: NAME ERROR ("OK" for success, SIGNAL-n when the kernel ended it, TIMEOUT)
 * probe --table     prints the tables: NAME KIND ERROR[,ERROR...] REASON
 * probe --gain      exits with 0 when it has more rights than its caller's real identity: for copies with set-user-id and such
 *
 * Never as root: it refuses. Exit status: 0 when each act did as its row says, 1 when not (those lines end with a !), 2 when it cannot be told.
 */
#include "tests/vm/probe/probe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ACT_SECONDS 30 /* a slow machine's longest act */

static const Act *const tables[] = {
	acts_needed,
	acts_needed_files,
	acts_privilege,
	acts_namespaces,
	acts_kernel,
	acts_process,
	acts_resources,
	acts_network,
	acts_files,
};

int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0600);

	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

int try_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = TRY(write(fd, text, strlen(text)));
	(void)close(fd);
	return r;
}

int try_program(const char *const argv[])
{
	int failure[2], status, error = 0;
	pid_t pid;

	if (pipe2(failure, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int null_fd = open("/dev/null", O_RDWR);

		(void)dup2(null_fd, 0);
		(void)dup2(null_fd, 1);
		(void)dup2(null_fd, 2);
		(void)execv(argv[0], (char *const *)argv);
		error = errno;
		_exit(write(failure[1], &error, sizeof(error)) < 0);
	}
	(void)close(failure[1]);
	if (read(failure[0], &error, sizeof(error)) < 0)
		error = EIO;
	(void)close(failure[0]);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	if (error)
		return -error;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

int status_get(const char *name, char *ret, size_t size)
{
	FILE *file = fopen("/proc/self/status", "re");
	size_t n = strlen(name);
	char line[256];
	int r = -ENODATA;

	if (!file)
		return -errno;
	while (r && fgets(line, sizeof(line), file))
		if (strncmp(line, name, n) == 0 && line[n] == ':') {
			const char *value = line + n + 1 + strspn(line + n + 1, " \t");

			(void)snprintf(ret, size, "%.*s", (int)strcspn(value, "\n"), value);
			r = 0;
		}
	(void)fclose(file);
	return r;
}

/* In a copy with set-user-id, set-group-id or file capabilities: did they give anything? */
static int gain(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	if (getresuid(&real, &effective, &saved) < 0 || getresgid(&real_group, &effective_group, &saved_group) < 0 ||
		syscall(SYS_capget, &header, data) < 0)
		return 2;
	return effective != real || saved != real || effective_group != real_group || saved_group != real_group ||
			       data[0].permitted || data[1].permitted
		       ? 0
		       : 1;
}

static int number(const char *text)
{
	return (int)strtol(text, NULL, 10);
}

static int targets_read(const char *path, Targets *targets)
{
	FILE *file = fopen(path, "re");
	char line[256];

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		*value++ = '\0';
		value[strcspn(value, "\n")] = '\0';
		if (strcmp(line, "other_uid") == 0)
			targets->other_uid = (uid_t)number(value);
		else if (strcmp(line, "other_home") == 0)
			(void)snprintf(targets->other_home, sizeof(targets->other_home), "%s", value);
		else if (strcmp(line, "other_pid") == 0)
			targets->other_pid = number(value);
		else if (strcmp(line, "keeper_pid") == 0)
			targets->keeper_pid = number(value);
		else if (strcmp(line, "front_pid") == 0)
			targets->front_pid = number(value);
		else if (strcmp(line, "disk") == 0)
			(void)snprintf(targets->disk, sizeof(targets->disk), "%s", value);
		else if (strcmp(line, "files") == 0)
			(void)snprintf(targets->files, sizeof(targets->files), "%s", value);
		else if (strcmp(line, "docker") == 0)
			(void)snprintf(targets->docker, sizeof(targets->docker), "%s", value);
		else if (strcmp(line, "port") == 0)
			targets->port = number(value);
		else if (strcmp(line, "port_first") == 0)
			targets->port_first = number(value);
		else if (strcmp(line, "port_last") == 0)
			targets->port_last = number(value);
		else if (strcmp(line, "port_outside") == 0)
			targets->port_outside = number(value);
	}
	(void)fclose(file);
	return 0;
}

static const char *error_name(int error)
{
	const char *name = error ? strerrorname_np(error) : "OK";

	return name ? name : "?";
}

/* The line's second word, and the errno behind it (-1: none). */
static int outcome(const Act *act, const Targets *targets, char *text, size_t size)
{
	int answer[2], r = 0, status;
	ssize_t n;
	pid_t pid;

	if (pipe2(answer, O_CLOEXEC) < 0)
		exit(2);
	(void)fflush(stdout);
	pid = fork();
	if (pid < 0)
		exit(2);
	if (pid == 0) {
		(void)signal(SIGALRM, SIG_DFL);
		(void)alarm(ACT_SECONDS);
		r = -act->attempt(targets);
		_exit(write(answer[1], &r, sizeof(r)) < 0);
	}
	(void)close(answer[1]);
	n = read(answer[0], &r, sizeof(r));
	(void)close(answer[0]);
	if (waitpid(pid, &status, 0) < 0)
		exit(2);
	if (n == (ssize_t)sizeof(r)) {
		(void)snprintf(text, size, "%s", error_name(r));
		return r;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		(void)snprintf(text, size, "TIMEOUT");
	else
		(void)snprintf(text, size, "SIGNAL-%d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	return -1;
}

static int expected(const Act *act, int error)
{
	if (act->kind == NEEDED)
		return error == 0;
	for (size_t i = 0; i < ACT_ERRORS_MAX && act->errors[i]; i++)
		if (act->errors[i] == error)
			return 1;
	return 0;
}

static int run(const Targets *targets)
{
	int status = 0;

	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const Act *act = tables[t]; act->name; act++) {
			char text[32];
			int error = outcome(act, targets, text, sizeof(text));
			int right = expected(act, error);

			(void)printf("%s %s%s\n", act->name, text, right ? "" : " !");
			if (!right)
				status = 1;
		}
	return status;
}

static int table(void)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const Act *act = tables[t]; act->name; act++) {
			(void)printf("%s %s ", act->name, act->kind == NEEDED ? "needed" : "forbidden");
			if (act->kind == NEEDED)
				(void)printf("OK");
			for (size_t i = 0; act->kind == FORBIDDEN && i < ACT_ERRORS_MAX && act->errors[i]; i++)
				(void)printf("%s%s", i ? "," : "", error_name(act->errors[i]));
			(void)printf(" %s\n", act->reason);
		}
	return 0;
}

int main(int argc, char **argv)
{
	Targets targets = { .self = argv[0] };

	if (argc == 2 && strcmp(argv[1], "--table") == 0)
		return table();
	if (argc == 2 && strcmp(argv[1], "--gain") == 0)
		return gain();
	if (argc != 2 || targets_read(argv[1], &targets) < 0) {
		(void)fprintf(stderr, "usage: probe TARGETS | --table | --gain\n");
		return 2;
	}
	/* what is forbidden to an agent would succeed: mounts, names, files of the machine */
	if (geteuid() == 0 || getuid() == 0) {
		(void)fprintf(stderr, "probe: not as root: it tries what must fail\n");
		return 2;
	}
	/* what it is told to write into must not end it */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	return run(&targets);
}
