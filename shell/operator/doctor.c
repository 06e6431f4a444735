/* SPDX-License-Identifier: MIT */
/*
 * creelctl doctor: walks the tables, says what it found, and ends with one verdict.
 *
 * What a row needs (root, the running machine, the service manager) is looked at before its check is called, so that no check
 * can take a refusal for an answer.
 */
#include "shell/operator/doctor.h"
#include "shell/base/json.h"
#include "shell/policy/agents.h"

#include <ftw.h>
#include <pwd.h>
#include <shadow.h>
#include <string.h>
#include <time.h>

#define GENERATOR CREEL_UNITDIR "-generators/creel-generator"

static const char *const state_words[] = {
	[DOCTOR_OK] = "OK",
	[DOCTOR_UNSEEN] = "UNSEEN",
	[DOCTOR_DEGRADED] = "DEGRADED",
	[DOCTOR_MISSING] = "MISSING",
};

/* 2 is wrong usage, as with every verb. */
static const int state_exit[] = {
	[DOCTOR_OK] = 0,
	[DOCTOR_UNSEEN] = 4,
	[DOCTOR_DEGRADED] = 1,
	[DOCTOR_MISSING] = 3,
};

typedef struct Report {
	bool json, first;
	bool quiet;        /* nothing at all when all is OK */
	bool brief;        /* only what is not OK, one line each, and the verdict */
	const char *only;  /* one check's id; NULL: all */
	const char *title; /* printed before the next row */
	size_t count[ELEMENTSOF(state_words)];
	DoctorState worst;
} Report;

DoctorState doctor_worse(DoctorState a, DoctorState b)
{
	return a > b ? a : b;
}

/* ---- opening ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path);
	return 0;
}

static void forget_folder(char *folder)
{
	if (folder)
		(void)nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(folder);
}

static void doctor_done(Doctor *doctor)
{
	forget_folder(doctor->fresh);
	(void)policy_free(doctor->defaults);
	(void)sd_bus_close_unref(doctor->bus);
	*doctor = (Doctor){ 0 };
}

static int connect_manager(bool is_root, sd_bus **ret)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r;

	if (!is_root) {
		r = sd_bus_open_system(&bus);
	} else {
		r = sd_bus_new(&bus);
		if (r >= 0)
			r = sd_bus_set_address(bus, "unix:path=/run/systemd/private");
		if (r >= 0)
			r = sd_bus_start(bus);
	}
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, DOCTOR_PATIENCE * UINT64_C(1000000));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(bus);
	return 0;
}

/*
 * Once, when the first row needs it. With --root the generator takes no part in the machine: its words come to us, not into
 * the kernel's log.
 */
static void make_fresh(Doctor *doctor)
{
	_cleanup_free_ char *folder = str_format("%s/creel-doctor-XXXXXX", doctor->is_root ? "/run" : "/tmp");
	const char *const argv[] = { GENERATOR, "--root", "/", folder, NULL };
	Reason reason = { "" };

	if (doctor->fresh || doctor->fresh_why[0])
		return;
	if (!folder || !mkdtemp(folder)) {
		(void)snprintf(doctor->fresh_why, sizeof(doctor->fresh_why), "a temporary folder: %s", strerror(errno));
		return;
	}
	if (command_output(argv, DOCTOR_PATIENCE, NULL, &reason)) {
		(void)snprintf(doctor->fresh_why, sizeof(doctor->fresh_why), "%.500s", reason.text);
		return forget_folder(TAKE_PTR(folder));
	}
	doctor->fresh = TAKE_PTR(folder);
}

static int doctor_open(const char *root, Doctor *ret)
{
	_cleanup_(doctor_done) Doctor doctor = { .root = root, .is_root = geteuid() == 0 };
	int r;

	r = policy_load(root, NULL, &doctor.defaults, &doctor.error);
	if (r < 0 && !doctor.error.text[0])
		(void)snprintf(doctor.error.text, sizeof(doctor.error.text), "%s", strerror(-r));
	if (!*root) {
		r = connect_manager(doctor.is_root, &doctor.bus);
		if (r < 0)
			(void)snprintf(doctor.bus_why, sizeof(doctor.bus_why),
				"the service manager cannot be reached: %s", strerror(-r));
	}
	*ret = doctor;
	doctor = (Doctor){ .root = "" };
	return 0;
}

/* ---- agents ---- */

static void agent_close(DoctorAgent *agent)
{
	agent_done(&agent->agent);
	(void)policy_free(agent->policy);
	*agent = (DoctorAgent){ 0 };
}

/* From passwd(5) itself, as the generator does it. */
static int find_user(const Doctor *doctor, Agent *agent)
{
	_cleanup_free_ char *path = str_format("%s/etc/passwd", doctor->root);
	_cleanup_fclose_ FILE *file = path ? fopen(path, "re") : NULL;
	const struct passwd *entry;

	if (!file)
		return path ? -errno : -ENOMEM;
	while ((entry = fgetpwent(file))) {
		if (strcmp(entry->pw_name, agent->name) != 0)
			continue;
		agent->has_user = true;
		agent->uid = entry->pw_uid;
		agent->gid = entry->pw_gid;
		agent->home = strdup(entry->pw_dir);
		agent->shell = strdup(entry->pw_shell);
		return agent->home && agent->shell ? 0 : -ENOMEM;
	}
	return 0;
}

static void find_lock(const Doctor *doctor, Agent *agent)
{
	_cleanup_free_ char *path = str_format("%s/etc/shadow", doctor->root);
	_cleanup_fclose_ FILE *file = path ? fopen(path, "re") : NULL;
	const struct spwd *entry;

	while (file && (entry = fgetspent(file)))
		if (strcmp(entry->sp_namp, agent->name) == 0)
			agent->locked = entry->sp_expire >= 0 && time(NULL) / 86400 >= entry->sp_expire;
}

static int agent_open(const Doctor *doctor, const char *name, DoctorAgent *ret)
{
	_cleanup_(agent_close) DoctorAgent found = { 0 };
	_cleanup_free_ AgentMark *marks = NULL;
	_cleanup_free_ char *path = NULL;
	struct stat st;
	size_t n = 0;
	int r;

	found.agent.name = strdup(name);
	found.agent.file = str_format("%s/agents/%s.conf", POLICY_DIR, name);
	path = str_format("%s%s", doctor->root, found.agent.file ? found.agent.file : "");
	if (!found.agent.name || !found.agent.file || !path)
		return -ENOMEM;
	found.agent.has_file = lstat(path, &st) == 0;
	r = find_user(doctor, &found.agent);
	if (r == 0)
		r = marks_list(doctor->root, &marks, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(marks[i].name, name) != 0)
			continue;
		found.agent.marked = true;
		found.agent.uid_marked |= found.agent.has_user && marks[i].uid == found.agent.uid;
	}
	if (found.agent.has_user)
		find_lock(doctor, &found.agent);
	r = policy_load(doctor->root, name, &found.policy, &found.error);
	if (r < 0 && !found.error.text[0])
		(void)snprintf(found.error.text, sizeof(found.error.text), "%s: %s", found.agent.file, strerror(-r));
	*ret = found;
	found = (DoctorAgent){ 0 };
	return 0;
}

/* Policy files and marks, sorted. */
static int list_agents(const Doctor *doctor, StrList *ret)
{
	_cleanup_free_ AgentMark *marks = NULL;
	size_t n = 0;
	int r;

	r = agents_list(doctor->root, ret, NULL);
	if (r == 0)
		r = marks_list(doctor->root, &marks, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (policy_name_valid(marks[i].name) && !strlist_contains(ret, marks[i].name))
			r = strlist_add(ret, marks[i].name);
	return r;
}

/* ---- one row ---- */

static bool needs_met(Doctor *doctor, const DoctorAgent *agent, unsigned int needs, Finding *ret)
{
	if ((needs & NEEDS_FRESH) == NEEDS_FRESH && !*doctor->root)
		make_fresh(doctor);
	if ((needs & NEEDS_LIVE) && *doctor->root)
		finding_set(ret, DOCTOR_UNSEEN, "only the running machine shows it");
	else if ((needs & NEEDS_ROOT) && !doctor->is_root)
		finding_set(ret, DOCTOR_UNSEEN, "only root can see it");
	else if ((needs & NEEDS_BUS) == NEEDS_BUS && !doctor->bus)
		finding_set(ret, DOCTOR_UNSEEN, "%s", doctor->bus_why);
	else if ((needs & NEEDS_FRESH) == NEEDS_FRESH && !doctor->fresh)
		finding_set(ret, DOCTOR_UNSEEN, "%s", doctor->fresh_why);
	else if ((needs & NEEDS_USER) && !(agent && agent_uid_valid(&agent->agent)))
		finding_set(ret, DOCTOR_UNSEEN, "there is no such user");
	else if ((needs & NEEDS_POLICY) && !(agent && agent->policy))
		finding_set(ret, DOCTOR_UNSEEN, "the policy cannot be read");
	else
		return true;
	return false;
}

static void print_json(const DoctorCheck *check, const DoctorAgent *agent, const Finding *finding, const char *remedy)
{
	bool first = true;

	(void)fputc('{', stdout);
	json_text(stdout, &first, "id", check->id);
	json_text(stdout, &first, "agent", agent ? agent->agent.name : NULL);
	json_text(stdout, &first, "state", state_words[finding->state]);
	json_text(stdout, &first, "what", check->what);
	json_text(stdout, &first, "detail", finding->detail);
	json_text(stdout, &first, "remedy", remedy);
	(void)fputc('}', stdout);
}

static void print_text(
	Report *report, const DoctorCheck *check, const DoctorAgent *agent, const Finding *finding, const char *remedy)
{
	if (report->brief) {
		(void)printf("%-10s %s%s%s: %s\n", state_words[finding->state], check->id, agent ? " of " : "",
			agent ? agent->agent.name : "", finding->detail);
		return;
	}
	if (report->title)
		(void)printf("%s\n", report->title);
	report->title = NULL;
	(void)printf("  %-8s  %-23s  %s\n", state_words[finding->state], check->id, finding->detail);
	if (remedy)
		(void)printf("  %-8s  %-23s  -> %s\n", "", "", remedy);
}

/* What a file or another program said may come from an agent's folder: nothing in it may drive a terminal. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			*text = '?';
}

static void run_row(Doctor *doctor, const DoctorAgent *agent, const DoctorCheck *check, Report *report)
{
	Finding finding = { .state = DOCTOR_OK };
	const char *remedy = NULL;

	if (needs_met(doctor, agent, check->needs, &finding))
		check->check(doctor, agent, &finding);
	report->count[finding.state]++;
	report->worst = doctor_worse(report->worst, finding.state);
	if (finding.state == DOCTOR_UNSEEN && !doctor->is_root && !finding.remedy[0])
		remedy = "run creelctl doctor as root";
	else if (finding.state == DOCTOR_DEGRADED || finding.state == DOCTOR_MISSING)
		remedy = finding.remedy[0] ? finding.remedy : check->remedy;
	clean(finding.detail);
	clean(finding.remedy);
	if ((report->quiet || report->brief) && finding.state == DOCTOR_OK)
		return;
	if (report->json) {
		(void)fputs(report->first ? "" : ",\n", stdout);
		report->first = false;
		print_json(check, agent, &finding, remedy);
	} else {
		print_text(report, check, agent, &finding, remedy);
	}
}

static void run_table(
	Doctor *doctor, const DoctorAgent *agent, const DoctorCheck *table, const char *title, Report *report)
{
	report->title = title ? title : report->title;
	for (; table->id; table++)
		if (!report->only || strcmp(report->only, table->id) == 0)
			run_row(doctor, agent, table, report);
}

static int run_agents(Doctor *doctor, const StrList *names, const char *only, Report *report)
{
	for (size_t i = 0; i < names->n; i++) {
		_cleanup_(agent_close) DoctorAgent agent = { 0 };
		char title[64];
		int r;

		if (only && strcmp(names->items[i], only) != 0)
			continue;
		r = agent_open(doctor, names->items[i], &agent);
		if (r < 0) {
			(void)fprintf(stderr, "creelctl: agent %s: %s\n", names->items[i], strerror(-r));
			return r;
		}
		(void)snprintf(title, sizeof(title), "agent %s", names->items[i]);
		run_table(doctor, &agent, doctor_agent, title, report);
		run_table(doctor, &agent, doctor_enforced, NULL, report);
		run_table(doctor, &agent, doctor_agent_network, NULL, report);
		report->title = NULL;
	}
	return 0;
}

static void print_verdict(const Report *report)
{
	size_t all = 0;

	for (size_t i = 0; i < ELEMENTSOF(report->count); i++)
		all += report->count[i];
	if (report->json) {
		bool first = false;

		(void)fputc(']', stdout);
		json_text(stdout, &first, "verdict", state_words[report->worst]);
		json_number(stdout, &first, "ok", report->count[DOCTOR_OK]);
		json_number(stdout, &first, "unseen", report->count[DOCTOR_UNSEEN]);
		json_number(stdout, &first, "degraded", report->count[DOCTOR_DEGRADED]);
		json_number(stdout, &first, "missing", report->count[DOCTOR_MISSING]);
		(void)fputs("}\n", stdout);
		return;
	}
	if (report->quiet && report->worst == DOCTOR_OK)
		return;
	(void)printf("doctor: %s: %zu of %zu checks are OK", state_words[report->worst], report->count[DOCTOR_OK], all);
	for (size_t i = ELEMENTSOF(report->count); i-- > 1;)
		if (report->count[i])
			(void)printf(", %zu %s", report->count[i], state_words[i]);
	(void)fputc('\n', stdout);
}

static bool check_exists(const char *id)
{
	const DoctorCheck *const tables[] = { doctor_kernel, doctor_units, doctor_files, doctor_doors, doctor_network,
		doctor_agent, doctor_enforced, doctor_agent_network };

	for (size_t i = 0; i < ELEMENTSOF(tables); i++)
		for (const DoctorCheck *check = tables[i]; check->id; check++)
			if (strcmp(check->id, id) == 0)
				return true;
	return false;
}

int doctor_main(int argc, char **argv)
{
	static const struct {
		const char *title;
		const DoctorCheck *table;
	} machine[] = {
		{ "kernel", doctor_kernel },
		{ "units", doctor_units },
		{ "files and record", doctor_files },
		{ "doors", doctor_doors },
		{ "network", doctor_network },
	};
	_cleanup_strlist_ StrList names = { 0 };
	_cleanup_(doctor_done) Doctor doctor = { 0 };
	Report report = { .first = true };
	const char *root = "", *only = NULL;
	const WordOption options[] = {
		{ "--json", .flag = &report.json },
		{ "--quiet", .flag = &report.quiet },
		{ "--brief", .flag = &report.brief },
		{ "--agent", .value = &only },
		{ "--check", .value = &report.only },
		{ "--root", .value = &root },
		{ NULL },
	};
	int r;

	if (words_parse(argc, argv, options, NULL) < 0 || (report.only && !check_exists(report.only)))
		return EXIT_USAGE;
	r = doctor_open(strcmp(root, "/") == 0 ? "" : root, &doctor);
	if (r == 0)
		r = list_agents(&doctor, &names);
	if (r < 0) {
		(void)fprintf(stderr, "creelctl: doctor: the agents cannot be listed: %s\n", strerror(-r));
		return state_exit[DOCTOR_MISSING];
	}
	if (only && !strlist_contains(&names, only)) {
		(void)fprintf(stderr, "creelctl: there is no such agent\n");
		return state_exit[DOCTOR_MISSING];
	}
	if (report.json) {
		bool first = true;

		(void)fputc('{', stdout);
		json_text(stdout, &first, "version", CREEL_VERSION);
		json_key(stdout, &first, "checks");
		(void)fputc('[', stdout);
	}
	for (size_t i = 0; i < ELEMENTSOF(machine) && !only; i++)
		run_table(&doctor, NULL, machine[i].table, machine[i].title, &report);
	r = run_agents(&doctor, &names, only, &report);
	if (r < 0)
		report.worst = DOCTOR_MISSING;
	print_verdict(&report);
	return state_exit[report.worst];
}
