/* SPDX-License-Identifier: MIT */
/* The keeper's named interpreter sessions, for people and for programs. */
#pragma once

#include "shell/tools/jsontext.h"

#include <systemd/sd-bus.h>

/*
 * A reply to Repls as an array of objects: name, language, state (starting, idle, busy), since (UTC, RFC 3339), idle_ms,
 * memory (bytes). Returns 0 or a negative errno; the caller unrefs.
 */
_must_check_ int sessions_json(sd_bus_message *reply, json_t **ret);
