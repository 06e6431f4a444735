/* SPDX-License-Identifier: MIT */
/*
 * A restricted agent's name server: a dnsmasq of its own (creel-resolver@UID.service) on addresses of loopback that are its
 * own, which knows the names of [network] allowed_hosts and no other: it is told to ask for these, one line each, and has no
 * server to ask for anything else. What it answers, it puts into the agent's sets of addresses first.
 *
 * An exact name does not allow what is below it, and *.NAME does not allow NAME. Port 53 needs a privilege, so no agent can
 * sit there before the resolver does.
 */
#include "shell/base/file.h"
#include "shell/enforce/network.h"
#include "shell/enforce/program.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define RESOLVER_DIR "/run/creel/resolver"
#define SERVERS_FILE "/run/creel/resolver/servers"
#define RESOLVER_TTL 300 /* seconds; at most half of what an address stays allowed (transfer.c) */
#define SYSTEMCTL "/usr/bin/systemctl"
#define IP "/usr/sbin/ip"

static bool is_address(const char *text)
{
	return host_kind(text) != HOST_NAME;
}

/* fe80::1%eth0: the interface goes into dnsmasq's configuration. */
static bool scope_is_plain(const char *text)
{
	const char *scope = strchr(text, '%');

	return !scope || (scope[1] && !scope[1 + strspn(scope + 1, "abcdefghijklmnopqrstuvwxyz0123456789-.")]);
}

int resolver_servers(const char *resolv_conf, StrList *ret)
{
	for (const char *line = resolv_conf; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		char word[80];

		if (strncmp(line, "nameserver", 10) != 0 || !strchr(" \t", line[10]))
			continue;
		if (sscanf(line + 10, " %79[^ \t\r\n]", word) != 1 || !is_address(word) || strchr(word, '/') ||
			!scope_is_plain(word))
			continue;
		if (!strlist_contains(ret, word) && strlist_add(ret, word) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void put_name(FILE *file, uid_t uid, const StrList *hosts, const char *name, const StrList *servers)
{
	bool wildcard = strncmp(name, "*.", 2) == 0;
	const char *bare = wildcard ? name + 2 : name;
	char below[260];

	for (size_t i = 0; i < servers->n; i++)
		(void)fprintf(file, "server=/%s/%s\n", name, servers->items[i]);
	(void)snprintf(below, sizeof(below), "*.%s", bare);
	if (!wildcard && !strlist_contains(hosts, below))
		(void)fprintf(file, "local=/%s/\n", below);
	/* both sets of each family: see network-rules.c */
	(void)fprintf(file, "nftset=/%s/", bare);
	for (int k = 0; k < 4; k++)
		(void)fprintf(file, "%s%c#inet#creel_network#names%c_%u_%c", k ? "," : "", k < 2 ? '4' : '6',
			k < 2 ? '4' : '6', uid, "ab"[k % 2]);
	(void)fputc('\n', file);
}

static void put_configuration(FILE *file, uid_t uid, const Policy *policy, const StrList *servers, bool ipv6)
{
	char address[RESOLVER_ADDRESS_MAX];

	(void)fprintf(file, "# creel: the resolver of agent %s\nport=53\nbind-interfaces\nlisten-address=%s\n",
		policy->name, resolver_address4(uid, address));
	if (ipv6)
		(void)fprintf(file, "listen-address=%s\n", resolver_address6(uid, address));
	(void)fprintf(file,
		"no-resolv\nno-hosts\nno-poll\nlocal=/#/\ncache-size=1000\nmax-ttl=%d\nmax-cache-ttl=%d\n"
		"dns-forward-max=150\n",
		RESOLVER_TTL, RESOLVER_TTL);
	for (size_t i = 0; i < policy->allowed_hosts.n; i++)
		if (!is_address(policy->allowed_hosts.items[i]))
			put_name(file, uid, &policy->allowed_hosts, policy->allowed_hosts.items[i], servers);
}

char *resolver_text(uid_t uid, const Policy *policy, const StrList *servers, bool ipv6)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	bool whole;

	if (!file)
		return NULL;
	put_configuration(file, uid, policy, servers, ipv6);
	whole = !ferror(file);
	return fclose(file) == 0 && whole ? TAKE_PTR(text) : NULL;
}

const char *resolver_beside(const char *root)
{
	/* running, or started at the next boot: creel-enforce runs before either does */
	static const struct {
		const char *path, *what;
	} rows[] = {
		{ "/run/systemd/resolve/io.systemd.Resolve", "systemd-resolved" },
		{ "/etc/systemd/system/sysinit.target.wants/systemd-resolved.service", "systemd-resolved" },
		{ "/etc/systemd/system/multi-user.target.wants/systemd-resolved.service", "systemd-resolved" },
		{ "/run/nscd/socket", "nscd" },
		{ "/etc/systemd/system/multi-user.target.wants/nscd.service", "nscd" },
		{ "/etc/systemd/system/multi-user.target.wants/unscd.service", "unscd" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		char path[512];
		struct stat st;

		(void)snprintf(path, sizeof(path), "%s%s", root, rows[i].path);
		if (lstat(path, &st) == 0)
			return rows[i].what;
	}
	return NULL;
}

/* ---- units ---- */

/* Nothing may wait for a unit before the machine is that far: this runs before it. */
static bool manager_is_up(void)
{
	static const char *const argv[] = { SYSTEMCTL, "-q", "is-active", "sysinit.target", NULL };

	return program_run(argv, NULL, NULL, NULL) == 0;
}

static int unit_do(const char *verb, uid_t uid, EnforceReason *ret_reason)
{
	char unit[48];
	const char *argv[] = { SYSTEMCTL, verb, unit, manager_is_up() ? NULL : "--no-block", NULL };
	int r;

	(void)snprintf(unit, sizeof(unit), "creel-resolver@%u.service", uid);
	r = program_run(argv, NULL, NULL, ret_reason);
	return r > 0 ? -EPROTO : r;
}

/* Deprecated from the start: the kernel never takes it as the source of anything else. */
static int address_do(const char *verb, uid_t uid, EnforceReason *ret_reason)
{
	char address[RESOLVER_ADDRESS_MAX + 4];
	bool add = strcmp(verb, "replace") == 0;
	const char *argv[] = { IP, "-6", "address", verb, address, "dev", "lo", add ? "preferred_lft" : NULL, "0",
		"valid_lft", "forever", NULL };
	int r;

	(void)resolver_address6(uid, address);
	(void)strcat(address, "/128");
	r = program_run(argv, NULL, NULL, ret_reason);
	return r > 0 ? -EPROTO : r;
}

static int read_servers(StrList *ret)
{
	_cleanup_free_ char *text = NULL;
	int r;

	r = file_read_at(AT_FDCWD, "/etc/resolv.conf", 0, 64 * 1024, &text, NULL);
	if (r == -ENOENT)
		return 0; /* nothing is resolved, then */
	return r < 0 ? r : resolver_servers(text, ret);
}

/* Of all resolvers at once, beside their configurations: what changed tells resolvers_outdated(). */
static char *servers_text(const StrList *servers)
{
	const char *beside = resolver_beside("");
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	bool whole;

	if (!file)
		return NULL;
	for (size_t i = 0; i < servers->n; i++)
		(void)fprintf(file, "%s\n", servers->items[i]);
	(void)fprintf(file, "beside %s\n", beside ? beside : "nobody");
	whole = !ferror(file);
	return fclose(file) == 0 && whole ? TAKE_PTR(text) : NULL;
}

bool resolvers_outdated(void)
{
	_cleanup_strlist_ StrList servers = { 0 };
	_cleanup_free_ char *before = NULL, *now = NULL;

	if (file_read_at(AT_FDCWD, SERVERS_FILE, 0, 64 * 1024, &before, NULL) < 0 || read_servers(&servers) < 0)
		return false; /* not applied yet, or not to be read: as it is */
	now = servers_text(&servers);
	return now && strcmp(now, before) != 0;
}

static int servers_note(const StrList *servers)
{
	_cleanup_free_ char *text = servers_text(servers);

	return text ? file_replace_at(AT_FDCWD, SERVERS_FILE, text, strlen(text), 0600) : -ENOMEM;
}

/* `again`: its sets of addresses may be empty, and what it answers from its memory it does not put there. */
static int resolver_start(
	int dir_fd, const EnforceAgent *agent, const StrList *servers, bool ipv6, bool again, EnforceReason *ret_reason)
{
	_cleanup_free_ char *text = resolver_text(agent->uid, agent->policy, servers, ipv6), *before = NULL;
	char name[32];
	int r;

	if (!text)
		return enforce_reason(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	(void)snprintf(name, sizeof(name), "%u.conf", agent->uid);
	if (ipv6) {
		r = address_do("replace", agent->uid, ret_reason);
		if (r < 0)
			return r;
	}
	r = file_read_at(dir_fd, name, 0, 1024 * 1024, &before, NULL);
	if (r == 0 && strcmp(before, text) == 0)
		return unit_do(again ? "restart" : "start", agent->uid, ret_reason);
	r = file_replace_at(dir_fd, name, text, strlen(text), 0644);
	if (r < 0)
		return enforce_reason(ret_reason, r, RESOLVER_DIR "/%s: %s", name, strerror(-r));
	return unit_do("restart", agent->uid, ret_reason);
}

static const EnforceAgent *asker_of(const EnforceAgents *agents, uint64_t uid)
{
	for (size_t i = 0; i < agents->n; i++)
		if (agents->items[i].uid == uid && network_names(agents->items[i].policy))
			return &agents->items[i];
	return NULL;
}

static int stop_others(int dir_fd, const EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_closedir_ DIR *dir = opendir(RESOLVER_DIR);
	const struct dirent *entry;

	if (!dir)
		return enforce_reason(ret_reason, -errno, RESOLVER_DIR ": %s", strerror(errno));
	while ((entry = readdir(dir))) {
		char digits[16];
		uint64_t uid;
		int r;

		(void)snprintf(digits, sizeof(digits), "%.*s", (int)strcspn(entry->d_name, "."), entry->d_name);
		if (str_to_u64(digits, AGENT_UID_MAX, &uid) < 0 || asker_of(agents, uid))
			continue;
		r = unit_do("stop", (uid_t)uid, ret_reason);
		if (r < 0)
			return r;
		(void)!address_do("del", (uid_t)uid, NULL); /* it may be gone with IPv6 */
		if (unlinkat(dir_fd, entry->d_name, 0) < 0)
			return enforce_reason(ret_reason, -errno, RESOLVER_DIR ": %s", strerror(errno));
	}
	return 0;
}

int resolvers_apply(EnforceAgents *agents, bool ipv6, bool again, EnforceReason *ret_reason)
{
	_cleanup_strlist_ StrList servers = { 0 };
	_cleanup_close_ int dir_fd = -EBADF;
	int r;

	if (mkdir(RESOLVER_DIR, 0755) < 0 && errno != EEXIST)
		return enforce_reason(ret_reason, -errno, RESOLVER_DIR ": %s", strerror(errno));
	dir_fd = open(RESOLVER_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return enforce_reason(ret_reason, -errno, RESOLVER_DIR ": %s", strerror(errno));
	r = read_servers(&servers);
	if (r < 0)
		return enforce_reason(ret_reason, r, "/etc/resolv.conf: %s", strerror(-r));
	r = servers_note(&servers);
	if (r < 0)
		return enforce_reason(ret_reason, r, SERVERS_FILE ": %s", strerror(-r));
	r = stop_others(dir_fd, agents, ret_reason);
	for (size_t i = 0; i < agents->n && r == 0; i++) {
		EnforceAgent *agent = &agents->items[i];

		if (network_names(agent->policy) &&
			resolver_start(dir_fd, agent, &servers, ipv6, again, &agent->failed) < 0)
			continue; /* it said why; the others' start */
	}
	return r;
}
