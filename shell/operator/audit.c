/* SPDX-License-Identifier: MIT */
/*
 * creelctl audit: the record's last entries, for people and as JSON lines.
 *
 * What agents and strangers typed is shown so that it can neither drive a terminal nor look like another
 * line.
 */
#include "shell/operator/operator.h"
#include "shell/audit/read.h"
#include "shell/base/json.h"
#include "shell/bus/bus.h"

#include <pwd.h>
#include <string.h>
#include <time.h>

#define COUNT_DEFAULT 50U
#define COUNT_MAX 1000000U

/* Printable ASCII stays; newlines and tabs get their letters, every other byte \xNN. */
static void put_text(const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '\\')
			(void)fputs("\\\\", stdout);
		else if (c == '\n')
			(void)fputs("\\n", stdout);
		else if (c == '\t')
			(void)fputs("\\t", stdout);
		else if (c < 0x20 || c >= 0x7f)
			(void)printf("\\x%02x", c);
		else
			(void)fputc(c, stdout);
	}
}

static void put_member(const char *name, const char *value)
{
	if (!value)
		return;
	(void)printf(" %s=", name);
	put_text(value);
}

/* Microseconds as seconds with three places. */
static void put_seconds(const char *name, const char *usec)
{
	uint64_t value;

	if (usec && str_to_u64(usec, UINT64_MAX, &value) == 0)
		(void)printf(" %s=%llu.%03llus", name, (unsigned long long)(value / 1000000),
			(unsigned long long)(value / 1000 % 1000));
}

static void put_size(const char *name, const char *bytes)
{
	char text[24];
	uint64_t value;

	if (bytes && str_to_u64(bytes, UINT64_MAX - 1, &value) == 0)
		(void)printf(" %s=%s", name, str_size(value, text, sizeof(text)));
}

static void format_time(uint64_t usec, char *buffer, size_t size)
{
	time_t seconds = (time_t)(usec / 1000000);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || !strftime(buffer, size, "%Y-%m-%dT%H:%M:%S%z", &tm))
		(void)snprintf(buffer, size, "?");
}

static void show_line(const RecordView *view, void *data)
{
	char when[40];

	format_time(view->realtime_usec, when, sizeof(when));
	(void)printf("%s %-9s ", when, view->kind ? view->kind : "?");
	put_text(view->agent ? view->agent : "-");
	put_member("session", view->session);
	put_member("peer", view->peer);
	put_member("run", view->run);
	put_member("language", view->language);
	put_member("label", view->label);
	put_member("repl", view->repl);
	/* the code itself and its output are in --json: they are no part of a line */
	put_size("code", view->code_bytes);
	put_member("result", view->result);
	put_member("exit", view->exit);
	put_member("signal", view->signal);
	put_seconds("time", view->duration_usec);
	put_seconds("cpu", view->cpu_usec);
	put_size("peak", view->memory_peak);
	put_size("stdout", view->output_bytes);
	put_size("stderr", view->error_bytes);
	put_member("state", view->state);
	put_member("oom-kills", view->oom_kills);
	put_member("key", view->key);
	put_member("lost-before", view->lost);
	if (!view->trusted)
		(void)fputs(" by=front", stdout);
	put_member("reason", view->reason);
	put_member("command", view->command);
	/* of the other kinds the message only repeats the fields */
	if (str_equal(view->kind, "keeper"))
		put_member("message", view->message);
	(void)fputc('\n', stdout);
}

static void put_count(bool *first, const char *key, const char *digits)
{
	uint64_t value;

	if (digits && str_to_u64(digits, UINT64_MAX - 1, &value) == 0)
		json_number(stdout, first, key, value);
}

static void put_json_text(bool *first, const char *key, const char *value)
{
	if (value)
		json_text(stdout, first, key, value);
}

static void show_json(const RecordView *view, void *data)
{
	bool first = true;

	(void)fputc('{', stdout);
	json_number(stdout, &first, "time_usec", view->realtime_usec);
	put_json_text(&first, "kind", view->kind);
	put_json_text(&first, "agent", view->agent);
	json_text(stdout, &first, "by", view->trusted ? "keeper" : "front");
	put_json_text(&first, "session", view->session);
	put_json_text(&first, "door", view->door);
	put_json_text(&first, "peer", view->peer);
	put_json_text(&first, "key", view->key);
	put_count(&first, "channel", view->channel);
	put_json_text(&first, "command", view->command);
	put_json_text(&first, "run", view->run);
	put_json_text(&first, "language", view->language);
	put_json_text(&first, "label", view->label);
	put_json_text(&first, "repl", view->repl);
	put_json_text(&first, "caller", view->caller);
	put_json_text(&first, "code", view->code);
	put_count(&first, "code_bytes", view->code_bytes);
	put_json_text(&first, "result", view->result);
	put_count(&first, "exit", view->exit);
	put_json_text(&first, "signal", view->signal);
	put_json_text(&first, "reason", view->reason);
	put_count(&first, "duration_usec", view->duration_usec);
	put_count(&first, "cpu_usec", view->cpu_usec);
	put_count(&first, "memory_peak", view->memory_peak);
	put_count(&first, "oom_kills", view->oom_kills);
	put_json_text(&first, "stdout", view->output);
	put_count(&first, "stdout_bytes", view->output_bytes);
	put_json_text(&first, "stderr", view->error_output);
	put_count(&first, "stderr_bytes", view->error_bytes);
	put_json_text(&first, "state", view->state);
	put_count(&first, "lost_before", view->lost);
	put_json_text(&first, "message", view->message);
	(void)fputs("}\n", stdout);
}

int audit_main(int argc, char **argv)
{
	RecordFilter filter = { .count = COUNT_DEFAULT, .front_uid = (uid_t)-1 };
	const struct passwd *front = getpwnam(FRONT_USER);
	const char *count = NULL;
	bool json = false;
	const WordOption options[] = {
		{ "-n", .value = &count },
		{ "--agent", .value = &filter.agent },
		{ "--json", .flag = &json },
		{ NULL },
	};
	int r;

	if (words_parse(argc, argv, options, NULL) < 0 || (count && str_to_u64(count, COUNT_MAX, &filter.count) < 0))
		return EXIT_USAGE;
	if (filter.agent && !policy_name_valid(filter.agent)) {
		(void)fprintf(stderr, "creelctl: --agent: not a name for an agent\n");
		return EXIT_FAILURE;
	}
	if (front)
		filter.front_uid = front->pw_uid;
	r = record_read(&filter, json ? show_json : show_line, NULL);
	if (r < 0) {
		(void)fprintf(stderr, "creelctl: journal namespace creel: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
