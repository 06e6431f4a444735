/* SPDX-License-Identifier: MIT */
/*
 * Where agents' packets may go: table `inet creel_network`, a resolver for each restricted agent, a mark on every socket.
 */
#pragma once

#include "shell/enforce/enforce.h"
#include "shell/enforce/shared.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * An agent's mark: of its sockets (mark.c), and, with a generation in bits 16 to 22, of its connections. The generation is
 * that of the policy under which a restricted or networkless agent's connection was last judged. Bit 23: of a run that is
 * restricted, though its agent is not.
 */
#define NETWORK_MARK SOCKET_MARK
#define NETWORK_MARK_MASK 0xff000000U /* whether it is one */
#define NETWORK_MARK_RUN SOCKET_MARK_RESTRICTED
#define NETWORK_GENERATIONS 127U
#define NAMES_MAX 4096U /* addresses of each version that a restricted agent's names have at a time */
#define CONNECTIONS_MIN 512U
#define CONNECTIONS_MAX 16384U       /* tracked ones of an agent at a time, if the kernel's table has room for that */
#define NETWORK_MARK_WHO 0xff00ffffU /* whose */
_Static_assert(SHARED_UID_MAX <= UINT16_MAX, "a uid of an agent's fits into a mark");

_Static_assert(
	NETWORK_MARK == SHARED_MARK && NETWORK_MARK_RUN == SHARED_MARK_RESTRICTED, "what the kernel's program sets");
_Static_assert(sizeof(RESTRICTED_LEAF) == sizeof(SHARED_RESTRICTED_LEAF), "what the kernel's program looks for");

static inline uint32_t network_mark(uid_t uid)
{
	return NETWORK_MARK | (uint32_t)uid;
}

/* What a host of a policy or of resolv.conf(5) is: an address with or without a network's length or an interface (%eth0), or a name. */
typedef enum HostKind { HOST_NAME, HOST_IPV4, HOST_IPV6 } HostKind;
HostKind host_kind(const char *host);

/* The resolver of an agent: addresses that are its own alone, on loopback, port 53. */
#define RESOLVER_ADDRESS_MAX 48
const char *resolver_address4(uid_t uid, char ret[static RESOLVER_ADDRESS_MAX]);
const char *resolver_address6(uid_t uid, char ret[static RESOLVER_ADDRESS_MAX]);

/* What holds for one agent. A policy that is NULL counts as mode `none`. */
NetworkMode network_mode(const Policy *policy);

/*
 * The mode and the hosts as text, to be compared: connections are judged again when it changes. New memory; NULL: no memory.
 */
_must_check_ char *network_view(const Policy *policy);

/* What an agent may have in the kernel's table of connections, and whether it was another number when rules were loaded last. */
typedef struct Connections {
	unsigned int each;
	bool changed;
} Connections;

/*
 * The rules for nft(8); `generations` and `changed` have one element an agent. New memory; NULL: no memory.
 * Loaded again, they keep counts, and what resolvers put into the sets of agents that did not change.
 */
_must_check_ char *network_text(const EnforceAgents *agents, const uint8_t *generations, const bool *changed, bool ipv6,
	const Connections *connections);

/* dnsmasq's configuration for a restricted agent; `servers`: where it may ask. New memory; NULL: no memory. */
_must_check_ char *resolver_text(uid_t uid, const Policy *policy, const StrList *servers, bool ipv6);

/* The name servers of a resolv.conf(5). Returns 0 or -ENOMEM; what is no address is left out. */
_must_check_ int resolver_servers(const char *resolv_conf, StrList *ret);

/*
 * Configurations and units of resolvers: those that are needed run with what `agents` say, the others are gone. Writes
 * `failed` of agents. `again`: those that run are restarted, too. Returns 0 or a negative errno with its reason.
 */
_must_check_ int resolvers_apply(EnforceAgents *agents, bool ipv6, bool again, EnforceReason *ret_reason);

/* There are restricted agents, and the machine's name servers are others now, or one came that answers for anybody. */
bool resolvers_outdated(void);

/* A program on the root cgroup that gives each new socket of an agent its mark. Adds to agents->pins. */
_must_check_ int mark_apply(EnforceAgents *agents, EnforceReason *ret_reason);

/* A name server that answers for anybody by unix socket, behind the firewall's back; NULL: none runs. */
const char *resolver_beside(const char *root);
