/* SPDX-License-Identifier: MIT */
#include "tests/tools/fake-process.h"
#include "shell/bus/bus.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

sd_event *event;
Run *runs;
Process *processes;
uint64_t last_number;

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

uint64_t now_usec(clockid_t clock)
{
	struct timespec time;

	(void)clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec / 1000;
}

/* With what it started, unless it has not got so far as to have a session of its own. */
void process_kill(const Process *process)
{
	if (kill(-process->pid, SIGKILL) < 0)
		(void)kill(process->pid, SIGKILL);
}

void process_free(Process *process)
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
	uint64_t queued;

	if (!run)
		return;
	capture_add(&run->captures[stream], bytes, n);
	/* as the real one: who reads too slowly is told no more */
	if (run->follow && run->peer &&
		(sd_bus_get_n_queued_write(run->peer->bus, &queued) < 0 || queued >= QUEUED_MAX))
		run->follow = false;
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
void run_finish(Run *run, RunResult *result)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	char paths[3][512], directory[512], name[64], names[16][256], hashes[16][65];
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
	(void)snprintf(directory, sizeof(directory), "%s/workspace/output", getenv("HOME"));
	result->files_directory = run->collect ? directory : "";
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

_Noreturn static void become(const char *language, const char *directory, char *const *arguments, int third_fd,
	int input_fd, const int *outputs)
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
	if (*directory && chdir(directory) < 0)
		_exit(127);
	if (!language) {
		(void)execl("/usr/bin/python3", "python3", "-c", driver, NULL);
		_exit(127);
	}
	if (strcmp(language, "python") == 0)
		words[0] = "/usr/bin/python3";
	else if (strcmp(language, "bash") != 0) {
		/* Node reads no script from a path like that */
		words[0] = "node";
		words[1] = "-e";
		words[n++] = "new (require('module'))('run')._compile(require('fs').readFileSync(3, 'utf8'), "
			     "process.cwd() + '/run')";
		words[n++] = "--";
	}
	for (; arguments && *arguments; arguments++)
		words[n++] = *arguments;
	words[n] = NULL;
	(void)execvp(words[0], (char **)words);
	_exit(127);
}

/* `language` NULL: a session's interpreter, whose end of the socket is `third_fd`. */
Process *process_start(const char *language, const char *directory, char *const *arguments, int third_fd, int input_fd)
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
		become(language, directory, arguments, third_fd, input_fd >= 0 ? input_fd : none_fd, theirs);
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

Process *session_find(const char *name)
{
	for (Process *process = processes; process; process = process->next)
		if (*process->session && strcmp(process->session, name) == 0)
			return process;
	return NULL;
}

Process *session_start(const char *name)
{
	Process *process;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	process = process_start(NULL, "", NULL, pair[1], -EBADF);
	fd_close(pair[1]);
	process->control_fd = pair[0];
	(void)snprintf(process->session, sizeof(process->session), "%s", name);
	if (sd_event_add_io(event, &process->control, pair[0], EPOLLIN, on_control, process) < 0)
		abort();
	return process;
}

void session_send(const Process *process, int code_fd)
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
