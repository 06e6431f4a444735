/* SPDX-License-Identifier: MIT */
/* Options and results of runs, over a real bus of two ends. */
#include "tests/unit/unit.h"

#include "shell/bus/run.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* A message of that signature, sealed, so that it can be read. */
static sd_bus_message *sealed(int (*append)(sd_bus_message *message, const void *what), const void *what)
{
	static sd_bus *bus;
	sd_bus_message *message = NULL;
	int fds[2];

	if (!bus) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		assert_true(sd_bus_new(&bus) >= 0);
		assert_true(sd_bus_set_fd(bus, fds[0], fds[0]) >= 0);
		assert_true(sd_bus_start(bus) >= 0);
	}
	assert_true(sd_bus_message_new_method_call(bus, &message, NULL, "/a", "a.b", "C") >= 0);
	assert_true(append(message, what) >= 0);
	assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
	return message;
}

static int append_options(sd_bus_message *message, const void *what)
{
	return run_options_append(message, what);
}

static int append_result(sd_bus_message *message, const void *what)
{
	return run_result_append(message, what);
}

/* One option of a type of its own: "NAME" and a type and value behind it. */
typedef struct Odd {
	const char *name, *type, *text;
	uint64_t number;
	unsigned int times; /* how often */
	bool with_language;
} Odd;

static int append_odd(sd_bus_message *message, const void *what)
{
	const Odd *odd = what;
	int r = sd_bus_message_open_container(message, 'a', "{sv}");

	if (r >= 0 && odd->with_language)
		r = sd_bus_message_append(message, "{sv}", "language", "s", "python");
	for (unsigned int i = 0; i < odd->times && r >= 0; i++)
		r = strcmp(odd->type, "s") == 0
			    ? sd_bus_message_append(message, "{sv}", odd->name, "s", odd->text)
			    : sd_bus_message_append(message, "{sv}", odd->name, odd->type, odd->number);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static void options_come_as_they_went(void **state)
{
	_cleanup_close_ int input_fd = memfd_create("input", MFD_CLOEXEC);
	char *arguments[] = { (char *)"one", (char *)"", (char *)"zwei \xc3\xa4", NULL };
	const RunOptions sent = {
		.language = "python",
		.label = "job.py",
		.arguments = arguments,
		.input_fd = input_fd,
		.timeout_usec = 5,
		.memory = 6,
		.cpu = 7,
		.processes = 8,
		.output = 9,
		.network = "none",
		.independent = true,
		.session = "main",
		.directory = "work",
		.follow = true,
		.collect = true,
		.figures = true,
	};
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = sealed(append_options, &sent);
	RunOptions read;
	char name[64];

	assert_int_equal(run_options_read(message, &read, name), 0);
	assert_string_equal(read.language, "python");
	assert_string_equal(read.label, "job.py");
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(read.arguments[i], arguments[i]);
	assert_null(read.arguments[3]);
	assert_true(read.input_fd >= 0);
	assert_int_equal(read.timeout_usec, 5);
	assert_int_equal(read.memory, 6);
	assert_int_equal(read.cpu, 7);
	assert_int_equal(read.processes, 8);
	assert_int_equal(read.output, 9);
	assert_string_equal(read.network, "none");
	assert_string_equal(read.session, "main");
	assert_string_equal(read.directory, "work");
	assert_true(read.independent && read.follow && read.collect && read.figures);
	run_options_done(&read);
	assert_null(read.arguments);
}

static void what_is_not_asked_for_has_its_fallback(void **state)
{
	RunOptions sent = RUN_OPTIONS_NONE, read;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	char name[64];

	sent.language = "bash";
	message = sealed(append_options, &sent);
	assert_int_equal(run_options_read(message, &read, name), 0);
	assert_int_equal(read.input_fd, -EBADF);
	assert_true(read.timeout_usec == RUN_DEFAULT && read.memory == RUN_DEFAULT && read.output == RUN_DEFAULT);
	assert_string_equal(read.label, "");
	assert_null(read.arguments);
	assert_false(read.independent || read.follow);
	run_options_done(&read);
}

static void refuse(const Odd *odd, const char *named)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = sealed(append_odd, odd);
	RunOptions read;
	char name[64];

	assert_int_equal(run_options_read(message, &read, name), -EINVAL);
	assert_string_equal(name, named);
}

static void bad_options_are_named(void **state)
{
	char name[RUN_NAME_MAX + 2], label[RUN_LABEL_MAX + 2];

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memset(label, 'a', sizeof(label) - 1);
	label[sizeof(label) - 1] = '\0';
	refuse(&(Odd){ "colour", "s", "red", 0, 1, true }, "colour");
	refuse(&(Odd){ "col\nour", "s", "red", 0, 1, true }, "col\\x0aour");
	refuse(&(Odd){ "timeout", "s", "5", 0, 1, true }, "timeout");
	refuse(&(Odd){ "label", "t", NULL, 5, 1, true }, "label");
	refuse(&(Odd){ "memory", "t", NULL, 5, 2, true }, "memory");
	refuse(&(Odd){ "network", "s", "some", 0, 1, true }, "network");
	refuse(&(Odd){ "session", "s", ".hidden", 0, 1, true }, "session");
	refuse(&(Odd){ "session", "s", "a/b", 0, 1, true }, "session");
	refuse(&(Odd){ "session", "s", name, 0, 1, true }, "session");
	refuse(&(Odd){ "label", "s", label, 0, 1, true }, "label");
	refuse(&(Odd){ "label", "s", "two\nlines", 0, 1, true }, "label");
	refuse(&(Odd){ "memory", "t", NULL, 5, 1, false }, "language");
}

static void too_many_arguments_are_refused(void **state)
{
	RunOptions sent = RUN_OPTIONS_NONE, read;
	_cleanup_free_ char **arguments = calloc(RUN_ARGUMENTS_MAX + 2, sizeof(char *));
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	char name[64];

	for (size_t i = 0; i <= RUN_ARGUMENTS_MAX; i++)
		arguments[i] = (char *)"x";
	sent.language = "bash";
	sent.arguments = arguments;
	message = sealed(append_options, &sent);
	assert_int_equal(run_options_read(message, &read, name), -EINVAL);
	assert_string_equal(name, "arguments");
}

static void a_result_comes_as_it_went(void **state)
{
	_cleanup_close_ int fd = memfd_create("output", MFD_CLOEXEC);
	RunFile files[] = { { "a.png", 12, "00", RUN_FILE_OK }, { "b\nc", 13, "", RUN_FILE_SPECIAL } };
	const RunResult sent = {
		.stdout_fd = fd,
		.stderr_fd = fd,
		.stdout_bytes = 1,
		.stderr_bytes = 2,
		.stdout_head = 3,
		.stderr_head = 4,
		.stdout_file = "/home/a/x",
		.stderr_file = "",
		.error = "Error: ended by SIGKILL",
		.exit_code = -1,
		.signal = 9,
		.reason = RUN_SIGNAL,
		.duration_usec = 5,
		.cpu_usec = 6,
		.memory_peak = 7,
		.state = RUN_STATE_RESET,
		.files = files,
		.files_directory = "/home/agent/out",
		.n_files = 2,
		.files_left_out = 8,
	};
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = sealed(append_result, &sent);
	RunResult read;

	assert_int_equal(run_result_read(message, &read), 0);
	assert_true(read.stdout_fd >= 0 && read.stderr_fd >= 0 && read.stdout_fd != read.stderr_fd);
	assert_int_equal(read.stdout_bytes + read.stderr_bytes + read.stdout_head + read.stderr_head, 10);
	assert_string_equal(read.stdout_file, "/home/a/x");
	assert_string_equal(read.stderr_file, "");
	assert_string_equal(read.error, "Error: ended by SIGKILL");
	assert_int_equal(read.exit_code, -1);
	assert_int_equal(read.signal, 9);
	assert_int_equal(read.reason, RUN_SIGNAL);
	assert_int_equal(read.state, RUN_STATE_RESET);
	assert_string_equal(read.files_directory, "/home/agent/out");
	assert_int_equal(read.n_files, 2);
	assert_string_equal(read.files[1].name, "b\nc");
	assert_int_equal(read.files[1].status, RUN_FILE_SPECIAL);
	assert_int_equal(read.files_left_out, 8);
	run_result_done(&read);
	assert_null(read.files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_come_as_they_went),
		cmocka_unit_test(what_is_not_asked_for_has_its_fallback),
		cmocka_unit_test(bad_options_are_named),
		cmocka_unit_test(too_many_arguments_are_refused),
		cmocka_unit_test(a_result_comes_as_it_went),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
