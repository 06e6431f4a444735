/* SPDX-License-Identifier: MIT */
/*
 * Secrets are left out of what is recorded, by their looks: a net and no proof. What is found becomes REDACTED:
 *
 *   values of names that end with password, passwd, passphrase, secret, token, credential(s), pwd, _pass, api key, access key, private
 *   key, auth key and their like, or that are KEY or end with _KEY, maybe with a number behind: NAME=value, name = "value",
 *   "name": "value", name: value, --name value, --name=value. Not where the value is a variable ($NAME, but between single quotes)
 *   what follows Authorization: SCHEME, Bearer, Cookie: and Set-Cookie:
 *   the password of URLs (scheme://user:password@host) and of -u and --user USER:PASSWORD
 *   tokens that say what they are: ghp_, gho_, ghu_, ghs_, ghr_, github_pat_, glpat-, sk-, sk_live_, rk_live_, xoxb- and the like,
 *   xapp-, npm_, pypi-, hf_, dop_v1_, AKIA, ASIA, AIza, eyJ (JSON web tokens)
 *   private keys between their BEGIN and END lines; without an END, what looks like one
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stddef.h>

#define REDACTED "[redacted]"

/*
 * `n` bytes of anything. `ret` is NULL where nothing was found; else new memory with `*ret_n` bytes and a NUL behind them. Takes time
 * that grows with `n` alone. Returns how many secrets were left out, or -ENOMEM. Pure; fuzzed.
 */
_must_check_ int redact(const char *s, size_t n, char **ret, size_t *ret_n);

/*
 * As str_quote() (shell/base/str.h), of what redact() leaves: behind quoting, and where the buffer cuts it, a secret does not look like
 * one any more. "?" when memory is out.
 */
const char *redact_quote(const char *s, char *buffer, size_t size);
