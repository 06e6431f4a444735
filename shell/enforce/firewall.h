/* SPDX-License-Identifier: MIT */
/* What answers from outside: table `inet creel`. */
#pragma once

#include "shell/enforce/enforce.h"

/* Ports that must stay open whatever the policies say: the operator's. */
#define OPERATOR_PORTS_MAX 32U

typedef struct OperatorPorts {
	uint16_t items[OPERATOR_PORTS_MAX];
	size_t n;
} OperatorPorts;

/* Once each; what does not fit is left out. 0 is no port. */
void operator_ports_add(OperatorPorts *ports, uint64_t port);

/* Adds those of the output of `sshd -T`, `systemctl show -P Listen ssh.socket` and `ss -Hltn --cgroup` that name OpenSSH's. */
void operator_ports_parse_sshd(OperatorPorts *ports, const char *text);
void operator_ports_parse_socket(OperatorPorts *ports, const char *text);
void operator_ports_parse_ss(OperatorPorts *ports, const char *text);

/* Where the operator's OpenSSH listens, or will: [front] operator_port, its configuration, and what it has open now. */
void operator_ports_find(const Policy *machine, OperatorPorts *ret);

/*
 * A number that changes with the files which say where OpenSSH listens: noted when the firewall was made with it, so that a
 * move of the operator's own is noticed within a minute.
 */
uint64_t operator_ports_stamp(void);
_must_check_ int operator_ports_noted(uint64_t stamp);
bool operator_ports_outdated(void);

/* The table's text for nft(8), which replaces it in one transaction and touches no other; new memory, NULL: no memory. */
_must_check_ char *firewall_text(const EnforceAgents *agents, const OperatorPorts *ports);
