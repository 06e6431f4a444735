/* SPDX-License-Identifier: MIT */
#include "shell/tools/sessions.h"
#include "shell/base/moment.h"
#include "shell/base/str.h"
#include "shell/bus/bus.h"
#include "shell/bus/client.h"
#include "shell/tools/commands.h"
#include "shell/tools/language.h"

#include <string.h>

typedef struct Session {
	const char *name, *language, *state;
	uint64_t since_usec, idle_usec, bytes;
} Session;

/* As sd_bus_message_read(): 1 for a row, 0 behind the last. */
static int session_read(sd_bus_message *reply, Session *ret)
{
	return sd_bus_message_read(reply, "(sssttt)", &ret->name, &ret->language, &ret->state, &ret->since_usec,
		&ret->idle_usec, &ret->bytes);
}

int sessions_json(sd_bus_message *reply, json_t **ret)
{
	_cleanup_json_ json_t *all = json_array();
	Session session;
	char since[MOMENT_SIZE];
	int r;

	if (!all)
		return -ENOMEM;
	r = sd_bus_message_enter_container(reply, 'a', "(sssttt)");
	while (r >= 0 && (r = session_read(reply, &session)) > 0) {
		json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "name", session.name, "language",
			session.language, "state", session.state, "since", moment_utc(session.since_usec, since),
			"idle_ms", (json_int_t)(session.idle_usec / 1000), "memory", (json_int_t)session.bytes);

		if (json_array_append_new(all, one) < 0)
			return -ENOMEM;
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(all);
	return 0;
}

static int sessions_show(sd_bus_message *reply)
{
	char since[MOMENT_SIZE], size[32];
	Session session;
	int r;

	(void)printf("%-20s %-12s %-8s %-20s %8s %8s\n", "SESSION", "LANGUAGE", "STATE", "SINCE", "UNUSED", "MEMORY");
	r = sd_bus_message_enter_container(reply, 'a', "(sssttt)");
	while (r >= 0 && (r = session_read(reply, &session)) > 0)
		(void)printf("%-20s %-12s %-8s %-20s %7llus %8s\n", session.name, session.language, session.state,
			moment_utc(session.since_usec, since), (unsigned long long)(session.idle_usec / 1000000),
			str_size(session.bytes, size, sizeof(size)));
	return r;
}

static int sessions_print(sd_bus_message *reply, bool json)
{
	_cleanup_json_ json_t *all = NULL;
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r;

	if (!json)
		return sessions_show(reply);
	r = sessions_json(reply, &all);
	if (r < 0)
		return r;
	text = jsontext_print(all, &n);
	if (!text)
		return -ENOMEM;
	(void)puts(text);
	return 0;
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: creel sessions [--json]\n"
			      "       creel sessions reset [LANGUAGE] NAME\n");
	return EXIT_USAGE;
}

int sessions_main(int argc, char **argv)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	bool json = argc == 1 && strcmp(argv[0], "--json") == 0;
	bool reset = (argc == 2 || argc == 3) && strcmp(argv[0], "reset") == 0;
	const char *language = reset && argc == 3 ? language_of_name(argv[1]) : "python";
	int r, there = 0;
	char why[512];

	if (argc && !json && !reset)
		return usage();
	if (!language) {
		(void)fprintf(stderr, "creel: sessions: `%s` is not " LANGUAGE_NAMES "\n",
			str_quote(argv[1], strlen(argv[1]), why, sizeof(why)));
		return EXIT_USAGE;
	}
	r = keeper_connect(getuid(), &bus);
	if (r >= 0 && reset)
		r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Reset", &error, &reply, "ss",
			language, argv[argc - 1]);
	else if (r >= 0)
		r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Repls", &error, &reply, "");
	if (r >= 0)
		r = reset ? sd_bus_message_read(reply, "b", &there) : sessions_print(reply, json);
	if (r < 0) {
		(void)fprintf(stderr, "creel: sessions: %s\n", keeper_failure(r, &error, why, sizeof(why)));
		return EXIT_FAILURE;
	}
	if (reset && !there) {
		(void)fprintf(stderr, "creel: sessions: there is no %s session `%s`\n", language,
			str_quote(argv[argc - 1], strlen(argv[argc - 1]), why, sizeof(why)));
		return EXIT_FAILURE;
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
