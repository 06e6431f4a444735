/* SPDX-License-Identifier: MIT */
/*
 * Firewall, networks and disks beside what the policies say. creel-enforce notes what it did; anybody who is root may have
 * taken it away since, and neither nft(8) nor setquota(8) tells anyone.
 */
#include "shell/operator/doctor.h"
#include "shell/base/file.h"
#include "shell/policy/enforced.h"

#include <fcntl.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/syscall.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

#define NFT "/usr/sbin/nft"
#define USER_QUOTA ((unsigned int)Q_GETQUOTA << SUBCMDSHIFT | USRQUOTA)
#define QUOTA_BLOCK 1024U

/* ---- the machine ---- */

/* creel-enforce noted how nft lists it; what is not listed so any more was changed by somebody. */
static void check_table(const Doctor *doctor, const char *name, const char *fine, Finding *ret)
{
	const char *const argv[] = { TABLE_LISTING, name, NULL };
	_cleanup_free_ char *path = str_format("%s" TABLES_DIR "/%s", doctor->root, name), *noted = NULL, *now = NULL;
	Reason reason = { "" };
	int r;

	r = path ? file_read_at(AT_FDCWD, path, 0, TABLE_MAX, &noted, NULL) : -ENOMEM;
	if (r == -ENOENT)
		return finding_set(ret, DOCTOR_MISSING, "creel-enforce did not make table inet %s", name);
	if (r < 0)
		return finding_error(ret, r, path ? path : TABLES_DIR);
	r = command_output(argv, DOCTOR_PATIENCE, &now, &reason);
	if (r < 0)
		return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
	if (r > 0)
		return finding_set(ret, DOCTOR_MISSING, "nft has no table inet %s", name);
	if (strcmp(noted, now) != 0)
		return finding_set(ret, DOCTOR_MISSING, "somebody changed table inet %s", name);
	finding_set(ret, DOCTOR_OK, "%s", fine);
}

static void check_firewall(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	const StrList *opened = doctor->defaults ? &doctor->defaults->operator_ports : NULL;
	char fine[256] = "what is not let in is dropped";
	size_t used = strlen(fine);

	for (size_t i = 0; opened && i < opened->n && used < sizeof(fine); i++)
		used += (size_t)snprintf(fine + used, sizeof(fine) - used, "%s%s",
			i ? ", " : "; the operator's own are let in: ", opened->items[i]);
	check_table(doctor, FIREWALL_TABLE, fine, ret);
}

static void check_network(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	check_table(doctor, NETWORK_TABLE, "what agents send is judged and counted", ret);
}

/* ---- an agent ---- */

/* Whether the firewall's set has both ends of a range. Returns 1, 0 or a negative errno with its reason. */
static int range_is_open(uid_t uid, const PortRange *range, Reason *ret_reason)
{
	char element[48];
	const char *const argv[] = { NFT, "get", "element", "inet", "creel", "agents", element, NULL };
	int r;

	(void)snprintf(element, sizeof(element), "{ 0x%08x . %u-%u }", SOCKET_MARK | uid, range->first, range->last);
	r = command_output(argv, DOCTOR_PATIENCE, NULL, ret_reason);
	return r < 0 ? r : r == 0;
}

static void check_ports(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	const Policy *policy = agent->policy;

	if (policy->network == NETWORK_NONE || !policy->listen.n)
		return finding_set(ret, DOCTOR_OK, "it has none");
	for (size_t i = 0; i < policy->listen.n; i++) {
		const PortRange *range = &policy->listen.ranges[i];
		Reason reason = { "" };
		int r = range_is_open(agent->agent.uid, range, &reason);

		if (r < 0)
			return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
		if (r == 0)
			return finding_set(
				ret, DOCTOR_MISSING, "the firewall keeps %u-%u shut", range->first, range->last);
	}
	finding_set(ret, DOCTOR_OK, "open in the firewall");
}

static void check_resolver(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_(unit_facts_done) UnitFacts facts = { 0 };
	Reason reason = { "" };
	char unit[64];

	if (!network_names(agent->policy))
		return finding_set(ret, DOCTOR_OK, "it needs none of its own");
	(void)snprintf(unit, sizeof(unit), "creel-resolver@%u.service", agent->agent.uid);
	if (look_unit(doctor, unit, &facts, &reason) < 0)
		return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
	if (strcmp(facts.active, "active") != 0)
		return finding_set(ret, DOCTOR_MISSING, "%s is %s: it resolves no name", unit, facts.active);
	finding_set(ret, DOCTOR_OK, "%s answers for what its policy allows", unit);
}

static void check_quota(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_close_ int fd = open(agent->agent.home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t wanted = agent->policy->disk / QUOTA_BLOCK;
	struct if_dqblk quota = { 0 };

	if (agent->policy->disk == POLICY_UNLIMITED)
		return finding_set(ret, DOCTOR_OK, "its policy sets no limit");
	if (fd < 0)
		return finding_error(ret, -errno, agent->agent.home);
	/* ENOENT: XFS knows nobody who owns nothing and has no limit */
	if (syscall(SYS_quotactl_fd, fd, USER_QUOTA, agent->agent.uid, &quota) < 0 && errno != ENOENT)
		return finding_set(ret, DOCTOR_MISSING, "%.200s: no quotas: %s", agent->agent.home, strerror(errno));
	if (!quota.dqb_bhardlimit || quota.dqb_bhardlimit > wanted)
		return finding_set(ret, DOCTOR_MISSING, "the kernel lets it write more than its policy");
	finding_set(ret, DOCTOR_OK, "%llu MiB at most%s", (unsigned long long)quota.dqb_bhardlimit / 1024,
		quota.dqb_bhardlimit < wanted ? ": this disk has no more for it" : "");
}

#define AGAIN "systemctl restart creel-enforce.service; journalctl -u creel-enforce.service says why not"
#define OF_AGENT (NEEDS_USER | NEEDS_POLICY | NEEDS_ROOT | NEEDS_LIVE)

const DoctorCheck doctor_network[] = {
	{ "network.firewall", "only what may be reached answers from outside", AGAIN, NEEDS_ROOT | NEEDS_LIVE,
		check_firewall },
	{ "network.table", "what agents send is judged", AGAIN, NEEDS_ROOT | NEEDS_LIVE, check_network },
	{ NULL },
};

const DoctorCheck doctor_agent_network[] = {
	{ "network.ports", "its ports are open to others", AGAIN, OF_AGENT, check_ports },
	{ "network.resolver", "a restricted agent has its resolver", AGAIN, OF_AGENT | NEEDS_BUS, check_resolver },
	{ "disk.quota", "it cannot write more than its policy says",
		"systemctl restart creel-quota.service creel-enforce.service; or a limit that the disk has", OF_AGENT,
		check_quota },
	{ NULL },
};
