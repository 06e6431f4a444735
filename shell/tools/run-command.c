/* SPDX-License-Identifier: MIT */
/*
 * creel run: one script, shown while it runs, ended as it ended.
 *
 * What a run writes is followed, and written out as it comes. The keeper waits for nobody: who reads slowly is not told all
 * of it live, and gets the rest of it at the end, from the result or from the file that has all of it.
 */
#include "shell/base/str.h"
#include "shell/bus/client.h"
#include "shell/tools/client.h"
#include "shell/tools/commands.h"
#include "shell/tools/language.h"
#include "shell/tools/result.h"
#include "shell/tools/run-options.h"
#include "shell/tools/script.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

/* As timeout(1) and env(1) have it. */
#define EXIT_TIMEOUT 124
#define EXIT_LIMIT 125
#define EXIT_SIGNAL 128

#define COPY_BYTES (64U * 1024)

typedef struct Command {
	const RunWords *words;
	sd_event *event;
	ClientRun *run;
	uint64_t shown[3]; /* bytes, by stream */
	bool deaf;         /* nobody reads our stdout any more */
	int interrupted;   /* by this signal */
	int status;
} Command;

static void complain(const char *what, const char *why)
{
	(void)fprintf(stderr, "creel: run: %s%s%s\n", what, *what && *why ? ": " : "", why);
}

/* ---- what it writes ---- */

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t written = write(fd, bytes, n);
		struct pollfd ready = { .fd = fd, .events = POLLOUT };

		if (written < 0 && errno == EAGAIN)
			(void)poll(&ready, 1, -1);
		else if (written < 0 && errno != EINTR)
			return -errno;
		else if (written > 0) {
			bytes += written;
			n -= (size_t)written;
		}
	}
	return 0;
}

static void on_output(void *userdata, unsigned int stream, const void *bytes, size_t n)
{
	Command *command = userdata;

	command->shown[stream] += n;
	if (command->deaf || write_all((int)stream, bytes, n) >= 0 || stream != 1)
		return;
	/* as a program would have got SIGPIPE */
	command->deaf = true;
	command->interrupted = SIGPIPE;
	client_stop(command->run);
}

/* ---- how it ends ---- */

static int status_of(const RunResult *result, int interrupted)
{
	switch (result->reason) {
	case RUN_OK:
		return EXIT_SUCCESS;
	case RUN_EXIT:
		return result->exit_code > 0 ? result->exit_code : EXIT_FAILURE;
	case RUN_SIGNAL:
		return EXIT_SIGNAL + result->signal;
	case RUN_TIMEOUT:
		return EXIT_TIMEOUT;
	case RUN_CANCELLED:
		return interrupted ? EXIT_SIGNAL + interrupted : EXIT_LIMIT;
	default:
		return EXIT_LIMIT;
	}
}

static void show_result(const RunResult *result)
{
	_cleanup_json_ json_t *object = NULL;
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	if (result_json(result, &object) >= 0)
		text = jsontext_print(object, &n);
	if (!text)
		complain("the result cannot be shown", strerror(ENOMEM));
	else if (write_all(STDOUT_FILENO, text, n) >= 0)
		(void)write_all(STDOUT_FILENO, "\n", 1);
}

static void copy_from(int from_fd, uint64_t offset, int to_fd)
{
	_cleanup_free_ char *bytes = malloc(COPY_BYTES);
	ssize_t n;

	while (bytes && (n = pread(from_fd, bytes, COPY_BYTES, (off_t)offset)) > 0) {
		if (write_all(to_fd, bytes, (size_t)n) < 0)
			return;
		offset += (uint64_t)n;
	}
}

/* What was not told live is the end of it: once the keeper leaves bytes out it tells no more. */
static void show_rest(const Command *command, const RunResult *result, unsigned int stream)
{
	const char *path = stream == 1 ? result->stdout_file : result->stderr_file;
	_cleanup_close_ int file_fd = *path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -EBADF;
	int fd = *path ? file_fd : stream == 1 ? result->stdout_fd : result->stderr_fd;
	uint64_t bytes = stream == 1 ? result->stdout_bytes : result->stderr_bytes;

	if (bytes <= command->shown[stream] || command->deaf)
		return;
	if (fd >= 0)
		copy_from(fd, command->shown[stream], (int)stream);
	else
		complain("the rest of the output is in", path);
}

static void show_files(const RunResult *result)
{
	char name[512], size[32];

	for (size_t i = 0; i < result->n_files; i++) {
		const RunFile *file = &result->files[i];

		(void)fprintf(stderr, "creel: run: %s %s (%s)%s%s\n", file->status == RUN_FILE_OK ? "saved" : "left",
			str_quote(file->name, strlen(file->name), name, sizeof(name)),
			str_size(file->bytes, size, sizeof(size)), file->status == RUN_FILE_OK ? "" : ": ",
			file->status == RUN_FILE_OK ? "" : run_file_status_name(file->status));
	}
	if (result->files_left_out)
		(void)fprintf(stderr, "creel: run: and %llu more files\n", (unsigned long long)result->files_left_out);
}

/* One line, unless the program's own end says it all. Nothing in it drives a terminal. */
static void show_reason(const RunResult *result)
{
	const char *error = result->error, prefix[] = "Error: ";

	if (result->reason == RUN_OK || result->reason == RUN_EXIT)
		return;
	if (strncmp(error, prefix, strlen(prefix)) == 0)
		error += strlen(prefix);
	if (strcmp(error, run_reason_name(result->reason)) == 0)
		error = "";
	(void)fprintf(stderr, "creel: run: %s%s", run_reason_name(result->reason), *error ? ": " : "");
	for (; *error; error++)
		(void)fprintf(stderr, *error >= 0x20 && *error < 0x7f ? "%c" : "\\x%02x", (unsigned char)*error);
	(void)fputc('\n', stderr);
}

static void on_finished(void *userdata, const RunResult *result)
{
	Command *command = userdata;

	command->run = NULL;
	command->status = status_of(result, command->interrupted);
	if (command->words->json) {
		show_result(result);
	} else {
		show_rest(command, result, 1);
		show_rest(command, result, 2);
		show_files(result);
		show_reason(result);
		if (result->state == RUN_STATE_RESET)
			complain("the session", "its state is lost");
	}
	(void)sd_event_exit(command->event, 0);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	Command *command = userdata;

	if (command->interrupted || !command->run)
		return sd_event_exit(command->event, 0); /* twice: at once; the keeper ends what a caller leaves */
	command->interrupted = (int)info->ssi_signo;
	command->status = EXIT_SIGNAL + command->interrupted;
	client_stop(command->run);
	return 0;
}

/* ---- how it begins ---- */

/* A name that tracebacks can show: of what cannot stand there, the program's own name does. */
static const char *label_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = strlen(path) > RUN_LABEL_MAX && slash ? slash + 1 : path;

	if (strlen(name) > RUN_LABEL_MAX)
		return "";
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return "";
	return name;
}

static const char *language_find(const RunWords *words, const char *code, size_t n)
{
	const char *language = words->options.language;

	if (*language)
		return language;
	language = language_of_path(words->path);
	if (!language)
		language = language_of_code(code, n);
	if (!language && strcmp(words->path, SCRIPT_STDIN) == 0)
		language = "python";
	return language;
}

static int input_open(const char *path)
{
	int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
					: open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

static int begin(Command *command, Client *client, const char *code, size_t n, RunOptions *options)
{
	static const ClientHandler handler = { .output = on_output, .finished = on_finished };
	_cleanup_close_ int code_fd = client_seal(client, code, n, false);

	return code_fd < 0 ? code_fd : client_run(client, code_fd, options, &handler, command, &command->run);
}

static int run_code(const RunWords *words, const char *code, size_t n, RunOptions *options)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	_cleanup_(client_freep) Client *client = NULL;
	Command command = { .words = words, .status = EXIT_LIMIT };
	char why[512];
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		(void)sigaddset(&set, signals[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);

	r = sd_event_new(&event);
	command.event = event;
	for (size_t i = 0; i < ELEMENTSOF(signals) && r >= 0; i++)
		r = sd_event_add_signal(event, NULL, signals[i], on_signal, &command);
	if (r < 0) {
		complain("", strerror(-r));
		return EXIT_LIMIT;
	}
	r = client_new(event, NULL, NULL, &client, why, sizeof(why));
	if (r < 0) {
		complain("", why);
		return EXIT_LIMIT;
	}
	r = begin(&command, client, code, n, options);
	if (r == -EINVAL) {
		complain("an option or an argument", "no UTF-8");
		return EXIT_LIMIT;
	}
	if (r >= 0)
		r = sd_event_loop(event);
	if (r < 0) {
		complain("", strerror(-r));
		return EXIT_LIMIT;
	}
	return command.status;
}

/* As every command takes a folder: from where it was called. The keeper would take it from the home. */
static int directory_find(const char *directory, char **ret)
{
	_cleanup_free_ char *here = NULL;

	if (!*directory || *directory == '/') {
		*ret = NULL;
		return 0;
	}
	here = getcwd(NULL, 0);
	if (!here)
		return -errno;
	*ret = str_format("%s/%s", here, directory);
	return *ret ? 0 : -ENOMEM;
}

int run_main(int argc, char **argv, uint64_t timeout_usec)
{
	_cleanup_free_ char *code = NULL, *kept = NULL, *directory = NULL;
	_cleanup_close_ int input_fd = -EBADF;
	RunOptions options;
	RunWords words;
	char why[512];
	size_t n;
	int r;

	if (run_words_read(argc, argv, &words, why, sizeof(why)) < 0) {
		complain(why, "");
		return EXIT_USAGE;
	}
	if (words.help) {
		run_words_help(stdout);
		return EXIT_SUCCESS;
	}
	options = words.options;
	if (options.timeout_usec == RUN_DEFAULT)
		options.timeout_usec = timeout_usec;
	r = script_read(words.path, &code, &n);
	if (r < 0) {
		complain(words.path, r == -E2BIG ? "too long for a script" : strerror(-r));
		return EXIT_LIMIT;
	}
	options.language = language_find(&words, code, n);
	if (!options.language) {
		complain(words.path, "neither its name nor its first line says what it is: give --lang");
		return EXIT_USAGE;
	}
	r = script_keep(words.path, options.language, code, n, &kept);
	if (r < 0)
		complain("no copy of the script is kept", strerror(-r));
	options.label = label_of(words.path);
	if (strcmp(words.path, SCRIPT_STDIN) == 0)
		options.label = kept ? label_of(kept) : "<stdin>";
	if (words.input) {
		input_fd = input_open(words.input);
		if (input_fd < 0) {
			complain(words.input, strerror(-input_fd));
			return EXIT_LIMIT;
		}
		options.input_fd = input_fd;
	}
	r = directory_find(options.directory, &directory);
	if (r < 0) {
		complain(options.directory, strerror(-r));
		return EXIT_LIMIT;
	}
	if (directory)
		options.directory = directory;
	options.follow = !words.json;
	options.collect = true;
	return run_code(&words, code, n, &options);
}
