/* SPDX-License-Identifier: MIT */
/* Where policies come from: defaults, profiles and agents' files, which wins, which are refused, who is an agent. */
#include "tests/unit/policy.h"

/* ---- layers ---- */

static void test_layers(void **state)
{
	static const char system[] = "[agent]\nprofile = openclaw\n[limits]\nmemory = 1G\nprocesses = 40\n";
	static const char agent[] = "[limits]\nprocesses = 30\n[exec]\nmemory = 64M\n";
	PolicyError error = { "" };
	Policy *policy = NULL;
	const char *origin;

	write_text(POLICY_DIR "/creel.conf", system);
	write_text(POLICY_DIR "/agents/bob.conf", agent);
	if (policy_load(root, "bob", &policy, &error) < 0)
		fail_msg("%s", error.text);
	assert_string_equal(policy->name, "bob");
	assert_string_equal(policy->profile, "openclaw");
	assert_int_equal(policy->memory, UINT64_C(1) << 30);
	assert_int_equal(policy->processes, 30);
	assert_int_equal(policy->exec_memory, 64 << 20);
	assert_true(policy->exec_independent);
	free(value_of(policy, "limits", "processes", &origin));
	assert_string_equal(origin, POLICY_DIR "/agents/bob.conf:2");
	free(value_of(policy, "limits", "memory", &origin));
	assert_string_equal(origin, POLICY_DIR "/creel.conf:4");
	free(value_of(policy, "exec", "cpu", &origin));
	assert_int_equal(
		strncmp(origin, POLICY_PROFILE_DIR "/openclaw.conf:", strlen(POLICY_PROFILE_DIR "/openclaw.conf:")), 0);
	free(value_of(policy, "audit", "code", &origin));
	policy_free(policy);

	/* an agent's profile stands above creel.conf */
	policy = NULL;
	write_text(POLICY_DIR "/agents/bob.conf", "[agent]\nprofile = clawcentral\n");
	assert_int_equal(policy_load(root, "bob", &policy, &error), 0);
	assert_int_equal(policy->memory, UINT64_C(2) << 30);
	policy_free(policy);

	/* a contradiction names both files */
	policy = NULL;
	write_text(POLICY_DIR "/agents/bob.conf", "[limits]\nsession_memory = 2G\n");
	assert_int_equal(policy_load(root, "bob", &policy, &error), -EBADMSG);
	assert_string_equal(error.text,
		POLICY_DIR "/agents/bob.conf:2: [limits] session_memory: 2G is more than [limits] memory"
			   " = 1G (" POLICY_DIR "/creel.conf:4)");

	/* a bad creel.conf spoils every agent */
	write_text(POLICY_DIR "/creel.conf", "[limits]\nmemory = lots\n");
	assert_int_equal(policy_load(root, "bob", &policy, &error), -EBADMSG);
	assert_int_equal(strncmp(error.text, POLICY_DIR "/creel.conf:2: ", strlen(POLICY_DIR "/creel.conf:2: ")), 0);

	write_text(POLICY_DIR "/creel.conf", "[front]\noperator_port = 22\n");
	assert_int_equal(policy_load(root, NULL, &policy, &error), -EBADMSG);
	assert_string_equal(
		error.text, POLICY_DIR "/creel.conf:2: [front] operator_port: port 22 is the agents' front");
	write_text(POLICY_DIR "/creel.conf", "[front]\noperator_port = 3500\n");
	assert_int_equal(policy_load(root, NULL, &policy, &error), -EBADMSG);
	assert_string_equal(error.text,
		POLICY_DIR "/creel.conf:2: [front] operator_port: port 3500 is in [ports] listen"
			   " (built-in): agents could bind it");
	remove_file(POLICY_DIR "/creel.conf");
	remove_file(POLICY_DIR "/agents/bob.conf");
}

/* What creel.conf opens for the operator is no agent's, whichever file was written first. */
static void test_operator_ports(void **state)
{
	static const char *const good[] = { "9100", "9100-9110", "9100/tcp", "9100/udp from 192.0.2.0/24",
		"9100 from 2001:db8::7", "9100 from 192.0.2.7, 9101 from 2001:DB8::/32,\n  2600-2610",
		"9100  from\t0.0.0.0/0", "22/udp", "65535" };
	static const struct {
		const char *value, *why;
	} bad[] = {
		{ "22", "port 22 is the agents' front, and open" },
		{ "20-30", "port 22 is the agents' front, and open" },
		{ "2222", "port 2222 is OpenSSH's, and open ([front] operator_port, built-in)" },
		{ "2000-3100", "port 2222 is OpenSSH's, and open ([front] operator_port, built-in)" },
		{ "2900-3100", "port 3000 is in [ports] listen (built-in): agents could bind it" },
		{ "8080/udp", "port 8080 is in [ports] listen (built-in): agents could bind it" },
		{ "9100,", "an element is empty: a comma too many" },
		{ "9100, 9100", "`9100` is in the list twice" },
		{ "9110-9100", "`9110-9100` is a range that ends before it starts" },
		{ "9100 from 192.0.2.0/33", "`9100 from 192.0.2.0/33` has no length behind its /: 0 to 32" },
		{ "9100 from 2001:db8::/129", "`9100 from 2001:db8::/129` has no length behind its /: 0 to 128" },
		{ "9100 from mon.example.org", "`9100 from mon.example.org` has no address behind `from`: 192.0.2.7, "
					       "192.0.2.0/24 or 2001:db8::/64, "
					       "and no host name" },
	};
	static const char *const no[] = { "0", "65536", "x", "-1", "9100-", "-9100", "9100/sctp", "9100 192.0.2.7",
		"9100 from", "9100/", "9100 fro 192.0.2.7", "9100;accept", "099999", "9100 -9101" };
	PolicyError error = { "" };
	Policy *policy = NULL;

	for (size_t i = 0; i < ELEMENTSOF(good); i++) {
		_cleanup_free_ char *text = str_format("[network]\noperator_ports = %s\n", good[i]);

		write_text(POLICY_DIR "/creel.conf", text);
		if (policy_load(root, NULL, &policy, &error) < 0)
			fail_msg("%s: %s", good[i], error.text);
		policy = policy_free(policy);
	}
	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		_cleanup_free_ char *text = str_format("[network]\noperator_ports = %s\n", bad[i].value),
				    *wanted = str_format(
					    POLICY_DIR "/creel.conf:2: [network] operator_ports: %s", bad[i].why);

		write_text(POLICY_DIR "/creel.conf", text);
		assert_int_equal(policy_load(root, NULL, &policy, &error), -EBADMSG);
		assert_string_equal(error.text, wanted);
	}
	for (size_t i = 0; i < ELEMENTSOF(no); i++) {
		_cleanup_free_ char *text = str_format("[network]\noperator_ports = %s\n", no[i]);

		write_text(POLICY_DIR "/creel.conf", text);
		if (policy_load(root, NULL, &policy, &error) != -EBADMSG)
			fail_msg("%s was taken", no[i]);
	}
	write_text(POLICY_DIR "/creel.conf", "[network]\noperator_ports = 9100 from 192.0.2.7\n");
	write_text(POLICY_DIR "/agents/bob.conf", "[ports]\nlisten = 9000-9200\n");
	assert_int_equal(policy_load(root, "bob", &policy, &error), -EBADMSG);
	assert_string_equal(error.text, POLICY_DIR
		"/agents/bob.conf:2: [ports] listen: port 9100 is the operator's ([network] operator_ports, " POLICY_DIR
		"/creel.conf:2)");
	remove_file(POLICY_DIR "/creel.conf");
	remove_file(POLICY_DIR "/agents/bob.conf");
}

static void test_profiles(void **state)
{
	static const char *const profiles[] = { "instaclaw", "openclaw", "clawcentral" };
	PolicyError error = { "" };
	Policy *built_in = load("", &error);

	for (size_t i = 0; i < ELEMENTSOF(profiles); i++) {
		_cleanup_free_ char *text = str_format("[agent]\nprofile = %s\n", profiles[i]);
		const char *section, *key, *origin;
		Policy *policy = load(text, &error);
		char *value, *expected;
		bool enforced;

		assert_string_equal(error.text, "");
		assert_non_null(policy);
		/* the built-in values are instaclaw's */
		for (size_t k = 0; i == 0 && policy_row(policy, k, &section, &key, &value, &origin, &enforced); k++) {
			assert_true(policy_row(built_in, k, &section, &key, &expected, &origin, &enforced));
			assert_string_equal(value, expected);
			free(value);
			free(expected);
		}
		policy_free(policy);
	}
	policy_free(built_in);
}

/* Every key stands in creel.conf(5) under its section, with a star if and only if it is not enforced. */
static void test_manual(void **state)
{
	_cleanup_free_ char *manual = NULL;

	assert_int_equal(file_read_at(AT_FDCWD, "docs/man/creel.conf.5", 0, 1 << 20, &manual, NULL), 0);
	for (size_t i = 0; i < policy_keys_n; i++) {
		_cleanup_free_ char *head = str_format("\n.Ss [%s]\n", policy_keys[i].section);
		_cleanup_free_ char *item = str_format("\n.It Cm %s ", policy_keys[i].key);
		char *section = strstr(manual, head), *text = section ? strstr(section, item) : NULL, *end;
		char *next = section ? strstr(section + 1, "\n.Ss ") : NULL;

		if (!text || (next && text > next)) {
			fail_msg("[%s] %s is not in creel.conf(5)", policy_keys[i].section, policy_keys[i].key);
			return;
		}
		text += strlen(item);
		end = strstr(text, "\n.It Cm ");
		if (!end || (strstr(text, "\n.El") && strstr(text, "\n.El") < end))
			end = strstr(text, "\n.El");
		assert_non_null(end);
		if ((end[-1] == '*') == policy_keys[i].enforced)
			fail_msg("[%s] %s: creel.conf(5) has it wrong whether it is enforced", policy_keys[i].section,
				policy_keys[i].key);
	}
}

/* ---- files and names ---- */

static void test_files(void **state)
{
	static const char bob[] = POLICY_DIR "/agents/bob.conf";
	char path[PATH_MAX], big[64 * 1024 + 2];
	PolicyError error = { "" };
	Policy *policy = NULL;

	assert_int_equal(policy_load(root, "bob", &policy, &error), -ENOENT);
	assert_string_equal(error.text, POLICY_DIR "/agents/bob.conf: No such file or directory");

	write_file(bob, "[limits]\nmemory = 1G\0\ncpu = 1\n", 31);
	assert_int_equal(policy_load(root, "bob", &policy, &error), -EBADMSG);
	assert_string_equal(error.text, POLICY_DIR "/agents/bob.conf:2: the line has a control character");

	memset(big, '\n', sizeof(big));
	write_file(bob, big, sizeof(big));
	assert_int_equal(policy_load(root, "bob", &policy, &error), -EBADMSG);
	assert_string_equal(error.text, POLICY_DIR "/agents/bob.conf: the file has more than 64 KiB");
	remove_file(bob);

	(void)snprintf(path, sizeof(path), "%s%s", root, bob);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	assert_int_equal(policy_load(root, "bob", &policy, &error), -EBADMSG);
	assert_string_equal(error.text, POLICY_DIR "/agents/bob.conf: it is a symbolic link");
	assert_int_equal(unlink(path), 0);

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(policy_load(root, "bob", &policy, &error), -EBADMSG);
	assert_string_equal(error.text, POLICY_DIR "/agents/bob.conf: it is not a regular file");
	assert_int_equal(unlink(path), 0);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(policy_load(root, "bob", &policy, &error), -EBADMSG);
	assert_string_equal(error.text, POLICY_DIR "/agents/bob.conf: it is not a regular file");
	assert_int_equal(rmdir(path), 0);
	assert_null(policy);
}

static void test_stamp(void **state)
{
	uint64_t before = policy_stamp(root, "bob"), after;

	assert_true(policy_stamp(root, "bob") == before);
	write_text(POLICY_DIR "/agents/bob.conf", "");
	after = policy_stamp(root, "bob");
	assert_true(after != before);
	assert_true(policy_stamp(root, NULL) != after);
	write_text(POLICY_DIR "/agents/bob.conf", "x");
	assert_true(policy_stamp(root, "bob") != after);
	after = policy_stamp(root, "bob");
	write_text(POLICY_DIR "/creel.conf", "");
	assert_true(policy_stamp(root, "bob") != after);
	remove_file(POLICY_DIR "/creel.conf");
	remove_file(POLICY_DIR "/agents/bob.conf");
	assert_true(policy_stamp(root, "bob") == before);

	/* a profile that is made, edited in place, removed */
	write_text(POLICY_PROFILE_DIR "/stamped.conf", "[limits]\n");
	after = policy_stamp(root, "bob");
	assert_true(after != before);
	assert_true(policy_stamp(root, "bob") == after);
	write_text(POLICY_PROFILE_DIR "/stamped.conf", "[limits]\nmemory = 1G\n");
	assert_true(policy_stamp(root, "bob") != after);
	remove_file(POLICY_PROFILE_DIR "/stamped.conf");
	assert_true(policy_stamp(root, "bob") == before);
}

/* Which agents there are, and who was one. */
static void test_agents(void **state)
{
	_cleanup_strlist_ StrList names = { 0 }, odd = { 0 };
	_cleanup_free_ AgentMark *marks = NULL, *fewer = NULL;
	size_t n = 99;

	write_text(POLICY_DIR "/agents/bob.conf", "");
	write_text(POLICY_DIR "/agents/alice.conf", "");
	write_text(POLICY_DIR "/agents/Alice.conf", "");
	write_text(POLICY_DIR "/agents/.bob.conf", "");
	write_text(POLICY_DIR "/agents/bob.keys", "");
	assert_int_equal(agents_list(root, &names, &odd), 0);
	assert_int_equal(names.n, 2);
	assert_string_equal(names.items[0], "alice");
	assert_string_equal(names.items[1], "bob");
	assert_int_equal(odd.n, 1);
	assert_string_equal(odd.items[0], "Alice");
	remove_file(POLICY_DIR "/agents/bob.conf");
	remove_file(POLICY_DIR "/agents/alice.conf");
	remove_file(POLICY_DIR "/agents/Alice.conf");
	remove_file(POLICY_DIR "/agents/.bob.conf");
	remove_file(POLICY_DIR "/agents/bob.keys");

	assert_int_equal(marks_list(root, &marks, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(mark_clear(root, 1000), 0);
	assert_int_equal(mark_set(root, 1001, "bob"), 0);
	assert_int_equal(mark_set(root, 1000, "alice"), 0);
	assert_int_equal(mark_set(root, 1000, "carol"), 0);
	write_text(POLICY_MARK_DIR "/59999", "../../x\n");
	write_text(POLICY_MARK_DIR "/60000", "dave\n");
	write_text(POLICY_MARK_DIR "/999", "dave\n");
	assert_int_equal(marks_list(root, &marks, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(marks[0].uid, 1000);
	assert_string_equal(marks[0].name, "carol");
	assert_string_equal(marks[1].name, "bob");
	/* it says nobody's name, and counts */
	assert_int_equal(marks[2].uid, 59999);
	assert_string_equal(marks[2].name, "?");
	assert_int_equal(mark_clear(root, 1000), 0);
	assert_int_equal(mark_clear(root, 59999), 0);
	assert_int_equal(marks_list(root, &fewer, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(fewer[0].uid, 1001);
	assert_int_equal(mark_clear(root, 1001), 0);

	assert_true(agent_uid_in_range(1000) && agent_uid_in_range(59999));
	assert_false(agent_uid_in_range(999) || agent_uid_in_range(60000) || agent_uid_in_range(0));
}

static void test_names(void **state)
{
	static const char *const good[] = { "a", "_x", "agent", "a-b_c9", "abcdefghijklmnopqrstuvwxyz012345" };
	static const char *const bad[] = {
		"",
		"9a",
		"-a",
		"A",
		"a b",
		"a/b",
		"../a",
		".",
		"a.b",
		"a\n",
		"\xc3\xa4",
		"abcdefghijklmnopqrstuvwxyz0123456",
	};
	PolicyError error = { "" };
	Policy *policy = NULL;

	for (size_t i = 0; i < ELEMENTSOF(good); i++)
		assert_true(policy_name_valid(good[i]));
	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		assert_false(policy_name_valid(bad[i]));
		assert_int_equal(policy_load(root, bad[i], &policy, &error), -EINVAL);
		assert_null(policy);
	}
	assert_false(policy_name_valid(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_operator_ports),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_agents),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_stamp),
	};

	return cmocka_run_group_tests_name("policy files", tests, set_up, tear_down);
}
