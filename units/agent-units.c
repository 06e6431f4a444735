/* SPDX-License-Identifier: MIT */
/*
 * The slice carries the limits, because everything that an agent runs is below it: user manager, leaves, and
 * sessions of OpenSSH. The user manager's drop-in is the place for what its services must be confined by.
 *
 * Refusing: TasksMax= takes no 0, so the slice gets 1, which its own user manager or holder already uses up:
 * no fork succeeds. Limits of memory stay those of the defaults, for taking memory away would kill what runs.
 */
#include "units/agent-units.h"
#include "shell/policy/agents.h"
#include "shell/policy/package.h"
#include "units/unit-dir.h"

#include <stdarg.h>

#define TEXT_MAX 4096U
#define AGENT_CGROUPS 1024U /* below the user manager: units, and what they make */

/* A unit's text in the making; what does not fit is an error, never a shorter file. */
typedef struct Text {
	char data[TEXT_MAX];
	size_t n;
	int error;
} Text;

static void text_add(Text *text, const char *format, ...) _printf_(2, 3);

static void text_add(Text *text, const char *format, ...)
{
	va_list ap;
	int n;

	if (text->error)
		return;
	va_start(ap, format);
	n = vsnprintf(text->data + text->n, sizeof(text->data) - text->n, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text->data) - text->n)
		text->error = -E2BIG;
	else
		text->n += (size_t)n;
}

static int write_drop_in(int dir_fd, const Text *text, const char *format, ...) _printf_(3, 4);

static int write_drop_in(int dir_fd, const Text *text, const char *format, ...)
{
	char unit[64];
	va_list ap;
	int n;

	if (text->error)
		return text->error;
	va_start(ap, format);
	n = vsnprintf(unit, sizeof(unit), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(unit))
		return -ENAMETOOLONG;
	return unit_drop_in(dir_fd, unit, text->data);
}

uint64_t agents_memory(uint64_t total)
{
	uint64_t left = total > MEMORY_RESERVED ? total - MEMORY_RESERVED : 0;

	return left > total / 4 ? left : total / 4;
}

uint64_t front_memory(uint64_t total)
{
	if (total / 8 < FRONT_MEMORY_MIN)
		return FRONT_MEMORY_MIN;
	return total / 8 < FRONT_MEMORY_MAX ? total / 8 : FRONT_MEMORY_MAX;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void add_number(Text *text, const char *key, uint64_t value)
{
	if (value == POLICY_UNLIMITED)
		text_add(text, "%s=infinity\n", key);
	else
		text_add(text, "%s=%llu\n", key, (unsigned long long)value);
}

/* ---- the machine ---- */

int machine_units_write(int dir_fd, const Policy *policy, uint64_t memory_total)
{
	Text slice = { 0 }, front = { 0 };
	int r;

	text_add(&slice, "# creel: all agents together leave the system and the operator %llu MiB\n[Slice]\n",
		(unsigned long long)(MEMORY_RESERVED >> 20));
	add_number(&slice, "MemoryMax", agents_memory(memory_total));
	r = write_drop_in(dir_fd, &slice, "user.slice");
	if (r < 0)
		return r;

	text_add(&front, "# creel: [front] of creel.conf, and its part of the machine's memory\n[Service]\n");
	add_number(&front, "MemoryMax", front_memory(memory_total));
	text_add(&front, "Environment=CREEL_UNAUTHENTICATED=%llu\n", (unsigned long long)policy->unauthenticated);
	/* whole seconds, rounded up: never less than was asked for */
	text_add(&front, "Environment=CREEL_GRACE=%llu\n",
		(unsigned long long)((policy->grace_usec + 999999) / 1000000));
	text_add(&front, "Environment=CREEL_KEEPALIVE=%llu CREEL_KEEPALIVES=%llu\n",
		policy->keepalive_usec == POLICY_UNLIMITED
			? 0
			: (unsigned long long)((policy->keepalive_usec + 999999) / 1000000),
		(unsigned long long)policy->keepalive_count);
	text_add(&front, "Environment=CREEL_REKEY=%llu CREEL_OLDER_CLIENTS=%d\n",
		policy->rekey == POLICY_UNLIMITED ? 0 : (unsigned long long)policy->rekey, policy->older_clients);
	return write_drop_in(dir_fd, &front, "creel-sshd.service");
}

/* ---- an agent ---- */

static int slice_write(int dir_fd, uid_t uid, const Policy *policy, uint64_t memory_total, uint64_t tasks)
{
	Text text = { 0 };

	text_add(&text, "# creel: the limits of agent %s\n[Slice]\n", policy->name ? policy->name : "(refused)");
	text_add(&text, "MemoryAccounting=yes\nTasksAccounting=yes\nCPUAccounting=yes\nIOAccounting=yes\n");
	add_number(&text, "MemoryMax", smaller(policy->memory, agents_memory(memory_total)));
	add_number(&text, "MemorySwapMax", policy->swap);
	add_number(&text, "TasksMax", tasks);
	if (policy->cpu == POLICY_UNLIMITED)
		text_add(&text, "CPUQuota=\n");
	else /* a percentage of one core, with two places: policies count in microseconds a second */
		text_add(&text, "CPUQuota=%llu.%02llu%%\n", (unsigned long long)(policy->cpu / 10000),
			(unsigned long long)(policy->cpu % 10000 / 100));
	/* agents share evenly among themselves, below the operator (user-0.slice) */
	text_add(&text, "CPUWeight=50\n");
	add_number(&text, "IOWeight", policy->io_weight);
	return write_drop_in(dir_fd, &text, "user-%u.slice", uid);
}

static int wants_write(int dir_fd, uid_t uid)
{
	static const struct {
		const char *target, *prefix, *suffix;
	} wanted[] = {
		{ "sockets.target", "creel-keeper@", ".socket" },
		{ "multi-user.target", "creel-keeper@", ".service" }, /* warm before the first login */
		{ "multi-user.target", "creel-leaves@", ".service" },
		{ "multi-user.target", "creel-rescue@", ".service" },
	};
	char unit[64], file[256];

	for (size_t i = 0; i < ELEMENTSOF(wanted); i++) {
		int r;

		(void)snprintf(unit, sizeof(unit), "%s%u%s", wanted[i].prefix, uid, wanted[i].suffix);
		(void)snprintf(file, sizeof(file), "%s/%s%s", CREEL_UNITDIR, wanted[i].prefix, wanted[i].suffix);
		r = unit_want(dir_fd, wanted[i].target, unit, file);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * What the manager starts, it starts without the keeper: so it is confined itself, and all of its children with it. The
 * program that confines it ends where it cannot, and there is no user manager then.
 *
 * CAP_NET_RAW stays in the bounding set: without it the kernel refuses to execute ping, whose file names it. Nobody gets it,
 * for no new privilege is given.
 */
static void manager_confine(Text *manager, const Policy *policy)
{
	text_add(manager, "ExecStart=\nExecStart=" CREEL_LIBEXECDIR "/creel-confine /lib/systemd/systemd --user\n");
	text_add(manager, "NoNewPrivileges=yes\nCapabilityBoundingSet=CAP_NET_RAW\nAmbientCapabilities=\n");
	/* as root sets them, the agent cannot undo them: the least score that it can set is this one */
	text_add(manager, "OOMScoreAdjust=%d\nLimitCORE=0\nLimitNOFILE=%llu\n", AGENT_OOM_SCORE_ADJUST,
		(unsigned long long)policy->open_files);
	add_number(manager, "LimitFSIZE", policy->file_size);
}

/* For pip and npm in services and timers, as sessions have it. */
static int packages_tell(Text *manager, const Policy *policy)
{
	_cleanup_strlist_ StrList list = { 0 };
	int r = package_environment(policy, &list);

	for (size_t i = 0; i < list.n; i++)
		text_add(manager, "Environment=%s\n", list.items[i]);
	return r;
}

int agent_units_write(int dir_fd, uid_t uid, const Policy *policy, uint64_t memory_total, bool counted)
{
	Text manager = { 0 };
	int r;

	/* where processes cannot be counted, tasks stand in for them: the smaller number holds */
	r = slice_write(
		dir_fd, uid, policy, memory_total, counted ? policy->tasks : smaller(policy->processes, policy->tasks));
	if (r < 0)
		return r;

	/* an agent can end its manager, and a memory limit can: it comes back, at a pace that costs nobody
	 * else much */
	text_add(&manager, "# creel: the user manager of agent %s\n[Unit]\nStartLimitIntervalSec=0\n", policy->name);
	/* logind starts the managers of all who linger, also when it is restarted itself */
	text_add(&manager, "ConditionPathExists=!" AGENT_STOPPED_DIR "/%u\n", (unsigned int)uid);
	text_add(&manager, "[Service]\nRestart=always\nRestartSec=5s\n");
	/* so that the agent's services can carry limits of their own; one of them meeting its limit ends that
	 * one only */
	text_add(&manager, "Delegate=cpu memory pids io\nOOMPolicy=continue\n");
	/* what a cgroup costs the kernel is counted for nobody, and the machine has 65535 */
	text_add(&manager,
		"ExecStartPre=+/bin/sh -c 'echo %u >/sys/fs/cgroup/user.slice/user-%u.slice/user@%u.service/"
		"cgroup.max.descendants'\n",
		AGENT_CGROUPS, (unsigned int)uid, (unsigned int)uid);
	r = packages_tell(&manager, policy);
	if (r < 0)
		return r;
	manager_confine(&manager, policy);
	r = write_drop_in(dir_fd, &manager, "user@%u.service", uid);
	if (r < 0)
		return r;
	return wants_write(dir_fd, uid);
}

int agent_units_refuse(int dir_fd, uid_t uid, const char *file, uint64_t memory_total)
{
	static const struct {
		const char *prefix, *suffix;
	} units[] = {
		{ "user@", ".service" },
		{ "creel-keeper@", ".socket" },
		{ "creel-keeper@", ".service" },
		{ "creel-leaves@", ".service" },
		{ "creel-rescue@", ".service" },
	};
	Policy defaults = {
		.memory = POLICY_UNLIMITED,
		.swap = 0,
		.cpu = POLICY_UNLIMITED,
		.io_weight = 100,
	};
	Text text = { 0 };
	int r;

	r = slice_write(dir_fd, uid, &defaults, memory_total, 1);
	if (r < 0)
		return r;

	/* below a regular file nothing exists: the assertion can only fail, and names the culprit */
	text_add(&text,
		"# creel: the policy of this agent is refused; `creelctl policy check` says why\n[Unit]\n"
		"AssertPathExists=%s/is-refused\n",
		file);
	for (size_t i = 0; i < ELEMENTSOF(units); i++) {
		r = write_drop_in(dir_fd, &text, "%s%u%s", units[i].prefix, uid, units[i].suffix);
		if (r < 0)
			return r;
	}
	return wants_write(dir_fd, uid);
}
