/* SPDX-License-Identifier: MIT */
/* What a run, or a REPL, is born into: which confinement, namespaces and view, by what was asked for and the policy. */
#pragma once

#include "shell/bus/run.h"
#include "shell/keeper/keeper.h"
#include "shell/run/birth.h"

/* For one birth; what the order borrows of it must outlive that. */
typedef struct Setting {
	Surroundings surroundings;
	View view;
	char *home, *output;
	int read_fd; /* what birth_ending() wants of a run with a view, else -EBADF: to be taken (TAKE_FD) */
	int leaf_fd; /* the leaf in the run's own, where its network is restricted */
} Setting;

#define SETTING_NONE ((Setting){ .surroundings.report_fd = -EBADF, .read_fd = -EBADF, .leaf_fd = -EBADF })

void setting_done(Setting *setting);

/* Of the leaf of a run with such limits: what surrounds it may need a process beside those of the run itself. */
LeafLimits setting_limits(const RunOptions *options);

/*
 * Fills what of `order` is about surroundings: leaf_fd, confinement, narrower, surroundings, directory, copy_third.
 * `options` as they were judged: with the policy's values where nothing was asked for. `leaf_fd`: the run's leaf.
 * Returns 0; -EINVAL with a sentence in `ret_reason` (the policy or the request cannot be brought about); or another
 * negative errno. Context: before birth(). Privilege: writes into the leaf.
 */
_must_check_ int setting_prepare(Keeper *keeper, const RunOptions *options, int leaf_fd, BirthRequest *order,
	Setting *ret, PolicyError *ret_reason);

/* What was prepared for earlier runs is of another policy. */
void settings_forget(Keeper *keeper);
