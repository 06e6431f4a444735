/* SPDX-License-Identifier: MIT */
/*
 * The agent's own usual mistakes. A check looks at one thing and finds nothing, or rows: what is wrong, and the way out. Nothing
 * is changed. What cannot be looked at is found, too: it is not told to be well.
 */
#pragma once

#include "shell/jobs/gather.h"
#include "shell/jobs/meters.h"

typedef struct Mistake {
	char *what, *way_out; /* owned; what others wrote is not cleaned */
} Mistake;

typedef struct Mistakes {
	Mistake *items;
	size_t n;
	size_t left_out; /* more than MISTAKES_MAX of one check */
} Mistakes;

#define MISTAKES_MAX 20U

/* What several checks look at. */
typedef struct Scene {
	const Gathered *gathered;
	const Meters *meters;
	int home_fd;
} Scene;

/* Formats both. Returns 0 or -ENOMEM. */
_must_check_ int mistakes_add(Mistakes *mistakes, const char *way_out, const char *format, ...) _printf_(3, 4);
void mistakes_done(Mistakes *mistakes);
#define _cleanup_mistakes_ _cleanup_(mistakes_done)

/* ---- the checks: 0 or -ENOMEM ---- */
_must_check_ int mistakes_servers(const Scene *scene, Mistakes *ret);
_must_check_ int mistakes_units(const Scene *scene, Mistakes *ret);
_must_check_ int mistakes_pids(const Scene *scene, Mistakes *ret);
_must_check_ int mistakes_strays(const Scene *scene, Mistakes *ret);
_must_check_ int mistakes_cron(const Scene *scene, Mistakes *ret);
_must_check_ int mistakes_limits(const Scene *scene, Mistakes *ret);
_must_check_ int mistakes_logs(const Scene *scene, Mistakes *ret);
_must_check_ int mistakes_secrets(const Scene *scene, Mistakes *ret);
_must_check_ int mistakes_pip(const Scene *scene, Mistakes *ret);
_must_check_ int mistakes_backend(const Scene *scene, Mistakes *ret);
