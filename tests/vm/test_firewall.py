# SPDX-License-Identifier: MIT
"""From outside: SSH, the operator's SSH, agents' ports, and nothing else. On both IP versions, beside others' tables."""

import contextlib
import subprocess

from harness import nobody_counts, policy, python, wait_until
from outside import HERE, HERE6, outside, reach  # noqa: F401

SERVER = """import socket, sys
kind, port = sys.argv[1], int(sys.argv[2])
if kind == "tcp":
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)
    while True:
        c, _ = s.accept()
        c.sendall(b"hello")
        c.close()
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
s.bind(("::", port))
print("ready", s.getsockname()[1], flush=True)
while True:
    data, control, _, peer = s.recvmsg(1000, 256)
    s.sendmsg([data], control, 0, peer)
"""


@contextlib.contextmanager
def serving(host, kind, port):
    """A server on all addresses; yields its port."""
    # the shell waits beside it and ends it with the connection, whoever's sshd this is
    command = python(SERVER, kind, str(port))
    with host.start(f"{command} & server=$!; cat >/dev/null; kill $server") as client:
        words = client.stdout.readline().split()
        assert words and words[0] == b"ready", client.stderr.read()
        yield int(words[1]) if len(words) > 1 else port
        client.stdin.close()
        client.wait(60)


def test_ssh_answers(vm, outside):  # noqa: F811
    for address in (HERE, HERE6):
        front, operator = outside.reach(f"tcp:{address},22", f"tcp:{address},2222", seconds=30)
        assert front.startswith("ok SSH-2.0-") and operator.startswith("ok SSH-2.0-OpenSSH")


def test_an_agents_ports_answer(vm, outside):  # noqa: F811
    for kind in ("tcp", "udp"):
        with serving(vm.agent, kind, 3456):
            assert outside.reach(f"{kind}:{HERE},3456", f"{kind}:{HERE6},3456") == ["ok hello"] * 2


def test_what_root_opened_does_not_answer(vm, outside):  # noqa: F811
    for kind in ("tcp", "udp"):
        with serving(vm.root, kind, 2500):
            assert outside.reach(f"{kind}:{HERE},2500", f"{kind}:{HERE6},2500") == ["timeout"] * 2
            # from the machine itself it does, and so it is not the server's fault
            assert reach(vm.root, f"{kind}:127.0.0.1,2500", f"{kind}:::1,2500", f"{kind}:{HERE},2500") == ["ok hello"] * 3


def test_what_the_operator_names_answers_whom_it_names(vm, outside):  # noqa: F811
    """No agent can have such a port, whatever its own policy says."""
    conf, ports = "/etc/creel/creel.conf", "2500 from 198.18.0.2, 2501 from 198.18.0.99, 2502/udp"
    vm.root.sh(f"cp {conf} /root/before.conf; printf '[network]\\noperator_ports = {ports}\\n' >>{conf}; creelctl policy apply")
    try:
        with serving(vm.root, "tcp", 2500), serving(vm.root, "tcp", 2501):
            assert outside.reach(f"tcp:{HERE},2500", f"tcp:{HERE6},2500", f"tcp:{HERE},2501") == ["ok hello", "timeout", "timeout"]
        with serving(vm.root, "udp", 2502):
            assert outside.reach(f"udp:{HERE},2502", f"udp:{HERE6},2502") == ["ok hello"] * 2
        assert vm.agent("python3 -c 'import socket; socket.create_server((\"\", 2500))'").rc != 0
        refused = vm.root("creelctl agent set agent ports.listen=2500-2600")
        assert refused.rc == 1 and "port 2500 is the operator's ([network] operator_ports" in refused.errors
        # a machine that nobody tells the time is degraded anyhow
        assert ports in vm.root.sh("creelctl policy show agent") and ports in vm.root("creelctl doctor", timeout=180).text
    finally:
        vm.root.sh(f"cp /root/before.conf {conf}; creelctl policy apply")


def test_a_udp_port_that_the_kernel_chose_does_not_answer(vm, outside):  # noqa: F811
    with serving(vm.agent, "udp", 0) as port:
        assert port > 9000
        assert outside.reach(f"udp:{HERE},{port}", f"udp:{HERE6},{port}") == ["timeout"] * 2
        assert reach(vm.agent, f"udp:127.0.0.1,{port}") == ["ok hello"]


def test_a_range_that_no_agent_has_any_more_is_shut(vm, outside):  # noqa: F811
    """Live, and for the other agent's range nothing changes."""
    with policy(vm, "[ports]\nlisten = 8000-8010\n"), policy(vm, "[ports]\nlisten = 8100\n", "bob"):
        with serving(vm.root, "tcp", 3456):
            assert outside.reach(f"tcp:{HERE},3456") == ["timeout"]
        with serving(vm.bob, "tcp", 8100):
            assert outside.reach(f"tcp:{HERE},8100", f"tcp:{HERE6},8100") == ["ok hello"] * 2
    with serving(vm.agent, "tcp", 3456):
        assert outside.reach(f"tcp:{HERE},3456") == ["ok hello"]


def test_an_agent_without_network_has_no_ports(vm, outside):  # noqa: F811
    with policy(vm, "[network]\nmode = none\n"), serving(vm.agent, "tcp", 3456):
        assert outside.reach(f"tcp:{HERE},3456", f"tcp:{HERE6},3456") == ["timeout"] * 2
        assert reach(vm.agent, "tcp:127.0.0.1,3456", "tcp:::1,3456") == ["ok hello"] * 2


def test_pings_are_answered(vm, outside):  # noqa: F811
    assert outside.reach(f"ping:{HERE},0", f"ping:{HERE6},0") == ["ok hello"] * 2


def test_what_is_dropped_is_counted(vm, outside):  # noqa: F811
    def dropped():
        return int(vm.root.sh("nft list counter inet creel dropped").split("packets ")[1].split()[0])

    before = dropped()
    assert outside.reach(f"tcp:{HERE},2500") == ["timeout"]
    assert dropped() > before


def test_connections_live_through_replacing(vm, outside):  # noqa: F811
    with vm.operator.start("while read -r line; do echo \"$line\"; done") as operator, \
            vm.agent.start("while read -r line; do echo \"$line\"; done") as agent:
        for number in range(4):
            for client in (operator, agent):
                client.stdin.write(f"{number}\n".encode())
                client.stdin.flush()
                assert client.stdout.readline() == f"{number}\n".encode()
            vm.root.sh("systemctl reload creel-enforce.service", timeout=120)


def test_others_tables_stay(vm, outside):  # noqa: F811
    """Before and behind ours in the same hook, with what they hold."""
    vm.root.sh("nft -f -", "table inet theirs { set s { type inet_service; elements = { 3457 }; }\n"
               "chain first { type filter hook input priority -10; tcp dport @s counter drop; }\n"
               "chain last { type filter hook input priority 10; tcp dport 3458 counter reject with tcp reset; }\n}\n")
    try:
        before = vm.root.sh("nft -s list table inet theirs")
        vm.root.sh("systemctl reload creel-enforce.service", timeout=120)
        assert vm.root.sh("nft -s list table inet theirs") == before
        with serving(vm.agent, "tcp", 3457):
            assert outside.reach(f"tcp:{HERE},3457") == ["timeout"]
        with serving(vm.agent, "tcp", 3458):
            assert outside.reach(f"tcp:{HERE},3458") == ["ECONNREFUSED"]
            assert reach(vm.agent, "tcp:127.0.0.1,3458") == ["ECONNREFUSED"], "by their chain"
        with serving(vm.agent, "tcp", 3459):
            assert outside.reach(f"tcp:{HERE},3459") == ["ok hello"]
    finally:
        vm.root.sh("nft delete table inet theirs")


def test_tables_that_somebody_removed_come_back(vm, outside):  # noqa: F811
    with nobody_counts(vm), serving(vm.root, "tcp", 2500):
        vm.root.sh("nft flush ruleset")
        assert outside.reach(f"tcp:{HERE},2500") == ["ok hello"]
        vm.root.sh("systemctl start creel-count.service", timeout=120)
        assert outside.reach(f"tcp:{HERE},2500") == ["timeout"]


def test_another_port_of_the_operators_stays_open(vm, outside):  # noqa: F811
    """One that creel.conf does not know, but sshd's configuration does."""
    with nobody_counts(vm):
        vm.root.sh("printf 'Port 2222\\nPort 2244\\n' > /etc/ssh/sshd_config.d/00-a.conf && systemctl reload ssh")
        try:
            wait_until(lambda: reach(vm.root, "tcp:127.0.0.1,2244")[0].startswith("ok SSH"))
            assert outside.reach(f"tcp:{HERE},2244") == ["timeout"]
            vm.root.sh("systemctl reload creel-enforce.service", timeout=120)
            for address in (HERE, HERE6):
                assert outside.reach(f"tcp:{address},2244")[0].startswith("ok SSH-2.0-OpenSSH")
        finally:
            vm.root.sh("rm /etc/ssh/sshd_config.d/00-a.conf && systemctl reload ssh && systemctl reload creel-enforce.service",
                       timeout=120)
    assert subprocess.run(vm.operator.argv("true"), timeout=120, check=False).returncode == 0
