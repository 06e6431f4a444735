/* SPDX-License-Identifier: MIT */
/* May this account be used now? PAM's account check, service `creel` (/etc/pam.d/creel). */
#pragma once

#include "shell/base/cleanup.h"

typedef struct Account Account;

/* Loads the stack once and keeps it: the modules stay mapped, each check reads passwd and shadow anew. */
_must_check_ int account_new(const char *user, Account **ret);

/* Accepts NULL. Returns NULL. */
Account *account_free(Account *account);
DEFINE_CLEANUP(Account, account_free)

/*
 * Returns 0 when the account may be used, 1 when it may not (expired, /etc/nologin, ...): `ret_reason` is PAM's text.
 * Negative errno: the stack could not be asked, which also means no login.
 * Context: keeper. Privilege: reads /etc/shadow as its owner, uid 0.
 */
_must_check_ int account_check(Account *account, const char *peer_address, const char **ret_reason);
