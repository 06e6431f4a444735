# SPDX-License-Identifier: MIT
"""An agent with `mode = restricted`: what it reaches by name and by address, and what it does not."""

import time

import pytest

from harness import PROBE_DIR, nobody_counts, policy, python, wait_until
from outside import (HOSTS, LISTED, LISTED6, MOVED, OK, OK6, OTHER, OTHER6, PORT, REFUSED, RESTRICTED, WILD, outside,  # noqa: F401
                     reach, talking)


@pytest.fixture(scope="module")
def restricted(vm, outside):  # noqa: F811
    with policy(vm, RESTRICTED):
        wait_until(lambda: reach(vm.agent, "name:ok.example,4") == [f"ok {OK}"], 60)
        yield outside


def test_names_that_are_allowed_resolve_and_answer(vm, restricted):
    assert reach(vm.agent, "name:ok.example,4", "name:ok.example,6", "name:any.wild.example,4") == \
        [f"ok {OK}", f"ok {OK6}", f"ok {WILD}"]
    assert reach(vm.agent, f"tcp:{OK},{PORT}", f"tcp:{OK6},{PORT}", f"udp:{OK},{PORT}", f"udp:{OK6},{PORT}",
                 f"tcp:{WILD},80", f"ping:{OK},0", f"ping:{OK6},0") == ["ok hello"] * 7


def test_addresses_that_are_allowed_answer(vm, restricted):
    assert reach(vm.agent, f"tcp:{LISTED},{PORT}", f"tcp:{LISTED6},{PORT}", f"udp:{LISTED},{PORT}",
                 f"udp:{LISTED6},{PORT}") == ["ok hello"] * 4


def test_other_names_do_not_resolve(vm, restricted):
    asked = ["bad.example", "sub.ok.example", "wild.example", "listed.example", "xok.example", "localhost.example"]
    assert set(reach(vm.agent, *(f"name:{name},{family}" for name in asked for family in (4, 6)))) <= \
        {"EAI_NONAME", "EAI_NODATA", "EAI_AGAIN"}
    # root's own do
    assert reach(vm.root, "name:bad.example,4") == [f"ok {OTHER}"]


def test_other_addresses_do_not_answer(vm, restricted):
    for said in reach(vm.agent, f"tcp:{OTHER},{PORT}", f"tcp:{OTHER6},{PORT}", f"udp:{OTHER},{PORT}", f"udp:{OTHER6},{PORT}",
                      f"ping:{OTHER},0", f"ping:{OTHER6},0", "tcp:203.0.113.1,443", "tcp:169.254.169.254,80"):
        assert said in REFUSED, said


def test_a_refusal_is_immediate(vm, restricted):
    start = time.monotonic()
    assert reach(vm.agent, f"tcp:{OTHER},{PORT}", seconds=60)[0] in REFUSED
    assert time.monotonic() - start < 50


QUESTION = """import socket, struct, sys
def ask(server, name, kind, tcp=False):
    question = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0)
    question += b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + bytes(1) + struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET,
                       socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
        s.settimeout(8)
        s.connect((server, 53))
        s.sendall(struct.pack(">H", len(question)) + question if tcp else question)
        answer = s.recv(4096)[2 if tcp else 0:]
        if len(answer) < 12: answer = s.recv(4096)
        _, flags, _, answers, _, _ = struct.unpack(">HHHHHH", answer[:12])
        return flags & 15, answers
for server in sys.argv[1:]:
    for name in ("ok.example", "bad.example"):
        for kind in (1, 16):
            for tcp in (False, True):
                try: print(server, name, kind, *ask(server, name, kind, tcp), flush=True)
                except OSError as problem: print(server, name, kind, problem.__class__.__name__, flush=True)
"""


def test_every_name_server_is_the_agents_own(vm, restricted):
    """Whoever is asked, by UDP or TCP, over IPv4 or IPv6, for an address or for anything else."""
    out = vm.agent.sh(python(QUESTION, "198.18.0.2", "2001:db8:18::2", "8.8.8.8", "127.0.0.1"), timeout=240).splitlines()
    assert len(out) == 32
    for line in out:
        server, name, kind, *said = line.split()
        if name == "ok.example":
            assert said == ["0", "1"] or (kind == "16" and said[0] == "0"), line
        else:
            assert said[0] in ("3", "5"), line


def test_other_agents_resolvers_are_shut(vm, restricted):
    with policy(vm, "[network]\nmode = restricted\nallowed_hosts = bad.example\n", "bob"):
        wait_until(lambda: reach(vm.bob, "name:bad.example,4") == [f"ok {OTHER}"], 60)
        uid = vm.uid("bob")
        # asked directly, the question is turned to the agent's own
        out = vm.agent.sh(python(QUESTION, f"127.67.{uid >> 8}.{uid & 255}"), timeout=240).splitlines()
        assert all(line.split()[3] in ("3", "5") for line in out if " bad.example " in line), out
        # each has its own addresses
        assert reach(vm.bob, f"tcp:{OTHER},{PORT}") == ["ok hello"]
        assert reach(vm.bob, f"tcp:{OK},{PORT}")[0] in REFUSED
        assert reach(vm.agent, f"tcp:{OTHER},{PORT}")[0] in REFUSED
        assert reach(vm.agent, f"tcp:{OK},{PORT}") == ["ok hello"]


def test_a_name_that_moves(vm, restricted):
    """The new address answers as soon as the name does; the old one is forgotten after a while."""
    assert reach(vm.agent, "name:ok.example,4", f"tcp:{OK},{PORT}") == [f"ok {OK}", "ok hello"]
    assert reach(vm.agent, f"tcp:{MOVED},{PORT}")[0] in REFUSED
    with nobody_counts(vm):
        restricted.names(HOSTS.replace(OK, MOVED))
        try:
            def tick():
                """A period of the clock ends."""
                text = vm.root.sh("cat /run/creel/network/rotation").split()
                vm.root.sh(f"echo '1 {text[1]}' > /run/creel/network/rotation && systemctl start creel-count.service", timeout=120)

            vm.root.sh("systemctl start creel-count.service", timeout=120)
            wait_until(lambda: reach(vm.agent, "name:ok.example,4") == [f"ok {MOVED}"], 60, "the name's new address")
            assert reach(vm.agent, f"tcp:{MOVED},{PORT}") == ["ok hello"]
            tick()
            assert reach(vm.agent, f"tcp:{MOVED},{PORT}", f"tcp:{OK},{PORT}") == ["ok hello"] * 2
            assert reach(vm.agent, "name:ok.example,4") == [f"ok {MOVED}"]
            tick()
            assert reach(vm.agent, f"tcp:{OK},{PORT}")[0] in REFUSED
            wait_until(lambda: reach(vm.agent, "name:ok.example,4", f"tcp:{MOVED},{PORT}") == [f"ok {MOVED}", "ok hello"], 60)
        finally:
            restricted.names(HOSTS)


def test_another_agents_policy_ends_nothing(vm, restricted):
    assert reach(vm.agent, "name:ok.example,4") == [f"ok {OK}"]
    with talking(vm.agent, OK) as allowed:
        assert allowed("one") == "one"
        with policy(vm, "[network]\nmode = none\n", "bob"):
            assert allowed("two") == "two"
        vm.root.sh("systemctl reload creel-enforce.service", timeout=120)
        assert allowed("three") == "three"


def test_user_services_are_the_agent_too(vm, restricted):
    out = vm.agent.sh(f"systemd-run --user --pipe --wait -q python3 {PROBE_DIR}/reach.py tcp:{OTHER},{PORT} tcp:{LISTED},{PORT}")
    refused, allowed = out.splitlines()
    assert refused in REFUSED and allowed == "ok hello"


def test_resolvers_follow_the_machines_name_servers(vm, restricted):
    uid = vm.uid()
    vm.root.sh("cp /etc/resolv.conf /root/r")
    try:
        vm.root.sh("echo nameserver 198.18.0.66 >> /etc/resolv.conf; systemctl start creel-count", timeout=120)
        assert "198.18.0.66" in vm.root.sh(f"cat /run/creel/resolver/{uid}.conf")
    finally:
        vm.root.sh("cat /root/r > /etc/resolv.conf; systemctl start creel-count", timeout=120)
    assert "198.18.0.66" not in vm.root.sh(f"cat /run/creel/resolver/{uid}.conf")
    wait_until(lambda: reach(vm.agent, "name:ok.example,4") == [f"ok {OK}"], 60)
