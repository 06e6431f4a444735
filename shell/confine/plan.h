/* SPDX-License-Identifier: MIT */
/*
 * From a policy to Landlock rules, in two steps: a plan of paths (places.c, commands.c), then the rules (rules.c).
 *
 * Landlock only gives, and what it gives a folder it gives to all beneath. So whatever is to be taken away must not be
 * beneath anything that is given: to hide /srv/a, everything in / but /srv is given, and everything in /srv but a. That
 * works where the folders on the way are the system's; in a folder in which the agent makes files of its own it cannot,
 * for a rule that names each file knows no file of tomorrow. Such policies are refused.
 */
#pragma once

#include "shell/confine/confine.h"
#include "shell/confine/paths.h"

typedef struct Plan {
	const ConfinementRequest *request;
	PolicyError *error;
	/* what may be executed: [commands], or [exec] of bash runs; and how their keys are called */
	const StrList *allow, *deny;
	const char *allow_key, *deny_key;
	char *home;        /* resolved */
	StrList write;     /* trees that may be written */
	StrList readable;  /* read_only places beneath hidden ones */
	StrList programs;  /* files and folders that may be executed; only with an allow list */
	StrList excluded;  /* what nothing is given to, and nothing beneath; sorted once the plan is complete */
	bool hides_folder; /* and so listing folders must be granted, too */
	Watch watch;
} Plan;

void plan_done(Plan *plan);

/* Fills `error`; returns -EINVAL. */
int plan_refuse(Plan *plan, const char *format, ...) _printf_(2, 3);

/* Each returns 0, -EINVAL (the policy asks for what cannot be had), or another negative errno. */
_must_check_ int plan_places(Plan *plan);
_must_check_ int plan_commands(Plan *plan); /* after plan_places() */

/* The rules, for the kernel's `abi`. */
_must_check_ int rules_make(Plan *plan, int abi, int *ret_fd);

/*
 * programs.c: all names of programs beneath the folders where the system keeps programs, apart from those in `PATH`: ELF
 * files that may be executed and are no libraries.
 */
_must_check_ int programs_find(StrList *ret);

/* All names beneath those folders, PATH's included, of a file that has several. `ret_n` says how many were added. */
_must_check_ int programs_find_names(uint64_t device, uint64_t inode, StrList *ret, size_t *ret_n);

/* Where a command's name is looked for: canonical, existing folders. */
_must_check_ int programs_folders(StrList *ret);

/* What the kernel executes to start `path`: a script's or an ELF file's interpreter; NULL when there is none. */
_must_check_ int program_interpreter(const char *path, char **ret);
