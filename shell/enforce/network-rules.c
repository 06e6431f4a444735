/* SPDX-License-Identifier: MIT */
/*
 * Policies -> rules. Pure: text in, text out.
 *
 * Who sends is the owner of the socket (meta skuid), but only while a process has it: what a closed socket still sends has
 * no owner. So the connection remembers (ct mark), from its first packet on, and everything is judged and counted by that.
 * Connections from outside get the mark from the socket that they go to (socket mark, set by mark.c), as early.
 *
 * A restricted agent's connection is judged when it begins; then it carries the policy's generation, and passes while that
 * is current. After a change of the policy the generation differs, so each connection is judged once more, and one that is
 * no longer allowed is reset. Addresses of names go into two sets, both filled with each answer by the agent's resolver
 * (nftset) and emptied in turn, one each period (transfer.c): an address stays for at least a period after its name was
 * last resolved, longer than the answer may be kept (RESOLVER_TTL), and at most two. A timeout of the kernel's would count
 * from the first answer and not be renewed by later ones (before Linux 6.12).
 *
 * Loopback is a way out, too: by somebody else's proxy, forwarding, or resolver. For an agent without the whole network,
 * only its own listeners answer there, and its listeners answer no other agent. Who listens is told by the mark of the
 * socket that a packet is about to reach, so this is judged on arrival, in the input hook. ICMP stays: it reaches no process.
 *
 * A run may be restricted while its agent is not. Its sockets say so (mark.c), and its connections from then on; for these
 * there are chains of their own, as for a restricted agent. What else of the agent's listens on loopback answers them, too.
 *
 * Protocols are numbers: a small machine has no /etc/protocols.
 *
 * The table is never deleted: `flush table` takes the rules alone, in the same transaction that puts the new ones, and so
 * sets and their counts survive.
 */
#include "shell/enforce/network.h"

#include <arpa/inet.h>
#include <string.h>

#define TABLE "inet creel_network"

NetworkMode network_mode(const Policy *policy)
{
	return policy ? policy->network : NETWORK_NONE;
}

const char *resolver_address4(uid_t uid, char ret[static RESOLVER_ADDRESS_MAX])
{
	(void)snprintf(ret, RESOLVER_ADDRESS_MAX, "127.67.%u.%u", uid >> 8 & 0xff, uid & 0xff);
	return ret;
}

const char *resolver_address6(uid_t uid, char ret[static RESOLVER_ADDRESS_MAX])
{
	(void)snprintf(ret, RESOLVER_ADDRESS_MAX, "fd63:7265:656c::%x", uid);
	return ret;
}

HostKind host_kind(const char *host)
{
	size_t n = strcspn(host, "%/");
	unsigned char address[16];
	char head[64];

	if (n >= sizeof(head))
		return HOST_NAME;
	memcpy(head, host, n);
	head[n] = '\0';
	if (inet_pton(AF_INET, head, address) == 1)
		return HOST_IPV4;
	return inet_pton(AF_INET6, head, address) == 1 ? HOST_IPV6 : HOST_NAME;
}

/* of restricted runs: the bits, and what they are */
#define RUN_MASK (NETWORK_MARK_MASK | NETWORK_MARK_RUN)
#define RUN (NETWORK_MARK | NETWORK_MARK_RUN)

typedef struct Rules {
	FILE *file;
	const EnforceAgents *agents;
	const uint8_t *generations;
	const bool *changed;
	bool ipv6;
	const Connections *connections;
} Rules;

static NetworkMode mode_of(const Rules *rules, size_t i)
{
	return network_mode(rules->agents->items[i].policy);
}

static uint32_t mark_of(const Rules *rules, size_t i)
{
	return network_mark(rules->agents->items[i].uid);
}

static uint32_t judged_mark(const Rules *rules, size_t i)
{
	return mark_of(rules, i) | (uint32_t)rules->generations[i] << 16;
}

static uint64_t bandwidth_of(const Rules *rules, size_t i)
{
	const Policy *policy = rules->agents->items[i].policy;

	return policy ? policy->max_bandwidth : POLICY_UNLIMITED;
}

/* Agents whose mode is at least that strict. */
static size_t count_modes(const Rules *rules, NetworkMode least)
{
	size_t n = 0;

	for (size_t i = 0; i < rules->agents->n; i++)
		n += mode_of(rules, i) >= least;
	return n;
}

/* "{ 0x430003e8, ... }" of agents whose mode is at least that strict; there must be one. */
static void put_marks(const Rules *rules, NetworkMode least)
{
	const char *separator = "{ ";

	for (size_t i = 0; i < rules->agents->n; i++)
		if (mode_of(rules, i) >= least) {
			(void)fprintf(rules->file, "%s0x%08x", separator, mark_of(rules, i));
			separator = ", ";
		}
	(void)fputs(" }", rules->file);
}

/* "{ 1000, ... }", likewise. */
static void put_uids(const Rules *rules, NetworkMode least)
{
	const char *separator = "{ ";

	for (size_t i = 0; i < rules->agents->n; i++)
		if (mode_of(rules, i) >= least) {
			(void)fprintf(rules->file, "%s%u", separator, rules->agents->items[i].uid);
			separator = ", ";
		}
	(void)fputs(" }", rules->file);
}

static const char *const name_sets[] = { "names4_%u_a", "names4_%u_b", "names6_%u_a", "names6_%u_b" };

static void put_name_sets(const Rules *rules, size_t i)
{
	uid_t uid = rules->agents->items[i].uid;
	bool wanted = network_names(rules->agents->items[i].policy);

	for (size_t k = 0; k < ELEMENTSOF(name_sets); k++) {
		char name[32];

		/* the format is a literal of this file */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(name, sizeof(name), name_sets[k], uid);
#pragma GCC diagnostic pop
		/* added, so that deleting or emptying it is no error */
		(void)fprintf(rules->file, "add set " TABLE " %s { type %s; size %u; }\n", name,
			name[5] == '4' ? "ipv4_addr" : "ipv6_addr", NAMES_MAX);
		if (!wanted)
			(void)fprintf(rules->file, "delete set " TABLE " %s\n", name);
		else if (rules->changed[i])
			(void)fprintf(rules->file, "flush set " TABLE " %s\n", name);
	}
}

/* Elements of sets stay with their counts when they are added again. */
static void put_counts(const Rules *rules)
{
	for (size_t i = 0; i < rules->agents->n; i++) {
		(void)fprintf(rules->file, "add element " TABLE " sent { 0x%08x }\n", mark_of(rules, i));
		(void)fprintf(rules->file, "add element " TABLE " received { 0x%08x }\n", mark_of(rules, i));
	}
}

static void put_judged_chain(const Rules *rules, size_t i, const char *prefix, uint32_t judged)
{
	(void)fprintf(rules->file, "\tchain %s_%u {\n\t\tct state established ct mark 0x%08x accept\n", prefix,
		rules->agents->items[i].uid, judged);
}

static void put_static_hosts(const Rules *rules, size_t i, HostKind kind, uint32_t judged)
{
	const StrList *hosts = &rules->agents->items[i].policy->allowed_hosts;

	/* one rule each: ranges may overlap, and lists are short */
	for (size_t k = 0; k < hosts->n; k++)
		if (host_kind(hosts->items[k]) == kind)
			(void)fprintf(rules->file, "\t\t%s daddr %s ct mark set 0x%08x accept\n",
				kind == HOST_IPV4 ? "ip" : "ip6", hosts->items[k], judged);
}

/* Where a restricted agent's, or run's, packets to others may go. */
static void put_restricted(const Rules *rules, size_t i, const char *prefix, uint32_t judged)
{
	uid_t uid = rules->agents->items[i].uid;

	put_judged_chain(rules, i, prefix, judged);
	(void)fputs("\t\tct direction reply accept\n", rules->file); /* of those who ask its listeners */
	put_static_hosts(rules, i, HOST_IPV4, judged);
	put_static_hosts(rules, i, HOST_IPV6, judged);
	/* no name makes these reachable: a cloud's own services live there */
	(void)fputs("\t\tip daddr 169.254.0.0/16 goto refuse\n\t\tip6 daddr fe80::/10 goto refuse\n", rules->file);
	for (size_t k = 0; k < 4 && network_names(rules->agents->items[i].policy); k++)
		(void)fprintf(rules->file, "\t\t%s daddr @names%c_%u_%c ct mark set 0x%08x accept\n",
			k < 2 ? "ip" : "ip6", k < 2 ? '4' : '6', uid, "ab"[k % 2], judged);
	(void)fputs("\t\tgoto refuse\n\t}\n", rules->file);
}

/* On loopback, on arrival: to its own listeners, and to its resolver. */
static void put_own(const Rules *rules, size_t i, const char *prefix, uint32_t judged)
{
	char address[RESOLVER_ADDRESS_MAX];
	uid_t uid = rules->agents->items[i].uid;

	put_judged_chain(rules, i, prefix, judged);
	if (network_names(rules->agents->items[i].policy)) {
		(void)fprintf(rules->file, "\t\tip daddr %s meta l4proto { 6, 17 } th dport 53 accept\n",
			resolver_address4(uid, address));
		if (rules->ipv6)
			(void)fprintf(rules->file, "\t\tip6 daddr %s meta l4proto { 6, 17 } th dport 53 accept\n",
				resolver_address6(uid, address));
	}
	(void)fprintf(rules->file,
		"\t\tsocket mark and 0x%08x == 0x%08x ct mark set 0x%08x accept\n\t\tgoto refuse_here\n\t}\n",
		NETWORK_MARK_WHO, mark_of(rules, i), judged);
}

static void put_marking(const Rules *rules)
{
	if (!rules->agents->n)
		return;
	/* packets have the mark of the socket that sends them; what a socket may say of itself, only the kernel's program made it say */
	(void)fprintf(rules->file,
		"\t\tct mark and 0x%08x != 0x%08x meta mark and 0x%08x == 0x%08x ct mark set meta mark\n",
		NETWORK_MARK_MASK, NETWORK_MARK, RUN_MASK, RUN);
	(void)fprintf(rules->file, "\t\tct mark and 0x%08x != 0x%08x ct mark set meta skuid map ", NETWORK_MARK_MASK,
		NETWORK_MARK);
	for (size_t i = 0; i < rules->agents->n; i++)
		(void)fprintf(
			rules->file, "%s%u : 0x%08x", i ? ", " : "{ ", rules->agents->items[i].uid, mark_of(rules, i));
	(void)fputs(" }\n", rules->file);
}

/*
 * Tracked connections are the machine's, of which there are some 65,000: with all of them taken nobody gets in any more. What
 * is not tracked carries no mark: it would be sent uncounted. And a flow that is another agent's, by the same port, is not
 * this one's.
 */
static void put_bounds(const Rules *rules)
{
	if (!rules->agents->n)
		return;
	(void)fputs("\t\tmeta skuid ", rules->file);
	put_uids(rules, NETWORK_FULL);
	(void)fputs(" ct state invalid,untracked drop\n\t\tct state new meta skuid ", rules->file);
	put_uids(rules, NETWORK_FULL);
	(void)fprintf(rules->file, " add @connections { meta skuid ct count over %u } goto refuse_here\n",
		rules->connections->each);
	for (size_t i = 0; i < rules->agents->n; i++)
		if (mode_of(rules, i) != NETWORK_FULL)
			(void)fprintf(rules->file,
				"\t\tmeta skuid %u ct direction original ct mark and 0x%08x != 0x%08x drop\n",
				rules->agents->items[i].uid, NETWORK_MARK_WHO, mark_of(rules, i));
	/* likewise: a flow that the agent began outside of its restricted runs */
	(void)fprintf(rules->file,
		"\t\tmeta mark and 0x%08x == 0x%08x ct direction original ct mark and 0x%08x != 0x%08x drop\n",
		RUN_MASK, RUN, RUN_MASK, RUN);
}

/* "vmap { 0x438003e8 : goto PREFIX_1000, ... }" of agents whose runs alone are restricted; of nobody: false. */
static bool put_run_map(const Rules *rules, const char *prefix)
{
	const char *separator = "{ ";

	for (size_t i = 0; i < rules->agents->n; i++) {
		if (mode_of(rules, i) != NETWORK_FULL)
			continue;
		if (*separator == '{')
			(void)fprintf(rules->file, "\t\tct mark and 0x%08x vmap ", NETWORK_MARK_WHO | NETWORK_MARK_RUN);
		(void)fprintf(rules->file, "%s0x%08x : goto %s_%u", separator, mark_of(rules, i) | NETWORK_MARK_RUN,
			prefix, rules->agents->items[i].uid);
		separator = ", ";
	}
	if (*separator == '{')
		return false;
	(void)fputs(" }\n", rules->file);
	return true;
}

static void put_judge(const Rules *rules)
{
	const char *separator = "{ ";

	(void)fputs("\tchain judge {\n\t\ttype filter hook output priority filter; policy accept;\n", rules->file);
	put_marking(rules);
	put_bounds(rules);
	/* delivered on this machine: judged on arrival, also what was sent to a resolver in place of another */
	(void)fputs("\t\toifname \"lo\" accept\n\t\tfib daddr type local accept\n", rules->file);
	if (count_modes(rules, NETWORK_RESTRICTED)) {
		(void)fprintf(rules->file, "\t\tct mark and 0x%08x vmap ", NETWORK_MARK_WHO);
		for (size_t i = 0; i < rules->agents->n; i++) {
			if (mode_of(rules, i) == NETWORK_NONE)
				(void)fprintf(rules->file, "%s0x%08x : goto refuse", separator, mark_of(rules, i));
			else if (mode_of(rules, i) == NETWORK_RESTRICTED)
				(void)fprintf(rules->file, "%s0x%08x : goto restricted_%u", separator,
					mark_of(rules, i), rules->agents->items[i].uid);
			else
				continue;
			separator = ", ";
		}
		(void)fputs(" }\n", rules->file);
	}
	(void)put_run_map(rules, "run");
	(void)fputs("\t}\n", rules->file);
}

/* On loopback, as for restricted agents. */
static void put_runs(const Rules *rules)
{
	(void)fputs("\tchain runs {\n"
		    "\t\tfib daddr type { broadcast, multicast } drop\n"
		    "\t\tmeta l4proto { 1, 58 } accept\n"
		    "\t\tct direction reply accept\n",
		rules->file);
	(void)put_run_map(rules, "run_here");
	(void)fputs("\t\tgoto refuse_here\n\t}\n", rules->file);
}

static void put_arrive(const Rules *rules)
{
	const char *separator = "{ ";

	(void)fputs("\tchain arrive {\n\t\ttype filter hook input priority filter; policy accept;\n", rules->file);
	(void)fprintf(rules->file,
		"\t\tct mark and 0x%08x != 0x%08x socket mark and 0x%08x == 0x%08x ct mark set socket mark\n",
		NETWORK_MARK_MASK, NETWORK_MARK, NETWORK_MARK_MASK, NETWORK_MARK);
	if (count_modes(rules, NETWORK_NONE)) {
		(void)fputs("\t\tiifname != \"lo\" socket mark ", rules->file);
		put_marks(rules, NETWORK_NONE);
		(void)fputs(" drop\n", rules->file);
	}
	(void)fputs("\t\tiifname != \"lo\" accept\n", rules->file);
	if (count_modes(rules, NETWORK_RESTRICTED)) {
		/* a broadcast on loopback reaches every listener on the port; the kernel shows one of them here */
		(void)fputs("\t\tct mark and ", rules->file);
		(void)fprintf(rules->file, "0x%08x ", NETWORK_MARK_WHO);
		put_marks(rules, NETWORK_RESTRICTED);
		(void)fputs(" fib daddr type { broadcast, multicast } drop\n"
			    "\t\tmeta l4proto { 1, 58 } accept\n\t\tct direction reply accept\n",
			rules->file);
		(void)fprintf(rules->file, "\t\tct mark and 0x%08x vmap ", NETWORK_MARK_WHO);
		for (size_t i = 0; i < rules->agents->n; i++)
			if (mode_of(rules, i) != NETWORK_FULL) {
				(void)fprintf(rules->file, "%s0x%08x : goto own_%u", separator, mark_of(rules, i),
					rules->agents->items[i].uid);
				separator = ", ";
			}
		(void)fprintf(rules->file, " }\n\t\tct mark and 0x%08x == 0x%08x socket mark ", NETWORK_MARK_MASK,
			NETWORK_MARK);
		put_marks(rules, NETWORK_RESTRICTED);
		(void)fputs(" goto refuse_here\n", rules->file);
	}
	(void)fprintf(rules->file, "\t\tct mark and 0x%08x == 0x%08x goto runs\n", RUN_MASK, RUN);
	/* a resolver answers its own agent, which passed above, and root */
	(void)fprintf(rules->file,
		"\t\tct mark and 0x%08x == 0x%08x ip daddr 127.67.0.0/16 th dport 53 goto refuse_here\n"
		"\t\tct mark and 0x%08x == 0x%08x ip6 daddr fd63:7265:656c::/64 th dport 53 goto refuse_here\n\t}\n",
		NETWORK_MARK_MASK, NETWORK_MARK, NETWORK_MARK_MASK, NETWORK_MARK);
}

/* Behind every verdict of others, so that what was dropped is not counted. Bytes of IP packets. */
static void put_count(const Rules *rules, const char *hook, const char *interface, const char *set)
{
	(void)fprintf(rules->file,
		"\tchain %s_count {\n\t\ttype filter hook %s priority 300; policy accept;\n\t\t%s \"lo\" accept\n", set,
		hook, interface);
	for (size_t i = 0; i < rules->agents->n; i++)
		if (bandwidth_of(rules, i) != POLICY_UNLIMITED) /* the bucket holds a second's worth and the burst */
			(void)fprintf(rules->file,
				"\t\tct mark and 0x%08x == 0x%08x limit rate over %llu bytes/second burst %u bytes "
				"drop\n",
				NETWORK_MARK_WHO, mark_of(rules, i), (unsigned long long)bandwidth_of(rules, i),
				128U << 10);
	(void)fprintf(rules->file, "\t\tct mark and 0x%08x @%s\n\t}\n", NETWORK_MARK_WHO, set);
}

static void put_run_questions(const Rules *rules, int family)
{
	char address[RESOLVER_ADDRESS_MAX];

	for (size_t i = 0; i < rules->agents->n; i++) {
		uid_t uid = rules->agents->items[i].uid;

		if (mode_of(rules, i) != NETWORK_FULL || !network_names(rules->agents->items[i].policy))
			continue;
		(void)fprintf(rules->file,
			"\t\tmeta mark 0x%08x meta nfproto ipv%d meta l4proto { 6, 17 } th dport 53 dnat %s to %s\n",
			mark_of(rules, i) | NETWORK_MARK_RUN, family, family == 4 ? "ip" : "ip6",
			family == 4 ? resolver_address4(uid, address) : resolver_address6(uid, address));
	}
}

/* Wherever a restricted agent sends questions, its own resolver gets them. */
static void put_questions(const Rules *rules)
{
	char address[RESOLVER_ADDRESS_MAX];

	(void)fputs("\tchain questions {\n\t\ttype nat hook output priority -100; policy accept;\n", rules->file);
	for (int family = 4; family <= (rules->ipv6 ? 6 : 4); family += 2)
		put_run_questions(rules, family);
	for (int family = 4; family <= (rules->ipv6 ? 6 : 4); family += 2) {
		const char *separator = "{ ";

		for (size_t i = 0; i < rules->agents->n; i++) {
			uid_t uid = rules->agents->items[i].uid;

			if (mode_of(rules, i) != NETWORK_RESTRICTED)
				continue;
			if (*separator == '{')
				(void)fprintf(rules->file,
					"\t\tmeta nfproto ipv%d meta l4proto { 6, 17 } th dport 53 dnat %s to meta "
					"skuid map ",
					family, family == 4 ? "ip" : "ip6");
			(void)fprintf(rules->file, "%s%u : %s", separator, uid,
				family == 4 ? resolver_address4(uid, address) : resolver_address6(uid, address));
			separator = ", ";
		}
		if (*separator != '{')
			(void)fputs(" }\n", rules->file);
	}
	(void)fputs("\t}\n", rules->file);
}

static void put_rules(const Rules *rules)
{
	(void)fputs("add table " TABLE "\n"
		    "add set " TABLE " sent { type mark; counter; }\n"
		    "add set " TABLE " received { type mark; counter; }\n"
		    "add set " TABLE " connections { type uid; flags dynamic; }\n"
		    "flush table " TABLE "\n",
		rules->file);
	if (rules->connections->changed) /* an element keeps the limit that it was made with */
		(void)fputs("flush set " TABLE " connections\n", rules->file);
	for (size_t i = 0; i < rules->agents->n; i++)
		put_name_sets(rules, i);
	put_counts(rules);
	(void)fputs("table " TABLE " {\n"
		    "\tchain refuse {\n"
		    "\t\tct state established meta l4proto 6 reject with tcp reset\n"
		    "\t\treject with icmpx admin-prohibited\n\t}\n"
		    "\tchain refuse_here {\n"
		    "\t\tmeta l4proto 6 reject with tcp reset\n"
		    "\t\treject with icmpx port-unreachable\n\t}\n",
		rules->file);
	for (size_t i = 0; i < rules->agents->n; i++) {
		uint32_t judged = judged_mark(rules, i);

		if (mode_of(rules, i) == NETWORK_RESTRICTED)
			put_restricted(rules, i, "restricted", judged);
		if (mode_of(rules, i) != NETWORK_FULL)
			put_own(rules, i, "own", judged);
		if (mode_of(rules, i) != NETWORK_FULL)
			continue;
		put_restricted(rules, i, "run", judged | NETWORK_MARK_RUN);
		put_own(rules, i, "run_here", judged | NETWORK_MARK_RUN);
	}
	put_runs(rules);
	put_judge(rules);
	put_arrive(rules);
	put_count(rules, "output", "oifname", "sent");
	put_count(rules, "input", "iifname", "received");
	put_questions(rules);
	(void)fputs("}\n", rules->file);
}

char *network_text(const EnforceAgents *agents, const uint8_t *generations, const bool *changed, bool ipv6,
	const Connections *connections)
{
	Rules rules = {
		.agents = agents,
		.generations = generations,
		.changed = changed,
		.ipv6 = ipv6,
		.connections = connections,
	};
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	bool whole;

	rules.file = open_memstream(&text, &size);
	if (!rules.file)
		return NULL;
	put_rules(&rules);
	whole = !ferror(rules.file);
	return fclose(rules.file) == 0 && whole ? TAKE_PTR(text) : NULL;
}

char *network_view(const Policy *policy)
{
	static const char *const words[] = { "full", "restricted", "none" };
	NetworkMode mode = network_mode(policy);
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	bool whole;

	if (!file)
		return NULL;
	(void)fprintf(file, "%s\n", words[mode]);
	for (size_t i = 0; network_names(policy) && i < policy->allowed_hosts.n; i++)
		(void)fprintf(file, "%s\n", policy->allowed_hosts.items[i]);
	whole = !ferror(file);
	return fclose(file) == 0 && whole ? TAKE_PTR(text) : NULL;
}
