/* SPDX-License-Identifier: MIT */
/* What programs of an agent do all day. */
#include "tests/vm/probe/probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int program(const Targets *targets)
{
	return try_program((const char *const[]){ "/bin/true", NULL });
}

static int shell(const Targets *targets)
{
	return try_program((const char *const[]){ "/bin/sh", "-c", "echo word | cat >/dev/null", NULL });
}

static void *nothing(void *argument)
{
	return argument;
}

static int thread(const Targets *targets)
{
	pthread_t id;
	int r = pthread_create(&id, NULL, nothing, NULL);

	return r ? -r : -pthread_join(id, NULL);
}

static int pipes(const Targets *targets)
{
	int ends[2], pair[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	return TRY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
}

static int terminal(const Targets *targets)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	char name[64];

	if (fd < 0)
		return -errno;
	if (grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, sizeof(name)) != 0)
		return errno ? -errno : ODD;
	return try_open(name, O_RDWR | O_NOCTTY);
}

/* A server and its client on loopback, at a port that the kernel chooses. */
static int loopback(const Targets *targets)
{
	struct sockaddr_in where = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(where);
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (server < 0 || client < 0 || bind(server, (struct sockaddr *)&where, n) < 0 || listen(server, 1) < 0 ||
		getsockname(server, (struct sockaddr *)&where, &n) < 0 ||
		connect(client, (struct sockaddr *)&where, n) < 0)
		return -errno;
	return TRY(accept4(server, NULL, NULL, SOCK_CLOEXEC));
}

static int socket6(const Targets *targets)
{
	return TRY(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int routes(const Targets *targets)
{
	return TRY(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0 /* NETLINK_ROUTE */));
}

static int events(const Targets *targets)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	if (epoll_create1(EPOLL_CLOEXEC) < 0 || eventfd(0, EFD_CLOEXEC) < 0 || signalfd(-1, &set, SFD_CLOEXEC) < 0)
		return -errno;
	return TRY(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
}

static int timers(const Targets *targets)
{
	struct itimerval soon = { .it_value.tv_sec = 60 };
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, NULL, &timer) < 0)
		return -errno;
	return TRY(setitimer(ITIMER_REAL, &soon, NULL));
}

static int signals(const Targets *targets)
{
	(void)signal(SIGUSR1, SIG_IGN);
	if (kill(getpid(), SIGUSR1) < 0 || raise(SIGUSR1) != 0)
		return -errno;
	return TRY(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 1 }));
}

/* As a just-in-time compiler: write code, then run it. */
static int code(const Targets *targets)
{
	static const unsigned char text[] = { 0xb8, 42, 0, 0, 0, 0xc3 }; /* mov $42,%eax; ret */
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int (*function)(void);

	if (memory == MAP_FAILED)
		return -errno;
	memcpy(memory, text, sizeof(text));
	if (mprotect(memory, 4096, PROT_READ | PROT_EXEC) < 0)
		return -errno;
	memcpy(&function, &memory, sizeof(function));
	return function() == 42 ? 0 : ODD;
}

static int anonymous_file(const Targets *targets)
{
	int fd = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd < 0 ? -errno : TRY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
}

static int shared_segment(const Targets *targets)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	return id < 0 ? -errno : TRY(shmctl(id, IPC_RMID, NULL));
}

/* A debugger on a child of its own, and a look into its memory. */
static int trace_child(const Targets *targets)
{
	static char word[] = "word";
	char seen[sizeof(word)] = { 0 };
	struct iovec here = { seen, sizeof(seen) }, there = { word, sizeof(word) };
	pid_t pid = fork();
	int status, r;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(errno);
		(void)raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	if (WIFEXITED(status))
		return -WEXITSTATUS(status);
	r = process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof(word) && strcmp(seen, word) == 0 ? 0
													      : -errno;
	if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0 && !r)
		r = -errno;
	(void)waitpid(pid, &status, 0);
	return r;
}

static int new_session(const Targets *targets)
{
	return TRY(setsid());
}

static int nicer_to_others(const Targets *targets)
{
	struct sched_param parameter = { 0 };

	if (setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 1) < 0)
		return -errno;
	return TRY(sched_setscheduler(0, SCHED_BATCH, &parameter));
}

static int affinity(const Targets *targets)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	return TRY(sched_setaffinity(0, sizeof(set), &set));
}

static int lower_limit(const Targets *targets)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max = 64;
	return TRY(setrlimit(RLIMIT_NOFILE, &limit));
}

static int score_higher(const Targets *targets)
{
	return try_write("/proc/self/oom_score_adj", "900");
}

static int lock_little(const Targets *targets)
{
	void *memory = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? -errno : TRY(mlock(memory, 16384));
}

static int random_bytes(const Targets *targets)
{
	char bytes[16];

	return TRY(getrandom(bytes, sizeof(bytes), 0));
}

static int names(const Targets *targets)
{
	if (prctl(PR_SET_NAME, "probe") < 0 || prctl(PR_SET_PDEATHSIG, 0) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -errno;
	return TRY(personality(0xffffffff));
}

static int barrier(const Targets *targets)
{
	return TRY(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0U, 0));
}

/* A program may give up more: browsers, build tools, and ourselves in the worker. */
static int own_filter(const Targets *targets)
{
	struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog one = { .len = 1, .filter = all };

	return TRY(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &one));
}

static int landlock(const Targets *targets)
{
	return TRY(syscall(444 /* landlock_create_ruleset */, NULL, 0UL, 1U));
}

const Act acts_needed[] = {
	{ "program", NEEDED, { 0 }, program, "fork and execve" },
	{ "shell", NEEDED, { 0 }, shell, "a pipeline" },
	{ "thread", NEEDED, { 0 }, thread, "Node, databases" },
	{ "pipes", NEEDED, { 0 }, pipes, "shells" },
	{ "terminal", NEEDED, { 0 }, terminal, "screen, expect, script" },
	{ "loopback", NEEDED, { 0 }, loopback, "a server and its test" },
	{ "socket-6", NEEDED, { 0 }, socket6, "IPv6" },
	{ "routes", NEEDED, { 0 }, routes, "names of hosts, ip(8), Node" },
	{ "events", NEEDED, { 0 }, events, "event loops" },
	{ "timers", NEEDED, { 0 }, timers, "time limits" },
	{ "signals", NEEDED, { 0 }, signals, "to itself" },
	{ "code", NEEDED, { 0 }, code, "just-in-time compilers" },
	{ "memfd", NEEDED, { 0 }, anonymous_file, "graphics, runtimes" },
	{ "sysv-memory", NEEDED, { 0 }, shared_segment, "PostgreSQL, browsers" },
	{ "trace-child", NEEDED, { 0 }, trace_child, "gdb, strace" },
	{ "new-session", NEEDED, { 0 }, new_session, "daemons, screen" },
	{ "nice-up", NEEDED, { 0 }, nicer_to_others, "nice(1)" },
	{ "affinity", NEEDED, { 0 }, affinity, "taskset, numeric libraries" },
	{ "limit-lower", NEEDED, { 0 }, lower_limit, "ulimit" },
	{ "oom-score-higher", NEEDED, { 0 }, score_higher, "browsers" },
	{ "lock-little", NEEDED, { 0 }, lock_little, "gpg, keepers of secrets" },
	{ "random", NEEDED, { 0 }, random_bytes, "keys" },
	{ "names", NEEDED, { 0 }, names, "names of threads, supervisors" },
	{ "membarrier", NEEDED, { 0 }, barrier, "runtimes" },
	{ "own-filter", NEEDED, { 0 }, own_filter, "programs that confine themselves" },
	{ "own-landlock", NEEDED, { 0 }, landlock, "programs that confine themselves" },
	{ NULL },
};
