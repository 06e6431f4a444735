/* SPDX-License-Identifier: MIT */
/* creelctl audit usage: what each agent did and used, counted from the record, and how large the record is. */
#include "shell/operator/audit.h"
#include "shell/base/json.h"

#include <string.h>

typedef struct Account {
	char *agent;
	uint64_t entries, logins, commands, programs, runs, units, failures, refusals, lost;
	uint64_t time_usec, cpu_usec, memory_peak;
} Account;

typedef struct Accounts {
	Account *items;
	size_t n;
	uint64_t first_usec; /* the oldest entry; 0: none */
} Accounts;

static void accounts_done(Accounts *accounts)
{
	for (size_t i = 0; i < accounts->n; i++)
		free(accounts->items[i].agent);
	free(accounts->items);
}

static Account *account_of(Accounts *accounts, const char *agent)
{
	Account *more;

	for (size_t i = 0; i < accounts->n; i++)
		if (strcmp(accounts->items[i].agent, agent) == 0)
			return &accounts->items[i];
	more = realloc(accounts->items, (accounts->n + 1) * sizeof(*more));
	if (!more)
		return NULL;
	accounts->items = more;
	more[accounts->n] = (Account){ .agent = strdup(agent) };
	return more[accounts->n].agent ? &more[accounts->n++] : NULL;
}

static void add(uint64_t *sum, uint64_t value)
{
	if (__builtin_add_overflow(*sum, value, sum))
		*sum = UINT64_MAX - 1;
}

static int count(const RecordView *view, void *data)
{
	const char *kind = view->values[RECORD_KIND], *result = view->values[RECORD_RESULT];
	const char *agent = view->values[RECORD_AGENT];
	Accounts *accounts = data;
	Account *account = account_of(accounts, agent ? agent : "-");
	uint64_t peak = record_number(view, RECORD_MEMORY_PEAK);
	bool unit = str_equal(kind, "job") || str_equal(kind, "service") || str_equal(kind, "cron");
	bool ends = unit || str_equal(kind, "command") || str_equal(kind, "run");

	if (!account)
		return -ENOMEM;
	if (!accounts->first_usec)
		accounts->first_usec = view->realtime_usec;
	account->entries++;
	account->logins += str_equal(kind, "login");
	account->commands += str_equal(kind, "command");
	account->programs += str_equal(kind, "exec");
	account->runs += str_equal(kind, "run") && !str_equal(result, "refused");
	account->units += unit;
	account->refusals += str_equal(kind, "refusal") || str_equal(result, "refused");
	account->failures += ends && !str_equal(result, "refused") && !str_equal(result, "completed") &&
			     !(str_equal(result, "exit") && str_equal(view->values[RECORD_EXIT], "0"));
	add(&account->lost, record_number(view, RECORD_LOST));
	add(&account->lost, record_number(view, RECORD_SUPPRESSED));
	if (ends) {
		add(&account->time_usec, record_number(view, RECORD_DURATION));
		add(&account->cpu_usec, record_number(view, RECORD_CPU));
	}
	if (peak > account->memory_peak)
		account->memory_peak = peak;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const Account *)a)->agent, ((const Account *)b)->agent);
}

static void print_json(const Accounts *accounts, uint64_t disk)
{
	bool first = true;

	(void)fputc('{', stdout);
	json_number(stdout, &first, "since_usec", accounts->first_usec);
	json_number(stdout, &first, "disk_bytes", disk);
	json_key(stdout, &first, "agents");
	(void)fputc('[', stdout);
	for (size_t i = 0; i < accounts->n; i++) {
		const Account *account = &accounts->items[i];
		bool one = true;

		(void)fputs(i ? ",\n{" : "{", stdout);
		json_text(stdout, &one, "agent", account->agent);
		json_number(stdout, &one, "entries", account->entries);
		json_number(stdout, &one, "logins", account->logins);
		json_number(stdout, &one, "commands", account->commands);
		json_number(stdout, &one, "programs", account->programs);
		json_number(stdout, &one, "runs", account->runs);
		json_number(stdout, &one, "units", account->units);
		json_number(stdout, &one, "failures", account->failures);
		json_number(stdout, &one, "refusals", account->refusals);
		json_number(stdout, &one, "lost", account->lost);
		json_number(stdout, &one, "duration_usec", account->time_usec);
		json_number(stdout, &one, "cpu_usec", account->cpu_usec);
		json_number(stdout, &one, "memory_peak", account->memory_peak);
		(void)fputc('}', stdout);
	}
	(void)fputs("]}\n", stdout);
}

static void print_table(const Accounts *accounts, uint64_t disk)
{
	char size[24];

	(void)printf("%-16s %8s %7s %8s %8s %6s %6s %7s %8s %5s %10s %10s %8s\n", "AGENT", "ENTRIES", "LOGINS",
		"COMMANDS", "PROGRAMS", "RUNS", "UNITS", "FAILED", "REFUSED", "LOST", "TIME", "CPU", "PEAK");
	for (size_t i = 0; i < accounts->n; i++) {
		const Account *account = &accounts->items[i];
		char name[80];

		(void)printf("%-16s %8llu %7llu %8llu %8llu %6llu %6llu %7llu %8llu %5llu %9llus %9llus %8s\n",
			str_quote(account->agent, strlen(account->agent), name, sizeof(name)),
			(unsigned long long)account->entries, (unsigned long long)account->logins,
			(unsigned long long)account->commands, (unsigned long long)account->programs,
			(unsigned long long)account->runs, (unsigned long long)account->units,
			(unsigned long long)account->failures, (unsigned long long)account->refusals,
			(unsigned long long)account->lost, (unsigned long long)(account->time_usec / 1000000),
			(unsigned long long)(account->cpu_usec / 1000000),
			str_size(account->memory_peak, size, sizeof(size)));
	}
	(void)printf("the record takes %s on disk\n", str_size(disk, size, sizeof(size)));
}

int audit_usage_main(int argc, char **argv)
{
	_cleanup_(accounts_done) Accounts accounts = { 0 };
	AuditWords words = { .count = "all" };
	bool json = false;
	const WordOption options[] = { AUDIT_OPTIONS(words), { "--json", .flag = &json }, { NULL } };
	RecordFilter filter;
	uint64_t disk = 0;
	int r;

	if (words_parse(argc, argv, options, NULL) < 0)
		return EXIT_USAGE;
	if (audit_filter(&words, &filter) < 0)
		return EXIT_FAILURE;
	r = record_read(&filter, count, &accounts);
	if (r >= 0)
		r = record_disk_use(&disk);
	if (r < 0)
		return audit_failed(r);
	if (accounts.n)
		qsort(accounts.items, accounts.n, sizeof(Account), by_name);
	if (json)
		print_json(&accounts, disk);
	else
		print_table(&accounts, disk);
	return EXIT_SUCCESS;
}
