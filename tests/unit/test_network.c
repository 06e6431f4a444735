/* SPDX-License-Identifier: MIT */
/* Policies -> rules, configurations and limits, without a kernel that holds them: tests/vm does that. */
#include "tests/unit/unit.h"

#include "shell/enforce/firewall.h"
#include "shell/enforce/network.h"
#include "shell/enforce/program.h"
#include "shell/enforce/quota.h"
#include "shell/enforce/transfer.h"
#include "shell/policy/transfer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AGENTS 5U

static EnforceAgent items[AGENTS];
static EnforceAgents agents = { .items = items, .n = AGENTS };
static char root[] = "/tmp/creel-test-network-XXXXXX";

static Policy *load(const char *text)
{
	const PolicyText system = { .label = "creel.conf", .text = "", .n = 0 };
	const PolicyText agent = { .label = "agent.conf", .text = text, .n = strlen(text) };
	PolicyError error = { "" };
	Policy *policy = NULL;

	if (policy_load_text(root, "agent", &system, &agent, &policy, &error) < 0)
		fail_msg("%s", error.text);
	return policy;
}

static int setup(void **state)
{
	static const char *const texts[AGENTS - 2] = {
		"[ports]\nlisten = 3000-3009\n[network]\nmax_bandwidth = 500K\n",
		"[ports]\nlisten = 4000-4001,5000\n"
		"[network]\nmode = restricted\nallowed_hosts = ok.example, *.wild.example, both.example, "
		"*.both.example, "
		"192.0.2.0/28, 2001:db8::1\n",
		"[ports]\nlisten = 6000\n[network]\nmode = none\n",
	};

	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		items[i] = (EnforceAgent){ .uid = (uid_t)(1000 + i), .policy = load(texts[i]) };
	/* one that is refused */
	items[3] = (EnforceAgent){ .uid = 1003 };
	/* whose runs alone are restricted */
	items[4] = (EnforceAgent){ .uid = 1004,
		.policy = load("[ports]\nlisten = 5000\n[network]\nallowed_hosts = run.example, "
			       "198.51.100.0/24\n[exec]\nnetwork = restricted\n") };
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	for (size_t i = 0; i < AGENTS; i++)
		items[i].policy = policy_free(items[i].policy);
	(void)snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("`%s` is not in:\n%s", part, text);
}

static void has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("`%s` is in:\n%s", part, text);
}

/* nft itself reads it, where this process may ask the kernel. */
static void assert_nft_takes(const char *text)
{
	static const char *const argv[] = { "/usr/sbin/nft", "-c", "-f", "-", NULL };
	EnforceReason reason = { "" };

	if (getuid() != 0)
		return;
	if (program_run(argv, text, NULL, &reason) != 0)
		fail_msg("%s\n%s", reason.text, text);
}

static void test_firewall(void **state)
{
	OperatorPorts ports = { .n = 0 };
	_cleanup_free_ char *text = NULL;

	operator_ports_add(&ports, 2222);
	operator_ports_add(&ports, 2200);
	text = firewall_text(&agents, &ports);
	assert_non_null(text);
	has(text, "table inet creel\ndelete table inet creel\n");
	has(text, "elements = { 0x430003e8 . 3000-3009, 0x430003e9 . 4000-4001, 0x430003e9 . 5000-5000, 0x430003ec . "
		  "5000-5000 }"); /* 6000 has no network to answer to */
	has(text, "elements = { 3000-3009, 4000-4001, 5000-5000, 5000-5000 }");
	has(text, "elements = { 22, 2222, 2200 }");
	has(text, "\t\tcounter name dropped drop\n\t}\n}\n");
	assert_nft_takes(text);
}

/* Before the rules that drop, for sockets that are no agent's. */
static void test_firewall_of_the_operators_ports(void **state)
{
	const char conf[] =
		"[network]\noperator_ports = 9100 from 192.0.2.7, 9200-9210/udp from 2001:DB8::1/32, 9300\n";
	const PolicyText system = { .label = "creel.conf", .text = conf, .n = strlen(conf) };
	EnforceAgents with = agents;
	OperatorPorts ports = { .n = 0 };
	_cleanup_free_ char *text = NULL, *without = firewall_text(&agents, &ports);
	PolicyError error = { "" };
	Policy *machine = NULL;

	if (policy_load_text(root, NULL, &system, NULL, &machine, &error) < 0)
		fail_msg("%s", error.text);
	with.machine = machine;
	text = firewall_text(&with, &ports);
	assert_non_null(text);
	assert_non_null(without);
	has(text, "udp dport 546 accept\n"
		  "\t\tip saddr 192.0.2.7 tcp dport 9100-9100 socket mark and 0xff000000 != 0x43000000 accept\n"
		  "\t\tip6 saddr 2001:db8::1/32 udp dport 9200-9210 socket mark and 0xff000000 != 0x43000000 accept\n"
		  "\t\ttcp dport 9300-9300 socket mark and 0xff000000 != 0x43000000 accept\n"
		  "\t\tsocket mark . tcp dport @agents accept\n");
	has_not(without, "socket mark and 0xff000000 !=");
	assert_nft_takes(text);
	policy_free(machine);
}

static void test_firewall_of_nobody(void **state)
{
	const EnforceAgents nobody = { .n = 0 };
	OperatorPorts ports = { .n = 0 };
	_cleanup_free_ char *text = firewall_text(&nobody, &ports);

	assert_non_null(text);
	has(text, "elements = { 22 }");
	assert_nft_takes(text);
}

static void test_operator_ports(void **state)
{
	OperatorPorts ports = { .n = 0 };

	operator_ports_parse_sshd(&ports,
		"port 2222\naddressfamily any\nlistenaddress [::]:2200\nlistenaddress 0.0.0.0:2201\n"
		"portable 77\nport x\n");
	operator_ports_parse_socket(
		&ports, "[::]:2300 (Stream)\n0.0.0.0:2222 (Stream)\n/run/ssh.sock (Stream)\n[::]:99 (Datagram)\n");
	operator_ports_parse_ss(&ports,
		"LISTEN 0      128          0.0.0.0:2400      0.0.0.0:*    cgroup:/system.slice/ssh.service \n"
		"LISTEN 0      128             [::]:2401         [::]:*    cgroup:/system.slice/sshd.service\n"
		"LISTEN 0      128        127.0.0.1:81        0.0.0.0:*    "
		"cgroup:/user.slice/user-1000.slice/x cgroup:/system.slice/ssh.service \n"
		"LISTEN 0      128        127.0.0.1:82        0.0.0.0:*    "
		"cgroup:/user.slice/user-1000.slice/cgroup:/system.slice/ssh.service \n"
		"LISTEN 0      128        127.0.0.1:83        0.0.0.0:*    cgroup:/system.slice/ssh.service/x \n"
		"LISTEN 0      128\n"
		"LISTEN 0      128          0.0.0.0:80        0.0.0.0:*    cgroup:/system.slice/nginx.service \n");
	operator_ports_add(&ports, 0);
	operator_ports_add(&ports, 65536);
	{
		static const uint16_t expected[] = { 2222, 2200, 2201, 2300, 2400, 2401 };

		assert_int_equal(ports.n, ELEMENTSOF(expected));
		assert_memory_equal(ports.items, expected, sizeof(expected));
	}
	for (uint64_t port = 1; port < 100; port++)
		operator_ports_add(&ports, port);
	assert_int_equal(ports.n, OPERATOR_PORTS_MAX);
}

static void test_rules(void **state)
{
	static const uint8_t generations[AGENTS] = { 1, 2, 3, 127, 5 };
	static const bool changed[AGENTS] = { true, true, true, true, true };
	static const bool same[AGENTS] = { false };
	static const Connections first = { .each = 16384, .changed = true }, later = { .each = 16384 };
	_cleanup_free_ char *text = network_text(&agents, generations, changed, true, &first), *again = NULL,
			    *old = NULL;

	assert_non_null(text);
	has(text, "flush table inet creel_network\n");
	has(text, "flush set inet creel_network connections\n");
	has_not(text, "delete table");
	has(text, "ct mark set meta skuid map { 1000 : 0x430003e8, 1001 : 0x430003e9, 1002 : 0x430003ea, 1003 : "
		  "0x430003eb, 1004 : 0x430003ec }");
	/* full: no judgement, but a limit each way */
	has(text, "ct mark and 0xff00ffff == 0x430003e8 limit rate over 512000 bytes/second burst 131072 bytes drop\n"
		  "\t\tct mark and 0xff00ffff @sent");
	has(text, "ct mark and 0xff00ffff == 0x430003e8 limit rate over 512000 bytes/second burst 131072 bytes drop\n"
		  "\t\tct mark and 0xff00ffff @received");
	has_not(text, "own_1000 {");
	has_not(text, "restricted_1000 {");
	/* restricted runs of the full, with and without hosts: known by the mark of what they send, from the first packet on */
	has(text, "ct mark and 0xff000000 != 0x43000000 meta mark and 0xff800000 == 0x43800000 ct mark set meta mark\n"
		  "\t\tct mark and 0xff000000 != 0x43000000 ct mark set meta skuid map");
	has(text, "meta mark and 0xff800000 == 0x43800000 ct direction original ct mark and 0xff800000 != 0x43800000 "
		  "drop\n");
	has(text, "ct mark and 0xff80ffff vmap { 0x438003e8 : goto run_1000, 0x438003ec : goto run_1004 }\n\t}\n");
	has(text, "ct mark and 0xff80ffff vmap { 0x438003e8 : goto run_here_1000, 0x438003ec : goto run_here_1004 }\n"
		  "\t\tgoto refuse_here\n\t}\n");
	has(text,
		"chain run_1004 {\n\t\tct state established ct mark 0x438503ec accept\n\t\tct direction reply accept\n"
		"\t\tip daddr 198.51.100.0/24 ct mark set 0x438503ec accept\n");
	has(text, "ip daddr @names4_1004_b ct mark set 0x438503ec accept\n");
	has(text, "socket mark and 0xff00ffff == 0x430003ec ct mark set 0x438503ec accept\n\t\tgoto refuse_here\n");
	has(text,
		"meta mark 0x438003ec meta nfproto ipv4 meta l4proto { 6, 17 } th dport 53 dnat ip to 127.67.3.236\n");
	has_not(text, "meta mark 0x438003e8 meta nfproto");
	has_not(text, "@names4_1000_a");
	/* restricted: what was judged under this policy, then addresses */
	has(text, "chain restricted_1001 {\n\t\tct state established ct mark 0x430203e9 accept\n\t\tct direction reply "
		  "accept\n"
		  "\t\tip daddr 192.0.2.0/28 ct mark set 0x430203e9 accept\n"
		  "\t\tip6 daddr 2001:db8::1 ct mark set 0x430203e9 accept\n\t\tip daddr 169.254.0.0/16 goto refuse\n");
	has(text, "ip daddr @names4_1001_a ct mark set 0x430203e9 accept\n");
	has(text, "ip6 daddr @names6_1001_b ct mark set 0x430203e9 accept\n\t\tgoto refuse\n");
	has(text, "socket mark and 0xff00ffff == 0x430003e9 ct mark set 0x430203e9 accept\n\t\tgoto refuse_here\n");
	has(text, "dnat ip to meta skuid map { 1001 : 127.67.3.233 }");
	has(text, "dnat ip6 to meta skuid map { 1001 : fd63:7265:656c::3e9 }");
	/* none, and refused */
	has(text,
		"ct state new meta skuid { 1000, 1001, 1002, 1003, 1004 } add @connections { meta skuid ct count over "
		"16384 } goto "
		"refuse_here\n");
	has(text, "meta skuid 1001 ct direction original ct mark and 0xff00ffff != 0x430003e9 drop\n");
	has(text, "vmap { 0x430003e9 : goto restricted_1001, 0x430003ea : goto refuse, 0x430003eb : goto refuse }");
	has(text, "iifname != \"lo\" socket mark { 0x430003ea, 0x430003eb } drop\n");
	has(text, "socket mark and 0xff00ffff == 0x430003eb ct mark set 0x437f03eb accept\n\t\tgoto refuse_here\n");
	has(text, "flush set inet creel_network names4_1001_a\n");
	assert_nft_takes(text);

	/* loaded again, what resolvers found stays; sets that nobody needs go */
	again = network_text(&agents, generations, same, true, &later);
	assert_non_null(again);
	has_not(again, "flush set");
	has(again, "delete set inet creel_network names4_1002_a\n");
	has(again, "add element inet creel_network sent { 0x430003e8 }\n");
	assert_nft_takes(again);

	old = network_text(&agents, generations, same, false, &later);
	assert_non_null(old);
	has_not(old, "dnat ip6");
	assert_nft_takes(old);
}

static void test_rules_of_nobody(void **state)
{
	const EnforceAgents nobody = { .n = 0 };
	_cleanup_free_ char *text = network_text(&nobody, NULL, NULL, true, &(Connections){ .each = 16384 });

	assert_non_null(text);
	has_not(text, "map");
	assert_nft_takes(text);
}

static void test_views_differ_when_hosts_do(void **state)
{
	_cleanup_free_ char *full = network_view(items[0].policy), *restricted = network_view(items[1].policy);
	_cleanup_free_ char *none = network_view(items[2].policy), *refused = network_view(NULL);

	assert_string_equal(full, "full\n");
	has(restricted, "restricted\nok.example\n*.wild.example\n");
	assert_string_equal(none, "none\n");
	assert_string_equal(refused, none);
}

static void test_resolver(void **state)
{
	_cleanup_strlist_ StrList servers = { 0 };
	_cleanup_free_ char *text = NULL;

	assert_int_equal(
		resolver_servers(
			"# nameserver 9.9.9.9\nnameserver 192.0.2.53\nsearch example\nnameserver\t2001:db8::53\n"
			"nameserver fe80::1%eth0\nnameserver evil/#\nnameserver 192.0.2.53\nnameserver 1.2.3.4/5\n"
			"nameserver fe80::1%e,th\n",
			&servers),
		0);
	assert_int_equal(servers.n, 3);
	assert_string_equal(servers.items[2], "fe80::1%eth0");

	text = resolver_text(1001, items[1].policy, &servers, true);
	assert_non_null(text);
	has(text, "listen-address=127.67.3.233\nlisten-address=fd63:7265:656c::3e9\nno-resolv\nno-hosts\n");
	has(text, "local=/#/\n");
	has(text, "server=/ok.example/192.0.2.53\nserver=/ok.example/2001:db8::53\n");
	has(text, "local=/*.ok.example/\n");
	has(text, "server=/*.wild.example/192.0.2.53\n");
	has_not(text, "server=/wild.example/");
	has_not(text, "local=/*.wild.example/");
	/* both were asked for: one must not close the other */
	has(text, "server=/both.example/192.0.2.53\n");
	has_not(text, "local=/*.both.example/");
	has(text, "nftset=/ok.example/4#inet#creel_network#names4_1001_a,4#inet#creel_network#names4_1001_b,"
		  "6#inet#creel_network#names6_1001_a,6#inet#creel_network#names6_1001_b\n");
	has_not(text, "192.0.2.0");
	has_not(text, "2001:db8::1\n");
}

static void test_counts_are_read(void **state)
{
	static const char text[] =
		"table inet creel_network {\n\tset sent {\n\t\ttype mark\n\t\tcounter\n\t\telements = { "
		"0x430003e8 counter packets 12 bytes 18446744073709551615,\n\t\t\t     0x430003e9 counter packets 0 "
		"bytes 0, 0x1 foo }\n\t}\n}\n";
	TransferCount counts[8];

	assert_int_equal(transfer_parse(text, counts, ELEMENTSOF(counts)), 2);
	assert_int_equal(counts[0].mark, 0x430003e8);
	assert_int_equal(counts[0].bytes, UINT64_MAX);
	assert_int_equal(counts[1].mark, 0x430003e9);
	assert_int_equal(transfer_parse(text, counts, 1), 1);
	assert_int_equal(transfer_parse("", counts, 1), 0);
}

static void test_months(void **state)
{
	Transfer transfer = { .sent = 0 };
	char month[TRANSFER_MONTH_SIZE];

	transfer_month(1764547199, month);
	assert_string_equal(month, "2025-11");
	transfer_month(1764547200, month);
	assert_string_equal(month, "2025-12");

	transfer_add(&transfer, "2025-11", "a", 100, 200);
	assert_int_equal(transfer.sent, 100);
	transfer_add(&transfer, "2025-11", "a", 150, 200);
	assert_int_equal(transfer.sent, 150);
	assert_int_equal(transfer.received, 200);
	/* the machine started anew */
	transfer_add(&transfer, "2025-11", "b", 120, 10);
	assert_int_equal(transfer.sent, 270);
	assert_int_equal(transfer.received, 210);
	/* the table was made anew */
	transfer_add(&transfer, "2025-11", "b", 5, 15);
	assert_int_equal(transfer.sent, 275);
	assert_int_equal(transfer.received, 215);
	/* another month */
	transfer_add(&transfer, "2025-12", "b", 6, 18);
	assert_int_equal(transfer.sent, 1);
	assert_int_equal(transfer.received, 3);
	assert_string_equal(transfer.month, "2025-12");
}

static void test_transfer_file(void **state)
{
	Transfer written = { .sent = 1, .received = UINT64_MAX, .seen_sent = 3, .seen_received = 4 }, read;
	char path[256];
	FILE *file;

	(void)snprintf(path, sizeof(path), "mkdir -p %s" TRANSFER_DIR, root);
	assert_int_equal(system(path), 0);
	assert_int_equal(transfer_read(root, 1000, &read), -ENOENT);
	(void)snprintf(written.month, sizeof(written.month), "2025-11");
	(void)snprintf(written.boot, sizeof(written.boot), "01234567-89ab-cdef-0123-456789abcdef");
	assert_int_equal(transfer_write(root, 1000, &written), 0);
	assert_int_equal(transfer_read(root, 1000, &read), 0);
	assert_memory_equal(&written, &read, sizeof(read));

	(void)snprintf(path, sizeof(path), "%s" TRANSFER_DIR "/1000", root);
	file = fopen(path, "ae");
	assert_non_null(file);
	assert_true(fputs("more\n", file) >= 0 && fclose(file) == 0);
	assert_int_equal(transfer_read(root, 1000, &read), -EBADMSG);
	assert_int_equal(transfer_forget(root, 1000), 0);
	assert_int_equal(transfer_forget(root, 1000), 0);
	assert_int_equal(transfer_read(root, 1000, &read), -ENOENT);
}

static void test_mounts(void **state)
{
	static const char text[] =
		"22 1 254:0 / / rw,noatime shared:1 - ext4 /dev/root rw,usrjquota=aquota.user\n"
		"23 22 0:5 / /dev rw - devtmpfs udev rw\n24 22 0:23 / /run rw,nosuid - tmpfs tmpfs rw,size=10\n"
		"25 22 254:0 /var /mnt/again rw - ext4 /dev/root rw\n"
		"26 22 254:16 / /ro ro,noatime - ext4 /dev/vdb rw\n27 22 254:32 / /frozen rw - ext4 /dev/vdc "
		"ro,errors=continue\n"
		"28 22 0:40 / /with\\040blank rw - btrfs /dev/vdd rw\nnonsense\n";
	Mount *mounts = NULL;
	size_t n = 0;

	assert_int_equal(mounts_parse(text, &mounts, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(mounts[0].device, "254:0");
	assert_string_equal(mounts[0].points.items[0], "/");
	assert_string_equal(mounts[0].type, "ext4");
	assert_int_equal(mounts[0].points.n, 2);
	assert_string_equal(mounts[0].points.items[1], "/mnt/again");
	assert_string_equal(mounts[1].points.items[0], "/with blank");
	mounts_free(mounts, n);
}

static void test_quota_plan(void **state)
{
	const uint64_t gib = UINT64_C(1) << 30;
	DiskState disk = { .total = 100 * gib, .available = 80 * gib, .inodes = 6000000, .used = gib };
	QuotaLimits plan = quota_plan(40 * gib, &disk);

	assert_int_equal(plan.bytes, 40 * gib);
	assert_int_equal(plan.inodes, 3000000); /* half of all, less than one for each 8 KiB */
	plan = quota_plan(gib, &disk);
	assert_int_equal(plan.inodes, gib / 8192);
	plan = quota_plan(16 << 20, &disk);
	assert_int_equal(plan.inodes, 4096);
	/* a small disk has no more than is there, and keeps a twentieth */
	disk = (DiskState){ .total = 10 * gib, .available = 6 * gib, .inodes = 0, .used = gib };
	plan = quota_plan(40 * gib, &disk);
	assert_int_equal(plan.bytes, 7 * gib - gib / 2);
	assert_int_equal(plan.inodes, 40 * gib / 8192);
	/* full: what it has, no more; never 0, which is no limit */
	disk.available = 0;
	assert_int_equal(quota_plan(40 * gib, &disk).bytes, gib);
	disk.used = 0;
	assert_int_equal(quota_plan(40 * gib, &disk).bytes, 1024);
	/* refused, and unlimited */
	plan = quota_plan(0, &disk);
	assert_int_equal(plan.bytes, 1024);
	assert_int_equal(plan.inodes, 1);
	plan = quota_plan(POLICY_UNLIMITED, &disk);
	assert_int_equal(plan.bytes, 0);
	assert_int_equal(plan.inodes, 0);
}

static void test_resolver_beside(void **state)
{
	char command[256];

	assert_null(resolver_beside(root));
	(void)snprintf(command, sizeof(command), "mkdir -p %s/run/nscd && touch %s/run/nscd/socket", root, root);
	assert_int_equal(system(command), 0);
	assert_string_equal(resolver_beside(root), "nscd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_firewall),
		cmocka_unit_test(test_firewall_of_the_operators_ports),
		cmocka_unit_test(test_firewall_of_nobody),
		cmocka_unit_test(test_operator_ports),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_rules_of_nobody),
		cmocka_unit_test(test_views_differ_when_hosts_do),
		cmocka_unit_test(test_resolver),
		cmocka_unit_test(test_counts_are_read),
		cmocka_unit_test(test_months),
		cmocka_unit_test(test_transfer_file),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_quota_plan),
		cmocka_unit_test(test_resolver_beside),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
