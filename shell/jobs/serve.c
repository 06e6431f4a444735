/* SPDX-License-Identifier: MIT */
/*
 * creel serve: a folder for download. Python's own http.server follows links out of the folder that it serves, and shows hidden files; what
 * serves here is shell/drivers/serve.py, which does neither.
 */
#include "shell/jobs/commands.h"
#include "shell/jobs/options.h"
#include "shell/jobs/service.h"

#include <string.h>
#include <sys/stat.h>

#define PYTHON "/usr/bin/python3"
#define PORT_FIRST 8000U
#define HEALTHY_USEC (60 * USEC_PER_SEC) /* what ends is told at once; a busy machine needs its time */

typedef struct ServeWords {
	const char *directory, *port, *background;
	bool json;
} ServeWords;

static const char driver[] = CREEL_DATADIR "/drivers/serve.py";
static const char help[] = "usage: creel serve DIR [--port P] [--background NAME] [--json]\n"
			   "    shares a folder for download, read-only, until Ctrl-C; --background: as a service\n"
			   "see creel-service(1)\n";

/* The one that is asked for, or the first that is free: from 8000 on, else any of the policy's. */
static int port_find(const char *text, uint16_t *ret, Reason *ret_reason)
{
	uint64_t port = 0;
	int r;

	if (text && (str_to_u64(text, UINT16_MAX, &port) < 0 || !port))
		return reason_set(ret_reason, -EINVAL, "--port %s: a port is a number from 1 to 65535", text);
	if (text) {
		*ret = (uint16_t)port;
		r = service_port_allowed(*ret, ret_reason);
		return r < 0 ? r : service_port_free(*ret, "", ret_reason);
	}
	return service_port_choose(PORT_FIRST, ret, ret_reason);
}

static int directory_find(const char *word, char **ret, Reason *ret_reason)
{
	_cleanup_free_ char *path = realpath(word, NULL);
	struct stat st;

	if (!path || stat(path, &st) < 0)
		return reason_set(ret_reason, -errno, "%s: %s", word, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return reason_set(ret_reason, -ENOTDIR, "%s: that is no folder; creel serve shares folders", word);
	if (access(path, R_OK | X_OK) < 0)
		return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
	*ret = TAKE_PTR(path);
	return 0;
}

static int words_read(int argc, char **argv, ServeWords *ret, Reason *ret_reason)
{
	ServeWords said = { 0 };
	const Option options[] = { { .name = "--port", .letter = "-p", .value = &said.port },
		{ .name = "--background", .value = &said.background }, { .name = "--json", .flag = &said.json },
		{ 0 } };
	Words words = { .items = &said.directory, .max = 1 };
	int r = options_read(argc, argv, options, &words, ret_reason);

	if (r == 0 && words.command_n == 1 && !words.n) /* a folder whose name begins with a dash */
		said.directory = words.command[0];
	else if (r == 0 && words.command)
		r = reason_set(ret_reason, -EINVAL, "behind -- stands one folder");
	if (r == 0 && !said.directory)
		r = reason_set(ret_reason, -EINVAL, "say which folder, as in creel serve ~/workspace/output");
	if (r == 0 && said.background)
		r = jobs_name_check(said.background, ret_reason);
	*ret = said;
	return r;
}

static int background(const ServeWords *said, const char *directory, uint16_t port, const char *url)
{
	char number[8];
	const char *const command[] = { PYTHON, "-IB", driver, number, directory, url };
	ServiceOrder order = {
		.verb = "serve",
		.name = said->background,
		.spec = { .port = port, .restart = "on-failure", .health = HEALTH_HTTP },
		.change = { .command = true, .port = true, .restart = true, .health = true },
		.json = said->json,
		.timeout_usec = HEALTHY_USEC,
	};
	int r;

	(void)snprintf(number, sizeof(number), "%u", port);
	r = str_set(&order.spec.health_text, "/");
	if (r == 0)
		r = str_set(&order.spec.directory, "/");
	for (size_t i = 0; i < ELEMENTSOF(command) && r == 0; i++)
		r = strlist_add(&order.spec.command, command[i]);
	if (r < 0)
		reason_tell("serve", NULL, strerror(-r));
	r = r < 0 ? EXIT_FAILURE : service_make(&order);
	service_spec_done(&order.spec);
	return r;
}

static int foreground(const ServeWords *said, const char *directory, uint16_t port, const char *url)
{
	char number[8];

	(void)snprintf(number, sizeof(number), "%u", port);
	(void)execl(PYTHON, PYTHON, "-IB", driver, number, directory, url, said->json ? "--json" : NULL, (char *)NULL);
	reason_tell("serve", NULL, strerror(errno));
	return EXIT_FAILURE;
}

int serve_main(int argc, char **argv)
{
	_cleanup_free_ char *directory = NULL;
	char address[ADDRESS_TEXT], url[ADDRESS_URL];
	ServeWords said;
	uint16_t port = 0;
	Reason reason;
	int r;

	if (options_help(argc, argv)) {
		(void)fputs(help, stdout);
		return EXIT_SUCCESS;
	}
	r = words_read(argc, argv, &said, &reason);
	if (r == 0)
		r = directory_find(said.directory, &directory, &reason);
	if (r == 0)
		r = port_find(said.port, &port, &reason);
	if (r < 0) {
		reason_tell("serve", said.background, reason.text);
		return r == -EINVAL ? EXIT_WRONG_USAGE : EXIT_FAILURE;
	}
	(void)address_find(address, sizeof(address));
	(void)address_url(address, port, url, sizeof(url));
	return said.background ? background(&said, directory, port, url) : foreground(&said, directory, port, url);
}
