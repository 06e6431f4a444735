/* SPDX-License-Identifier: MIT */
/* The service manager: that our units are there as shipped, run, start at boot, and say what the policies say. */
#include "shell/operator/doctor.h"

#include <fcntl.h>
#include <string.h>

#define SYSTEMD_WANTED 252U
#define GENERATED "/run/systemd/generator"

/* Of the machine; an agent's are in doctor-agent.c. */
static const struct {
	const char *name;
	bool at_boot; /* it must be enabled: nothing else starts it */
} machine_units[] = {
	{ "creel.slice", false },
	{ "user.slice", false },
	{ "system.slice", false },
	{ "creel-enforce.service", true },
	{ "creel-count.timer", true },
	{ "creel-sshd.socket", true },
	{ "creel-sshd.service", true },
	{ "systemd-journald@creel.socket", false },
};

static void check_version(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *version = NULL;
	unsigned long number;
	int r;

	r = sd_bus_get_property_string(doctor->bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
		"org.freedesktop.systemd1.Manager", "Version", &error, &version);
	if (r < 0)
		return finding_set(ret, DOCTOR_DEGRADED, "the service manager does not tell its version: %s",
			error.message ? error.message : strerror(-r));
	number = strtoul(version, NULL, 10);
	finding_set(ret, number < SYSTEMD_WANTED ? DOCTOR_DEGRADED : DOCTOR_OK, "%.100s", version);
}

static void check_generator(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const char *const folders[] = { "/run/systemd/system-generators", "/etc/systemd/system-generators",
		"/usr/local/lib/systemd/system-generators" };
	struct stat st;
	int r;

	for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/creel-generator", folders[i]);
		if (look_stat(doctor, path, &st) == 0)
			return finding_set(
				ret, DOCTOR_MISSING, "%s stands before creel's own: no policy has effect", path);
	}
	r = look_stat(doctor, CREEL_UNITDIR "-generators/creel-generator", &st);
	if (r < 0)
		return finding_error(ret, r, CREEL_UNITDIR "-generators/creel-generator");
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0100) || st.st_uid != 0 || (st.st_mode & 022))
		return finding_set(ret, DOCTOR_MISSING, "mode %04o, owner %u", st.st_mode & 07777, st.st_uid);
	finding_set(ret, DOCTOR_OK, "in place");
}

static void check_loaded(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(machine_units); i++) {
		_cleanup_(unit_facts_done) UnitFacts facts = { 0 };
		Reason reason;

		if (look_unit(doctor, machine_units[i].name, &facts, &reason) < 0)
			return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
		if (strcmp(facts.load, "loaded") != 0)
			return finding_set(ret, DOCTOR_MISSING, "%s is %s", machine_units[i].name, facts.load);
		if (*facts.fragment && !look_shipped(facts.fragment))
			return finding_set(ret, DOCTOR_DEGRADED, "%s is replaced by %.300s", machine_units[i].name,
				facts.fragment);
	}
	finding_set(ret, DOCTOR_OK, "%zu units as shipped", ELEMENTSOF(machine_units));
}

static void check_active(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(machine_units); i++) {
		_cleanup_(unit_facts_done) UnitFacts facts = { 0 };
		Reason reason;

		if (look_unit(doctor, machine_units[i].name, &facts, &reason) < 0)
			return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
		if (strcmp(facts.active, "active") == 0)
			continue;
		finding_remedy(
			ret, "systemctl start %s; systemctl status %s", machine_units[i].name, machine_units[i].name);
		return finding_set(ret, DOCTOR_MISSING, "%s is %s", machine_units[i].name, facts.active);
	}
	finding_set(ret, DOCTOR_OK, "all run");
}

static void check_enabled(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(machine_units); i++) {
		_cleanup_(unit_facts_done) UnitFacts facts = { 0 };
		Reason reason;

		if (!machine_units[i].at_boot)
			continue;
		if (look_unit(doctor, machine_units[i].name, &facts, &reason) < 0)
			return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
		if (strcmp(facts.file_state, "enabled") == 0)
			continue;
		finding_remedy(ret, "systemctl enable %s", machine_units[i].name);
		return finding_set(ret, DOCTOR_DEGRADED, "%s is %s: it will not start at boot", machine_units[i].name,
			facts.file_state);
	}
	finding_set(ret, DOCTOR_OK, "the front starts at boot");
}

static void check_drop_ins(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(machine_units); i++) {
		_cleanup_(unit_facts_done) UnitFacts facts = { 0 };
		Reason reason;

		if (look_unit(doctor, machine_units[i].name, &facts, &reason) < 0)
			return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
		for (size_t k = 0; k < facts.drop_ins.n; k++)
			if (!look_shipped(facts.drop_ins.items[k]))
				return finding_set(ret, DOCTOR_DEGRADED, "%s is changed by %.300s",
					machine_units[i].name, facts.drop_ins.items[k]);
	}
	finding_set(ret, DOCTOR_OK, "nothing but creel's and the distribution's");
}

static void check_reload(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(machine_units); i++) {
		_cleanup_(unit_facts_done) UnitFacts facts = { 0 };
		Reason reason;

		if (look_unit(doctor, machine_units[i].name, &facts, &reason) < 0)
			return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
		if (facts.needs_reload)
			return finding_set(ret, DOCTOR_DEGRADED, "%s was changed on disk", machine_units[i].name);
	}
	finding_set(ret, DOCTOR_OK, "what is on disk is loaded");
}

static void check_applied(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_close_ int fresh_fd = -EBADF, loaded_fd = -EBADF;
	char difference[320];
	int r;

	fresh_fd = open(doctor->fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	loaded_fd = open(GENERATED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fresh_fd < 0 || loaded_fd < 0)
		return finding_error(ret, -errno, GENERATED);
	r = drift_units(fresh_fd, loaded_fd, DRIFT_MACHINE, difference, sizeof(difference));
	if (r < 0)
		return finding_error(ret, r, GENERATED);
	if (r > 0)
		return finding_set(ret, DOCTOR_DEGRADED, "%s", difference);
	finding_set(ret, DOCTOR_OK, "creel.conf is applied");
}

/* All agents together leave the system its part. */
static void check_user_slice(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_close_ int cgroup_fd = open("/sys/fs/cgroup/user.slice", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *path = str_format("%s/user.slice.d/50-creel.conf", doctor->fresh), *text = NULL;
	const Doctor here = { .root = "" };
	char difference[320];
	int r;

	r = path ? look_read(&here, path, 64U * 1024, &text) : -ENOMEM;
	if (r < 0)
		return finding_error(ret, r, "what the generator makes for user.slice");
	r = cgroup_fd < 0 ? -ENOENT : drift_slice(text, cgroup_fd, difference, sizeof(difference));
	if (r < 0)
		return finding_error(ret, r, "user.slice");
	if (r > 0)
		return finding_set(ret, DOCTOR_MISSING, "user.slice: %s", difference);
	finding_set(ret, DOCTOR_OK, "all agents together leave the system its part");
}

const DoctorCheck doctor_units[] = {
	{ "units.version", "systemd is new enough", "install systemd 252 or later", NEEDS_BUS, check_version },
	{ "units.generator", "policies become limits", "remove what stands before it, or install creel again", 0,
		check_generator },
	{ "units.loaded", "creel's units are there as shipped", "systemctl unmask it, and remove what replaces it",
		NEEDS_BUS, check_loaded },
	{ "units.active", "they run", NULL, NEEDS_BUS, check_active },
	{ "units.enabled", "the front starts at boot", NULL, NEEDS_BUS, check_enabled },
	{ "units.overridden", "nobody else changed them", "remove it (systemctl revert), if it is not your own wish",
		NEEDS_BUS, check_drop_ins },
	{ "units.reload", "what is on disk is loaded", "systemctl daemon-reload", NEEDS_BUS, check_reload },
	{ "units.applied", "creel.conf is in effect", "creelctl policy apply; systemctl restart creel-sshd.service",
		NEEDS_FRESH, check_applied },
	{ "units.user_slice", "agents leave the system its memory", "systemctl daemon-reload", NEEDS_FRESH,
		check_user_slice },
	{ NULL },
};
