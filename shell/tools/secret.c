/* SPDX-License-Identifier: MIT */
/*
 * creel secret: values that the keeper keeps encrypted, and that one command gets in its environment. A value is never a word of a
 * command line: it comes on stdin, from the terminal without an echo, and goes into the environment of what is executed here.
 */
#include "shell/bus/secret.h"
#include "shell/base/file.h"
#include "shell/base/json.h"
#include "shell/base/moment.h"
#include "shell/base/rate.h"
#include "shell/base/str.h"
#include "shell/bus/bus.h"
#include "shell/bus/client.h"
#include "shell/tools/client.h"
#include "shell/tools/commands.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>

#define EXIT_NO_PROGRAM 127
#define EXIT_NOT_EXECUTED 126
/* Others may be asking the keeper: services that begin with the machine. */
#define PATIENCE_USEC (30 * UINT64_C(1000000))
#define PAUSE_MSEC 100

static int usage(FILE *file)
{
	(void)fprintf(file, "usage: creel secret set NAME            its value comes on stdin, or is asked for\n"
			    "       creel secret list [--json]\n"
			    "       creel secret rm NAME\n"
			    "       creel secret run NAME... -- COMMAND [ARGUMENTS]\n"
			    "NAME is a variable's: letters, digits and _. `run` executes COMMAND with these variables, "
			    "and nothing\n"
			    "else gets them. Values have at most 64K; one newline at their end is left out.\n"
			    "see creel-secret(1)\n");
	return file == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

/* One line on stderr; `name` may be NULL. Returns the exit status. */
static int fail(const char *name, const char *why)
{
	char quoted[160];

	if (name)
		(void)fprintf(
			stderr, "creel: secret: %s: %s\n", str_quote(name, strlen(name), quoted, sizeof(quoted)), why);
	else
		(void)fprintf(stderr, "creel: secret: %s\n", why);
	return EXIT_FAILURE;
}

static int fail_call(const char *name, int r, const sd_bus_error *error)
{
	char why[512];

	return fail(name, keeper_failure(r, error, why, sizeof(why)));
}

static bool check_name(const char *name)
{
	if (secret_name_valid(name))
		return true;
	(void)fail(name, "a secret is named like a variable: letters, digits and _, no digit first, at most 64");
	return false;
}

/* ---- asking ---- */

static int ask_once(
	sd_bus *bus, const char *member, const char *name, int fd, sd_bus_message **ret, sd_bus_error *ret_error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	int r;

	r = sd_bus_message_new_method_call(bus, &message, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, member);
	if (r >= 0 && name)
		r = sd_bus_message_append(message, "s", name);
	if (r >= 0 && fd >= 0)
		r = sd_bus_message_append(message, "h", fd);
	return r < 0 ? r : sd_bus_call(bus, message, 0, ret_error, ret);
}

/* Again, while the keeper says that there is much to do. `name` NULL, `fd` -EBADF: the call takes none. */
static int ask(sd_bus *bus, const char *member, const char *name, int fd, sd_bus_message **ret, sd_bus_error *ret_error)
{
	const uint64_t end_usec = clock_monotonic_usec() + PATIENCE_USEC;
	int r;

	while ((r = ask_once(bus, member, name, fd, ret, ret_error)) < 0) {
		if (!sd_bus_error_has_name(ret_error, KEEPER_ERROR_FULL) || clock_monotonic_usec() >= end_usec)
			break;
		sd_bus_error_free(ret_error);
		(void)poll(NULL, 0, PAUSE_MSEC);
	}
	return r;
}

/* What the pipe of an answer brings (secret.h): new memory with a NUL behind it, without the first byte. */
static int read_outcome(sd_bus_message *reply, char **ret, size_t *ret_n, char *why, size_t why_size)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int fd, r;

	r = sd_bus_message_read(reply, "h", &fd);
	if (r >= 0)
		r = file_read_fd(fd, SECRET_MAX + 1, &text, &n);
	if (r >= 0 && !n)
		r = -EPROTO;
	if (r < 0) {
		(void)snprintf(why, why_size, "the keeper's answer did not come whole; its journal says more");
		return r;
	}
	if (text[0] != SECRET_DONE) {
		str_quote(text + 1, n - 1, why, why_size);
		return -EIO;
	}
	memmove(text, text + 1, n);
	*ret = TAKE_PTR(text);
	*ret_n = n - 1;
	return 0;
}

/* ---- set ---- */

/* One line; -EINTR where a signal came first, which is left pending. */
static ssize_t read_line(int signal_fd, char *value, size_t size)
{
	struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = signal_fd, .events = POLLIN } };
	ssize_t n;

	if (poll(fds, ELEMENTSOF(fds), -1) < 0)
		return -errno;
	if (fds[1].revents)
		return -EINTR;
	n = read(STDIN_FILENO, value, size);
	return n < 0 ? -errno : n;
}

/* Whatever ends this, the terminal shows again what is typed: signals have their effect behind that. */
static int read_hidden(char *value, size_t size, size_t *ret_n)
{
	static const int ends[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP };
	_cleanup_close_ int signal_fd = -EBADF;
	struct termios before, silent;
	struct sigaction action;
	sigset_t wanted, mask;
	ssize_t n;

	(void)sigemptyset(&wanted);
	for (size_t i = 0; i < ELEMENTSOF(ends); i++)
		/* nohup(1) and the like: such a one ends nothing */
		if (sigaction(ends[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			(void)sigaddset(&wanted, ends[i]);
	signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC);
	if (signal_fd < 0 || tcgetattr(STDIN_FILENO, &before) < 0)
		return -errno;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	(void)fputs("value (it is not shown): ", stderr);
	(void)sigprocmask(SIG_BLOCK, &wanted, &mask);
	n = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) < 0 ? -errno : read_line(signal_fd, value, size);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	(void)fputc('\n', stderr);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	if (n < 0)
		return (int)n;
	*ret_n = (size_t)n;
	return 0;
}

static int read_all(char *value, size_t size, size_t *ret_n)
{
	size_t n = 0;
	ssize_t k;

	while (n < size && (k = read(STDIN_FILENO, value + n, size - n)) != 0) {
		if (k < 0 && errno != EINTR)
			return -errno;
		if (k > 0)
			n += (size_t)k;
	}
	*ret_n = n;
	return 0;
}

/* Why not, or NULL. */
static const char *read_value(char *value, size_t size, size_t *ret_n)
{
	size_t n = 0;
	int r = isatty(STDIN_FILENO) ? read_hidden(value, size, &n) : read_all(value, size, &n);

	if (r < 0)
		return strerror(-r);
	if (n && value[n - 1] == '\n')
		n--;
	if (!n)
		return "no value came on stdin: creel secret set NAME < FILE; creel secret rm NAME removes one";
	if (n > SECRET_MAX)
		return "the value is longer than 64K";
	if (memchr(value, '\0', n))
		return "the value has a NUL byte in it, which no variable can hold";
	*ret_n = n;
	return NULL;
}

static int set_value(const char *name, const char *value, size_t n)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *nothing = NULL;
	size_t nothing_n;
	char why[512];
	int r;

	r = keeper_connect(getuid(), &bus);
	if (r >= 0)
		r = fd = keeper_seal(bus, value, n, false);
	if (r >= 0)
		r = ask(bus, "SetSecret", name, fd, &reply, &error);
	if (r < 0)
		return fail_call(name, r, &error);
	if (read_outcome(reply, &nothing, &nothing_n, why, sizeof(why)) < 0)
		return fail(name, why);
	return EXIT_SUCCESS;
}

static int set_main(int argc, char **argv)
{
	static char value[SECRET_MAX + 2];
	const char *why;
	size_t n = 0;
	int status;

	if (argc > 1 && *argv[0] != '-')
		return fail(argv[0],
			"its value is no argument, where others and the record would see it: it comes on stdin");
	if (argc != 1 || *argv[0] == '-')
		return usage(stderr);
	if (!check_name(argv[0]))
		return EXIT_FAILURE;
	why = read_value(value, sizeof(value), &n);
	status = why ? fail(argv[0], why) : set_value(argv[0], value, n);
	explicit_bzero(value, sizeof(value));
	return status;
}

/* ---- list, rm ---- */

static void show_row(bool json, bool first, const char *name, uint64_t set_usec)
{
	char text[MOMENT_SIZE];
	bool first_key = true;

	(void)moment_utc(set_usec, text);
	if (!json) {
		(void)printf("%-32s %s\n", name, text);
		return;
	}
	(void)fputs(first ? "{" : ",\n{", stdout);
	json_text(stdout, &first_key, "name", name);
	json_text(stdout, &first_key, "set", text);
	(void)putchar('}');
}

static int list_main(int argc, char **argv)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	bool json = argc == 1 && strcmp(argv[0], "--json") == 0, first = true;
	const char *name;
	uint64_t set_usec;
	int r;

	if (argc > json)
		return usage(stderr);
	r = keeper_connect(getuid(), &bus);
	if (r >= 0)
		r = ask(bus, "Secrets", NULL, -EBADF, &reply, &error);
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(st)");
	if (r < 0)
		return fail_call(NULL, r, &error);
	if (json)
		(void)putchar('[');
	else
		(void)printf("%-32s %s\n", "SECRET", "SET");
	while ((r = sd_bus_message_read(reply, "(st)", &name, &set_usec)) > 0) {
		show_row(json, first, name, set_usec);
		first = false;
	}
	if (json)
		(void)puts("]");
	return r < 0 ? fail_call(NULL, r, NULL) : fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int rm_main(int argc, char **argv)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r, there = 0;

	if (argc != 1 || *argv[0] == '-')
		return usage(stderr);
	if (!check_name(argv[0]))
		return EXIT_FAILURE;
	r = keeper_connect(getuid(), &bus);
	if (r >= 0)
		r = ask(bus, "RemoveSecret", argv[0], -EBADF, &reply, &error);
	if (r >= 0)
		r = sd_bus_message_read(reply, "b", &there);
	if (r < 0)
		return fail_call(argv[0], r, &error);
	return there ? EXIT_SUCCESS : fail(argv[0], "there is no such secret: creel secret list has them all");
}

/* ---- run ---- */

static int add_to_environment(sd_bus *bus, const char *name)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_free_ char *value = NULL;
	char why[512];
	size_t n;
	int r;

	r = ask(bus, "Secret", name, -EBADF, &reply, &error);
	if (r < 0)
		return fail_call(name, r, &error);
	r = read_outcome(reply, &value, &n, why, sizeof(why));
	if (r < 0)
		return fail(name, why);
	r = setenv(name, value, 1) < 0 ? -errno : 0;
	explicit_bzero(value, n);
	return r < 0 ? fail(name, strerror(-r)) : EXIT_SUCCESS;
}

static int run_main_with(char **names, int n, char **command)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r;

	for (int i = 0; i < n; i++)
		if (!check_name(names[i]))
			return EXIT_FAILURE;
	r = keeper_connect(getuid(), &bus);
	if (r < 0)
		return fail_call(NULL, r, NULL);
	for (int i = 0; i < n; i++)
		if (add_to_environment(bus, names[i]) != EXIT_SUCCESS)
			return EXIT_FAILURE;
	(void)execvp(command[0], command);
	r = errno;
	(void)fail(command[0], strerror(r));
	return r == ENOENT ? EXIT_NO_PROGRAM : EXIT_NOT_EXECUTED;
}

static int run_words(int argc, char **argv)
{
	int n = 0;

	while (n < argc && strcmp(argv[n], "--") != 0)
		n++;
	if (n == 0 || n + 1 >= argc || *argv[0] == '-')
		return usage(stderr);
	return run_main_with(argv, n, argv + n + 1);
}

int secret_main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*main)(int argc, char **argv);
	} verbs[] = { { "set", set_main }, { "list", list_main }, { "rm", rm_main }, { "run", run_words } };

	if (argc == 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
		return usage(stdout);
	for (size_t i = 0; argc && i < ELEMENTSOF(verbs); i++)
		if (strcmp(argv[0], verbs[i].name) == 0)
			return argc == 2 && strcmp(argv[1], "--help") == 0 ? usage(stdout)
									   : verbs[i].main(argc - 1, argv + 1);
	return usage(stderr);
}
