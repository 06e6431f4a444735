/* SPDX-License-Identifier: MIT */
/*
 * A child is made by fork(2), whatever the way, and its output read until it is at its end: what a caller must do without
 * creel. Of a program of this size fork costs no more than posix_spawn(3).
 */
#include "tests/bench/bench-ways.h"
#include "shell/bus/bus.h"
#include "shell/bus/client.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define SETTLE_LOOK_NSEC 50000000L
#define SETTLE_LOOKS 1200 /* a minute */

uint64_t bench_now(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void bench_tell(const char *name, const uint64_t *times, size_t n)
{
	(void)printf("%s\t", name);
	for (size_t i = 0; i < n; i++)
		(void)printf("%s%ju", i ? " " : "", (uintmax_t)times[i]);
	(void)printf("\n");
}

/* ---- children ---- */

static int become(const struct passwd *user)
{
	/* the kernel's calls: libc's would tell threads that are not there */
	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
		syscall(SYS_setresgid, user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
		syscall(SYS_setresuid, user->pw_uid, user->pw_uid, user->pw_uid) < 0)
		return -errno;
	return chdir(user->pw_dir) < 0 ? -errno : 0;
}

static _Noreturn void child(const struct passwd *user, const char *const *argv, int in, int out)
{
	char runtime[64], home[160];
	char *environment[] = { (char[]){ "PATH=/usr/local/bin:/usr/bin:/bin" }, (char[]){ "LANG=C.UTF-8" }, runtime,
		home, NULL };

	(void)snprintf(runtime, sizeof(runtime), "XDG_RUNTIME_DIR=/run/user/%u", user ? (unsigned int)user->pw_uid : 0);
	(void)snprintf(home, sizeof(home), "HOME=%s", user ? user->pw_dir : "/root");
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || (user && become(user) < 0))
		_exit(1);
	(void)execvpe(argv[0], (char *const *)argv, environment);
	_exit(127);
}

static int start(const struct passwd *user, const char *const *argv, int ret_ends[static 2], pid_t *ret)
{
	int in[2], out[2];
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) < 0) {
		(void)fd_close(in[0]);
		(void)fd_close(in[1]);
		return -errno;
	}
	pid = fork();
	if (pid == 0)
		child(user, argv, in[0], out[1]);
	(void)fd_close(in[0]);
	(void)fd_close(out[1]);
	ret_ends[0] = in[1];
	ret_ends[1] = out[0];
	*ret = pid;
	return pid < 0 ? -errno : 0;
}

static int end(Bench *bench, pid_t pid, const char *what)
{
	int status = 0;

	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	if (!status)
		return 0;
	(void)snprintf(bench->why, sizeof(bench->why), "%s: status 0x%x", what, (unsigned int)status);
	return -EIO;
}

int bench_spawn(Bench *bench, const char *const *argv, bool agent)
{
	int ends[2] = { -EBADF, -EBADF }, r;
	char buffer[4096];
	pid_t pid;

	r = start(agent ? bench->user : NULL, argv, ends, &pid);
	(void)fd_close(ends[0]);
	while (r >= 0 && read(ends[1], buffer, sizeof(buffer)) > 0) {
		/* to its end */
	}
	(void)fd_close(ends[1]);
	return r < 0 ? r : end(bench, pid, argv[0]);
}

/* One line there, one line back. */
static int ask(Bench *bench, int in, int out, const char *line, size_t n)
{
	char buffer[4096];
	ssize_t got;

	if (write(in, line, n) != (ssize_t)n)
		return -EIO;
	do
		got = read(out, buffer, sizeof(buffer));
	while (got > 0 && buffer[got - 1] != '\n');
	if (got > 0)
		return 0;
	(void)snprintf(bench->why, sizeof(bench->why), "no answer to %.*s", (int)(n > 80 ? 80 : n - 1), line);
	return -EIO;
}

int bench_loop(Bench *bench, const char *code)
{
	static const char *const argv[] = { "/usr/bin/python3", "-c",
		"import sys\nfor line in sys.stdin:\n exec(line)\n print('done', flush=True)", NULL };
	char line[256];
	int n, r;

	if (bench->loop <= 0) {
		int ends[2] = { -EBADF, -EBADF };

		r = start(bench->user, argv, ends, &bench->loop);
		if (r < 0)
			return r;
		bench->loop_in = ends[0];
		bench->loop_out = ends[1];
	}
	n = snprintf(line, sizeof(line), "%s\n", code);
	return ask(bench, bench->loop_in, bench->loop_out, line, (size_t)n);
}

/* ---- the keeper ---- */

typedef struct Ends {
	size_t n, awaited;
	const uint64_t *numbers;
	uint64_t *times; /* CLOCK_MONOTONIC, by the place of its number */
	int r;
	char *why;
	size_t why_size;
} Ends;

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	Ends *ends = userdata;
	RunResult result;
	uint64_t number;
	int r;

	if (!sd_bus_message_is_signal(message, KEEPER_INTERFACE, "Finished"))
		return 0;
	r = sd_bus_message_read(message, "t", &number);
	if (r >= 0)
		r = run_result_read(message, &result);
	if (r < 0) {
		ends->r = r;
		return r;
	}
	if (result.reason != RUN_OK) {
		(void)snprintf(ends->why, ends->why_size, "%s: %s", run_reason_name(result.reason), result.error);
		ends->r = -EIO;
	}
	for (size_t i = 0; i < ends->n; i++)
		if (ends->numbers[i] == number)
			ends->times[i] = bench_now();
	ends->awaited--;
	run_result_done(&result);
	return 1;
}

static int seal(const char *code)
{
	size_t n = strlen(code);
	int fd = memfd_create("code", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, code, n) == (ssize_t)n && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return fd;
	(void)fd_close(fd);
	return -EIO;
}

static int begin(Bench *bench, const RunOptions *options, int code_fd, uint64_t *ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r;

	r = sd_bus_message_new_method_call(bench->bus, &call, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Run");
	if (r >= 0)
		r = sd_bus_message_append(call, "h", code_fd);
	if (r >= 0)
		r = run_options_append(call, options);
	if (r >= 0)
		r = sd_bus_call(bench->bus, call, 0, &error, &reply);
	if (r < 0)
		(void)snprintf(bench->why, sizeof(bench->why), "Run: %s", error.message ? error.message : strerror(-r));
	return r < 0 ? r : sd_bus_message_read(reply, "t", ret);
}

int bench_runs_at_once(Bench *bench, const RunOptions *options, const char *code, size_t n, uint64_t *ret_times)
{
	_cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
	_cleanup_close_ int code_fd = seal(code);
	uint64_t numbers[RUNS_MAX], begun[RUNS_MAX];
	Ends ends = { .n = n,
		.awaited = n,
		.numbers = numbers,
		.times = ret_times,
		.why = bench->why,
		.why_size = sizeof(bench->why) };
	int r;

	if (code_fd < 0)
		return code_fd;
	if (n > RUNS_MAX)
		return -EINVAL;
	r = sd_bus_add_filter(bench->bus, &slot, on_message, &ends);
	for (size_t i = 0; i < n && r >= 0; i++) {
		begun[i] = bench_now();
		r = begin(bench, options, code_fd, &numbers[i]);
	}
	while (r >= 0 && ends.awaited && ends.r >= 0) {
		r = sd_bus_process(bench->bus, NULL);
		if (!r)
			r = sd_bus_wait(bench->bus, UINT64_MAX);
	}
	for (size_t i = 0; i < n && r >= 0; i++)
		ret_times[i] -= begun[i];
	return ends.r < 0 ? ends.r : r;
}

int bench_run(Bench *bench, const RunOptions *options, const char *code)
{
	uint64_t took;

	return bench_runs_at_once(bench, options, code, 1, &took);
}

/* ---- MCP ---- */

static const char mcp_hello[] =
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\","
	"\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}\n";
static const char mcp_ready[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";
static const char mcp_call[] = "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":"
			       "\"execute_python\",\"arguments\":{\"code\":\"pass\"}}}\n";

static int mcp_open(Bench *bench, int ends[static 2], pid_t *ret)
{
	static const char *const argv[] = { "creel", "mcp", NULL };
	int r;

	r = start(bench->user, argv, ends, ret);
	if (r >= 0)
		r = ask(bench, ends[0], ends[1], mcp_hello, sizeof(mcp_hello) - 1);
	if (r >= 0 && write(ends[0], mcp_ready, sizeof(mcp_ready) - 1) < 0)
		r = -errno;
	return r;
}

static int mcp_close(Bench *bench, int ends[static 2], pid_t pid)
{
	ends[0] = fd_close(ends[0]);
	ends[1] = fd_close(ends[1]);
	return end(bench, pid, "creel mcp");
}

int bench_mcp(Bench *bench, unsigned int rounds, uint64_t *ret_calls, uint64_t *ret_connections)
{
	int ends[2] = { -EBADF, -EBADF }, others[2] = { -EBADF, -EBADF }, r;
	pid_t pid = 0, other = 0;
	uint64_t begun;

	r = mcp_open(bench, ends, &pid);
	if (r >= 0) /* the session's interpreter starts */
		r = ask(bench, ends[0], ends[1], mcp_call, sizeof(mcp_call) - 1);
	for (unsigned int i = 0; i < rounds && r >= 0; i++) {
		begun = bench_now();
		r = ask(bench, ends[0], ends[1], mcp_call, sizeof(mcp_call) - 1);
		ret_calls[i] = bench_now() - begun;
		if (r < 0)
			break;
		begun = bench_now();
		r = mcp_open(bench, others, &other);
		if (r >= 0)
			r = ask(bench, others[0], others[1], mcp_call, sizeof(mcp_call) - 1);
		if (r >= 0)
			r = mcp_close(bench, others, other);
		ret_connections[i] = bench_now() - begun;
	}
	return r < 0 ? r : mcp_close(bench, ends, pid);
}

/* ---- all of it ---- */

static bool processor_times(uint64_t *ret_idle, uint64_t *ret_all)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/stat", "re");
	uintmax_t times[8];
	int n;

	if (!file)
		return false;
	n = fscanf(file, "cpu %ju %ju %ju %ju %ju %ju %ju %ju", &times[0], &times[1], &times[2], &times[3], &times[4],
		&times[5], &times[6], &times[7]);
	if (n != ELEMENTSOF(times))
		return false;
	*ret_idle = times[3] + times[4];
	*ret_all = 0;
	for (size_t i = 0; i < ELEMENTSOF(times); i++)
		*ret_all += times[i];
	return true;
}

void bench_settle(const Bench *bench)
{
	const struct timespec look = { .tv_nsec = SETTLE_LOOK_NSEC };
	uint64_t idle = 0, all = 0, idle_now, all_now;

	for (int i = 0; i < SETTLE_LOOKS && processor_times(&idle_now, &all_now); i++) {
		if (i && all_now > all && 10 * (idle_now - idle) >= 8 * (all_now - all))
			return;
		idle = idle_now;
		all = all_now;
		(void)nanosleep(&look, NULL);
	}
}

int bench_open(Bench *bench, const struct passwd *user)
{
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	bench->user = user;
	/* the keeper knows its callers by the identity that they connect with */
	if (setegid(user->pw_gid) < 0 || seteuid(user->pw_uid) < 0)
		r = -errno;
	else
		r = keeper_connect(user->pw_uid, &bench->bus);
	if (seteuid(0) < 0 || setegid(0) < 0)
		r = -errno;
	if (r < 0)
		(void)keeper_failure(r, NULL, bench->why, sizeof(bench->why));
	return r;
}

void bench_done(Bench *bench)
{
	bench->loop_in = fd_close(bench->loop_in);
	bench->loop_out = fd_close(bench->loop_out);
	if (bench->loop > 0)
		(void)waitpid(bench->loop, NULL, 0);
	bench->bus = sd_bus_flush_close_unref(bench->bus);
}
