/* SPDX-License-Identifier: MIT */
/* May a service have that port, and who has it (service.h). */
#include "shell/base/file.h"
#include "shell/jobs/cgroup.h"
#include "shell/jobs/gather.h"
#include "shell/jobs/service.h"
#include "shell/policy/policy.h"

#include <fcntl.h>
#include <pwd.h>
#include <string.h>

/* "3000-9000,9100", as the policy has it. */
static void ranges_write(const PortList *ports, char *buffer, size_t size)
{
	size_t n = 0;

	*buffer = 0;
	for (size_t i = 0; i < ports->n && n < size; i++) {
		const PortRange *range = &ports->ranges[i];

		n += (size_t)snprintf(buffer + n, size - n, "%s%u", i ? "," : "", range->first);
		if (range->last != range->first && n < size)
			n += (size_t)snprintf(buffer + n, size - n, "-%u", range->last);
	}
}

static Policy *policy_of_mine(void)
{
	const struct passwd *user = getpwuid(getuid());
	Policy *policy = NULL;
	PolicyError error;

	return user && policy_load("", user->pw_name, &policy, &error) == 0 ? policy : NULL;
}

bool service_port_ranges(char *buffer, size_t size)
{
	_cleanup_(policy_freep) Policy *policy = policy_of_mine();

	if (policy)
		ranges_write(&policy->listen, buffer, size);
	return policy && *buffer;
}

int service_port_allowed(uint16_t port, Reason *ret_reason)
{
	_cleanup_(policy_freep) Policy *policy = policy_of_mine();
	char ranges[512];

	if (!policy || port_list_contains(&policy->listen, port))
		return 0;
	ranges_write(&policy->listen, ranges, sizeof(ranges));
	if (!*ranges)
		return reason_set(
			ret_reason, -EACCES, "port %u: your policy lets you listen on no port that others reach", port);
	return reason_set(
		ret_reason, -EACCES, "port %u is outside of your policy's range: take one of %s", port, ranges);
}

const char *service_port_holder(const char *cgroup, uid_t uid, char *ret_name, size_t size)
{
	Where where;

	where_parse(cgroup, uid, &where);
	return where.kind == WHERE_UNIT ? row_kind_name(unit_row_kind(where.name, ret_name, size)) : NULL;
}

static void process_name(pid_t pid, char *buffer, size_t size)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (file_get_at(AT_FDCWD, path, buffer, size) < 0)
		(void)snprintf(buffer, size, "?");
}

static int taken(const Listener *by, Reason *ret_reason)
{
	char cgroup[CGROUP_PATH_MAX], comm[64], name[WHERE_NAME_MAX];
	const struct passwd *user;
	pid_t pid;

	if (by->uid != getuid()) {
		user = getpwuid(by->uid);
		return reason_set(ret_reason, -EADDRINUSE, "port %u is taken by somebody else (%s): take another one",
			by->port, user ? user->pw_name : "an unknown user");
	}
	if (cgroup_path(by->uid, by->cgroup, cgroup, sizeof(cgroup))) {
		const char *kind = service_port_holder(cgroup, by->uid, name, sizeof(name));

		pid = cgroup_process(cgroup);
		process_name(pid, comm, sizeof(comm));
		if (kind)
			return reason_set(ret_reason, -EADDRINUSE,
				"port %u is taken by your %s %s, PID %d (%s): creel stop %s, or take another port",
				by->port, kind, name, (int)pid, comm, name);
		if (pid)
			return reason_set(ret_reason, -EADDRINUSE,
				"port %u is taken by your process %d (%s) or one beside it: kill %d, or take another "
				"port",
				by->port, (int)pid, comm, (int)pid);
	}
	return reason_set(ret_reason, -EADDRINUSE,
		"port %u is taken by a process of yours: ss -tlnp shows it; take another port", by->port);
}

int service_port_free(uint16_t port, const char *own, Reason *ret_reason)
{
	_cleanup_free_ Listener *all = NULL;
	size_t n = 0;

	if (listeners_read(&all, &n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (all[i].port == port && !cgroup_holds(own, all[i].cgroup))
			return taken(&all[i], ret_reason);
	return 0;
}

static bool is_free(const Listener *all, size_t n, uint16_t port)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].port == port)
			return false;
	return true;
}

int service_port_choose(uint16_t first, uint16_t *ret, Reason *ret_reason)
{
	_cleanup_(policy_freep) Policy *policy = policy_of_mine();
	_cleanup_free_ Listener *all = NULL;
	size_t n = 0;
	int r = listeners_read(&all, &n);

	if (r < 0)
		return reason_set(ret_reason, r, "which ports are free cannot be told: %s; say --port", strerror(-r));
	/* from `first` to the end, and then from the beginning to it */
	for (unsigned int i = 0; i < UINT16_MAX; i++) {
		uint16_t port = (uint16_t)((first - 1 + i) % UINT16_MAX + 1);

		if (port > 1023 && is_free(all, n, port) && (!policy || port_list_contains(&policy->listen, port))) {
			*ret = port;
			return 0;
		}
	}
	return reason_set(ret_reason, -EADDRINUSE,
		"none of the ports that you may listen on is free: creel limits shows them as listen");
}
