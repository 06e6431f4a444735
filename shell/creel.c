/* SPDX-License-Identifier: MIT */
/* creel: the agent's command. It holds no privilege: what it shows, the agent's keeper told it. */
#include "shell/bus/limit.h"
#include "shell/tools/render-command.h"

#include <string.h>

#define EXIT_USAGE 2

static void print_help(FILE *file)
{
	(void)fprintf(file,
		"usage:\n"
		"  creel limits [--json]\n"
		"      what you may use, and what you use now\n"
		"  creel render --channel discord|telegram|slack|whatsapp|plain [--code FILE [--lang LANGUAGE]]\n"
		"               [--full FILE] [FILE|-]\n"
		"      a run's result (creel run --json) as a message\n"
		"  creel help | --version\n"
		"see creel(1)\n");
}

static int limits_main(int argc, char **argv)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	bool json = argc == 1 && strcmp(argv[0], "--json") == 0;
	char why[512];
	int r;

	if (argc > json) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	r = limits_ask(getuid(), &reply, why, sizeof(why));
	if (r == 0) {
		r = limits_print(stdout, reply, json);
		if (r < 0)
			(void)snprintf(why, sizeof(why), "%s", strerror(-r));
	}
	if (r < 0) {
		(void)fprintf(stderr, "creel: limits: %s\n", why);
		return EXIT_FAILURE;
	}
	if (json)
		(void)fputc('\n', stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "limits") == 0)
		return limits_main(argc - 2, argv + 2);
	if (argc >= 2 && strcmp(argv[1], "render") == 0)
		return render_main(argc - 2, argv + 2);
	if (argc == 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)) {
		print_help(stdout);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)printf("creel %s\n", CREEL_VERSION);
		return EXIT_SUCCESS;
	}
	if (argc >= 2)
		(void)fprintf(stderr, "creel: unknown command\n");
	print_help(stderr);
	return EXIT_USAGE;
}
