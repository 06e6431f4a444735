/* SPDX-License-Identifier: MIT */
/*
 * What creel-enforce brought about for one agent. Its file says what it did then; whether that still holds is asked of the
 * kernel: programs may have been detached since, and counts be of another limit. What refuses logins is said in the same
 * words in which the keeper refuses.
 */
#include "shell/operator/doctor.h"
#include "shell/policy/enforced.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>

/* Returns 0, or -ENOENT and the like with `ret` empty: then nothing is in force. */
static int read_enforced(const Doctor *doctor, const DoctorAgent *agent, Enforced *ret)
{
	return enforced_read(doctor->root, agent->agent.uid, ret);
}

static void check_enforced(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_enforced_ Enforced enforced = { 0 };
	char reason[400];
	int r = read_enforced(doctor, agent, &enforced);

	if (enforced_lacks(r < 0 ? NULL : &enforced, agent->policy, false, reason, sizeof(reason)))
		return finding_set(ret, DOCTOR_MISSING, "logins are refused: %s", reason);
	finding_set(ret, DOCTOR_OK, "all mechanisms that its policy needs");
}

static void check_optional(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_enforced_ Enforced enforced = { 0 };
	char reason[400];
	int r = read_enforced(doctor, agent, &enforced);

	if (enforced_lacks(r < 0 ? NULL : &enforced, agent->policy, true, reason, sizeof(reason)))
		return finding_set(ret, DOCTOR_DEGRADED, "its policy does without: %s", reason);
	finding_set(ret, DOCTOR_OK, "nothing is done without");
}

static void check_stamp(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_enforced_ Enforced enforced = { 0 };
	int r = read_enforced(doctor, agent, &enforced);

	if (r < 0)
		return finding_error(ret, r, ENFORCED_DIR);
	if (enforced.stamp != policy_stamp(doctor->root, agent->agent.name))
		return finding_set(
			ret, DOCTOR_DEGRADED, "its policy, creel.conf or a profile was edited and not applied");
	finding_set(ret, DOCTOR_OK, "of the policy as it is now");
}

/* The file of a program that was detached stays; the kernel tells that it holds nothing any more. 0, or a negative errno. */
static int look_pin(const char *path)
{
	union bpf_attr get = { .pathname = (uint64_t)(uintptr_t)path };
	struct bpf_link_info info = { 0 };
	union bpf_attr ask = { .info = { .info_len = sizeof(info), .info = (uint64_t)(uintptr_t)&info } };
	_cleanup_close_ int fd = (int)syscall(SYS_bpf, BPF_OBJ_GET, &get, sizeof(get));

	if (fd < 0)
		return -errno;
	ask.info.bpf_fd = (uint32_t)fd;
	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &ask, sizeof(ask)) < 0)
		return -errno;
	return info.type == BPF_LINK_TYPE_CGROUP && !info.cgroup.cgroup_id ? -ENOLINK : 0;
}

static void check_attached(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_enforced_ Enforced enforced = { 0 };
	size_t n = 0;
	int r = read_enforced(doctor, agent, &enforced);

	if (r < 0)
		return finding_error(ret, r, ENFORCED_DIR);
	for (size_t i = 0; mechanisms[i].name; i++)
		for (size_t k = 0; k < enforced.results[i].pins.n; k++) {
			const char *pin = enforced.results[i].pins.items[k];

			r = look_pin(pin);
			if (r < 0)
				return finding_set(ret, DOCTOR_MISSING, "%s: %.200s: %s", mechanisms[i].name, pin,
					r == -ENOLINK ? "detached" : strerror(-r));
			n++;
		}
	if (!n)
		return finding_set(ret, DOCTOR_DEGRADED, "no program is in the kernel");
	finding_set(ret, DOCTOR_OK, "%zu programs are in the kernel", n);
}

/* Whether the agent has an entry in a pinned map. Returns 0, -ENOENT or another negative errno. */
static int look_map(const char *mechanism, const char *map, uid_t uid)
{
	_cleanup_free_ char *path = str_format("/sys/fs/bpf/creel/%s/map_%s", mechanism, map);
	union bpf_attr get = { .pathname = (uint64_t)(uintptr_t)path };
	uint32_t key = uid;
	struct bpf_map_info info = { 0 };
	union bpf_attr ask = { .info = { .info_len = sizeof(info), .info = (uint64_t)(uintptr_t)&info } };
	_cleanup_free_ void *value = NULL;
	union bpf_attr look = { .key = (uint64_t)(uintptr_t)&key };
	_cleanup_close_ int fd = path ? (int)syscall(SYS_bpf, BPF_OBJ_GET, &get, sizeof(get)) : -1;

	if (fd < 0)
		return path ? -errno : -ENOMEM;
	ask.info.bpf_fd = (uint32_t)fd;
	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &ask, sizeof(ask)) < 0)
		return -errno;
	if (info.key_size != sizeof(key))
		return -EBADMSG;
	value = malloc(info.value_size);
	if (!value)
		return -ENOMEM;
	look.map_fd = (uint32_t)fd;
	look.value = (uint64_t)(uintptr_t)value;
	return syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &look, sizeof(look)) < 0 ? -errno : 0;
}

/* Programs hold for whom their maps name. */
static void check_maps(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const struct {
		const char *mechanism, *map;
	} rows[] = { { "ports", "ports" }, { "strangers", "confined" }, { "services", "confined" },
		{ "cgroups", "confined" } };
	_cleanup_enforced_ Enforced enforced = { 0 };
	int r = read_enforced(doctor, agent, &enforced);
	size_t row;

	if (r < 0)
		return finding_error(ret, r, ENFORCED_DIR);
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		if (mechanism_find(rows[i].mechanism, &row) < 0 || enforced.results[row].state != MECHANISM_OK)
			continue; /* check_enforced() and check_optional() have said so */
		r = look_map(rows[i].mechanism, rows[i].map, agent->agent.uid);
		if (r < 0)
			return finding_set(ret, DOCTOR_MISSING, "%s: %s", rows[i].mechanism,
				r == -ENOENT ? "its programs do not know the agent" : strerror(-r));
	}
	finding_set(ret, DOCTOR_OK, "its programs know the agent");
}

/* Where the kernel cannot count, tasks stand in, and check_enforced() has said what that means for logins. */
static void check_processes(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	ProcessUsage usage;
	int r = process_usage_read(doctor->root, agent->agent.uid, &usage);

	if (r < 0)
		return finding_set(ret, DOCTOR_DEGRADED, "not counted, tasks stand in for them: %s",
			bpf_lsm_missing(doctor->root) ? bpf_lsm_missing(doctor->root) : strerror(-r));
	if (usage.limit != agent->policy->processes) {
		char is[24], wanted[24];

		(void)snprintf(is, sizeof(is), usage.limit == POLICY_UNLIMITED ? "max" : "%llu",
			(unsigned long long)usage.limit);
		(void)snprintf(wanted, sizeof(wanted), agent->policy->processes == POLICY_UNLIMITED ? "max" : "%llu",
			(unsigned long long)agent->policy->processes);
		return finding_set(ret, DOCTOR_MISSING, "the kernel allows %s, the policy %s", is, wanted);
	}
	finding_set(ret, DOCTOR_OK, "%llu now, %llu refused since the machine started", (unsigned long long)usage.count,
		(unsigned long long)usage.refused);
}

#define AGAIN "systemctl restart creel-enforce.service; journalctl -u creel-enforce.service says why not"
#define NEEDS (NEEDS_USER | NEEDS_POLICY | NEEDS_ROOT | NEEDS_LIVE)

const DoctorCheck doctor_enforced[] = {
	{ "enforced.needed", "the kernel holds what its policy needs", AGAIN, NEEDS, check_enforced },
	{ "enforced.optional", "nothing is done without", AGAIN "; or take it out of [agent] optional", NEEDS,
		check_optional },
	{ "enforced.applied", "what the kernel holds is of this policy", "creelctl policy apply", NEEDS, check_stamp },
	{ "enforced.attached", "its programs are in the kernel", AGAIN, NEEDS, check_attached },
	{ "enforced.maps", "its programs hold for it", AGAIN, NEEDS, check_maps },
	{ "enforced.processes", "processes are counted, up to the policy's number", AGAIN, NEEDS, check_processes },
	{ NULL },
};
