/* SPDX-License-Identifier: MIT */
/* The SSH front. Three roles, one program: listener.c accepts, monitor.c decides, worker.c parses. */
#include "shell/base/log.h"
#include "shell/base/str.h"
#include "sshd-sub/listener.h"
#include "sshd-sub/monitor.h"
#include "sshd-sub/split.h"

#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>

#define KEEPALIVE_DEFAULT 60U
#define KEEPALIVE_MAX 86400U
#define KEEPALIVES_DEFAULT 5U
#define KEEPALIVES_MAX 100U
#define REKEY_MIN 65536U
#define GRACE_DEFAULT 20U
#define GRACE_MAX 3600U
#define UNAUTHENTICATED_DEFAULT 64U
#define UNAUTHENTICATED_MAX 10000U

static int usage(void)
{
	(void)fprintf(stderr, "usage: creel-sshd [-g seconds] [-u connections] [-a seconds] [-c count] [-r bytes] "
			      "[-o 0|1] [-b bannerfile] [-k keyfile] [-K folder] [-l port]\n");
	return 2;
}

static int parse(int argc, char *argv[], Options *ret)
{
	Options options = {
		.grace_usec = GRACE_DEFAULT * UINT64_C(1000000),
		.unauthenticated = UNAUTHENTICATED_DEFAULT,
		.keepalive_usec = KEEPALIVE_DEFAULT * UINT64_C(1000000),
		.keepalives = KEEPALIVES_DEFAULT,
	};
	uint64_t number;
	int option;

	while ((option = getopt(argc, argv, "g:u:a:c:r:o:b:k:K:l:m")) != -1)
		switch (option) {
		case 'g':
			if (str_to_u64(optarg, GRACE_MAX, &number) < 0 || !number)
				return -EINVAL;
			options.grace_usec = number * 1000000U;
			break;
		case 'u':
			if (str_to_u64(optarg, UNAUTHENTICATED_MAX, &number) < 0 || !number)
				return -EINVAL;
			options.unauthenticated = (unsigned int)number;
			break;
		case 'a':
			if (str_to_u64(optarg, KEEPALIVE_MAX, &number) < 0)
				return -EINVAL;
			options.keepalive_usec = number * 1000000U;
			break;
		case 'c':
			if (str_to_u64(optarg, KEEPALIVES_MAX, &number) < 0 || !number)
				return -EINVAL;
			options.keepalives = (unsigned int)number;
			break;
		case 'r':
			if (str_to_u64(optarg, UINT64_MAX, &number) < 0 || (number && number < REKEY_MIN))
				return -EINVAL;
			options.rekey_bytes = number;
			break;
		case 'o':
			if (str_to_u64(optarg, 1, &number) < 0)
				return -EINVAL;
			options.older_clients = number;
			break;
		case 'b':
			options.banner_path = *optarg ? optarg : NULL;
			break;
		case 'k':
			options.key_path = optarg;
			break;
		case 'K':
			options.keepers = optarg;
			break;
		case 'l':
			if (str_to_u64(optarg, UINT16_MAX, &number) < 0 || !number)
				return -EINVAL;
			options.port = (uint16_t)number;
			break;
		case 'm':
			options.monitor = true;
			break;
		default:
			return -EINVAL;
		}
	if (optind != argc)
		return -EINVAL;
	*ret = options;
	return 0;
}

int main(int argc, char *argv[])
{
	static Options options;

	log_open("creel-sshd");
	if (parse(argc, argv, &options) < 0)
		return usage();
	if (geteuid() == 0) {
		log_error(
			"this program must not be root: it runs as a user of its own and gets its key and its sockets "
			"handed");
		return 1;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	if (split_init() < 0) {
		log_error("OpenSSL's functions are not where they should be");
		return 1;
	}
	/* started anew, or as the monitor, the kernel would call it "exe" */
	(void)prctl(PR_SET_NAME, options.monitor ? "creel-monitor" : "creel-sshd", 0, 0, 0);
	if (options.monitor)
		monitor_run(&options);
	return listener_run(&options, argv);
}
