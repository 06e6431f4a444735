/* SPDX-License-Identifier: MIT */
/*
 * Applies what network-rules.c says. /run/creel/network/UID remembers under which generation an agent's connections were
 * judged last, and what its policy said then: "GENERATION\n" and the view. The new generation is written before the rules are
 * loaded, the view after it: whoever dies in between leaves a view that differs, and the next run judges once more.
 */
#include "shell/enforce/network.h"
#include "shell/base/file.h"
#include "shell/enforce/program.h"
#include "shell/enforce/tables.h"
#include "shell/enforce/transfer.h"
#include "shell/policy/agents.h"
#include "shell/policy/transfer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define STATE_DIR "/run/creel/network"
#define VIEW_MAX (256U * 1024)

typedef struct Memory {
	int dir_fd;
	uint8_t *generations;
	bool *changed;
	char **views;
	size_t n;
	Connections connections;
} Memory;

static void memory_done(Memory *memory)
{
	memory->dir_fd = fd_close(memory->dir_fd);
	free(memory->generations);
	free(memory->changed);
	for (size_t i = 0; memory->views && i < memory->n; i++)
		free(memory->views[i]);
	free(memory->views);
}

static int state_write(const Memory *memory, uid_t uid, uint8_t generation, const char *view)
{
	_cleanup_free_ char *text = str_format("%u\n%s", generation, view);
	char name[16];

	(void)snprintf(name, sizeof(name), "%u", uid);
	return text ? file_replace_at(memory->dir_fd, name, text, strlen(text), 0600) : -ENOMEM;
}

/* Never 0: that is what a connection carries that nobody judged. */
static int recall(Memory *memory, size_t i, uid_t uid)
{
	_cleanup_free_ char *text = NULL;
	uint64_t generation = 0;
	const char *view = "";
	char name[16], *end;
	int r;

	(void)snprintf(name, sizeof(name), "%u", uid);
	r = file_read_at(memory->dir_fd, name, O_NOFOLLOW, VIEW_MAX, &text, NULL);
	if (r < 0 && r != -ENOENT)
		return r;
	end = text ? strchr(text, '\n') : NULL;
	if (end) {
		*end = '\0';
		view = end + 1;
		if (str_to_u64(text, NETWORK_GENERATIONS, &generation) < 0)
			generation = 0;
	}
	memory->changed[i] = generation == 0 || strcmp(view, memory->views[i]) != 0;
	if (memory->changed[i])
		generation = generation % NETWORK_GENERATIONS + 1;
	memory->generations[i] = (uint8_t)generation;
	return memory->changed[i] ? state_write(memory, uid, memory->generations[i], "") : 0;
}

/* The kernel's table of connections is everybody's: all agents together get three quarters of it. */
static unsigned int connections_each(size_t agents)
{
	char text[32];
	uint64_t all;

	if (file_get_at(AT_FDCWD, "/proc/sys/net/netfilter/nf_conntrack_max", text, sizeof(text)) < 0 ||
		str_to_u64(text, UINT32_MAX, &all) < 0)
		return CONNECTIONS_MIN;
	all = agents ? all / 4 * 3 / agents : CONNECTIONS_MAX;
	return all < CONNECTIONS_MIN ? CONNECTIONS_MIN : all > CONNECTIONS_MAX ? CONNECTIONS_MAX : (unsigned int)all;
}

#define CONNECTIONS_FILE "connections" /* in STATE_DIR: the number of the rules that are in force */

static void connections_recall(Memory *memory, size_t agents)
{
	char text[16];
	uint64_t before = 0;

	memory->connections.each = connections_each(agents);
	memory->connections.changed = file_get_at(memory->dir_fd, CONNECTIONS_FILE, text, sizeof(text)) < 0 ||
				      str_to_u64(text, UINT32_MAX, &before) < 0 || before != memory->connections.each;
}

static int connections_note(const Memory *memory)
{
	char text[16];

	if (!memory->connections.changed)
		return 0;
	(void)snprintf(text, sizeof(text), "%u\n", memory->connections.each);
	return file_replace_at(memory->dir_fd, CONNECTIONS_FILE, text, strlen(text), 0600);
}

static int memory_load(const EnforceAgents *agents, Memory *ret)
{
	if (mkdir(STATE_DIR, 0700) < 0 && errno != EEXIST)
		return -errno;
	ret->dir_fd = open(STATE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->dir_fd < 0)
		return -errno;
	ret->n = agents->n;
	ret->generations = calloc(agents->n + 1, sizeof(*ret->generations));
	ret->changed = calloc(agents->n + 1, sizeof(*ret->changed));
	ret->views = calloc(agents->n + 1, sizeof(*ret->views));
	if (!ret->generations || !ret->changed || !ret->views)
		return -ENOMEM;
	connections_recall(ret, agents->n);
	for (size_t i = 0; i < agents->n; i++) {
		int r;

		ret->views[i] = network_view(agents->items[i].policy);
		r = ret->views[i] ? recall(ret, i, agents->items[i].uid) : -ENOMEM;
		if (r < 0)
			return r;
	}
	return 0;
}

static int memory_store(const EnforceAgents *agents, const Memory *memory)
{
	for (size_t i = 0; i < agents->n; i++)
		if (memory->changed[i]) {
			int r = state_write(memory, agents->items[i].uid, memory->generations[i], memory->views[i]);

			if (r < 0)
				return r;
		}
	return connections_note(memory);
}

/* Its sets and chains, which its uid's next user must not find. Its rules went with those that were replaced. */
static int forget(uid_t uid, const void *userdata, EnforceReason *ret_reason)
{
	_cleanup_free_ char *script = NULL;
	uint32_t mark = network_mark(uid);
	int r;

	script =
		str_format("add set inet creel_network names4_%u_a { type ipv4_addr; size %u; }\n"
			   "add set inet creel_network names4_%u_b { type ipv4_addr; size %u; }\n"
			   "add set inet creel_network names6_%u_a { type ipv6_addr; size %u; }\n"
			   "add set inet creel_network names6_%u_b { type ipv6_addr; size %u; }\n"
			   "delete set inet creel_network names4_%u_a\ndelete set inet creel_network names4_%u_b\n"
			   "delete set inet creel_network names6_%u_a\ndelete set inet creel_network names6_%u_b\n"
			   "add chain inet creel_network restricted_%u\ndelete chain inet creel_network restricted_%u\n"
			   "add chain inet creel_network own_%u\ndelete chain inet creel_network own_%u\n"
			   "add chain inet creel_network run_%u\ndelete chain inet creel_network run_%u\n"
			   "add chain inet creel_network run_here_%u\ndelete chain inet creel_network run_here_%u\n"
			   "add element inet creel_network sent { 0x%08x }\n"
			   "delete element inet creel_network sent { 0x%08x }\n"
			   "add element inet creel_network received { 0x%08x }\n"
			   "delete element inet creel_network received { 0x%08x }\n",
			uid, NAMES_MAX, uid, NAMES_MAX, uid, NAMES_MAX, uid, NAMES_MAX, uid, uid, uid, uid, uid, uid,
			uid, uid, uid, uid, uid, uid, mark, mark, mark, mark);
	if (!script)
		return enforce_reason(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = nft_load(script, ret_reason);
	if (r < 0)
		return r;
	r = transfer_forget("", uid);
	return r < 0 ? enforce_reason(ret_reason, r, TRANSFER_DIR ": %s", strerror(-r)) : 0;
}

/*
 * A table of another version may have what cannot be changed in place; then it is made anew, in one transaction as well, and
 * `ret_anew` gets true: addresses of names are gone with it.
 */
static int load_rules(
	const EnforceAgents *agents, const Memory *memory, bool ipv6, bool *ret_anew, EnforceReason *ret_reason)
{
	_cleanup_free_ char *rules =
		network_text(agents, memory->generations, memory->changed, ipv6, &memory->connections);
	_cleanup_free_ char *anew = NULL;
	int r;

	if (!rules)
		return enforce_reason(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = nft_load(rules, ret_reason);
	if (r != -EPROTO)
		return r;
	*ret_anew = true;
	anew = str_format("add table inet creel_network\ndelete table inet creel_network\n%s", rules);
	return anew ? nft_load(anew, ret_reason) : -ENOMEM;
}

/* Nobody's sockets have a mark: neither rules nor the counts of bytes know whose a packet is. */
static void fail_all(EnforceAgents *agents, const char *reason)
{
	for (size_t i = 0; i < agents->n; i++)
		(void)enforce_reason(&agents->items[i].failed, 0, "%s", reason);
}

/* What the rules cannot hold for agents, or runs, without the whole network. */
static void fail_confined(EnforceAgents *agents, const char *reason)
{
	for (size_t i = 0; i < agents->n; i++)
		(void)enforce_reason(network_mode(agents->items[i].policy) != NETWORK_FULL ? &agents->items[i].failed
											   : &agents->items[i].runs,
			0, "%s", reason);
}

int network_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_(memory_done) Memory memory = { .dir_fd = -EBADF };
	EnforceReason mark_reason = { "" };
	bool ipv6 = access("/proc/net/if_inet6", F_OK) == 0;
	const char *beside = resolver_beside("");
	bool anew = !table_is_as_noted(NETWORK_TABLE);
	int r;

	r = memory_load(agents, &memory);
	if (r < 0)
		return enforce_reason(ret_reason, r, STATE_DIR ": %s", strerror(-r));
	/* what was counted is safe whatever happens to the table */
	(void)!transfer_save();
	if (mark_apply(agents, &mark_reason) < 0)
		fail_all(agents, mark_reason.text);
	r = load_rules(agents, &memory, ipv6, &anew, ret_reason);
	if (r < 0)
		return r;
	r = resolvers_apply(agents, ipv6, anew, ret_reason);
	if (r < 0)
		return r;
	if (beside) {
		char text[128];

		(void)snprintf(text, sizeof(text), "%s would resolve any name for any agent: disable it", beside);
		fail_confined(agents, text);
	}
	r = memory_store(agents, &memory);
	if (r < 0)
		return enforce_reason(ret_reason, r, STATE_DIR ": %s", strerror(-r));
	r = enforce_forget_others(STATE_DIR, agents, forget, NULL, ret_reason);
	return r < 0 ? r : table_note(NETWORK_TABLE, ret_reason);
}

/* Changes nothing: network_apply() did, just before. What fails there fails here, too. */
int restricted_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	size_t row;
	int r = mechanism_find("network", &row);

	if (r < 0)
		return enforce_reason(ret_reason, r, "no mechanism network");
	for (size_t i = 0; i < agents->n; i++) {
		EnforceAgent *agent = &agents->items[i];
		const MechanismResult *network = &agent->enforced.results[row];

		if (network->state == MECHANISM_FAILED)
			(void)enforce_reason(&agent->failed, 0, "%s", network->reason);
		else if (*agent->runs.text)
			agent->failed = agent->runs;
	}
	return 0;
}
