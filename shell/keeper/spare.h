/* SPDX-License-Identifier: MIT */
/*
 * Prepared interpreters: one of each kind of run has imported what [python] preload names, and waits for a run to become. It
 * serves that one and no other, and another is made ready behind its back. ADR 0010 says why it is not forked from.
 *
 * A spare is born as its run would be: in a leaf of its own with the policy's limits, confined, in a view of its own where it
 * is for independent runs. It has its run's number from the start, so its leaf is the run's leaf: nothing has to be moved, and
 * what its imports hold counts as the run's memory. What it is told of the run comes over a socket on its descriptor 3
 * (shell/drivers/prepared.py).
 *
 * Whatever goes wrong with one is no failure of a run, which starts as if there had been none.
 */
#pragma once

#include "shell/keeper/run.h"

/*
 * `run` is served: its number, leaf, process and our ends of its pipes are set, and its code is on its way; to be watched as if
 * it had just been born. False: nothing was done to it, and where a spare could have served it, one is ordered for the next.
 */
bool spare_take(Run *run);

/* Memory is short: ends those that wait, and makes none ready for a while. Returns whether there were any. */
bool spares_give_up(Keeper *keeper);

/* The policy, or the confinement, is another: none of those that wait is right any more. */
void spares_renew(Keeper *keeper);

/* At the keeper's own end: ends all, without waiting. */
void spares_done(Keeper *keeper);
