/* SPDX-License-Identifier: MIT */
/* The test keeper's Connect. */
#pragma once

#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

/* Loopback by address, any port but 9 (discard). Answers `call` when the connection is made, or fills `error`. */
int fake_connect(sd_event *event, sd_bus_message *call, const char *host, uint32_t port, sd_bus_error *error);
