/* SPDX-License-Identifier: MIT */
/*
 * births HOW N THREADS: makes N children, each with that many threads, by fork, vfork, clone, thread (a child that is made
 * by a second thread), or spawn; says "MADE ERRNO-NAME"; waits for the end of its input; ends them all, waits for them.
 *
 * births churn N      N children, one after the other, that end at once; says how many forks failed
 * births leader N     N children whose first thread ends before their second
 * births exec N       N children whose second thread executes `true` while three others run
 * births zombies N    N children that end and are not waited for until the end of the input
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void *sleeper(void *unused)
{
	for (;;)
		(void)pause();
	return unused;
}

static void threads_start(int n)
{
	pthread_attr_t attributes;
	pthread_t thread;

	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, 32768);
	for (int i = 1; i < n; i++)
		if (pthread_create(&thread, &attributes, sleeper, NULL) != 0)
			_exit(3);
}

/* Tells the parent through `fd` when it is complete. */
static void child(int threads, int fd)
{
	threads_start(threads);
	if (write(fd, "x", 1) != 1)
		_exit(4);
	(void)sleeper(NULL);
}

static int ready[2];

static pid_t make(const char *how, int threads)
{
	char count[16], fd[16];
	char *const argv[] = { "births", "child", count, fd, NULL };
	pid_t pid;
	int r;

	(void)snprintf(count, sizeof(count), "%d", threads);
	(void)snprintf(fd, sizeof(fd), "%d", ready[1]);
	if (strcmp(how, "fork") == 0) {
		pid = fork();
		if (pid == 0)
			child(threads, ready[1]);
		return pid;
	}
	if (strcmp(how, "clone") == 0) {
		pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
		if (pid == 0)
			child(threads, ready[1]);
		return pid;
	}
	if (strcmp(how, "vfork") == 0) {
		pid = vfork();
		if (pid == 0) {
			(void)execv("/proc/self/exe", argv);
			_exit(5);
		}
		return pid;
	}
	r = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ);
	errno = r;
	return r ? -1 : pid;
}

struct order {
	const char *how;
	int threads, error;
	pid_t pid;
};

static void *make_in_thread(void *argument)
{
	struct order *order = argument;

	order->pid = make(order->how, order->threads);
	order->error = errno;
	return NULL;
}

static pid_t make_by_thread(int threads)
{
	struct order order = { .how = "fork", .threads = threads };
	pthread_t thread;

	if (pthread_create(&thread, NULL, make_in_thread, &order) != 0)
		return -1;
	(void)pthread_join(thread, NULL);
	errno = order.error;
	return order.pid;
}

static int fill(const char *how, int n, int threads)
{
	const char *reason = "0";
	int made = 0;
	char byte;

	while (made < n) {
		pid_t pid = strcmp(how, "thread") == 0 ? make_by_thread(threads) : make(how, threads);

		if (pid < 0) {
			reason = strerrorname_np(errno);
			break;
		}
		/* one after the other: what counts is how many there can be */
		if (read(ready[0], &byte, 1) != 1)
			return 1;
		made++;
	}
	(void)printf("%d %s\n", made, reason);
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	(void)signal(SIGTERM, SIG_IGN);
	(void)kill(0, SIGTERM);
	for (int status; wait(&status) > 0;)
		;
	return 0;
}

static int churn(int n, bool reap)
{
	int failed = 0;
	char byte;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		failed += pid < 0;
		if (pid > 0)
			(void)waitid(P_PID, (id_t)pid, NULL, reap ? WEXITED : WEXITED | WNOWAIT);
	}
	(void)printf("%d\n", failed);
	(void)fflush(stdout);
	while (!reap && read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

/* The first thread's state is the process's; Z while others live. */
static bool leader_ended(void)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char text[512] = "";
	const char *state;

	if (!file)
		_exit(7);
	(void)!fgets(text, sizeof(text), file);
	(void)fclose(file);
	state = strrchr(text, ')');
	return state && strncmp(state, ") Z", 3) == 0;
}

static void *last_thread(void *unused)
{
	while (!leader_ended())
		(void)usleep(1000);
	_exit(0);
	return unused;
}

static void *executing_thread(void *unused)
{
	(void)execl("/bin/true", "true", NULL);
	_exit(6);
	return unused;
}

static int ends(int n, void *(*second)(void *), int more)
{
	for (int i = 0; i < n; i++) {
		pthread_t thread;
		pid_t pid = fork();

		if (pid != 0)
			continue;
		threads_start(1 + more);
		(void)pthread_create(&thread, NULL, second, NULL);
		pthread_exit(NULL);
	}
	for (int status; wait(&status) > 0;)
		if (status)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 0, threads = argc > 3 ? atoi(argv[3]) : 1;

	if (argc == 4 && strcmp(argv[1], "child") == 0)
		child(n, threads);
	(void)setpgid(0, 0);
	if (argc == 3 && strcmp(argv[1], "churn") == 0)
		return churn(n, true);
	if (argc == 3 && strcmp(argv[1], "zombies") == 0)
		return churn(n, false);
	if (argc == 3 && strcmp(argv[1], "leader") == 0)
		return ends(n, last_thread, 0);
	if (argc == 3 && strcmp(argv[1], "exec") == 0)
		return ends(n, executing_thread, 3);
	if (argc != 4 || pipe(ready) < 0)
		return 2;
	return fill(argv[1], n, threads);
}
