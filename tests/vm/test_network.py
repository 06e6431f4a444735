# SPDX-License-Identifier: MIT
"""Where an agent's packets may go, when that changes; how fast, and how many. Both IP versions."""

import re
import subprocess

import pytest

from harness import limits, nobody_counts, one_more_agent, policy, python, wait_until
from outside import (HERE, LISTED6, OK, OK6, OTHER, OTHER6, PORT, REFUSED, RESTRICTED, outside,  # noqa: F401
                     reach, talking)
from test_firewall import serving


def test_full_reaches_everything(vm, outside):  # noqa: F811
    assert reach(vm.agent, f"tcp:{OK},{PORT}", f"udp:{OK},{PORT}", f"tcp:{OTHER6},{PORT}", f"udp:{OTHER6},{PORT}",
                 f"ping:{OTHER},0", "name:bad.example,4", f"tcp:bad.example,{PORT}") == \
        ["ok hello"] * 5 + [f"ok {OTHER}", "ok hello"]


def test_a_stricter_policy_ends_what_it_does_not_allow(vm, outside):  # noqa: F811
    with talking(vm.agent, OTHER) as other, talking(vm.agent, LISTED6) as listed:
        assert other("one") == "one" and listed("one") == "one"
        with policy(vm, RESTRICTED):
            assert other("two") in ("ConnectionResetError", "closed")
            assert listed("two") == "two"
            with policy(vm, f"[network]\nmode = restricted\nallowed_hosts = {OTHER}\n"):
                assert listed("three") in ("ConnectionResetError", "closed")


def test_none_has_loopback_alone(vm, outside):  # noqa: F811
    with policy(vm, "[network]\nmode = none\n"):
        for said in reach(vm.agent, f"tcp:{OK},{PORT}", f"udp:{OK},{PORT}", f"tcp:{OK6},{PORT}", f"udp:{OK6},{PORT}",
                          f"ping:{OK},0", "udp:198.18.0.2,53", "udp:127.0.0.1,53", "tcp:127.0.0.1,53"):
            assert said in REFUSED, said
        assert reach(vm.agent, "name:ok.example,4")[0].startswith("EAI_")
        with serving(vm.agent, "tcp", 3456):
            assert reach(vm.agent, "tcp:127.0.0.1,3456", "tcp:::1,3456", f"tcp:{HERE},3456", "ping:127.0.0.1,0") == \
                ["ok hello"] * 4
        with serving(vm.agent, "udp", 3456):
            assert reach(vm.agent, "udp:127.0.0.1,3456", "udp:::1,3456") == ["ok hello"] * 2


@pytest.mark.parametrize("text", ["[network]\nmode = none\n", RESTRICTED], ids=["none", "restricted"])
def test_somebody_elses_listener_on_loopback_is_no_way_out(vm, outside, text):  # noqa: F811
    """A proxy, a resolver, a forwarding of another agent's or of root's; and nobody else fetches from its own."""
    with serving(vm.bob, "tcp", 3600), serving(vm.bob, "udp", 3600), serving(vm.root, "tcp", 2600), \
            serving(vm.root, "udp", 2600):
        targets = [f"{kind}:{address},{port}" for kind in ("tcp", "udp") for port in (3600, 2600)
                   for address in ("127.0.0.1", "127.1.2.3", "::1", HERE)]
        assert reach(vm.agent, *targets) == ["ok hello"] * 16, "the full network has them"
        with policy(vm, text):
            assert set(reach(vm.agent, *targets)) <= REFUSED
            assert reach(vm.bob, *targets) == ["ok hello"] * 16
    with policy(vm, text), serving(vm.agent, "tcp", 3601):
        assert set(reach(vm.bob, "tcp:127.0.0.1,3601", "tcp:::1,3601", f"tcp:{HERE},3601")) <= REFUSED
        # the operator may look
        assert reach(vm.root, "tcp:127.0.0.1,3601", "tcp:::1,3601") == ["ok hello"] * 2


def test_forwarding_reaches_a_confined_agents_own_server(vm, outside):  # noqa: F811
    """The connector is the agent itself."""
    with policy(vm, "[network]\nmode = none\n"), serving(vm.agent, "tcp", 3456):
        done = subprocess.run(vm.agent.argv(None, ["-W", "127.0.0.1:3456"]), input=b"", capture_output=True, timeout=60,
                              check=False)
        assert done.stdout == b"hello", done


FETCH = """import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 240)
f = s.makefile("rwb")
assert f.readline() == b"hello\\n"
n = int(sys.argv[4])
start = time.monotonic()
if sys.argv[3] == "receive":
    f.write(b"bytes %d\\n" % n); f.flush()
    assert len(f.read(n)) == n
else:
    f.write(b"read %d\\n" % n + bytes(n)); f.flush()
    assert f.readline() == b"read\\n"
print(time.monotonic() - start)
"""


def seconds(host, what, n, address=OK):
    return float(host.sh(python(FETCH, address, str(PORT), what, str(n)), timeout=240))


def test_bandwidth(vm, outside):  # noqa: F811
    """Two seconds' worth and the bucket of one take at least two; others are not slowed."""
    n, taken = 256 * 1024 * 4, {}
    with policy(vm, "[network]\nmax_bandwidth = 256K\n"):
        for what in ("receive", "send"):
            for version, address in (("ipv4", OK), ("ipv6", OK6)):
                taken[what, version] = seconds(vm.agent, what, n, address), seconds(vm.bob, what, n, address)
    wrong = {row: times for row, times in taken.items() if not times[1] < times[0] > 2}
    assert not wrong, f"(agent's, bob's seconds): {wrong}"


def counted(vm):
    vm.root.sh("systemctl start creel-count.service", timeout=120)
    rows = limits(vm.agent.sh("creel limits --json"))
    return rows["sent"]["used"], rows["received"]["used"]


def test_bytes_are_counted(vm, outside):  # noqa: F811
    n = 3 << 20
    sent, received = counted(vm)
    seconds(vm.agent, "receive", n)
    after = counted(vm)
    assert n < after[1] - received < 1.2 * n and after[0] - sent < n
    seconds(vm.agent, "send", n, OK6)
    last = counted(vm)
    assert n < last[0] - after[0] < 1.2 * n and last[1] - after[1] < n


def test_loopback_and_others_are_not_counted(vm, outside):  # noqa: F811
    before = counted(vm)
    with serving(vm.agent, "tcp", 3456):
        assert reach(vm.agent, "tcp:127.0.0.1,3456") == ["ok hello"]
    seconds(vm.bob, "receive", 1 << 20)
    sent, received = counted(vm)
    assert sent - before[0] < 1 << 16 and received - before[1] < 1 << 16


def test_who_asks_an_agents_server_is_counted_for_it(vm, outside):  # noqa: F811
    before = counted(vm)
    with serving(vm.agent, "tcp", 3456):
        for _ in range(20):
            assert outside.reach(f"tcp:{HERE},3456") == ["ok hello"]
    sent, received = counted(vm)
    assert sent - before[0] > 20 * 100 and received - before[1] > 20 * 100


def test_counts_live_through_replacing(vm, outside):  # noqa: F811
    seconds(vm.agent, "receive", 1 << 20)
    before = counted(vm)
    with policy(vm, RESTRICTED):
        pass
    vm.root.sh("nft flush ruleset && systemctl reload creel-enforce.service", timeout=120)
    sent, received = counted(vm)
    assert sent >= before[0] and received >= before[1]
    seconds(vm.agent, "receive", 1 << 20)
    assert counted(vm)[1] > received + (1 << 20)


def test_a_month_begins_at_nothing(vm, outside):  # noqa: F811
    seconds(vm.agent, "receive", 1 << 20)
    assert counted(vm)[1] > 1 << 20
    with nobody_counts(vm):
        # what was counted is of a month that is over
        vm.root.sh(f"sed -i 's/^month .*/month 2001-01/' /var/lib/creel/transfer/{vm.uid()}")
        assert counted(vm)[1] < 1 << 16
        seconds(vm.agent, "receive", 1 << 20)
        assert 1 << 20 < counted(vm)[1] < 2 << 20


def test_what_would_answer_behind_the_firewalls_back_is_told(vm, outside):  # noqa: F811
    """nscd's socket resolves any name for anybody: the policy cannot hold, so nobody logs in."""
    with policy(vm, RESTRICTED):
        vm.root.sh("mkdir -p /run/nscd && touch /run/nscd/socket; creelctl policy apply || true", timeout=240)
        try:
            assert vm.agent("true").rc != 0
            assert "nscd" in vm.root.sh("cat /run/creel/enforced/" + str(vm.uid()))
            assert vm.bob("true").rc == 0
        finally:
            vm.root.sh("rm -r /run/nscd; creelctl policy apply", timeout=240)
        assert vm.agent("true").rc == 0


def test_nothing_is_left_of_a_removed_agent(vm, outside):  # noqa: F811
    with one_more_agent(vm) as uid:
        vm.write("/etc/creel/agents/carol.conf", RESTRICTED)
        vm.root.sh("creelctl policy apply", timeout=240)
        wait_until(lambda: vm.root(f"systemctl is-active creel-resolver@{uid}").text == "active")
        assert f"names4_{uid}_a" in vm.root.sh("nft list table inet creel_network")
        assert f"fd63:7265:656c::{uid:x}/128" in vm.root.sh("ip -6 address show dev lo")
        vm.root.sh("creelctl agent remove carol", timeout=240)
        rules = vm.root.sh("nft list table inet creel_network")
        assert not re.search(rf"_{uid}\b|{0x43000000 + uid:#x}", rules)
        assert vm.root(f"systemctl is-active creel-resolver@{uid}").text == "inactive"
        assert f"::{uid:x}/128" not in vm.root.sh("ip -6 address show dev lo")
        left = f"/var/lib/creel/transfer/{uid} /var/lib/creel/disk/{uid} /run/creel/resolver/{uid}.conf"
        assert vm.root(f"ls {left}").out == b""
