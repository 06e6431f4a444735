/* SPDX-License-Identifier: MIT */
/*
 * Whoever reads it fails closed: no file, an unknown word, a missing line or a missing pin all mean "not in force".
 */
#include "shell/policy/enforced.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (64U * 1024)

static bool needs_ports(const Policy *policy)
{
	return true; /* no policy lets an agent listen wherever it likes */
}

static bool needs_processes(const Policy *policy)
{
	return policy->processes != POLICY_UNLIMITED;
}

static bool needs_strangers(const Policy *policy)
{
	return true; /* command lines hold secrets of others */
}

static bool needs_services(const Policy *policy)
{
	return true; /* nobody logs in where the service manager does not answer */
}

static bool needs_cgroups(const Policy *policy)
{
	return true; /* what they cost is the machine's memory */
}

static bool needs_executions(const Policy *policy)
{
	return policy->audit && policy->audit_programs != PROGRAMS_NONE;
}

static bool needs_firewall(const Policy *policy)
{
	return true; /* whatever else listens on the machine is nobody's business */
}

bool network_names(const Policy *policy)
{
	return policy &&
	       (policy->network == NETWORK_RESTRICTED || (policy->network == NETWORK_FULL && policy->allowed_hosts.n));
}

static bool needs_network(const Policy *policy)
{
	return policy->network != NETWORK_FULL || policy->exec_network == NETWORK_RESTRICTED ||
	       policy->max_bandwidth != POLICY_UNLIMITED;
}

/* Runs of other agents may ask for it as well: those are refused one by one (shell/keeper/surroundings.c). */
static bool needs_restricted(const Policy *policy)
{
	return policy->network == NETWORK_FULL && policy->exec_network == NETWORK_RESTRICTED;
}

static bool needs_disk(const Policy *policy)
{
	return policy->disk != POLICY_UNLIMITED;
}

const MechanismRow mechanisms[] = {
	{ "ports", "limit the ports that an agent may bind", needs_ports },
	{ "processes", "count processes", needs_processes },
	{ "strangers", "hide the processes of others", needs_strangers },
	{ "services", "leave others their part of the system's services", needs_services },
	{ "cgroups", "limit how many cgroups an agent makes", needs_cgroups },
	{ "executions", "tell what an agent executes", needs_executions },
	{ "firewall", "close the ports that nobody may reach", needs_firewall },
	{ "network", "limit where an agent sends to, and how fast", needs_network },
	{ "restricted", "tell a run with a restricted network from its agent", needs_restricted },
	{ "disk", "limit what an agent writes", needs_disk },
	{ NULL, NULL, NULL },
};

_Static_assert(ELEMENTSOF(mechanisms) <= MECHANISMS_MAX + 1, "MECHANISMS_MAX is too small");

int mechanism_find(const char *name, size_t *ret)
{
	for (size_t i = 0; mechanisms[i].name; i++)
		if (strcmp(mechanisms[i].name, name) == 0) {
			*ret = i;
			return 0;
		}
	return -ENOENT;
}

void enforced_done(Enforced *enforced)
{
	for (size_t i = 0; i < MECHANISMS_MAX; i++)
		strlist_done(&enforced->results[i].pins);
	*enforced = (Enforced){ 0 };
}

static void result_fail(MechanismResult *result, const char *reason)
{
	result->state = MECHANISM_FAILED;
	(void)snprintf(result->reason, sizeof(result->reason), "%s", reason);
}

/* "NAME REST": the row, and what stands behind it. -ENOENT: written by another version, for something of its own. */
static int split_row(char *text, size_t *ret_row, char **ret_rest)
{
	char *rest = strchr(text, ' ');

	if (!rest)
		return -EBADMSG;
	*rest = '\0';
	*ret_rest = rest + 1;
	return mechanism_find(text, ret_row);
}

static int read_mechanism(char *text, Enforced *enforced)
{
	char *rest = NULL;
	size_t row;
	int r;

	r = split_row(text, &row, &rest);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (strcmp(rest, "ok") == 0)
		enforced->results[row].state = MECHANISM_OK;
	else if (strncmp(rest, "failed ", strlen("failed ")) == 0)
		result_fail(&enforced->results[row], rest + strlen("failed "));
	else
		return -EBADMSG;
	return 0;
}

static int read_pin(const char *root, char *text, Enforced *enforced)
{
	_cleanup_free_ char *path = NULL;
	char *rest = NULL;
	struct stat st;
	size_t row;
	int r;

	r = split_row(text, &row, &rest);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = strlist_add(&enforced->results[row].pins, rest);
	if (r < 0)
		return r;
	path = str_format("%s%s", root, rest);
	if (!path)
		return -ENOMEM;
	if (lstat(path, &st) < 0) {
		char reason[MECHANISM_REASON_MAX];

		(void)snprintf(reason, sizeof(reason), "%s: %s", rest, strerror(errno));
		result_fail(&enforced->results[row], reason);
	}
	return 0;
}

static int read_line(const char *root, char *line, Enforced *enforced)
{
	if (strncmp(line, "stamp ", strlen("stamp ")) == 0)
		return str_to_u64(line + strlen("stamp "), UINT64_MAX, &enforced->stamp);
	if (strncmp(line, "mechanism ", strlen("mechanism ")) == 0)
		return read_mechanism(line + strlen("mechanism "), enforced);
	if (strncmp(line, "pin ", strlen("pin ")) == 0)
		return read_pin(root, line + strlen("pin "), enforced);
	return -EBADMSG;
}

int enforced_read(const char *root, uid_t uid, Enforced *ret)
{
	_cleanup_free_ char *path = str_format("%s%s/%u", root, ENFORCED_DIR, (unsigned int)uid), *data = NULL;
	char *rest, *line;
	int r;

	*ret = (Enforced){ 0 };
	if (!path)
		return -ENOMEM;
	/* the folder is root's, below /run: nobody else can have put a file there */
	r = file_read_at(AT_FDCWD, path, O_NOFOLLOW, FILE_MAX, &data, NULL);
	if (r < 0)
		return r;
	rest = data;
	while (!r && (line = strsep(&rest, "\n")))
		if (*line)
			r = read_line(root, line, ret);
	if (r < 0) {
		enforced_done(ret);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	return 0;
}

static void write_result(FILE *file, size_t row, const MechanismResult *result)
{
	switch (result->state) {
	case MECHANISM_UNKNOWN:
		return;
	case MECHANISM_OK:
		(void)fprintf(file, "mechanism %s ok\n", mechanisms[row].name);
		break;
	case MECHANISM_FAILED:
		(void)fprintf(file, "mechanism %s failed %s\n", mechanisms[row].name, result->reason);
		break;
	}
	for (size_t i = 0; i < result->pins.n; i++)
		(void)fprintf(file, "pin %s %s\n", mechanisms[row].name, result->pins.items[i]);
}

int enforced_write(const char *root, uid_t uid, const Enforced *enforced)
{
	_cleanup_free_ char *path = str_format("%s%s/%u", root, ENFORCED_DIR, (unsigned int)uid), *text = NULL;
	FILE *file;
	size_t n;

	if (!path)
		return -ENOMEM;
	file = open_memstream(&text, &n);
	if (!file)
		return -ENOMEM;
	(void)fprintf(file, "stamp %llu\n", (unsigned long long)enforced->stamp);
	for (size_t i = 0; mechanisms[i].name; i++)
		write_result(file, i, &enforced->results[i]);
	if (fclose(file) != 0)
		return -ENOMEM;
	return file_replace_at(AT_FDCWD, path, text, n, 0600);
}

static const char *lacks_row(const Enforced *enforced, size_t row, char *reason, size_t size)
{
	const MechanismResult *result = enforced ? &enforced->results[row] : NULL;
	const char *why = "creel-enforce.service has not run for it";

	if (result && result->state == MECHANISM_OK)
		return NULL;
	if (result && result->state == MECHANISM_FAILED)
		why = result->reason;
	(void)snprintf(reason, size, "this machine does not %s: %s (mechanism %s)", mechanisms[row].purpose, why,
		mechanisms[row].name);
	return reason;
}

const char *enforced_lacks(const Enforced *enforced, const Policy *policy, bool optional, char *reason, size_t size)
{
	for (size_t i = 0; mechanisms[i].name; i++)
		if (mechanisms[i].needed_by(policy) &&
			strlist_contains(&policy->optional, mechanisms[i].name) == optional &&
			lacks_row(enforced, i, reason, size))
			return reason;
	return NULL;
}

const char *enforced_lacks_restricted(const Enforced *enforced, char *reason, size_t size)
{
	static const char *const names[] = { "network", "restricted" };
	size_t row;

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (mechanism_find(names[i], &row) == 0 && lacks_row(enforced, row, reason, size))
			return reason;
	return NULL;
}
