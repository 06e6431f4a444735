/* SPDX-License-Identifier: MIT */
/*
 * What the confinement adds to a birth, on this machine, without creel around it: clone, confine, execute `true`, wait. Told as
 * time of a processor (of the child and of the kernel for it), because that is the same on a busy machine. As root.
 */
#include "shell/confine/confine.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define AGENT 60123U
#define BIRTHS 400

static const gid_t groups[] = { AGENT };

static double microseconds(const struct timeval *time)
{
	return (double)time->tv_sec * 1e6 + (double)time->tv_usec;
}

static double children_cpu(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_CHILDREN, &usage) < 0 ? 0
						      : microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime);
}

static double own_cpu(void)
{
	struct timespec now;

	return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) < 0 ? 0
								 : (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Without a confinement: only the identity, as the least that any server does. */
static int become(const Confinement *confinement)
{
	const char *step;

	if (confinement)
		return confinement_apply(confinement, &step);
	return syscall(SYS_setgroups, ELEMENTSOF(groups), groups) < 0 ||
			       syscall(SYS_setresgid, AGENT, AGENT, AGENT) < 0 ||
			       syscall(SYS_setresuid, AGENT, AGENT, AGENT) < 0
		       ? -errno
		       : 0;
}

static int births(const Confinement *confinement, double *ret)
{
	double start = children_cpu();

	for (int i = 0; i < BIRTHS; i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (!pid) {
			if (become(confinement) == 0)
				(void)execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		if (waitpid(pid, &status, 0) < 0 || status)
			return -EIO;
	}
	*ret = (children_cpu() - start) / BIRTHS;
	return 0;
}

static int measure(const char *what, const char *lines)
{
	const PolicyText system = { .label = "creel.conf", .text = "", .n = 0 };
	const PolicyText agent = { .label = "bench.conf", .text = lines, .n = strlen(lines) };
	_cleanup_(confinement_done) Confinement confinement = CONFINEMENT_NONE;
	_cleanup_(policy_freep) Policy *policy = NULL;
	ConfinementRequest request = {
		.uid = AGENT,
		.gid = AGENT,
		.groups = groups,
		.n_groups = ELEMENTSOF(groups),
		.home = "/nonexistent",
	};
	double prepared = 0, looked, cost = 0;
	PolicyError error;
	int r;

	r = policy_load_text("", "bench", &system, &agent, &policy, &error);
	if (!r) {
		request.policy = policy;
		prepared = own_cpu();
		r = confinement_prepare(&request, &confinement, &error);
		prepared = own_cpu() - prepared;
	}
	if (r < 0) {
		(void)fprintf(stderr, "%s\n", error.text);
		return r;
	}
	looked = own_cpu();
	for (int i = 0; i < BIRTHS; i++)
		if (!confinement_is_current(&confinement))
			return -ESTALE;
	looked = (own_cpu() - looked) / BIRTHS;
	r = births(&confinement, &cost);
	if (!r)
		(void)printf("%-28s %8.0f us a birth; once %8.0f us to prepare, %5.1f us to see that it is current\n",
			what, cost, prepared, looked);
	return r;
}

int main(void)
{
	double bare = 0;

	if (births(NULL, &bare) < 0 || !bare) {
		(void)fprintf(stderr, "needs root\n");
		return EXIT_FAILURE;
	}
	(void)printf("%-28s %8.0f us a birth\n", "only the identity", bare);
	if (measure("confined, default policy", "") < 0 ||
		measure("one command denied", "[commands]\ndeny = env\n") < 0 ||
		measure("a list of commands", "[commands]\nallow = true\n") < 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
