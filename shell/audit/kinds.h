/* SPDX-License-Identifier: MIT */
/* Kinds of entries of the record: what may stand in CREEL_KIND (docs/architecture.md says who writes which). Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The one of that number; NULL behind the last. */
const char *record_kind(size_t i);

bool record_kind_known(const char *kind);

/* All of them as words for a message: "login, logout, ... or keeper". Returns `buffer`. */
#define RECORD_KINDS_SIZE 256
const char *record_kinds(char buffer[static RECORD_KINDS_SIZE]);
