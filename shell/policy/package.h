/* SPDX-License-Identifier: MIT */
/*
 * What an agent may install by pip and npm: names with versions, the hosts that give packages out, and the shelf that an
 * allowlist is filled into. Pure.
 *
 * What holds is the network and who owns a file, never what stands on a command line: pip and npm are programs of the
 * agent's own choice, and it can bring others. Where [python] pip_install or [javascript] npm_install is `no` or
 * `allowlist`, policy_check() refuses a policy with which a registry could be reached, so nothing comes from one, whatever
 * asks for it. The variables are the friendly face of that: pip and npm, called as usual, say at once what the policy says
 * or find the shelf. docs/adr/0009 has the reasons.
 */
#pragma once

#include "shell/policy/policy.h"

#define PACKAGE_SHELF_DIR "/var/lib/creel/packages"
#define PACKAGE_CONSTRAINT CREEL_DATADIR "/packages/pip_install-no.txt"

typedef enum PackageKind { PACKAGE_PYTHON, PACKAGE_JAVASCRIPT, PACKAGE_KINDS_N } PackageKind;

PackageMode package_mode(const Policy *policy, PackageKind kind);
const StrList *package_list(const Policy *policy, PackageKind kind);

/* NAME, NAME[EXTRA], and behind it any number of OPERATOR VERSION, as in `numpy==1.26.4` or `requests >=2 <3`. */
bool package_pip_valid(const char *text);

/* NAME or @SCOPE/NAME, and behind it @RANGE or @TAG, as in `express@^4.18`: only what a registry resolves. */
bool package_npm_valid(const char *text);

/* The same as pip reads it, with commas between versions: `requests>=2,<3`. New memory; NULL when memory is out. */
char *package_requirement(const char *text);

/*
 * The first of [network] allowed_hosts by which packages of that kind could be had: the registries that everybody uses,
 * [python] or [javascript] mirrors, and ranges of public addresses, in which anything may be. NULL: none.
 */
const char *package_registry(const Policy *policy, PackageKind kind);

/*
 * The folder of what the agent's allowlist allows, below PACKAGE_SHELF_DIR/NAME: the name changes with the list, so that
 * nobody finds what another list allowed. For a policy with a name. New memory; NULL when memory is out.
 */
char *package_shelf(const Policy *policy, PackageKind kind);

/* Adds "NAME=value" for pip and npm. For a policy with a name. Returns 0 or -ENOMEM. */
_must_check_ int package_environment(const Policy *policy, StrList *list);
