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
#include "tests/tools/fake-process.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

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
		run->process = process_start(
			options.language, options.directory, options.arguments, code_fd, options.input_fd);
	}
	run->process->run = run;
	(void)sd_event_add_time_relative(event, &run->timer, CLOCK_MONOTONIC,
		options.timeout_usec == RUN_DEFAULT ? TIMEOUT_USEC : options.timeout_usec, 0, on_timer, run);
	run_options_done(&options);
	return r;
}

static int method_memory(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_close_ int fd = memfd_create("creel", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd < 0 ? -errno : sd_bus_reply_method_return(message, "h", fd);
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
		{ "Memory", "", PEER_AGENT, method_memory },
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
