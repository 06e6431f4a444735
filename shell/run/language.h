/* SPDX-License-Identifier: MIT */
/*
 * How code of a language is executed once: which interpreter, with which of our drivers. The code itself comes on descriptor
 * 3, so that neither its size nor its bytes matter, and nobody reads it from a command line.
 */
#pragma once

#include "shell/policy/policy.h"

#define LANGUAGE_DRIVERS CREEL_DATADIR "/drivers"

/* The interpreter of a language that the policy allows. NULL: it does not. */
const char *language_interpreter(const Policy *policy, const char *language);

/*
 * The whole command line of a run, [0] included. `label` names the code in messages and is its argv[0]; `arguments` may be
 * NULL. Returns 0, -ENOENT (no such language) or -ENOMEM.
 */
_must_check_ int language_command(
	const Policy *policy, const char *language, const char *label, char *const *arguments, StrList *ret);

/* The same of a session, whose driver gets one call after the other on descriptor 3, a socket (frame.h). */
_must_check_ int language_repl_command(const Policy *policy, const char *language, StrList *ret);
