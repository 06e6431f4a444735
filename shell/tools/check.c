/* SPDX-License-Identifier: MIT */
/*
 * creel check: formatter, linter and tests of what lies in a folder, one after the other, each a run of the keeper's with the policy's
 * limits. It changes nothing itself; tests are the agent's own code, and do what they do.
 */
#include "shell/base/quantity.h"
#include "shell/base/str.h"
#include "shell/tools/check-rows.h"
#include "shell/tools/clean.h"
#include "shell/tools/client.h"
#include "shell/tools/commands.h"
#include "shell/tools/result.h"

#include <signal.h>
#include <string.h>

#define EXIT_NOTHING 3  /* there was nothing to check */
#define EXIT_BROKEN 125 /* no keeper, no memory */
#define EXIT_SIGNAL 128
#define SHOWN_LINES 40U           /* of what a check that failed wrote; all of it is in the run's file, and by --json */
#define OUTPUT_BYTES (256U << 10) /* that a result keeps */

typedef enum State { PASSED, FAILED, NOTHING, MISSING, STATES_N } State;

static const char *const state_names[] = { "passed", "FAILED", "nothing", "missing" };
static const char *const json_names[] = { "passed", "failed", "nothing", "missing" };

typedef struct Check {
	const char *path;
	bool json, independent, only[CHECK_KINDS_N];
	uint64_t timeout_usec;

	CheckFiles files;
	sd_event *event;
	Client *client;
	ClientRun *run;
	/* of the one that goes on */
	unsigned int at; /* kinds of a language after kinds of the one before */
	const CheckRow *row;
	char *program;

	unsigned int counts[STATES_N];
	json_t *done; /* an array */
	bool broken;
	int interrupted;
} Check;

static void complain(const char *what, const char *why)
{
	(void)fprintf(stderr, "creel: check: %s%s%s\n", what, *what && *why ? ": " : "", why);
}

/* ---- what is told ---- */

static void show_output(const char *text, size_t n)
{
	_cleanup_free_ char *clean = NULL;
	size_t lines = 0, left = 0;
	char *at, *line;

	if (text_clean(text, n, false, &clean, &n) < 0)
		return complain("", strerror(ENOMEM));
	at = clean;
	while ((line = strsep(&at, "\n"))) {
		if (!at && !*line)
			break;
		if (lines++ < SHOWN_LINES)
			(void)printf("    %s\n", line);
		else
			left++;
	}
	if (left)
		(void)printf("    ... and %zu more lines\n", left);
}

static void add(json_t *object, const char *name, json_t *value, bool *lost)
{
	*lost |= json_object_set_new(object, name, value) < 0;
}

static void note_json(Check *check, CheckKind kind, CheckLanguage language, State state, const char *text, size_t n,
	const RunResult *result)
{
	json_t *object = json_object();
	bool lost = !object;

	add(object, "kind", json_string(check_kind_name(kind)), &lost);
	add(object, "language", json_string(check_language_name(language)), &lost);
	add(object, "program", check->row ? json_string(check->row->name) : json_null(), &lost);
	add(object, "state", json_string(json_names[state]), &lost);
	add(object, "files", json_integer((json_int_t)check->files.names[language].n), &lost);
	if (result) {
		add(object, "reason", json_string(run_reason_name(result->reason)), &lost);
		add(object, "exit_code", result->exit_code < 0 ? json_null() : json_integer(result->exit_code), &lost);
		add(object, "duration_ms", json_integer((json_int_t)(result->duration_usec / 1000)), &lost);
	}
	add(object, "output", jsontext_string(text, n), &lost);
	lost |= json_array_append_new(check->done, object) < 0;
	check->broken |= lost;
}

/* `text`: what it wrote, or what is missing. `result` NULL: it did not run. */
static void tell(Check *check, CheckKind kind, CheckLanguage language, State state, const char *text, size_t n,
	const RunResult *result)
{
	check->counts[state]++;
	if (check->json)
		return note_json(check, kind, language, state, text, n, result);
	(void)printf("%-7s  %-6s  %-10s  %-12s  %zu file%s", state_names[state], check_kind_name(kind),
		check_language_name(language), check->row ? check->row->name : "-", check->files.names[language].n,
		check->files.names[language].n == 1 ? "" : "s");
	if (result)
		(void)printf(", %.1f s", (double)result->duration_usec / 1e6);
	if (state == MISSING)
		(void)printf(": install one of %s", text);
	(void)printf("\n");
	if (state == FAILED)
		show_output(text, n);
	(void)fflush(stdout);
}

static State state_of(const CheckRow *row, const RunResult *result)
{
	if (result->reason == RUN_EXIT && row->nothing && result->exit_code == row->nothing)
		return NOTHING;
	if (result->reason != RUN_OK)
		return FAILED;
	return row->flags & CHECK_SILENT && result->stdout_bytes ? FAILED : PASSED;
}

/* Both streams, and why it ended where that is not in them. */
static int output_of(const RunResult *result, char **ret, size_t *ret_n)
{
	_cleanup_free_ char *out = NULL, *err = NULL;
	const char *why = result->reason == RUN_EXIT ? "" : result->error;
	size_t out_n = 0, err_n = 0, why_n = strlen(why);
	int r = result_text(result, 1, &out, &out_n);

	if (r >= 0)
		r = result_text(result, 2, &err, &err_n);
	if (r < 0)
		return r;
	*ret = malloc(out_n + err_n + why_n + 2);
	if (!*ret)
		return -ENOMEM;
	/* as xargs tells of a program that ended badly, which is known */
	memcpy(*ret, out, out_n);
	memcpy(*ret + out_n, err, err_n);
	*ret_n = out_n + err_n;
	if (why_n) {
		if (*ret_n && (*ret)[*ret_n - 1] != '\n')
			(*ret)[(*ret_n)++] = '\n';
		memcpy(*ret + *ret_n, why, why_n);
		*ret_n += why_n;
	}
	return 0;
}

/* ---- one after the other ---- */

static void next(Check *check);

static void on_finished(void *userdata, const RunResult *result)
{
	_cleanup_free_ char *text = NULL;
	Check *check = userdata;
	const CheckRow *row = check->row;
	size_t n = 0;

	check->run = NULL;
	if (output_of(result, &text, &n) < 0)
		check->broken = true;
	/* none will be: the keeper says why, for each the same */
	else if (result->reason == RUN_REFUSED) {
		complain(row->name, result->error);
		check->broken = true;
	} else if (!check->interrupted)
		tell(check, row->kind, row->language, state_of(row, result), text, n, result);
	if (check->broken || check->interrupted)
		(void)sd_event_exit(check->event, 0);
	else
		next(check);
}

/* Names of files, each with a NUL behind it: xargs hands them on, as many as fit. Returns a descriptor or a negative errno. */
static int names_seal(const Check *check, const StrList *names)
{
	_cleanup_free_ char *bytes = malloc(check->files.bytes + 1);
	size_t n = 0;

	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < names->n; i++) {
		size_t length = strlen(names->items[i]) + 1;

		memcpy(bytes + n, names->items[i], length);
		n += length;
	}
	return client_seal(check->client, bytes, n, true);
}

static int begin(Check *check)
{
	static const ClientHandler handler = { .finished = on_finished };
	const CheckRow *row = check->row;
	const bool names = row->flags & CHECK_NAMES;
	const char *code = names ? row->flags & CHECK_NAMES_APART ? "exec xargs -0 -r -n 1 -- \"$@\""
								  : "exec xargs -0 -r -- \"$@\""
				 : "exec \"$@\"";
	_cleanup_close_ int code_fd = -EBADF, input_fd = -EBADF;
	char *arguments[CHECK_WORDS_MAX + 2] = { check->program };
	RunOptions options = RUN_OPTIONS_NONE;

	for (size_t i = 0; i < CHECK_WORDS_MAX && row->words[i]; i++)
		arguments[i + 1] = (char *)row->words[i];
	code_fd = client_seal(check->client, code, strlen(code), false);
	if (code_fd < 0)
		return code_fd;
	if (names) {
		input_fd = names_seal(check, &check->files.names[row->language]);
		if (input_fd < 0)
			return input_fd;
	}
	options.language = "bash";
	options.label = row->name;
	options.arguments = arguments;
	options.input_fd = input_fd;
	options.directory = check->files.folder;
	options.timeout_usec = check->timeout_usec;
	options.output = OUTPUT_BYTES;
	options.independent = check->independent;
	return client_run(check->client, code_fd, &options, &handler, check, &check->run);
}

static void next(Check *check)
{
	int r;

	for (; check->at < CHECK_LANGUAGES_N * CHECK_KINDS_N; check->at++) {
		const CheckLanguage language = check->at / CHECK_KINDS_N;
		const CheckKind kind = check->at % CHECK_KINDS_N;
		_cleanup_free_ char *missing = NULL;

		if (!check->only[kind])
			continue;
		free(TAKE_PTR(check->program));
		check->row = check_row_find(&check->files, kind, language, getenv("PATH"), &check->program, &missing);
		if (!check->row) {
			if (missing && *missing)
				tell(check, kind, language, MISSING, missing, strlen(missing), NULL);
			continue;
		}
		r = begin(check);
		if (r < 0) {
			complain(check->row->name, r == -EINVAL ? "the folder's name is no UTF-8" : strerror(-r));
			check->broken = true;
			break;
		}
		check->at++;
		return;
	}
	(void)sd_event_exit(check->event, 0);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	Check *check = userdata;

	if (check->interrupted || !check->run)
		return sd_event_exit(check->event, 0);
	check->interrupted = (int)info->ssi_signo;
	client_stop(check->run);
	return 0;
}

static int on_start(sd_event_source *source, void *userdata)
{
	next(userdata);
	return 0;
}

static int check_all(Check *check)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	_cleanup_(client_freep) Client *client = NULL;
	char why[512];
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		(void)sigaddset(&set, signals[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	r = sd_event_new(&event);
	for (size_t i = 0; i < ELEMENTSOF(signals) && r >= 0; i++)
		r = sd_event_add_signal(event, NULL, signals[i], on_signal, check);
	if (r >= 0)
		r = sd_event_add_defer(event, NULL, on_start, check);
	if (r >= 0) {
		r = client_new(event, NULL, NULL, &client, why, sizeof(why));
		if (r < 0) {
			complain("", why);
			return r;
		}
	}
	check->event = event;
	check->client = client;
	if (r >= 0)
		r = sd_event_loop(event);
	if (r < 0)
		complain("", strerror(-r));
	return r;
}

/* ---- the words, and the end ---- */

static void show_json(Check *check)
{
	_cleanup_json_ json_t *object = json_object();
	_cleanup_free_ char *text = NULL;
	bool lost = !object;
	size_t n;

	add(object, "path", jsontext_string(check->path, strlen(check->path)), &lost);
	for (size_t i = 0; i < STATES_N; i++)
		add(object, json_names[i], json_integer(check->counts[i]), &lost);
	add(object, "left_out", json_boolean(check->files.cut), &lost);
	lost |= json_object_set(object, "checks", check->done) < 0;
	text = lost ? NULL : jsontext_print(object, &n);
	if (text)
		(void)printf("%s\n", text);
	else
		complain("", strerror(ENOMEM));
	check->broken |= !text;
}

static int end(Check *check)
{
	const unsigned int ran = check->counts[PASSED] + check->counts[FAILED];

	if (check->json)
		show_json(check);
	else if (check->files.cut)
		complain(check->path, "it has too many files for one check: name a folder in it for the others");
	if (check->interrupted)
		return EXIT_SIGNAL + check->interrupted;
	if (check->broken)
		return EXIT_BROKEN;
	if (!check->json && !ran)
		complain(check->path, check->counts[MISSING] ? "nothing that could check it is installed"
							     : "nothing in it that could be checked");
	else if (!check->json)
		(void)printf("%u passed, %u failed, %u missing\n", check->counts[PASSED], check->counts[FAILED],
			check->counts[MISSING]);
	if (fflush(stdout) != 0)
		return EXIT_BROKEN;
	return !ran ? EXIT_NOTHING : check->counts[FAILED] ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int usage(FILE *file)
{
	(void)fprintf(file,
		"usage: creel check [PATH] [--only format|lint|test] [--timeout TIME] [--isolate] [--json]\n"
		"  PATH         a folder or a file; here, where none is named\n"
		"  --only       that kind of check; may be said twice\n"
		"  --timeout    of each check, as in 2m; the policy's longest without\n"
		"  --isolate    in a throw-away file system\n"
		"  --json       one object, when all are over\n"
		"exit status: 0 all passed, 1 one failed, 3 nothing to check\n");
	return file == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

static bool only_read(Check *check, const char *word)
{
	for (size_t i = 0; word && i < CHECK_KINDS_N; i++)
		if (strcmp(word, check_kind_name(i)) == 0)
			return check->only[i] = true;
	complain("--only", "format, lint or test");
	return false;
}

static bool words_read(int argc, char **argv, Check *check)
{
	bool any = false;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			check->json = true;
		} else if (strcmp(argv[i], "--isolate") == 0) {
			check->independent = true;
		} else if (strcmp(argv[i], "--only") == 0) {
			any = true;
			if (!only_read(check, ++i < argc ? argv[i] : NULL))
				return false;
		} else if (strcmp(argv[i], "--timeout") == 0) {
			if (++i == argc || quantity_parse(QUANTITY_TIME, argv[i], &check->timeout_usec) < 0) {
				complain("--timeout", quantity_notation(QUANTITY_TIME));
				return false;
			}
		} else if (check->path || (argv[i][0] == '-' && argv[i][1])) {
			complain(argv[i], check->path ? "one path at a time"
						      : "no such option; a name that begins so is ./-name");
			return false;
		} else {
			check->path = argv[i];
		}
	}
	for (size_t i = 0; i < CHECK_KINDS_N && !any; i++)
		check->only[i] = true;
	return true;
}

int check_main(int argc, char **argv, uint64_t timeout_usec)
{
	Check check = { .timeout_usec = timeout_usec };
	int r, status = EXIT_BROKEN;

	if (argc == 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
		return usage(stdout);
	if (!words_read(argc, argv, &check))
		return usage(stderr);
	if (!check.path)
		check.path = ".";
	check.done = json_array();
	r = check.done ? check_files_find(check.path, &check.files) : -ENOMEM;
	if (r < 0)
		complain(check.path, r == -EINVAL ? "neither a folder nor a regular file" : strerror(-r));
	else if (check_all(&check) >= 0)
		status = end(&check);
	free(check.program);
	json_decref(check.done);
	check_files_done(&check.files);
	return status;
}
