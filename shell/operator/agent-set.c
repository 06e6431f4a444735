/* SPDX-License-Identifier: MIT */
/*
 * creelctl agent set: a change of one agent's policy file, and its effect, for what runs as well.
 *
 * The new text is judged as a whole before anything is written, and takes the old one's place by rename: whoever reads it
 * meanwhile, and whoever is killed meanwhile, has one of the two. What cannot take effect - this machine cannot enforce it, say - is taken
 * back, where the old text did.
 */
#include "shell/operator/operator.h"
#include "shell/operator/settext.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <string.h>

#define POLICY_TEXT_MAX (64U * 1024)

/* What a policy may have; true where nobody can say, as creel.conf is bad. */
static bool key_known(const char *section, const char *key)
{
	_cleanup_(policy_freep) Policy *defaults = NULL;
	const char *row_section, *row_key, *origin;
	bool found = false, enforced;
	PolicyError error;
	char *value;

	if (policy_load("", NULL, &defaults, &error) < 0)
		return true;
	for (size_t i = 0; !found && policy_row(defaults, i, &row_section, &row_key, &value, &origin, &enforced); i++) {
		free(value);
		found = strcmp(row_section, section) == 0 && strcmp(row_key, key) == 0;
	}
	return found;
}

/* "SECTION.KEY=VALUE", or "SECTION.KEY" to take it out. */
static int change(char **text, const char *word, bool unset, Reason *ret_reason)
{
	_cleanup_free_ char *copy = strdup(word), *changed = NULL;
	char *dot, *equals;
	char shown[128];
	int r;

	if (!copy)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	dot = strchr(copy, '.');
	equals = strchr(copy, '=');
	for (const char *c = copy; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			dot = NULL;
	if (!dot || dot == copy || !dot[1] || dot[1] == '=' || (equals && equals < dot) || !equals != unset)
		return reason_set(ret_reason, -EINVAL, "%s: not of the form section.key%s",
			str_quote(word, strlen(word), shown, sizeof(shown)), unset ? "" : "=value");
	*dot = '\0';
	if (equals)
		*equals = '\0';
	r = settext_change(*text, copy, dot + 1, unset ? NULL : equals + 1, &changed);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", strerror(-r));
	/* one that is in the file can be taken out, whatever it is */
	if (unset && strcmp(changed, *text) == 0 && !key_known(copy, dot + 1))
		return reason_set(ret_reason, -ENOENT, "--unset %s: there is no such key: see creelctl policy show",
			str_quote(word, strlen(word), shown, sizeof(shown)));
	free(*text);
	*text = TAKE_PTR(changed);
	return 0;
}

int setting_put(char **text, const char *word, Reason *ret_reason)
{
	return change(text, word, false, ret_reason);
}

static int change_all(char **text, int argc, char **argv, Reason *ret_reason)
{
	for (int i = 0; i < argc; i++) {
		bool unset = strcmp(argv[i], "--unset") == 0;
		int r;

		if (unset && ++i == argc)
			return -EINVAL;
		r = change(text, argv[i], unset, ret_reason);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_policy(const Agent *agent, const char *text, Reason *ret_reason)
{
	const PolicyText candidate = { .label = agent->file, .text = text, .n = strlen(text) };
	_cleanup_(policy_freep) Policy *policy = NULL;
	PolicyError error = { "" };
	int r;

	r = policy_load_text("", agent->name, NULL, &candidate, &policy, &error);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", error.text);
	r = file_replace_at(AT_FDCWD, agent->file, text, strlen(text), 0644);
	return r < 0 ? reason_set(ret_reason, r, "%s: %s", agent->file, strerror(-r)) : 0;
}

/* What was in the file, and whether it was in force. */
typedef struct Before {
	char *text;
	bool worked;
} Before;

static bool works(const Agent *agent)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	PolicyError error;
	Reason ignored;

	return policy_load("", agent->name, &policy, &error) == 0 && enforce_check(agent->uid, policy, &ignored) == 0;
}

static int set(const char *name, int argc, char **argv, Before *ret_before, Reason *ret_reason)
{
	_cleanup_(agent_done) Agent agent = { 0 };
	_cleanup_free_ char *text = NULL;
	int r;

	r = agent_require(name, &agent, ret_reason);
	if (r < 0)
		return r;
	r = file_read_at(AT_FDCWD, agent.file, 0, POLICY_TEXT_MAX, &text, NULL);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", agent.file, strerror(-r));
	ret_before->text = strdup(text);
	if (!ret_before->text)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	ret_before->worked = works(&agent);
	r = change_all(&text, argc, argv, ret_reason);
	return r < 0 ? r : write_policy(&agent, text, ret_reason);
}

static int apply(const char *name)
{
	Reason reason = { "" };

	if (policy_apply_begin(&reason)) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	return policy_apply_agent(name);
}

static void take_back(const char *name, const Before *before)
{
	_cleanup_free_ char *file = str_format("%s/agents/%s.conf", POLICY_DIR, name);
	int r = file ? file_replace_at(AT_FDCWD, file, before->text, strlen(before->text), 0644) : -ENOMEM;

	if (r < 0)
		(void)fprintf(
			stderr, "creelctl: agent %s: its policy could not be taken back: %s\n", name, strerror(-r));
	else if (apply(name) == EXIT_SUCCESS)
		(void)fprintf(stderr, "creelctl: agent %s: its policy is what it was before\n", name);
}

int agent_set_main(int argc, char **argv)
{
	_cleanup_close_ int lock_fd = -EBADF;
	Before before = { 0 };
	Reason reason = { "" };
	int status = EXIT_FAILURE;

	if (argc < 2 || argv[0][0] == '-' || strcmp(argv[argc - 1], "--unset") == 0)
		return EXIT_USAGE;
	if (agents_lock(&lock_fd, &reason) < 0 || set(argv[0], argc - 1, argv + 1, &before, &reason) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
	} else {
		status = apply(argv[0]);
		if (status == EXIT_SUCCESS)
			(void)printf("agent %s: applied\n", argv[0]);
		else if (before.worked)
			take_back(argv[0], &before);
	}
	free(before.text);
	return status;
}
