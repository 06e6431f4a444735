/* SPDX-License-Identifier: MIT */
/*
 * A keeper for tests of the tools alone: the real interface (shell/bus), runs that are really executed, as the user who
 * started it - and nothing else: no confinement, no leaf, no record. It serves the socket of that user, so that the
 * programs under test are those that are installed.
 *
 *   fake-runs
 *
 * [exec] is as in the profile instaclaw: 30 s, 120 s at most, 1 MB of output. Limits of memory and the like are taken and not
 * enforced. Sessions are Python's only. Nothing outlives it.
 */
#include "shell/bus/bus.h"
#include "shell/bus/run.h"
#include "shell/bus/server.h"
#include "tests/tools/fake-capture.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define SECOND UINT64_C(1000000)
#define TIMEOUT_USEC (30 * SECOND)
#define TIMEOUT_MAX_USEC (120 * SECOND)
#define GRACE_USEC (2 * SECOND)
#define OUTPUT_BYTES (1024U * 1024)
#define SESSIONS_MAX 4U

typedef struct Process {
	struct Process *next;
	char session[RUN_NAME_MAX + 1]; /* "": of one run */
	pid_t pid;
	int control_fd, output_fds[3];
	sd_event_source *child, *control, *outputs[3];
	uint64_t since_usec, used_usec;
	struct Run *run; /* the one that it executes; NULL: an idle session */
} Process;

typedef struct Run {
	struct Run *next;
	uint64_t number, begin_usec, output_max;
	Peer *peer; /* NULL: gone */
	Process *process;
	Capture captures[3];
	sd_event_source *timer;
	bool follow, collect, interrupted;
	time_t began;
	RunReason reason;
} Run;

static sd_event *event;
static Run *runs;
static Process *processes;
static uint64_t last_number;

/* A frame to it: 4 bytes length (big endian), code. From it: the same, with a status (o, e, i) before the error. */
static const char driver[] =
	"import ast, os, struct, sys, traceback\n"
	"def take(n):\n"
	"    data = b''\n"
	"    while len(data) < n:\n"
	"        piece = os.read(3, n - len(data))\n"
	"        if not piece: os._exit(0)\n"
	"        data += piece\n"
	"    return data\n"
	"space = {'__name__': '__main__'}\n"
	"while True:\n"
	"    try: code = take(struct.unpack('>I', take(4))[0])\n"
	"    except KeyboardInterrupt: continue\n"
	"    status, error = b'o', ''\n"
	"    try:\n"
	"        tree = ast.parse(code, '<run>')\n"
	"        last = tree.body and isinstance(tree.body[-1], ast.Expr) and ast.Expression(tree.body.pop().value)\n"
	"        exec(compile(tree, '<run>', 'exec'), space)\n"
	"        if last:\n"
	"            value = eval(compile(last, '<run>', 'eval'), space)\n"
	"            if value is not None: print(repr(value))\n"
	"    except KeyboardInterrupt: status = b'i'\n"
	"    except BaseException as e:\n"
	"        e.__traceback__ = e.__traceback__.tb_next\n"
	"        traceback.print_exception(e)\n"
	"        status, error = b'e', traceback.format_exception_only(e)[-1].strip()\n"
	"    sys.stdout.flush(); sys.stderr.flush()\n"
	"    answer = status + error.encode()\n"
	"    os.write(3, struct.pack('>I', len(answer)) + answer)\n";

static uint64_t now_usec(clockid_t clock)
{
	struct timespec time;

	(void)clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec / 1000;
}

/* With what it started, unless it has not got so far as to have a session of its own. */
static void process_kill(const Process *process)
{
	if (kill(-process->pid, SIGKILL) < 0)
		(void)kill(process->pid, SIGKILL);
}

static void process_free(Process *process)
{
	for (Process **p = &processes; *p; p = &(*p)->next)
		if (*p == process) {
			*p = process->next;
			break;
		}
	process_kill(process);
	sd_event_source_disable_unref(process->child);
	sd_event_source_disable_unref(process->control);
	fd_close(process->control_fd);
	for (int i = 1; i <= 2; i++) {
		sd_event_source_disable_unref(process->outputs[i]);
		fd_close(process->output_fds[i]);
	}
	free(process);
}

/* ---- output ---- */

static void take_output(Process *process, unsigned int stream, const void *bytes, size_t n)
{
	Run *run = process->run;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal_message = NULL;

	if (!run)
		return;
	capture_add(&run->captures[stream], bytes, n);
	if (run->follow && run->peer &&
		sd_bus_message_new_signal(run->peer->bus, &signal_message, KEEPER_OBJECT, KEEPER_INTERFACE, "Output") >=
			0 &&
		sd_bus_message_append(signal_message, "tu", run->number, stream) >= 0 &&
		sd_bus_message_append_array(signal_message, 'y', bytes, n) >= 0)
		(void)sd_bus_send(run->peer->bus, signal_message, NULL);
}

/* What is there; false at the end. */
static bool read_output(Process *process, unsigned int stream)
{
	char bytes[65536];
	ssize_t n = read(process->output_fds[stream], bytes, sizeof(bytes));

	if (n > 0)
		take_output(process, stream, bytes, (size_t)n);
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	Process *process = userdata;

	return read_output(process, fd == process->output_fds[1] ? 1 : 2)
		       ? 0
		       : sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static void drain(Process *process)
{
	for (unsigned int stream = 1; stream <= 2; stream++) {
		struct pollfd ready = { .fd = process->output_fds[stream], .events = POLLIN };

		while (poll(&ready, 1, 0) > 0 && ready.revents & POLLIN && read_output(process, stream))
			continue;
	}
}

/* ---- results ---- */

static void hash_file(const char *path, char *hex)
{
	unsigned char digest[EVP_MAX_MD_SIZE], bytes[4096];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	unsigned int n_digest = 0;
	size_t n;

	(void)EVP_DigestInit_ex(context, EVP_sha256(), NULL);
	while (file && (n = fread(bytes, 1, sizeof(bytes), file)))
		(void)EVP_DigestUpdate(context, bytes, n);
	(void)EVP_DigestFinal_ex(context, digest, &n_digest);
	EVP_MD_CTX_free(context);
	for (unsigned int i = 0; i < n_digest; i++)
		(void)sprintf(hex + i * 2, "%02x", digest[i]);
}

/* The output folder's regular files that are as new as the run. */
static size_t collect(const Run *run, RunFile *files, char names[][256], char hashes[][65], size_t max)
{
	_cleanup_closedir_ DIR *folder = NULL;
	const struct dirent *entry;
	char folder_path[512];
	size_t n = 0;

	(void)snprintf(folder_path, sizeof(folder_path), "%s/workspace/output", getenv("HOME"));
	folder = run->collect ? opendir(folder_path) : NULL;
	while (folder && n < max && (entry = readdir(folder))) {
		char path[1024];
		struct stat status;

		(void)snprintf(path, sizeof(path), "%s/%s", folder_path, entry->d_name);
		if (lstat(path, &status) < 0 || !S_ISREG(status.st_mode) || status.st_mtime < run->began)
			continue;
		(void)snprintf(names[n], 256, "%s", entry->d_name);
		hash_file(path, hashes[n]);
		files[n] = (RunFile){ .name = names[n], .bytes = (uint64_t)status.st_size, .sha256 = hashes[n] };
		n++;
	}
	return n;
}

static void run_free(Run *run)
{
	for (Run **p = &runs; *p; p = &(*p)->next)
		if (*p == run) {
			*p = run->next;
			break;
		}
	sd_event_source_disable_unref(run->timer);
	for (int i = 1; i <= 2; i++)
		capture_done(&run->captures[i]);
	free(run);
}

/* `result` has how it ended; the process is not the run's any more. */
static void run_finish(Run *run, RunResult *result)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	char paths[3][512], name[64], names[16][256], hashes[16][65];
	RunFile files[16] = { 0 };

	(void)snprintf(name, sizeof(name), "run-%llu.stdout", (unsigned long long)run->number);
	result->stdout_fd = capture_give(
		&run->captures[1], run->output_max, &result->stdout_head, paths[1], sizeof(paths[1]), name);
	(void)snprintf(name, sizeof(name), "run-%llu.stderr", (unsigned long long)run->number);
	result->stderr_fd = capture_give(
		&run->captures[2], run->output_max, &result->stderr_head, paths[2], sizeof(paths[2]), name);
	result->stdout_bytes = run->captures[1].n;
	result->stderr_bytes = run->captures[2].n;
	result->stdout_file = paths[1];
	result->stderr_file = paths[2];
	result->duration_usec = now_usec(CLOCK_MONOTONIC) - run->begin_usec;
	result->cpu_usec = 1000;
	result->memory_peak = 1024 * 1024;
	result->files = files;
	result->n_files = collect(run, files, names, hashes, ELEMENTSOF(files));
	if (run->reason != RUN_OK)
		result->reason = run->reason;
	if (run->reason == RUN_TIMEOUT)
		result->error = "Error: timeout exceeded";
	else if (run->reason == RUN_CANCELLED)
		result->error = "Error: cancelled";
	if (run->peer &&
		sd_bus_message_new_signal(run->peer->bus, &message, KEEPER_OBJECT, KEEPER_INTERFACE, "Finished") >= 0 &&
		sd_bus_message_append(message, "t", run->number) >= 0 && run_result_append(message, result) >= 0)
		(void)sd_bus_send(run->peer->bus, message, NULL);
	fd_close(result->stdout_fd);
	fd_close(result->stderr_fd);
	run_free(run);
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	Process *process = userdata;
	Run *run = process->run;
	RunResult result = { .exit_code = -1, .error = "" };
	char error[64] = "";

	drain(process);
	if (*process->session)
		result.state = RUN_STATE_RESET;
	process->run = NULL;
	process_free(process);
	if (!run)
		return 0;
	if (info->si_code == CLD_EXITED) {
		result.exit_code = info->si_status;
		result.reason = info->si_status ? RUN_EXIT : RUN_OK;
		if (info->si_status)
			(void)snprintf(error, sizeof(error), "Error: exit status %d", info->si_status);
	} else {
		result.signal = info->si_status;
		result.reason = RUN_SIGNAL;
		(void)snprintf(error, sizeof(error), "Error: ended by SIG%s", sigabbrev_np(info->si_status));
	}
	result.error = error;
	run_finish(run, &result);
	return 0;
}

static int on_control(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	Process *process = userdata;
	char answer[RUN_ERROR_MAX + 8] = "";
	RunResult result = { .state = RUN_STATE_PRESERVED };
	ssize_t n = read(fd, answer, sizeof(answer) - 1);
	Run *run = process->run;

	if (n < 5 || !run)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF); /* its end is on the way */
	drain(process);
	process->run = NULL;
	process->used_usec = now_usec(CLOCK_MONOTONIC);
	result.reason = answer[4] == 'e' ? RUN_EXIT : RUN_OK;
	result.exit_code = answer[4] == 'e' ? 1 : 0;
	result.error = answer + 5;
	run_finish(run, &result);
	return 0;
}

/* ---- processes ---- */

_Noreturn static void become(
	const char *language, char *const *arguments, int third_fd, int input_fd, const int *outputs)
{
	const char *words[RUN_ARGUMENTS_MAX + 4] = { "bash", "/proc/self/fd/3" };
	size_t n = 2;
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setsid();
	if (dup2(input_fd, 0) < 0 || dup2(outputs[1], 1) < 0 || dup2(outputs[2], 2) < 0 || dup2(third_fd, 3) < 0)
		_exit(127);
	closefrom(4);
	if (!language) {
		(void)execl("/usr/bin/python3", "python3", "-c", driver, NULL);
		_exit(127);
	}
	if (strcmp(language, "python") == 0)
		words[0] = "/usr/bin/python3";
	else if (strcmp(language, "bash") != 0)
		words[0] = "node";
	for (; arguments && *arguments; arguments++)
		words[n++] = *arguments;
	words[n] = NULL;
	(void)execvp(words[0], (char **)words);
	_exit(127);
}

/* `language` NULL: a session's interpreter, whose end of the socket is `third_fd`. */
static Process *process_start(const char *language, char *const *arguments, int third_fd, int input_fd)
{
	_cleanup_close_ int none_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	Process *process = calloc(1, sizeof(*process));
	int theirs[3];

	if (!process)
		abort();
	process->control_fd = -EBADF;
	for (int i = 1; i <= 2; i++) {
		int pair[2];

		if (pipe2(pair, O_CLOEXEC) < 0)
			abort();
		process->output_fds[i] = pair[0];
		theirs[i] = pair[1];
	}
	process->since_usec = now_usec(CLOCK_REALTIME);
	process->used_usec = now_usec(CLOCK_MONOTONIC);
	process->pid = fork();
	if (!process->pid)
		become(language, arguments, third_fd, input_fd >= 0 ? input_fd : none_fd, theirs);
	for (int i = 1; i <= 2; i++) {
		fd_close(theirs[i]);
		(void)fcntl(process->output_fds[i], F_SETFL, O_NONBLOCK);
		if (sd_event_add_io(event, &process->outputs[i], process->output_fds[i], EPOLLIN, on_output, process) <
			0)
			abort();
	}
	if (sd_event_add_child(event, &process->child, process->pid, WEXITED, on_child, process) < 0)
		abort();
	process->next = processes;
	processes = process;
	return process;
}

static Process *session_find(const char *name)
{
	for (Process *process = processes; process; process = process->next)
		if (*process->session && strcmp(process->session, name) == 0)
			return process;
	return NULL;
}

static Process *session_start(const char *name)
{
	Process *process;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	process = process_start(NULL, NULL, pair[1], -EBADF);
	fd_close(pair[1]);
	process->control_fd = pair[0];
	(void)snprintf(process->session, sizeof(process->session), "%s", name);
	if (sd_event_add_io(event, &process->control, pair[0], EPOLLIN, on_control, process) < 0)
		abort();
	return process;
}

static void session_send(const Process *process, int code_fd)
{
	struct stat status;
	char bytes[65536];
	uint32_t n;
	off_t offset = 0;
	ssize_t got;

	if (fstat(code_fd, &status) < 0)
		return;
	n = htobe32((uint32_t)status.st_size);
	(void)send(process->control_fd, &n, sizeof(n), MSG_NOSIGNAL);
	for (; (got = pread(code_fd, bytes, sizeof(bytes), offset)) > 0; offset += got)
		(void)send(process->control_fd, bytes, (size_t)got, MSG_NOSIGNAL);
}

/* ---- what can be asked ---- */

/* A session is interrupted first, and ended when that does not help. */
static void run_stop(Run *run, RunReason reason);

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	Run *run = userdata;

	run_stop(run, run->reason == RUN_OK ? RUN_TIMEOUT : run->reason);
	return 0;
}

static void run_stop(Run *run, RunReason reason)
{
	bool again = run->reason != RUN_OK;

	run->reason = reason;
	if (!*run->process->session || again) {
		process_kill(run->process);
		return;
	}
	(void)kill(run->process->pid, SIGINT);
	run->timer = sd_event_source_disable_unref(run->timer);
	(void)sd_event_add_time_relative(event, &run->timer, CLOCK_MONOTONIC, GRACE_USEC, 0, on_timer, run);
}

static int check(int code_fd, const RunOptions *options, sd_bus_error *error)
{
	int seals = fcntl(code_fd, F_GET_SEALS), all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	const Process *session = *options->session ? session_find(options->session) : NULL;
	unsigned int n = 0;

	if (seals < 0 || (seals & all) != all)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "code: not a sealed memfd");
	if (strcmp(options->language, "python") != 0 && strcmp(options->language, "bash") != 0 &&
		strcmp(options->language, "javascript") != 0 && strcmp(options->language, "typescript") != 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
			"language: `%s` is not one of [exec] languages", options->language);
	if (options->timeout_usec != RUN_DEFAULT && options->timeout_usec > TIMEOUT_MAX_USEC)
		return sd_bus_error_set(
			error, KEEPER_ERROR_POLICY, "timeout: more than the policy's 120s ([exec] max_timeout)");
	if (*options->session && strcmp(options->language, "python") != 0)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "session: only Python has some here");
	if (session && session->run)
		return sd_bus_error_setf(error, KEEPER_ERROR_FULL, "session: `%s` is busy", options->session);
	for (const Run *run = runs; run; run = run->next)
		n++;
	if (n >= RUNS_MAX)
		return sd_bus_error_setf(error, KEEPER_ERROR_FULL, "%u runs are going on", RUNS_MAX);
	return 0;
}

static int method_run(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	RunOptions options;
	char name[64];
	int code_fd, r;
	Run *run;

	r = sd_bus_message_read(message, "h", &code_fd);
	if (r < 0)
		return r;
	if (run_options_read(message, &options, name) < 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "%s: not as it must be", name);
	r = check(code_fd, &options, error);
	if (r < 0) {
		run_options_done(&options);
		return r;
	}
	run = calloc(1, sizeof(*run));
	if (!run)
		abort();
	*run = (Run){
		.next = runs,
		.number = ++last_number,
		.begin_usec = now_usec(CLOCK_MONOTONIC),
		.output_max = options.output == RUN_DEFAULT ? OUTPUT_BYTES : options.output,
		.peer = peer,
		.follow = options.follow,
		.collect = options.collect,
		.began = time(NULL),
	};
	runs = run;
	r = sd_bus_reply_method_return(message, "t", run->number);
	if (*options.session) {
		run->process = session_find(options.session);
		if (!run->process)
			run->process = session_start(options.session);
		session_send(run->process, code_fd);
	} else {
		run->process = process_start(options.language, options.arguments, code_fd, options.input_fd);
	}
	run->process->run = run;
	(void)sd_event_add_time_relative(event, &run->timer, CLOCK_MONOTONIC,
		options.timeout_usec == RUN_DEFAULT ? TIMEOUT_USEC : options.timeout_usec, 0, on_timer, run);
	run_options_done(&options);
	return r;
}

static int method_stop(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	uint64_t number;
	int r = sd_bus_message_read(message, "t", &number);

	for (Run *run = runs; run && r >= 0; run = run->next)
		if (run->number == number) {
			if (run->reason == RUN_OK)
				run_stop(run, RUN_CANCELLED);
			break;
		}
	return r < 0 ? r : sd_bus_reply_method_return(message, "");
}

static int method_repls(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = sd_bus_message_new_method_return(message, &reply);

	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(sssttt)");
	for (const Process *process = processes; process && r >= 0; process = process->next)
		if (*process->session)
			r = sd_bus_message_append(reply, "(sssttt)", process->session, "python",
				process->run ? "busy" : "idle", process->since_usec,
				process->run ? UINT64_C(0) : now_usec(CLOCK_MONOTONIC) - process->used_usec,
				UINT64_C(1) << 20);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(peer->bus, reply, NULL);
}

static int method_reset(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	const char *language, *name;
	int r = sd_bus_message_read(message, "ss", &language, &name);
	Process *process;

	if (r < 0)
		return r;
	process = strcmp(language, "python") == 0 ? session_find(name) : NULL;
	if (process && process->run)
		process->run->reason = RUN_CANCELLED;
	if (process)
		process_kill(process);
	if (process && !process->run)
		process_free(process);
	return sd_bus_reply_method_return(message, "b", process != NULL);
}

static int method_limits(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	return sd_bus_reply_method_return(
		message, "a(ssss)", 2, "memory", "2147483648", "1048576", "built in", "swap", "0", "0", "built in");
}

static void peer_gone(void *userdata, Peer *peer)
{
	for (Run *run = runs; run; run = run->next)
		if (run->peer == peer) {
			run->peer = NULL;
			run_stop(run, RUN_CANCELLED);
		}
}

static int listen_here(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), KEEPER_SOCKET_FORMAT, getuid());
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0) {
		perror(address.sun_path);
		exit(1);
	}
	return fd;
}

int main(void)
{
	static const Method methods[] = {
		{ "Run", "ha{sv}", PEER_AGENT, method_run },
		{ "Stop", "t", PEER_AGENT, method_stop },
		{ "Repls", "", PEER_AGENT, method_repls },
		{ "Reset", "ss", PEER_AGENT, method_reset },
		{ "Limits", "", PEER_AGENT, method_limits },
		{ .member = NULL },
	};
	ServerConfig config = {
		.front_uid = (uid_t)-1, .agent_uid = getuid(), .methods = methods, .peer_gone = peer_gone
	};
	Server *server = NULL;
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sd_event_default(&event) < 0 || sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL) < 0 ||
		server_new(event, listen_here(), &config, &server) < 0)
		return 1;
	r = sd_event_loop(event);
	while (processes)
		process_free(processes);
	server_free(server);
	return r < 0;
}
