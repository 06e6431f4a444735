/* SPDX-License-Identifier: MIT */
/* A root folder with the shipped profiles for the tests of policies; so these run at the top of the source tree. */
#pragma once

#include "tests/unit/unit.h"

#include "shell/base/file.h"
#include "shell/policy/agents.h"
#include "shell/policy/policy.h"
#include "shell/policy/table.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define LABEL "bob.conf"

static char root[64];

static inline void make_folder(const char *below)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s", root, below);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

static inline void write_file(const char *below, const char *text, size_t n)
{
	_cleanup_close_ int fd = -EBADF;
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s", root, below);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
}

static inline void write_text(const char *below, const char *text)
{
	write_file(below, text, strlen(text));
}

static inline void remove_file(const char *below)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s", root, below);
	assert_true(unlink(path) == 0 || errno == ENOENT);
}

static inline int set_up(void **state)
{
	char profiles[PATH_MAX], link[PATH_MAX], here[PATH_MAX - 32];

	(void)snprintf(root, sizeof(root), "/tmp/creel-test-policy-XXXXXX");
	assert_non_null(mkdtemp(root));
	make_folder(POLICY_DIR "/agents");
	make_folder(CREEL_DATADIR);
	assert_non_null(getcwd(here, sizeof(here)));
	(void)snprintf(profiles, sizeof(profiles), "%s/provision/profiles", here);
	(void)snprintf(link, sizeof(link), "%s%s", root, POLICY_PROFILE_DIR);
	return symlink(profiles, link);
}

static inline int tear_down(void **state)
{
	_cleanup_free_ char *command = str_format("rm -rf '%s'", root);

	return command ? system(command) : -1;
}

/* The agent's text over nothing. NULL when it is refused; then `error` says why. */
static inline Policy *load(const char *text, PolicyError *error)
{
	PolicyText agent = { .label = LABEL, .text = text, .n = strlen(text) };
	Policy *policy = NULL;
	int r = policy_load_text(root, "bob", NULL, &agent, &policy, error);

	assert_true(r == 0 || r == -EBADMSG);
	assert_true((r == 0) == (policy != NULL));
	return policy;
}

static inline char *value_of(const Policy *policy, const char *section, const char *key, const char **ret_origin)
{
	const char *row_section, *row_key;
	bool enforced;
	char *value;

	for (size_t i = 0; policy_row(policy, i, &row_section, &row_key, &value, ret_origin, &enforced); i++) {
		if (strcmp(row_section, section) == 0 && strcmp(row_key, key) == 0)
			return value;
		free(value);
	}
	fail();
	return NULL;
}
