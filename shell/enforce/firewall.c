/* SPDX-License-Identifier: MIT */
/*
 * From outside, on both IP versions, only these answer: SSH, the operator's SSH, the ports that agents may listen on, and those that
 * [network] operator_ports names.
 *
 * The ports themselves are bound by the port programs (ports.c); this stands besides for what a program cannot judge: sockets
 * on ports that the kernel chose, and services of root's that nobody meant to show. The table is creel's own and
 * judges only by dropping, so the operator's tables hold as they are, before and behind it. It has no state, so it is
 * deleted and made anew in one transaction: there is no moment in which both or neither hold.
 *
 * Loopback is not judged here, but for SSH: see network-rules.c. Connections that stood before the table first came are unknown to the
 * kernel's tracking; it takes them up in the middle, as new ones, and SSH's ports are open for those.
 */
#include "shell/enforce/firewall.h"
#include "shell/enforce/network.h"
#include "shell/enforce/program.h"
#include "shell/enforce/tables.h"
#include "shell/policy/opening.h"

#include <string.h>

#define FRONT_PORT 22
#define SSH_FROM_WITHIN 4 /* connections of one agent to SSH on its own machine; OpenSSH gets choosy at ten */

/* `whose`: with the mark that the agent's sockets have. */
static void put_ports(FILE *file, const EnforceAgents *agents, bool whose)
{
	const char *separator = "\t\telements = { ";

	for (size_t i = 0; i < agents->n; i++) {
		const Policy *policy = agents->items[i].policy;

		/* who has no network has nobody to answer */
		if (!policy || policy->network == NETWORK_NONE)
			continue;
		for (size_t k = 0; k < policy->listen.n; k++) {
			(void)fputs(separator, file);
			if (whose)
				(void)fprintf(file, "0x%08x . ", network_mark(agents->items[i].uid));
			(void)fprintf(file, "%u-%u", policy->listen.ranges[k].first, policy->listen.ranges[k].last);
			separator = ", ";
		}
	}
	if (*separator == ',')
		(void)fputs(" }\n", file);
}

/*
 * What the operator serves on this machine. Never an agent's socket, whose port the kernel may have chosen; and where nothing listens,
 * nothing answers.
 */
static void put_openings(FILE *file, const Policy *machine)
{
	for (size_t i = 0; machine && i < machine->operator_ports.n; i++) {
		Opening opening;

		if (opening_parse(machine->operator_ports.items[i], &opening))
			continue; /* the policy would not have been loaded */
		(void)fputs("\t\t", file);
		if (*opening.source)
			(void)fprintf(file, "%s saddr %s ", opening.six ? "ip6" : "ip", opening.source);
		(void)fprintf(file, "%s dport %u-%u socket mark and 0x%08x != 0x%08x accept\n",
			opening.udp ? "udp" : "tcp", opening.first, opening.last, NETWORK_MARK_MASK, NETWORK_MARK);
	}
}

/*
 * An agent's port is one of its range on which a socket of its own is: on another agent's, or on one that nobody has, what
 * the kernel chose for UDP, or for listen(2) after a race, or what root opened would answer otherwise.
 */
static void put_table(FILE *file, const EnforceAgents *agents, const OperatorPorts *ports)
{
	(void)fputs("table inet creel\ndelete table inet creel\ntable inet creel {\n"
		    "\tset agents {\n\t\ttype mark . inet_service\n\t\tflags interval\n",
		file);
	put_ports(file, agents, true);
	(void)fputs("\t}\n\tset ranges {\n\t\ttype inet_service\n\t\tflags interval\n\t\tauto-merge\n", file);
	put_ports(file, agents, false);
	(void)fprintf(file, "\t}\n\tset ssh {\n\t\ttype inet_service\n\t\telements = { %d", FRONT_PORT);
	for (size_t i = 0; i < ports->n; i++)
		if (ports->items[i] != FRONT_PORT)
			(void)fprintf(file, ", %u", ports->items[i]);
	(void)fputs(" }\n\t}\n"
		    "\tcounter dropped { }\n"
		    "\tset callers {\n\t\ttype mark\n\t\tsize 4096\n\t\tflags dynamic\n\t}\n"
		    "\tchain input {\n"
		    "\t\ttype filter hook input priority filter; policy accept;\n",
		file);
	/* an agent that calls from within may not use up what waits for everybody's keys */
	(void)fprintf(file,
		"\t\tiifname \"lo\" tcp dport @ssh ct state new ct mark and 0x%08x == 0x%08x "
		"add @callers { ct mark ct count over %d } reject with tcp reset\n",
		NETWORK_MARK_MASK, NETWORK_MARK, SSH_FROM_WITHIN);
	(void)fputs("\t\tiifname \"lo\" accept\n"
		    "\t\ttcp dport @ssh accept\n"
		    "\t\tct state established,related accept\n"
		    "\t\tct state invalid counter name dropped drop\n"
		    "\t\ticmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept\n"
		    "\t\ticmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded,"
		    " parameter-problem, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert,"
		    " mld-listener-query } accept\n"
		    "\t\tudp sport 67 udp dport 68 accept\n"
		    "\t\tip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n",
		file);
	put_openings(file, agents->machine);
	(void)fputs("\t\tsocket mark . tcp dport @agents accept\n"
		    "\t\tsocket mark . udp dport @agents accept\n"
		    /* any mark, which only a socket has: where there is none, the kernel says so */
		    "\t\tsocket mark and 0x0 == 0x0 counter name dropped drop\n"
		    "\t\ttcp dport @ranges accept\n"
		    "\t\tudp dport @ranges accept\n"
		    "\t\tcounter name dropped drop\n"
		    "\t}\n}\n",
		file);
}

char *firewall_text(const EnforceAgents *agents, const OperatorPorts *ports)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	bool whole;

	if (!file)
		return NULL;
	put_table(file, agents, ports);
	whole = !ferror(file);
	return fclose(file) == 0 && whole ? TAKE_PTR(text) : NULL;
}

int firewall_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_free_ char *text = NULL;
	OperatorPorts ports = { .n = 0 };
	uint64_t stamp = operator_ports_stamp();
	int r;

	operator_ports_find(agents->machine, &ports);
	text = firewall_text(agents, &ports);
	if (!text)
		return enforce_reason(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = nft_load(text, ret_reason);
	if (r < 0)
		return r;
	r = table_note(FIREWALL_TABLE, ret_reason);
	if (r < 0)
		return r;
	r = operator_ports_noted(stamp);
	return r < 0 ? enforce_reason(ret_reason, r, "/run/creel: %s", strerror(-r)) : 0;
}
