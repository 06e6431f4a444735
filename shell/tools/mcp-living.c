/* SPDX-License-Identifier: MIT */
/*
 * Tools about what lives on: services, jobs, cron, and what runs. Each is one of creel's verbs, executed as an agent would type
 * it; what a client names stands where no option is read.
 */
#include "shell/tools/mcp-tools.h"
#include "shell/base/str.h"

#include <inttypes.h>
#include <string.h>

#define QUICK_USEC (60 * UINT64_C(1000000))
#define HEALTH_USEC (15 * UINT64_C(1000000)) /* creel service create's own */
#define TRIAL_USEC (180 * UINT64_C(1000000)) /* a script of cron's that is run at once */
#define LINES 100U
#define LINES_MAX 10000U

#define NAME(what) REQUIRED("name", FIELD_STRING, name, .description = what)
#define COMMAND                                       \
	REQUIRED("command", FIELD_STRINGS, arguments, \
		.description = "The program and its " \
			       "arguments, one string each; no shell reads them.")
#define DIRECTORY(what) ARGUMENT("directory", FIELD_STRING, directory, .description = what)
#define ENVIRONMENT                                         \
	ARGUMENT("environment", FIELD_STRINGS, environment, \
		.description = "Variables of the program, each as NAME=value.")

static const char verb_schema[] =
	"{\"type\": \"object\", \"properties\": {"
	"\"result\": {\"description\": \"what creel's verb says with --json; text where it says text\"},"
	"\"error\": " STRING_OR_NULL ","
	"\"exit_code\": {\"type\": \"integer\"}}, \"required\": [\"result\", \"error\", \"exit_code\"]}";

/* ---- words ---- */

static int add_option(StrList *words, const char *option, const char *value)
{
	int r;

	if (!value)
		return 0;
	r = strlist_add(words, option);
	return r < 0 ? r : strlist_add(words, value);
}

static int add_flag(StrList *words, const char *option, bool given)
{
	return given ? strlist_add(words, option) : 0;
}

static int add_each(StrList *words, const char *option, char *const *values)
{
	int r = 0;

	for (size_t i = 0; r == 0 && values && values[i]; i++)
		r = add_option(words, option, values[i]);
	return r;
}

static int add_number(StrList *words, const char *option, uint64_t value, const char *unit)
{
	int r = strlist_add(words, option);

	return r < 0 ? r : strlist_push(words, str_format("%" PRIu64 "%s", value, unit));
}

/* The last: all behind it is the program's. */
static int add_command(StrList *words, char *const *command)
{
	int r = command && *command ? strlist_add(words, "--") : 0;

	for (size_t i = 0; r == 0 && command && command[i]; i++)
		r = strlist_add(words, command[i]);
	return r;
}

static int add_time(StrList *words, uint64_t usec)
{
	return usec == RUN_DEFAULT ? 0 : add_number(words, "--timeout", (usec + 999) / 1000, "ms");
}

static json_t *verb_refused(McpRequest *request, const McpTool *tool, const char *why)
{
	return tool_failure(tool, request->version, why);
}

/* Hands it to the program. `r` is what the words came to. */
static json_t *verb_begin(McpRequest *request, const McpTool *tool, const StrList *words, int r, uint64_t timeout_usec)
{
	McpCall *call;
	char why[512];

	if (r < 0)
		return NULL;
	call = tool_call_new(request, tool);
	if (!call)
		return NULL;
	call->timeout_usec = timeout_usec;
	if (request->mcp->hooks->verb(request->mcp->userdata, call, words, timeout_usec, why, sizeof(why)) < 0)
		return tool_call_refused(request, call, why);
	return NULL;
}

/* What stands where a verb also looks for options. */
static bool word_is_plain(const char *word)
{
	return *word && *word != '-';
}

/* ---- tools ---- */

static json_t *tool_service_create(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	_cleanup_strlist_ StrList words = { 0 };
	uint64_t wait = input->timeout_usec == RUN_DEFAULT ? HEALTH_USEC : input->timeout_usec;
	int r;

	if (!word_is_plain(input->name))
		return verb_refused(request, tool, "`name` must not be empty nor begin with a dash");
	if (!*input->arguments)
		return verb_refused(request, tool, "`command` must have a program");
	r = strlist_add(&words, "service");
	if (r == 0)
		r = strlist_add(&words, "create");
	if (r == 0)
		r = strlist_add(&words, input->name);
	if (r == 0)
		r = add_number(&words, "--port", input->port, "");
	if (r == 0)
		r = add_option(&words, "--health", input->health);
	if (r == 0)
		r = add_option(&words, "--ready-log", input->ready_log);
	if (r == 0)
		r = add_option(&words, "--dir", input->directory);
	if (r == 0)
		r = add_each(&words, "--env", input->environment);
	if (r == 0)
		r = add_option(&words, "--restart", input->restart);
	if (r == 0)
		r = add_time(&words, input->timeout_usec);
	if (r == 0)
		r = add_flag(&words, "--replace", input->replace);
	if (r == 0)
		r = strlist_add(&words, "--json");
	if (r == 0)
		r = add_command(&words, input->arguments);
	return verb_begin(request, tool, &words, r, wait < UINT64_MAX - QUICK_USEC ? wait + QUICK_USEC : wait);
}

static json_t *tool_job_start(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	_cleanup_strlist_ StrList words = { 0 };
	int r;

	if (!word_is_plain(input->name))
		return verb_refused(request, tool, "`name` must not be empty nor begin with a dash");
	if (!*input->arguments)
		return verb_refused(request, tool, "`command` must have a program");
	r = strlist_add(&words, "job");
	if (r == 0)
		r = strlist_add(&words, "start");
	if (r == 0)
		r = strlist_add(&words, input->name);
	if (r == 0)
		r = add_flag(&words, "--restart", input->restarts);
	if (r == 0)
		r = add_time(&words, input->timeout_usec);
	if (r == 0)
		r = add_each(&words, "--env", input->environment);
	if (r == 0)
		r = strlist_add(&words, "--json");
	if (r == 0)
		r = add_command(&words, input->arguments);
	return verb_begin(request, tool, &words, r, QUICK_USEC);
}

static json_t *tool_job_logs(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	_cleanup_strlist_ StrList words = { 0 };
	uint64_t lines = input->lines ? input->lines : LINES;
	int r;

	if (!word_is_plain(input->name))
		return verb_refused(request, tool, "`name` must not be empty nor begin with a dash");
	if (lines > LINES_MAX)
		return verb_refused(request, tool, "`lines` must be at most 10000");
	r = strlist_add(&words, "job");
	if (r == 0)
		r = strlist_add(&words, "logs");
	if (r == 0)
		r = strlist_add(&words, input->name);
	if (r == 0)
		r = add_number(&words, "-n", lines, "");
	return verb_begin(request, tool, &words, r, QUICK_USEC);
}

static json_t *tool_cron_add(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	_cleanup_strlist_ StrList words = { 0 };
	int r;

	if (!word_is_plain(input->schedule) || !word_is_plain(input->script))
		return verb_refused(request, tool, "`schedule` and `script` must not be empty nor begin with a dash");
	r = strlist_add(&words, "cron");
	if (r == 0)
		r = strlist_add(&words, "add");
	if (r == 0)
		r = strlist_add(&words, input->schedule);
	if (r == 0)
		r = strlist_add(&words, input->script);
	if (r == 0)
		r = add_option(&words, "--name", input->name);
	if (r == 0)
		r = add_flag(&words, "--run-now", input->run_now);
	if (r == 0)
		r = strlist_add(&words, "--json");
	if (r == 0)
		r = add_command(&words, input->arguments);
	return verb_begin(request, tool, &words, r, input->run_now ? TRIAL_USEC : QUICK_USEC);
}

/* Verbs that only show: the tool's name has the words, e.g. cron_list. */
static json_t *tool_show(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	_cleanup_strlist_ StrList words = { 0 };
	const char *under = strchr(tool->name, '_');
	size_t n = under ? (size_t)(under - tool->name) : strlen(tool->name);
	int r = strlist_push(&words, strndup(tool->name, n));

	if (r == 0 && under)
		r = strlist_add(&words, under + 1);
	if (r == 0)
		r = strlist_add(&words, "--json");
	return verb_begin(request, tool, &words, r, QUICK_USEC);
}

const McpTool living_tools[] = {
	{ .name = "service_create",
		.title = "Create a service",
		.description = "Make a server that stays: started now and with the machine, again when it fails. Waits "
			       "until it is "
			       "healthy, and gives its URL, PID and log; when it is not, the reason and the last lines "
			       "of the log.",
		.arguments = { NAME("What it is called: letters, digits, dot, dash and underscore."), COMMAND,
			REQUIRED("port", FIELD_COUNT, port,
				.description = "The port that it listens on; also in the variable PORT."),
			ARGUMENT("health", FIELD_STRING, health,
				.description = "An HTTP path that answers when it is ready, such as /health."),
			ARGUMENT("ready_log", FIELD_STRING, ready_log,
				.description = "A regular expression of a line in its log that says it is ready."),
			DIRECTORY("Where it runs."), ENVIRONMENT,
			ARGUMENT("restart", FIELD_STRING, restart, .description = "When it is started again.",
				.words = "no on-failure always", .fallback = "\"on-failure\""),
			ARGUMENT("timeout", FIELD_TIME, timeout_usec,
				.description = "How long to wait until it is healthy, in seconds.", .fallback = "15"),
			ARGUMENT("replace", FIELD_FLAG, replace,
				.description =
					"Also where there is one of this name, even one that was edited by hand.",
				.fallback = "false") },
		.output = verb_schema,
		.call = tool_service_create },
	{ .name = "service_list",
		.title = "List services",
		.description = "List the services, with state, port, URL and PID.",
		.output = verb_schema,
		.reads = true,
		.call = tool_show },
	{ .name = "job_start",
		.title = "Start a job",
		.description = "Start a program that goes on when the connection ends, with a log and a PID file. It "
			       "ends by itself, or by "
			       "`creel job stop NAME` in a shell.",
		.arguments = { NAME("What it is called: letters, digits, dot, dash and underscore."), COMMAND,
			ENVIRONMENT,
			ARGUMENT("restart", FIELD_FLAG, restarts, .description = "Start it again when it fails.",
				.fallback = "false"),
			ARGUMENT("timeout", FIELD_TIME, timeout_usec,
				.description = "End it after so many seconds; without it, it may run for ever.") },
		.output = verb_schema,
		.call = tool_job_start },
	{ .name = "job_logs",
		.title = "Read a job's log",
		.description = "The last lines of what a job wrote, also of one that has ended.",
		.arguments = { NAME("Which job."),
			ARGUMENT("lines", FIELD_COUNT, lines, .description = "How many lines, at most 10000.",
				.fallback = "100") },
		.output = verb_schema,
		.reads = true,
		.call = tool_job_logs },
	{ .name = "cron_add",
		.title = "Schedule a script",
		.description = "Run a script again and again, as a line of the crontab says. It is checked first, and "
			       "gets a log file.",
		.arguments = { REQUIRED("schedule", FIELD_STRING, schedule,
				       .description = "Five fields of crontab(5), such as \"*/30 * * * *\", or @daily "
						      "and its like."),
			REQUIRED("script", FIELD_STRING, script, .description = "The script's path."),
			ARGUMENT("name", FIELD_STRING, name, .description = "What it is called; else as the script."),
			ARGUMENT("arguments", FIELD_STRINGS, arguments, .description = "The script's arguments."),
			ARGUMENT("run_now", FIELD_FLAG, run_now,
				.description = "Run it once at once, and tell what came of it.", .fallback = "false") },
		.output = verb_schema,
		.call = tool_cron_add },
	{ .name = "cron_list",
		.title = "List the crontab",
		.description = "List what cron runs, with the last result and the next time.",
		.output = verb_schema,
		.reads = true,
		.call = tool_show },
	{ .name = "ps",
		.title = "List all that runs",
		.description = "List sessions, jobs, screens, services, timers, interpreters, runs and strays, with "
			       "PID, memory, "
			       "CPU, uptime and listening ports.",
		.output = verb_schema,
		.reads = true,
		.call = tool_show },
	{ .name = "status",
		.title = "Show what is used",
		.description = "Memory, processes, CPU, disk and network beside their limits, and who uses most.",
		.output = verb_schema,
		.reads = true,
		.call = tool_show },
};
const size_t living_tools_n = ELEMENTSOF(living_tools);

/* ---- what came of it ---- */

static json_t *verb_error(const ChildEnd *end)
{
	static const char cut[] = "Error: there was more output than can be shown";
	size_t n = end->err_n;

	if (end->late)
		return json_string("Error: it did not end in time");
	if (end->out_cut)
		return json_string(cut);
	if (end->status == 0)
		return json_null();
	while (n && (end->err[n - 1] == '\n' || end->err[n - 1] == ' '))
		n--;
	return n ? jsontext_string(end->err, n) : json_sprintf("Error: exit status %d", end->status);
}

int mcp_call_verb(McpCall *call, const ChildEnd *end)
{
	json_t *value = NULL;
	char why[128];
	int r = -EINVAL;

	if (end->out_n && !end->out_cut && strchr("[{", *end->out))
		r = jsontext_parse(end->out, end->out_n, &value, why, sizeof(why));
	if (r == -EINVAL)
		value = end->out_n ? jsontext_string(end->out, end->out_n) : json_null();
	return call_answer(call, tool_result(call->version,
					 json_pack("{s:o, s:o, s:i}", "result", value, "error", verb_error(end),
						 "exit_code", end->status),
					 end->status != 0 || end->late || end->out_cut));
}
