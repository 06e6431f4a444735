/* SPDX-License-Identifier: MIT */
/* What creelctl's verbs share: words of the command line, other programs, numbers and JSON for people and
 * programs. */
#include "tests/unit/unit.h"

#include "shell/audit/record.h"
#include "shell/base/file.h"
#include "shell/base/json.h"
#include "shell/operator/agent-home.h"
#include "shell/operator/operator.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS(...)                \
	(char *[])                \
	{                         \
		__VA_ARGS__, NULL \
	}

static void test_words(void **state)
{
	bool flag = false;
	const char *value = NULL, *name = NULL;
	StrList list = { 0 };
	const WordOption options[] = {
		{ "--flag", .flag = &flag },
		{ "--value", .value = &value },
		{ "--more", .list = &list },
		{ NULL },
	};

	assert_int_equal(words_parse(0, NULL, options, &name), 0);
	assert_null(name);
	assert_int_equal(
		words_parse(7, WORDS("--more", "a", "x", "--flag", "--more", "b", "--value"), options, &name), -EINVAL);
	assert_int_equal(words_parse(4, WORDS("x", "--flag", "--value", "-"), options, &name), 0);
	assert_string_equal(name, "x");
	assert_string_equal(value, "-");
	assert_true(flag);
	assert_int_equal(list.n, 2);
	strlist_done(&list);

	/* behind `--` nothing is an option, and there is one other word at most */
	assert_int_equal(words_parse(2, WORDS("--", "-x"), options, &name), 0);
	assert_string_equal(name, "-x");
	assert_int_equal(words_parse(2, WORDS("--", ""), options, &name), 0);
	assert_string_equal(name, "");
	assert_int_equal(words_parse(2, WORDS("a", "b"), options, &name), -EINVAL);
	assert_int_equal(words_parse(1, WORDS("--nosuch"), options, &name), -EINVAL);
	assert_int_equal(words_parse(1, WORDS("-"), options, &name), -EINVAL);
	assert_int_equal(words_parse(1, WORDS("a"), options, NULL), -EINVAL);
	assert_int_equal(words_parse(1, WORDS("--flag"), options, NULL), 0);
}

static int run(const char *script, Reason *reason)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };

	reason->text[0] = '\0';
	return command_run(argv, reason);
}

static void test_command(void **state)
{
	const char *const missing[] = { "/nonexistent/program", NULL };
	Reason reason;

	assert_int_equal(run("exit 0", &reason), 0);
	assert_string_equal(reason.text, "");
	assert_int_equal(run("echo first; echo the reason >&2; echo; exit 3", &reason), 3);
	assert_string_equal(reason.text, "/bin/sh: exit status 3: the reason");
	assert_int_equal(run("echo it failed; echo See more there.; exit 1", &reason), 1);
	assert_string_equal(reason.text, "/bin/sh: exit status 1: it failed");
	assert_int_equal(run("printf 'a\\033[31mb'; exit 1", &reason), 1);
	assert_string_equal(reason.text, "/bin/sh: exit status 1: a\\x1b[31mb");
	assert_int_equal(run("kill -9 $$", &reason), -EPROTO);
	assert_string_equal(reason.text, "/bin/sh: ended by signal 9");
	assert_int_equal(command_run(missing, &reason), -ENOENT);

	/* no input, a clean environment, nothing blocked, and output without end does not block either */
	assert_int_equal(setenv("CREEL_TEST", "x", 1), 0);
	assert_int_equal(
		run("test -z \"$CREEL_TEST\" && ! read line && grep -q '^SigBlk:.0*$' /proc/self/status", &reason), 0);
	assert_int_equal(run("head -c 1000000 /dev/zero; exit 7", &reason), 7);
}

static void test_sizes(void **state)
{
	char text[24];

	assert_string_equal(str_size(0, text, sizeof(text)), "0");
	assert_string_equal(str_size(1023, text, sizeof(text)), "1023");
	assert_string_equal(str_size(1536, text, sizeof(text)), "1.5K");
	assert_string_equal(str_size(UINT64_C(2) << 30, text, sizeof(text)), "2G");
	assert_string_equal(str_size(UINT64_MAX, text, sizeof(text)), "max");
}

static void json_of(const char *s, size_t n, char *text, size_t size)
{
	FILE *file = fmemopen(text, size, "w");

	assert_non_null(file);
	json_quote(file, s, n);
	assert_int_equal(fclose(file), 0);
}

static void test_json(void **state)
{
	static const struct {
		const char *raw, *json;
	} cases[] = {
		{ "plain", "\"plain\"" }, { "a\"b\\c", "\"a\\\"b\\\\c\"" },
		{ "\n\x1b\x7f\t", "\"\\n\\u001b\\u007f\\u0009\"" },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x8e\xa3", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x8e\xa3\"" },
		{ "\xe2\x80\xae\xe2\x81\xa7\xd8\x9c\xe2\x80\xa7",
			"\"\\u202e\\u2067\\u061c\xe2\x80\xa7\"" }, /* directions */
		{ "\xc2\x9b", "\"\\u009b\"" },                     /* a C1 control: it starts terminal sequences */
		{ "\xff\xc3", "\"\\ufffd\\ufffd\"" }, { "\xc0\xaf", "\"\\ufffd\\ufffd\"" }, /* overlong */
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },                            /* a surrogate */
	};
	char text[128];

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		json_of(cases[i].raw, strlen(cases[i].raw), text, sizeof(text));
		assert_string_equal(text, cases[i].json);
	}
	json_of("a\0b", 3, text, sizeof(text));
	assert_string_equal(text, "\"a\\u0000b\"");
}

static void test_command_output(void **state)
{
	const char *const talk[] = { "/bin/sh", "-c", "echo one; echo two >&2; exit 3", NULL };
	const char *const hang[] = { "/bin/sh", "-c", "echo begun; sleep 1000 & wait", NULL };
	const char *const flood[] = { "/bin/sh", "-c", "yes | head -c 300000", NULL };
	_cleanup_free_ char *output = NULL, *much = NULL;
	Reason reason = { "" };

	assert_int_equal(command_output(talk, 60, &output, &reason), 3);
	assert_string_equal(output, "one\ntwo\n");
	assert_non_null(strstr(reason.text, "two"));
	assert_int_equal(command_output(hang, 1, NULL, &reason), -ETIMEDOUT);
	assert_non_null(strstr(reason.text, "1 seconds"));
	assert_int_equal(command_output(flood, 60, &much, &reason), 0);
	assert_int_equal(strlen(much), 65536);
}

/* As root alone: of a home that is nobody's (65534). */
static void test_home(void **state)
{
	char folder[] = "/tmp/creel-home-XXXXXX";
	const Agent agent = { .name = (char *)"zed", .uid = 65534, .gid = 65534, .home = folder };
	AgentHome home = { .agent = &agent, .path = folder, .workspace = "workspace", .key_text = "a key\n" };
	const char *const clear[] = { "/bin/rm", "-rf", folder, NULL };
	_cleanup_close_ int fd = -EBADF;
	char key[16] = "", name[64] = "";
	Reason reason = { "" };
	struct stat st;

	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(folder));
	assert_int_equal(agent_home_fill(&home, &reason), -EACCES);
	assert_non_null(strstr(reason.text, folder));
	assert_int_equal(chown(folder, 65534, 65534), 0);
	assert_int_equal(agent_home_fill(&home, &reason), 0);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(file_get_at(fd, ".ssh/authorized_keys", key, sizeof(key)), 0);
	assert_string_equal(key, "a key");
	assert_int_equal(file_get_at(fd, ".gitconfig", name, sizeof(name)), 0);
	assert_non_null(strstr(name, "name = zed"));
	for (size_t i = 0; i < 4; i++) {
		const char *const made[] = { ".ssh", ".ssh/authorized_keys", "workspace", "logs" };

		assert_int_equal(fstatat(fd, made[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_uid, 65534);
		assert_int_equal(st.st_mode & 077, 0);
	}
	/* a key that is there is nobody's to replace; without one, all else is as it was */
	assert_int_equal(agent_home_fill(&home, &reason), -EEXIST);
	home.key_text = NULL;
	assert_int_equal(agent_home_fill(&home, &reason), 0);
	assert_int_equal(command_run(clear, &reason), 0);
}

/* The journal adds to an entry what /proc says of its sender. */
static void test_what_was_recorded_is_forgotten(void **state)
{
	char noun[] = "agent", verb[] = "set", name[] = "zed", secret[] = "nosuch.password=hunter2";
	char *words[] = { noun, verb, name, secret, NULL };
	const char nothing[sizeof(secret)] = "";

	if (access(RECORD_SOCKET, F_OK) == 0)
		skip(); /* not into the record of a machine that has one */
	operator_record(name, 4, words, 1, 0);
	assert_memory_equal(secret, nothing, sizeof(secret));
	assert_memory_equal(name, nothing, sizeof(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_command_output),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_home),
		cmocka_unit_test(test_what_was_recorded_is_forgotten),
	};

	return cmocka_run_group_tests_name("operator", tests, NULL, NULL);
}
