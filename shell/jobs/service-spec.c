/* SPDX-License-Identifier: MIT */
#include "shell/jobs/service-spec.h"
#include "shell/base/utf8.h"
#include "shell/jobs/unit-text.h"
#include "shell/jobs/unit-words.h"

#include <ctype.h>
#include <string.h>

#define PORT_VARIABLE "PORT="

void service_spec_done(ServiceSpec *spec)
{
	strlist_done(&spec->command);
	strlist_done(&spec->environment);
	free(spec->directory);
	free(spec->health_text);
	*spec = (ServiceSpec){ 0 };
}

const char *service_restart(const char *word)
{
	static const char *const words[] = { "no", "on-failure", "always" };

	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (strcmp(word, words[i]) == 0)
			return words[i];
	return NULL;
}

/* ---- what can be written ---- */

static bool is_utf8(const char *s)
{
	size_t n = strlen(s);

	while (n) {
		size_t length = utf8_length((const unsigned char *)s, n);

		if (!length)
			return false;
		s += length;
		n -= length;
	}
	return true;
}

static bool has_controls(const char *s, const char *allowed)
{
	for (; *s; s++)
		if (((unsigned char)*s < 0x20 || *s == 0x7f) && !strchr(allowed, *s))
			return true;
	return false;
}

static bool variable_valid(const char *variable)
{
	const char *c = variable;

	if (!isalpha((unsigned char)*c) && *c != '_')
		return false;
	while (isalnum((unsigned char)*c) || *c == '_')
		c++;
	return *c == '=';
}

/* A value that is not quoted on its line keeps no blanks at its ends, and a backslash there joins lines. */
static bool line_holds(const char *s)
{
	return *s && !has_controls(s, "") && !isspace((unsigned char)s[strlen(s) - 1]) && s[strlen(s) - 1] != '\\';
}

int service_spec_check(const ServiceSpec *spec, char *why, size_t why_size)
{
	const char *what = NULL;

	for (size_t i = 0; i < spec->command.n && !what; i++)
		if (!is_utf8(spec->command.items[i]))
			what = "an argument is no UTF-8, which systemd cannot hold: put it into a file, and run that";
	if (spec->command.n && has_controls(spec->command.items[0], ""))
		what = "the program's path has control characters: give it another name";
	if (spec->directory && (!is_utf8(spec->directory) || !line_holds(spec->directory)))
		what = "systemd cannot hold the name of the folder: give it another one";
	for (size_t i = 0; i < spec->environment.n && !what; i++)
		if (!variable_valid(spec->environment.items[i]))
			what = "--env takes NAME=VALUE, and a name is of letters, digits and _, the first one no digit";
		else if (!is_utf8(spec->environment.items[i]) || has_controls(spec->environment.items[i], "\t\n"))
			what = "a variable has control characters or is no UTF-8, which systemd cannot hold";
	if (spec->health_text && (!is_utf8(spec->health_text) || has_controls(spec->health_text, "\t")))
		what = "--health and --ready-log take one line of UTF-8";
	if (!what)
		return 0;
	(void)snprintf(why, why_size, "%s", what);
	return -EINVAL;
}

/* ---- lines ---- */

static char *command_line(const ServiceSpec *spec)
{
	/* ":" leaves variables alone in all of the line: in the path itself $ cannot be escaped */
	bool dollar = strchr(spec->command.items[0], '$') != NULL;
	_cleanup_strlist_ StrList words = { 0 };
	_cleanup_free_ char *joined = NULL;

	for (size_t i = 0; i < spec->command.n; i++) {
		char *word = unit_escape(spec->command.items[i], !dollar);

		if (!word || strlist_push(&words, word) < 0)
			return NULL;
	}
	joined = unit_words_join(words.items, words.n);
	if (!joined || !dollar)
		return TAKE_PTR(joined);
	/* the prefix belongs inside of the quotes that the path may have */
	return *joined == '"' ? str_format("\":%s", joined + 1) : str_format(":%s", joined);
}

static char *variable_line(const char *variable)
{
	_cleanup_free_ char *word = unit_escape(variable, false);

	return word ? unit_words_join(&word, 1) : NULL;
}

static char *mark_line(const ServiceSpec *spec)
{
	const char *option = spec->health == HEALTH_HTTP  ? "--health"
			     : spec->health == HEALTH_LOG ? "--ready-log"
							  : NULL;
	_cleanup_free_ char *word = NULL;

	if (!option)
		return strdup(SERVICE_MARK);
	word = unit_words_join(&spec->health_text, 1);
	return word ? str_format(SERVICE_MARK " %s %s", option, word) : NULL;
}

char *service_spec_text(const ServiceSpec *spec, const char *name)
{
	_cleanup_free_ char *mark = mark_line(spec), *command = command_line(spec), *text = NULL,
			    *directory = spec->directory ? unit_escape(spec->directory, false) : NULL;
	size_t size;
	FILE *file;

	if (!mark || !command || (spec->directory && !directory))
		return NULL;
	file = open_memstream(&text, &size);
	if (!file)
		return NULL;
	(void)fprintf(file, "%s\n[Unit]\nDescription=%s\nAfter=network.target\n\n[Service]\nType=simple\n", mark, name);
	if (directory)
		(void)fprintf(file, "WorkingDirectory=%s\n", directory);
	(void)fprintf(file, "ExecStart=%s\nRestart=%s\nRestartSec=5\n", command, spec->restart);
	if (spec->port)
		(void)fprintf(file, "Environment=" PORT_VARIABLE "%u\n", spec->port);
	for (size_t i = 0; i < spec->environment.n; i++) {
		_cleanup_free_ char *variable = variable_line(spec->environment.items[i]);

		(void)fprintf(file, "Environment=%s\n", variable ? variable : "");
	}
	(void)fprintf(file, "StandardOutput=journal\nStandardError=journal\n\n[Install]\nWantedBy=default.target\n");
	if (ferror(file) | fclose(file)) {
		free(TAKE_PTR(text));
		return NULL;
	}
	return TAKE_PTR(text);
}

/* ---- reading ---- */

static int port_read(const char *text, uint16_t *ret)
{
	uint64_t port;
	int r = str_to_u64(text, UINT16_MAX, &port);

	if (r == 0)
		*ret = (uint16_t)port;
	return r;
}

/* The words behind the mark. */
static int mark_read(const char *comment, ServiceSpec *spec)
{
	_cleanup_strlist_ StrList words = { 0 };
	int r = unit_words_split(comment + strlen(SERVICE_MARK), &words);

	if (r < 0 || words.n != 2)
		return r == -ENOMEM ? r : 0;
	if (strcmp(words.items[0], "--health") == 0)
		spec->health = HEALTH_HTTP;
	else if (strcmp(words.items[0], "--ready-log") == 0)
		spec->health = HEALTH_LOG;
	else
		return 0;
	return str_set(&spec->health_text, words.items[1]);
}

/* What cannot be told stays as it is written: it is shown, and the file counts as edited. */
static int words_read(const char *value, bool command, StrList *ret)
{
	_cleanup_strlist_ StrList words = { 0 };
	bool verbatim = command && (*value == ':' || strncmp(value, "\":", 2) == 0);
	int r = unit_words_split(value, &words);

	if (r == -EINVAL)
		return strlist_add(ret, value);
	for (size_t i = 0; i < words.n && r == 0; i++) {
		(void)unit_unescape(words.items[i], command && !verbatim);
		r = strlist_add(ret, words.items[i] + (i == 0 && verbatim));
	}
	return r;
}

static int environment_read(const char *value, ServiceSpec *spec)
{
	_cleanup_strlist_ StrList words = { 0 };
	int r = *value ? words_read(value, false, &words) : 0;

	if (!*value) { /* none of those before */
		strlist_done(&spec->environment);
		spec->environment = (StrList){ 0 };
		spec->port = 0;
	}
	for (size_t i = 0; i < words.n && r == 0; i++)
		if (strncmp(words.items[i], PORT_VARIABLE, strlen(PORT_VARIABLE)) != 0 ||
			port_read(words.items[i] + strlen(PORT_VARIABLE), &spec->port) < 0)
			r = strlist_add(&spec->environment, words.items[i]);
	return r;
}

static int lines_read(const UnitText *text, ServiceSpec *spec, bool *own)
{
	const UnitLine *line;
	int r = 0;

	for (size_t i = 0; (line = unit_text_line(text, i)) && r == 0; i++)
		if (!line->value && strncmp(line->key, SERVICE_MARK, strlen(SERVICE_MARK)) == 0) {
			*own = true;
			r = mark_read(line->key, spec);
		} else if (line->value && strcmp(line->section, "Service") == 0 &&
			   strcmp(line->key, "Environment") == 0) {
			r = environment_read(line->value, spec);
		}
	return r;
}

int service_spec_read(const char *text, const char *name, ServiceSpec *ret, bool *ret_own, bool *ret_edited)
{
	_cleanup_(unit_text_freep) UnitText *parsed = NULL;
	_cleanup_spec_ ServiceSpec spec = { 0 };
	_cleanup_free_ char *again = NULL;
	const char *value;
	bool own = false;
	int r = unit_text_parse(text, &parsed);

	if (r == 0)
		r = lines_read(parsed, &spec, &own);
	value = r == 0 ? unit_text_value(parsed, "Service", "ExecStart") : NULL;
	if (value && *value)
		r = words_read(value, true, &spec.command);
	value = r == 0 ? unit_text_value(parsed, "Service", "WorkingDirectory") : NULL;
	if (value && *value) {
		r = str_set(&spec.directory, value);
		if (r == 0)
			(void)unit_unescape(spec.directory, false);
	}
	if (r < 0)
		return r;
	value = unit_text_value(parsed, "Service", "Restart");
	spec.restart = value ? service_restart(value) : NULL;
	if (!spec.restart)
		spec.restart = "no";
	if (!spec.health_text)
		spec.health = spec.port ? HEALTH_TCP : HEALTH_RUNNING;
	again = spec.command.n ? service_spec_text(&spec, name) : NULL;
	*ret_own = own;
	*ret_edited = !again || strcmp(again, text) != 0;
	*ret = spec;
	spec = (ServiceSpec){ 0 };
	return 0;
}

/* ---- changing ---- */

static size_t name_length(const char *variable)
{
	return strcspn(variable, "=") + 1;
}

/* The last line that sets the variable, and its words with the new one in it; NULL: there is none. */
static const UnitLine *variable_find(const UnitText *text, const char *variable, StrList *words)
{
	const UnitLine *line, *found = NULL;

	for (size_t i = 0; (line = unit_text_line(text, i)); i++) {
		_cleanup_strlist_ StrList here = { 0 };

		if (!line->value || strcmp(line->section, "Service") != 0 || strcmp(line->key, "Environment") != 0 ||
			unit_words_split(line->value, &here) < 0)
			continue;
		if (!*line->value)
			found = NULL;
		for (size_t j = 0; j < here.n; j++)
			if (strncmp(here.items[j], variable, name_length(variable)) == 0) {
				strlist_done(words);
				*words = here;
				here = (StrList){ 0 };
				found = line;
				break;
			}
	}
	return found;
}

static char *variable_set(const char *old, const char *variable)
{
	_cleanup_(unit_text_freep) UnitText *text = NULL;
	_cleanup_strlist_ StrList words = { 0 };
	_cleanup_free_ char *escaped = unit_escape(variable, false), *joined = NULL, *line = NULL;
	const UnitLine *place;

	if (!escaped || unit_text_parse(old, &text) < 0)
		return NULL;
	place = variable_find(text, variable, &words);
	for (size_t i = 0; place && i < words.n; i++)
		if (strncmp(words.items[i], variable, name_length(variable)) == 0 &&
			str_set(&words.items[i], escaped) < 0)
			return NULL;
	joined = place ? unit_words_join(words.items, words.n) : unit_words_join(&escaped, 1);
	line = joined ? str_format("Environment=%s", joined) : NULL;
	if (!line)
		return NULL;
	return place ? unit_text_replace(old, place->start, place->end, line) : unit_text_append(old, "Service", line);
}

static char *mark_set(const char *old, const ServiceSpec *spec)
{
	_cleanup_(unit_text_freep) UnitText *text = NULL;
	_cleanup_free_ char *mark = mark_line(spec);
	const UnitLine *line;

	if (!mark || unit_text_parse(old, &text) < 0)
		return NULL;
	for (size_t i = 0; (line = unit_text_line(text, i)); i++)
		if (!line->value && strncmp(line->key, SERVICE_MARK, strlen(SERVICE_MARK)) == 0)
			return unit_text_replace(old, line->start, line->end, mark);
	return unit_text_replace(old, 0, 0, mark);
}

/* The variable takes the place of the one that has its name. */
static int variable_merge(StrList *environment, const char *variable)
{
	for (size_t i = 0; i < environment->n; i++)
		if (strncmp(environment->items[i], variable, name_length(variable)) == 0)
			return str_set(&environment->items[i], variable);
	return strlist_add(environment, variable);
}

int service_spec_merge(ServiceSpec *spec, const ServiceSpec *more, const ServiceChange *change)
{
	int r = change->directory ? str_set(&spec->directory, more->directory) : 0;

	if (change->restart)
		spec->restart = more->restart;
	if (change->port)
		spec->port = more->port;
	if (change->port && spec->health == HEALTH_RUNNING)
		spec->health = HEALTH_TCP;
	for (size_t i = 0; i < more->environment.n && r == 0; i++)
		r = variable_merge(&spec->environment, more->environment.items[i]);
	if (!change->health || r < 0)
		return r;
	spec->health = more->health;
	if (more->health_text)
		return str_set(&spec->health_text, more->health_text);
	free(spec->health_text);
	spec->health_text = NULL;
	return 0;
}

/* `*text` becomes `next`. */
static int step(char **text, char *next)
{
	if (!next)
		return -ENOMEM;
	free(*text);
	*text = next;
	return 0;
}

char *service_spec_change(const char *old, const ServiceSpec *spec, const ServiceChange *change)
{
	_cleanup_free_ char *text = strdup(old), *command = NULL, *directory = NULL, *port = NULL;
	int r = text ? 0 : -ENOMEM;

	if (r == 0 && change->directory) {
		directory = unit_escape(spec->directory, false);
		r = directory ? step(&text, unit_text_set(text, "Service", "WorkingDirectory", directory)) : -ENOMEM;
	}
	if (r == 0 && change->command) {
		command = command_line(spec);
		r = command ? step(&text, unit_text_set(text, "Service", "ExecStart", command)) : -ENOMEM;
	}
	if (r == 0 && change->restart)
		r = step(&text, unit_text_set(text, "Service", "Restart", spec->restart));
	if (r == 0 && change->port) {
		port = str_format(PORT_VARIABLE "%u", spec->port);
		r = port ? step(&text, variable_set(text, port)) : -ENOMEM;
	}
	for (size_t i = 0; i < spec->environment.n && r == 0; i++)
		r = step(&text, variable_set(text, spec->environment.items[i]));
	if (r == 0 && (change->health || change->mark))
		r = step(&text, mark_set(text, spec));
	return r == 0 ? TAKE_PTR(text) : NULL;
}
