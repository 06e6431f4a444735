/* SPDX-License-Identifier: MIT */
/*
 * creelctl metrics: numbers for Prometheus, on stdout or as a file of the node exporter's textfile collector.
 *
 * What is counted from the record is kept in METRICS_STATE, with the place in the record up to which it was counted; only --write moves
 * that on, so that whoever looks changes nothing. Counting begins with the first --write, not with the record. Everything else is
 * asked of the kernel and the keepers each time.
 */
#include "shell/operator/metrics.h"
#include "shell/base/file.h"
#include "shell/base/keyed.h"
#include "shell/base/rate.h"
#include "shell/bus/bus.h"
#include "shell/operator/audit.h"
#include "shell/policy/enforced.h"

#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define METRICS_STATE_DIR "/var/lib/creel/metrics"
#define METRICS_STATE "state"
#define METRICS_FILE "creel.prom"
#define STATE_MAX (8U << 20)
#define AGENT_KEY "{agent=\"%s\"}"

typedef struct Place {
	char *cursor;        /* of the last entry that was counted; NULL: none */
	uint64_t since_usec; /* CLOCK_REALTIME: nothing before that counts */
} Place;

static void place_done(Place *place)
{
	free(place->cursor);
}

/* ---- from the record ---- */

typedef struct Counting {
	SeriesTable *table;
	const StrList *known;
} Counting;

static int count_entry(const RecordView *view, void *data)
{
	Counting *counting = data;

	return metrics_count(counting->table, view, counting->known);
}

static int ignore_entry(const RecordView *view, void *data)
{
	return 0;
}

static bool is_of_known(const char *key, const void *data)
{
	char agent[SERIES_LABEL_SIZE];

	return !series_key_label(key, "agent", agent) || !*agent || strlist_contains(data, agent);
}

/* Lines "cursor TEXT" and "since USEC", then series. No file is a first time. */
static int state_load(SeriesTable *table, Place *place)
{
	_cleanup_free_ char *text = NULL;
	char number[24] = "";
	const char *line;
	int r;

	r = file_read_at(AT_FDCWD, METRICS_STATE_DIR "/" METRICS_STATE, O_NOFOLLOW, STATE_MAX, &text, NULL);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (strncmp(text, "since ", 6) != 0)
		return -EBADMSG;
	(void)snprintf(number, sizeof(number), "%.*s", (int)strcspn(text + 6, "\n"), text + 6);
	r = str_to_u64(number, UINT64_MAX - 1, &place->since_usec);
	line = strstr(text, "\ncursor ");
	if (r == 0 && line) {
		place->cursor = strndup(line + 8, strcspn(line + 8, "\n"));
		r = place->cursor ? 0 : -ENOMEM;
	}
	return r < 0 ? r : series_load(table, text);
}

static int state_store(const SeriesTable *table, const Place *place)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	FILE *file;

	if ((mkdir("/var/lib/creel", 0755) < 0 && errno != EEXIST) ||
		(mkdir(METRICS_STATE_DIR, 0700) < 0 && errno != EEXIST))
		return -errno;
	fd = open(METRICS_STATE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	file = open_memstream(&text, &n);
	if (!file)
		return -ENOMEM;
	(void)fprintf(file, "since %llu\n", (unsigned long long)place->since_usec);
	if (place->cursor)
		(void)fprintf(file, "cursor %s\n", place->cursor);
	series_store(file, table);
	if (fclose(file) != 0)
		return -ENOMEM;
	return file_replace_at(fd, METRICS_STATE, text, n, 0600);
}

static int count_record(SeriesTable *table, Place *place, const StrList *known)
{
	const struct passwd *front = getpwnam(FRONT_USER);
	const bool first = !place->since_usec;
	Counting counting = { table, known };
	char *last = NULL;
	RecordFilter filter = {
		.front_uid = front ? front->pw_uid : (uid_t)-1,
		.uid = (uid_t)-1,
		.count = first ? 1 : UINT64_MAX,
		.since_usec = first ? 0 : place->since_usec,
		.after = place->cursor,
		.ret_last = &last,
	};
	int r;

	r = record_read(&filter, first ? ignore_entry : count_entry, &counting);
	if (r == -EINVAL && place->cursor) {
		(void)fprintf(stderr, "creelctl: " METRICS_STATE_DIR "/" METRICS_STATE
				      ": no place in the record; counted from now on\n");
		free(TAKE_PTR(place->cursor));
		place->since_usec = clock_realtime_usec();
		r = 0;
	}
	if (first)
		place->since_usec = clock_realtime_usec();
	if (last) {
		free(place->cursor);
		place->cursor = last;
	}
	for (size_t i = 0; (r == 0 || r == -ENOENT) && i < known->n; i++)
		r = metrics_begin(table, known->items[i]);
	return r == -ENOENT ? 0 : r;
}

/* ---- from the kernel and the keeper ---- */

static uint64_t event(int fd, const char *file, const char *key)
{
	char text[1024];
	uint64_t value;

	return file_get_at(fd, file, text, sizeof(text)) == 0 && keyed_u64(text, key, &value) == 0 ? value : 0;
}

static int add_hits(SeriesTable *table, const Agent *agent)
{
	static const struct {
		const char *limit, *file, *key;
	} rows[] = { { "memory", "memory.events", "max" }, { "oom", "memory.events", "oom_kill" },
		{ "tasks", "pids.events", "max" }, { "cpu", "cpu.stat", "nr_throttled" } };
	_cleanup_close_ int fd = -EBADF;
	ProcessUsage processes;
	char path[96];
	int r = 0;

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/user.slice/user-%u.slice", agent->uid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(rows); i++)
		r = series_set(table, event(fd, rows[i].file, rows[i].key),
			"creel_limit_hits_total{agent=\"%s\",limit=\"%s\"}", agent->name, rows[i].limit);
	if (r == 0 && process_usage_read("", agent->uid, &processes) == 0)
		r = series_set(table, processes.refused, "creel_limit_hits_total{agent=\"%s\",limit=\"processes\"}",
			agent->name);
	if (r == 0)
		r = series_set(table, event(fd, "cpu.stat", "throttled_usec"),
			"creel_cpu_throttled_seconds_total" AGENT_KEY, agent->name);
	return r;
}

/* Rows of the keeper's Limits that are told. */
static const struct {
	const char *name, *used, *limit;
} told[] = {
	{ "memory", "creel_memory_bytes", "creel_memory_limit_bytes" },
	{ "swap", "creel_swap_bytes", NULL },
	{ "cpu_usec", "creel_cpu_seconds_total", NULL },
	{ "processes", "creel_processes", "creel_processes_limit" },
	{ "sessions", "creel_sessions", "creel_sessions_limit" },
	{ "disk", "creel_disk_bytes", "creel_disk_limit_bytes" },
	{ "sent", "creel_network_sent_bytes_total", NULL },
	{ "received", "creel_network_received_bytes_total", NULL },
};

static int add_number(SeriesTable *table, const char *name, const char *agent, const char *text)
{
	uint64_t value;

	/* "max", "?" and "-" are no numbers */
	if (!name || str_to_u64(text, UINT64_MAX, &value) < 0)
		return 0;
	return series_set(table, value, "%s" AGENT_KEY, name, agent);
}

static int add_row(SeriesTable *table, const char *agent, const char *name, const char *limit, const char *use)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ELEMENTSOF(told); i++) {
		if (strcmp(told[i].name, name) != 0)
			continue;
		r = add_number(table, told[i].used, agent, use);
		if (r == 0)
			r = add_number(table, told[i].limit, agent, limit);
	}
	return r;
}

static int add_limits(SeriesTable *table, const char *agent, sd_bus_message *reply)
{
	const char *name, *limit, *use, *origin;
	int r, failed = 0;

	r = sd_bus_message_enter_container(reply, 'a', "(ssss)");
	while (r >= 0 && !failed && (r = sd_bus_message_read(reply, "(ssss)", &name, &limit, &use, &origin)) > 0)
		failed = add_row(table, agent, name, limit, use);
	return r < 0 ? r : failed;
}

static int add_agent(SeriesTable *table, const char *name, Reason *ret_reason)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(policy_freep) Policy *policy = NULL;
	_cleanup_(agent_done) Agent agent = { 0 };
	PolicyError error = { "" };
	Reason why;
	int r;

	r = agent_find(name, &agent, ret_reason);
	if (r < 0)
		return r;
	r = series_add(table, 1, "creel_agents{state=\"%s\"}", agent_state(&agent, &policy, &error));
	if (r < 0 || !agent_uid_valid(&agent))
		return r;
	if (limits_ask(agent.uid, &reply, why.text, sizeof(why.text)) < 0)
		reply = NULL;
	r = series_set(table, reply != NULL, "creel_keeper_up" AGENT_KEY, name);
	if (r == 0 && reply)
		r = add_limits(table, name, reply);
	return r == 0 ? add_hits(table, &agent) : r;
}

static int add_now(SeriesTable *table, const StrList *agents, Reason *ret_reason)
{
	uint64_t disk;
	int r;

	r = series_set(table, 1, "creel_build_info{version=\"%s\"}", CREEL_VERSION);
	if (r == 0)
		r = series_add(table, 0, "creel_agents{state=\"ok\"}");
	for (size_t i = 0; r == 0 && i < agents->n; i++)
		r = add_agent(table, agents->items[i], ret_reason);
	if (r == 0 && record_disk_use(&disk) >= 0)
		r = series_set(table, disk, "creel_record_disk_bytes");
	return r;
}

/* ---- where it goes ---- */

static int folder_of(char **ret, Reason *ret_reason)
{
	_cleanup_(policy_freep) Policy *defaults = NULL;
	PolicyError error = { "" };

	if (policy_load("", NULL, &defaults, &error) < 0)
		return reason_set(ret_reason, -EBADMSG, "%s", error.text);
	*ret = TAKE_PTR(defaults->metrics_textfile);
	return 0;
}

/* Whoever else could write there would choose what root replaces. */
static int write_file(const char *text, size_t n, Reason *ret_reason)
{
	_cleanup_free_ char *folder = NULL;
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	int r;

	r = folder_of(&folder, ret_reason);
	if (r < 0)
		return r;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return reason_set(ret_reason, -errno,
			"%s: %s; [metrics] textfile in " POLICY_DIR
			"/creel.conf names the folder of the node exporter's textfiles",
			folder, strerror(errno));
	if (st.st_uid != 0 || (st.st_mode & 022))
		return reason_set(
			ret_reason, -EPERM, "%s: others than root may write there; chown root, chmod go-w", folder);
	r = file_replace_at(fd, METRICS_FILE, text, n, 0644);
	return r < 0 ? reason_set(ret_reason, r, "%s/" METRICS_FILE ": %s", folder, strerror(-r)) : 0;
}

static int print_all(const SeriesTable *counted, const SeriesTable *now, char **ret, size_t *ret_n)
{
	FILE *file = open_memstream(ret, ret_n);

	if (!file)
		return -ENOMEM;
	series_print(file, metrics_families, now);
	series_print(file, metrics_families, counted);
	return fclose(file) == 0 ? 0 : -ENOMEM;
}

static int metrics(bool write, Reason *ret_reason)
{
	_cleanup_series_ SeriesTable counted = { 0 }, now = { 0 };
	_cleanup_(place_done) Place place = { 0 };
	_cleanup_strlist_ StrList agents = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r;

	r = agent_names(&agents, ret_reason);
	if (r < 0)
		return r;
	r = state_load(&counted, &place);
	if (r == -EBADMSG || r == -E2BIG) {
		/* nobody can say what it was: counters begin anew, as Prometheus expects of them */
		(void)fprintf(
			stderr, "creelctl: " METRICS_STATE_DIR "/" METRICS_STATE ": not readable; counted anew\n");
		r = 0;
	}
	if (r < 0)
		return reason_set(ret_reason, r, METRICS_STATE_DIR "/" METRICS_STATE ": %s", strerror(-r));
	series_filter(&counted, is_of_known, &agents);
	r = count_record(&counted, &place, &agents);
	if (r == 0)
		r = add_now(&now, &agents, ret_reason);
	if (r == 0)
		r = print_all(&counted, &now, &text, &n);
	if (r == 0 && !write) {
		(void)fwrite(text, 1, n, stdout);
	} else if (r == 0) {
		r = write_file(text, n, ret_reason);
		if (r == 0)
			r = state_store(&counted, &place);
	}
	return r < 0 && !*ret_reason->text ? reason_set(ret_reason, r, "metrics: %s", strerror(-r)) : r;
}

int metrics_main(int argc, char **argv)
{
	Reason reason = { "" };
	bool write = false;
	const WordOption options[] = { { "--write", .flag = &write }, { NULL } };

	if (words_parse(argc, argv, options, NULL) < 0)
		return EXIT_USAGE;
	if (metrics(write, &reason) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
