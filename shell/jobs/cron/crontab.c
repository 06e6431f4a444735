/* SPDX-License-Identifier: MIT */
/*
 * A line is blank, a comment, `NAME = VALUE`, or a schedule with a command. What a line is, and what % and \ mean in a command,
 * is taken from the sources of Debian's cron 3.0pl1 (env.c, entry.c, do_command.c), where its manual page says less.
 *
 * The id of an entry does not hold its line's number or what is set above it: an entry stays who it is when others are edited.
 */
#include "shell/jobs/cron/crontab.h"
#include "shell/base/utf8.h"
#include "shell/jobs/cron/zone.h"
#include "shell/jobs/name.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

typedef struct Reader {
	Crontab *crontab;
	StrList environment;
	char *zone;
	unsigned int line;
	char name[CRON_ID_MAX]; /* of the line before */
	bool named, full;
} Reader;

static void fault(Reader *reader, const char *format, ...) _printf_(2, 3);

static void fault(Reader *reader, const char *format, ...)
{
	Crontab *crontab = reader->crontab;
	va_list ap;

	if (crontab->n_faults < CRONTAB_FAULTS_MAX) {
		CronFault *slot = &crontab->faults[crontab->n_faults];

		slot->line = reader->line;
		va_start(ap, format);
		(void)vsnprintf(slot->text, sizeof(slot->text), format, ap);
		va_end(ap);
	}
	crontab->n_faults++;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* ---- NAME = VALUE ---- */

/* A part in quotes, or bare to the next blank or =. Returns false where a quote does not end. */
static bool read_name(const char **p, const char **ret_begin, size_t *ret_n)
{
	char quote = **p == '\'' || **p == '"' ? *(*p)++ : '\0';
	const char *begin = *p;

	while (**p && (quote ? **p != quote && **p != '=' : !is_space(**p) && **p != '='))
		(*p)++;
	if (quote && **p != quote)
		return false;
	*ret_begin = begin;
	*ret_n = (size_t)(*p - begin);
	*p += quote != '\0';
	return true;
}

/* The line sets something: what stands before the = is one word. `*ret_value` is behind the = and blanks. */
static bool is_assignment(const char *line, const char **ret_name, size_t *ret_n, const char **ret_value)
{
	const char *p = line;

	if (!read_name(&p, ret_name, ret_n))
		return false;
	p += strspn(p, " \t");
	if (*p != '=')
		return false;
	p++;
	*ret_value = p + strspn(p, " \t");
	return true;
}

static bool is_variable(const char *name, size_t n)
{
	if (n == 0 || n > 100 || isdigit((unsigned char)*name))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	return true;
}

/* The value without its quotes, or without the blanks at its end. NULL: `*ret_wrong` says why, or memory is out where it is NULL. */
static char *read_value(const char *value, const char **ret_wrong)
{
	char quote = *value == '\'' || *value == '"' ? *value++ : '\0';
	size_t n = strlen(value);
	const char *end = quote ? strchr(value, quote) : NULL;

	*ret_wrong = NULL;
	if (quote && !end) {
		*ret_wrong = "the quote does not end";
		return NULL;
	}
	if (end && end[1 + strspn(end + 1, " \t")]) {
		*ret_wrong = "something stands behind the closing quote";
		return NULL;
	}
	if (end)
		n = (size_t)(end - value);
	while (!quote && n && is_space(value[n - 1]))
		n--;
	return strndup(value, n);
}

static int set_zone(Reader *reader, const char *value)
{
	char shown[80];

	if (!zone_is_there(value)) {
		fault(reader,
			"CRON_TZ: there is no time zone `%s` below /usr/share/zoneinfo; names are as Europe/Berlin or "
			"UTC",
			str_quote(value, strlen(value), shown, sizeof(shown)));
		return 0;
	}
	return str_set(&reader->zone, value);
}

static int set_variable(Reader *reader, const char *name, size_t n, const char *value)
{
	StrList *list = &reader->environment;
	char *text = str_format("%.*s=%s", (int)n, name, value);

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++)
		if (strncmp(list->items[i], text, n + 1) == 0) {
			free(list->items[i]);
			list->items[i] = text;
			return 0;
		}
	if (list->n < CRONTAB_VARIABLES_MAX)
		return strlist_push(list, text);
	fault(reader, "more than %u variables are set", CRONTAB_VARIABLES_MAX);
	free(text);
	return 0;
}

static int read_assignment(Reader *reader, const char *name, size_t n, const char *value)
{
	_cleanup_free_ char *plain = NULL;
	const char *wrong;
	char shown[80];

	str_quote(name, n, shown, sizeof(shown));
	if (!is_variable(name, n)) {
		fault(reader, "`%s` cannot be set: a variable's name is made of letters, digits and _", shown);
		return 0;
	}
	plain = read_value(value, &wrong);
	if (!plain && wrong) {
		fault(reader, "%s: %s", shown, wrong);
		return 0;
	}
	if (!plain)
		return -ENOMEM;
	if (strcmp(shown, "CRON_TZ") == 0)
		return set_zone(reader, plain);
	if (strcmp(shown, "LOGNAME") == 0 || strcmp(shown, "USER") == 0)
		return 0; /* cron sets them itself */
	if ((strcmp(shown, "SHELL") == 0 || strcmp(shown, "HOME") == 0) &&
		(*plain != '/' || plain[strlen(plain) - 1] == '\\')) {
		fault(reader, "%s: it must be an absolute path without a backslash at its end", shown);
		return 0;
	}
	if (strcmp(shown, "MAILTO") == 0) {
		reader->crontab->mail |= *plain != '\0';
		return 0;
	}
	return set_variable(reader, name, n, plain);
}

/* ---- entries ---- */

/* The first % that no backslash hides ends the command; before it \% and \\ lose their first backslash. */
static const char *split_command(const char *raw, char *command)
{
	bool escaped = false;

	for (; *raw; raw++) {
		if (escaped && (*raw == '%' || *raw == '\\'))
			command--;
		else if (!escaped && *raw == '%')
			break;
		*command++ = *raw;
		escaped = !escaped && *raw == '\\';
	}
	*command = '\0';
	return *raw ? raw + 1 : NULL;
}

/* Each further % ends a line, \% is one; the last line ends. `input` has room for twice the text and 2. */
static void read_input(const char *raw, char *input)
{
	bool escaped = false, ended = true;

	for (; *raw; raw++) {
		char c = *raw;

		if (escaped && c != '%')
			*input++ = '\\';
		else if (!escaped && c == '%')
			c = '\n';
		escaped = c == '\\';
		if (!escaped) {
			*input++ = c;
			ended = c == '\n';
		}
	}
	if (escaped)
		*input++ = '\\';
	if (escaped || !ended)
		*input++ = '\n';
	*input = '\0';
}

static uint64_t hash(uint64_t so_far, const char *text)
{
	/* FNV-1a, with the NUL */
	do {
		so_far ^= (unsigned char)*text;
		so_far *= UINT64_C(0x100000001b3);
	} while (*text++);
	return so_far;
}

static void entry_identify(const Crontab *crontab, CronEntry *entry)
{
	uint64_t sum = hash(hash(hash(UINT64_C(0xcbf29ce484222325), entry->zone), entry->expression), entry->raw);

	(void)snprintf(entry->id, sizeof(entry->id), "%012llx", (unsigned long long)(sum & UINT64_C(0xffffffffffff)));
	for (unsigned int i = 2; crontab_find(crontab, entry->id); i++)
		(void)snprintf(entry->id, sizeof(entry->id), "%012llx-%u",
			(unsigned long long)(sum & UINT64_C(0xffffffffffff)), i);
}

static void entry_done(CronEntry *entry)
{
	free(entry->expression);
	free(entry->raw);
	free(entry->command);
	free(entry->input);
	free(entry->zone);
	strlist_done(&entry->environment);
}

static int entry_fill(Reader *reader, const char *line, size_t used, CronEntry *entry)
{
	size_t n = used, length = strlen(line + used);
	const char *input;
	int r;

	while (n && is_space(line[n - 1]))
		n--;
	entry->line = reader->line;
	entry->expression = strndup(line, n);
	entry->raw = strdup(line + used);
	entry->command = malloc(length + 1);
	entry->zone = strdup(reader->zone ? reader->zone : "");
	if (!entry->expression || !entry->raw || !entry->command || !entry->zone)
		return -ENOMEM;
	for (size_t i = 0; i < reader->environment.n; i++) {
		r = strlist_add(&entry->environment, reader->environment.items[i]);
		if (r < 0)
			return r;
	}
	input = split_command(entry->raw, entry->command);
	if (input) {
		entry->input = malloc(2 * strlen(input) + 3);
		if (!entry->input)
			return -ENOMEM;
		read_input(input, entry->input);
	}
	if (reader->named) {
		entry->name_line = reader->line - 1;
		(void)snprintf(entry->id, sizeof(entry->id), "%s", reader->name);
	} else {
		entry_identify(reader->crontab, entry);
	}
	return 0;
}

static int read_entry(Reader *reader, const char *line)
{
	Crontab *crontab = reader->crontab;
	CronEntry entry = { 0 };
	const CronEntry *other = reader->named ? crontab_find(crontab, reader->name) : NULL;
	char why[CRON_WHY_MAX];
	size_t used;
	int r;

	if (cron_spec_read(line, &entry.spec, &used, why) < 0) {
		fault(reader, "%s", why);
		return 0;
	}
	if (!line[used] || line[used] == '*') {
		/* a command does not begin with *: there are six fields of time then */
		fault(reader, line[used] ? "command: a sixth field of time; there are five, and then the command"
					 : "command: it is missing; five fields of time, and then the command");
		return 0;
	}
	if (other) {
		fault(reader, "the name `%s` is that of line %u already", reader->name, other->line);
		return 0;
	}
	if (crontab->n == CRONTAB_ENTRIES_MAX) {
		if (!reader->full)
			fault(reader, "more than %u entries: put several commands into one script",
				CRONTAB_ENTRIES_MAX);
		reader->full = true; /* one line says it, not thousands */
		return 0;
	}
	if (crontab->n % 16 == 0) {
		CronEntry *entries = reallocarray(crontab->entries, crontab->n + 16, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		crontab->entries = entries;
	}
	r = entry_fill(reader, line, used, &entry);
	if (r < 0) {
		entry_done(&entry);
		return r;
	}
	crontab->entries[crontab->n++] = entry;
	return 0;
}

/* A comment may name the entry of the next line. */
static void read_comment(Reader *reader, const char *line)
{
	const char *name = line + strlen(CRON_NAME_LINE);
	size_t n;
	char shown[80];
	Reason reason = { "a name is one word of at most 64 characters" };

	if (strncmp(line, CRON_NAME_LINE, strlen(CRON_NAME_LINE)) != 0)
		return;
	name += strspn(name, " \t");
	n = strcspn(name, " \t");
	if (n < sizeof(shown) && !name[n + strspn(name + n, " \t")]) {
		(void)snprintf(shown, sizeof(shown), "%.*s", (int)n, name);
		if (jobs_name_check(shown, &reason) >= 0) {
			(void)snprintf(reader->name, sizeof(reader->name), "%.*s", (int)n, name);
			reader->named = true;
			return;
		}
	}
	fault(reader, "name `%s`: %s", str_quote(name, strlen(name), shown, sizeof(shown)), reason.text);
}

/* What no line may hold: it could not be handed to the service manager, or is not what was meant. */
static const char *line_fault(const char *line, size_t n)
{
	if (n > CRONTAB_LINE_MAX)
		return "longer than 8000 bytes: put the command into a script";
	if (n && line[n - 1] == '\r')
		return "it ends with a carriage return: sed -i 's/\\r$//' FILE takes them away";
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
			return "there is a control character in it";
	for (size_t length; n; line += length, n -= length) {
		length = utf8_length(line, n);
		if (length == 0)
			return "it is no UTF-8";
	}
	return NULL;
}

static int read_line(Reader *reader, const char *text, size_t n)
{
	size_t lead = 0, n_name;
	_cleanup_free_ char *line = NULL;
	const char *wrong, *name, *value;
	int r = 0;

	while (lead < n && is_space(text[lead]))
		lead++;
	text += lead;
	n -= lead;
	if (n == 0 || (*text == '\r' && n == 1) || (*text == '#' && (n < 2 || line_fault(text, n)))) {
		reader->named = false;
		return 0;
	}
	wrong = line_fault(text, n);
	if (wrong) {
		fault(reader, "%s", wrong);
		return 0;
	}
	line = strndup(text, n);
	if (!line)
		return -ENOMEM;
	if (*line == '#') {
		reader->named = false;
		read_comment(reader, line);
		return 0;
	}
	if (is_assignment(line, &name, &n_name, &value))
		r = read_assignment(reader, name, n_name, value);
	else
		r = read_entry(reader, line);
	reader->named = false;
	return r;
}

int crontab_parse(const char *text, size_t n, Crontab **ret)
{
	_cleanup_(crontab_freep) Crontab *crontab = calloc(1, sizeof(*crontab));
	Reader reader = { .crontab = crontab };
	int r = crontab ? 0 : -ENOMEM;

	while (r >= 0 && n) {
		const char *end = memchr(text, '\n', n);
		size_t length = end ? (size_t)(end - text) : n, step = length + (end != NULL);

		reader.line++;
		if (reader.line > CRONTAB_LINES_MAX) {
			fault(&reader, "more than %u lines", CRONTAB_LINES_MAX);
			break;
		}
		r = read_line(&reader, text, length);
		text += step;
		n -= step;
	}
	strlist_done(&reader.environment);
	free(reader.zone);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(crontab);
	return 0;
}

Crontab *crontab_free(Crontab *crontab)
{
	if (crontab) {
		for (size_t i = 0; i < crontab->n; i++)
			entry_done(&crontab->entries[i]);
		free(crontab->entries);
		free(crontab);
	}
	return NULL;
}

const CronEntry *crontab_find(const Crontab *crontab, const char *id)
{
	for (size_t i = 0; i < crontab->n; i++)
		if (strcmp(crontab->entries[i].id, id) == 0)
			return &crontab->entries[i];
	return NULL;
}
