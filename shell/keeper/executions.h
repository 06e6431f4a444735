/* SPDX-License-Identifier: MIT */
/*
 * What the agent executes, as the kernel tells it, into the record: [audit] programs; and what its user manager starts for units, whatever
 * that key says.
 */
#pragma once

#include "shell/keeper/keeper.h"

/*
 * Opens the agent's ring where its policy wants it, there is one and it is not open yet. Called with each policy and before each login
 * and birth: creel-enforce may make the ring later than the policy is read. Failures are logged. Privilege: CAP_SYS_ADMIN, for a moment.
 */
void executions_open(Keeper *keeper);
void executions_close(Keeper *keeper);

/* All that was told until now: before a place in which it was executed is forgotten. */
void executions_drain(Keeper *keeper);

/* As record_waits() and record_flush(), of these records. */
bool executions_wait(const Keeper *keeper);
uint64_t executions_again_usec(const Keeper *keeper); /* UINT64_MAX: nothing waits */
void executions_flush(Keeper *keeper);
