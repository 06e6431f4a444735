/* SPDX-License-Identifier: MIT */
/* Names and versions of packages, the hosts that have them, and what pip and npm are told. */
#include "tests/unit/policy.h"

#include "shell/policy/package.h"

static const struct {
	const char *text, *requirement; /* NULL: refused */
} requirements[] = {
	{ "numpy", "numpy" },
	{ "numpy==1.26.4", "numpy==1.26.4" },
	{ "requests>=2", "requests>=2" },
	{ "requests >=2 <3", "requests>=2,<3" },
	{ "requests >= 2 < 3", "requests>=2,<3" },
	{ "requests[socks]~=2.31", "requests[socks]~=2.31" },
	{ "zope.interface==5.*", "zope.interface==5.*" },
	{ "x", "x" },
	{ "", NULL },
	{ "-r", NULL },
	{ "--index-url", NULL },
	{ "numpy==", NULL },
	{ "numpy=1", NULL },
	{ "numpy 1.26", NULL },
	{ "numpy[]", NULL },
	{ "numpy[a", NULL },
	{ "numpy @ https://example.org/x.whl", NULL },
	{ "git+https://example.org/x", NULL },
	{ "./x.whl", NULL },
	{ "/srv/x.whl", NULL },
	{ "a\nb", NULL },
};

static void test_pip(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(requirements); i++) {
		_cleanup_free_ char *found = package_requirement(requirements[i].text);

		if (!str_equal(found, requirements[i].requirement))
			print_error("%s: %s\n", requirements[i].text, found ? found : "(none)");
		assert_true(str_equal(found, requirements[i].requirement));
		assert_true(package_pip_valid(requirements[i].text) == (found != NULL));
	}
}

static void test_npm(void **state)
{
	static const char *const good[] = { "express", "express@4.18.2", "express@^4.18", "express@>=4 <5",
		"@types/node", "@types/node@22", "left-pad@latest", "lodash.merge", "x@1 || 2" };
	static const char *const bad[] = { "", "-g", "--registry", "user/repo", "@types", "@types/", "@/x", "x@",
		"x@ 1", "x@-g", "x@npm:y", "x@file:../y", "x@https://example.org/y.tgz", "git+ssh://h/x", "./x", "../x",
		"/x", ".x", "_x", "x y" };

	for (size_t i = 0; i < ELEMENTSOF(good); i++)
		if (!package_npm_valid(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		if (package_npm_valid(bad[i]))
			fail_msg("accepted: %s", bad[i]);
}

static const struct {
	const char *host, *mirror;
	bool python, javascript;
} hosts[] = {
	{ "example.org", NULL, false, false },
	{ "pypi.org", NULL, true, false },
	{ "PyPI.org", NULL, true, false },
	{ "files.pythonhosted.org", NULL, true, false },
	{ "*.pythonhosted.org", NULL, true, false },
	{ "test.pypi.org", NULL, true, false },
	{ "*.org", NULL, true, true },
	{ "notpypi.org", NULL, false, false },
	{ "pypi.org.example.com", NULL, false, false },
	{ "registry.npmjs.org", NULL, false, true },
	{ "*.npmjs.org", NULL, false, true },
	{ "registry.yarnpkg.com", NULL, false, true },
	{ "pypi.example.com", "pypi.example.com", true, true },
	{ "*.example.com", "pypi.example.com", true, true },
	{ "pypi.example.com", "*.example.com", true, true },
	{ "example.com", "*.example.com", false, false },
	{ "192.0.2.1", "192.0.2.0/24", true, true },
	{ "192.0.3.1", "192.0.2.0/24", false, false },
	{ "2001:db8::1", "2001:db8::1", true, true },
	{ "10.1.0.0/16", "10.1.2.3", true, true },
	{ "10.0.0.0/8", NULL, false, false },
	{ "172.20.0.0/16", NULL, false, false },
	{ "fd00::/8", NULL, false, false },
	{ "0.0.0.0/0", NULL, true, true },
	{ "::/0", NULL, true, true },
	{ "151.101.0.0/16", NULL, true, true },
	{ "10.0.0.0/7", NULL, true, true },
	{ "151.101.0.223", NULL, false, false },
};

static void test_registries(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(hosts); i++) {
		Policy policy = { 0 };

		assert_int_equal(strlist_add(&policy.allowed_hosts, hosts[i].host), 0);
		if (hosts[i].mirror) {
			assert_int_equal(strlist_add(&policy.pip_mirrors, hosts[i].mirror), 0);
			assert_int_equal(strlist_add(&policy.npm_mirrors, hosts[i].mirror), 0);
		}
		if ((package_registry(&policy, PACKAGE_PYTHON) != NULL) != hosts[i].python ||
			(package_registry(&policy, PACKAGE_JAVASCRIPT) != NULL) != hosts[i].javascript)
			fail_msg("%s", hosts[i].host);
		strlist_done(&policy.allowed_hosts);
		strlist_done(&policy.pip_mirrors);
		strlist_done(&policy.npm_mirrors);
	}
}

static bool has(const StrList *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strncmp(list->items[i], name, strlen(name)) == 0 && list->items[i][strlen(name)] == '=')
			return true;
	return false;
}

static void test_environment(void **state)
{
	static const char allowlist[] =
		"[network]\nmode = none\n[python]\npip_install = allowlist\npackages = numpy==1.26.4\n";
	_cleanup_strlist_ StrList yes = { 0 }, no = { 0 }, list = { 0 };
	_cleanup_free_ char *shelf = NULL, *other = NULL, *found = NULL;
	PolicyError error = { "" };
	Policy *policy = load("", &error);

	assert_int_equal(package_environment(policy, &yes), 0);
	assert_true(strlist_contains(&yes, "PIP_BREAK_SYSTEM_PACKAGES=1"));
	assert_int_equal(yes.n, 1); /* npm is as it is */
	policy_free(policy);

	policy = load("[agent]\nprofile = openclaw\n", &error);
	assert_int_equal(package_environment(policy, &no), 0);
	assert_true(strlist_contains(&no, "PIP_CONSTRAINT=" PACKAGE_CONSTRAINT));
	assert_true(strlist_contains(&no, "npm_config_offline=true"));
	assert_true(has(&no, "npm_config_registry"));
	assert_false(has(&no, "PIP_FIND_LINKS"));
	policy_free(policy);

	policy = load(allowlist, &error);
	shelf = package_shelf(policy, PACKAGE_PYTHON);
	assert_int_equal(package_environment(policy, &list), 0);
	found = str_format("PIP_FIND_LINKS=%s", shelf);
	assert_true(strlist_contains(&list, found));
	assert_true(strlist_contains(&list, "PIP_NO_INDEX=1"));
	assert_false(has(&list, "PIP_CONSTRAINT"));
	assert_int_equal(strncmp(shelf, PACKAGE_SHELF_DIR "/bob/python-", strlen(PACKAGE_SHELF_DIR "/bob/python-")), 0);
	policy_free(policy);

	/* another list has another shelf */
	policy = load("[network]\nmode = none\n[python]\npip_install = allowlist\npackages = numpy==1.26.5\n", &error);
	other = package_shelf(policy, PACKAGE_PYTHON);
	assert_string_not_equal(shelf, other);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pip),
		cmocka_unit_test(test_npm),
		cmocka_unit_test(test_registries),
		cmocka_unit_test(test_environment),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
