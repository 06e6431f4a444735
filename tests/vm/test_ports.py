# SPDX-License-Identifier: MIT
"""[ports] listen: what an agent may bind on addresses that others reach, whatever the socket, wherever it runs."""

import json

import pytest

from harness import PROBE_DIR, policy, policy_file, wait_until

CONF = policy_file("bob")
FOLDER = "/sys/fs/bpf/creel"
PROBE = f"python3 {PROBE_DIR}/binds.py"


def tries(host, *words, prefix=""):
    return json.loads(host.sh(f"{prefix}{PROBE} {' '.join(words)}", timeout=120))


@pytest.fixture
def change(vm):
    """Changes bob's policy by creelctl; it is put back."""
    with policy(vm, agent="bob"):
        yield lambda *settings: vm.root.sh("creelctl agent set bob " + " ".join(settings), timeout=120)
    vm.bob.sh("true")


INSIDE = [f"{kind}4,0.0.0.0,{port}{more}" for kind, more in (("tcp", ",+listen"), ("udp", ""))
          for port in (3000, 8123, 9000)]
INSIDE += [f"{kind}6,{address},{port}" for kind in ("tcp", "udp") for address in ("::", "::ffff:0.0.0.0")
           for port in (3000, 9000)]
INSIDE += ["tcp6,::,3001,+v6only,+listen", "tcp4,0.0.0.0,3002,+reuseport,+listen", "tcp4,192.0.2.1,3003,+freebind,+listen",
           "tcp4,10.0.2.15,3004,+listen"]
OUTSIDE = [f"{kind}{family},{address},{port}" for kind in ("tcp", "udp")
           for family, address in (("4", "0.0.0.0"), ("4", "10.0.2.15"), ("6", "::"), ("6", "::ffff:0.0.0.0"))
           for port in (80, 1024, 2999, 9001, 65535)]
OUTSIDE += ["tcp6,::,2999,+v6only", "tcp4,0.0.0.0,2999,+reuseport", "tcp4,192.0.2.1,2999,+freebind", "udp4,192.0.2.1,2999,+freebind"]
LOOPBACK = [f"{kind}{family},{address},{port}" for kind in ("tcp", "udp")
            for family, address in (("4", "127.0.0.1"), ("4", "127.9.9.9"), ("6", "::1"), ("6", "::ffff:127.0.0.1"))
            for port in (0, 1025, 2999, 3000, 9001, 60000)]


def test_ports_of_the_range_can_be_bound(vm):
    for word, seen in tries(vm.agent, *INSIDE).items():
        assert seen == f"ok {word.split(',')[2]}", (word, seen)


def test_other_ports_cannot(vm):
    for word, seen in tries(vm.agent, *OUTSIDE).items():
        assert seen == "EACCES", (word, seen)


def test_loopback_is_free(vm):
    for word, seen in tries(vm.agent, *LOOPBACK, "tcp4,127.0.0.1,2998,+listen", "tcp6,::1,2998,+listen",
                            "tcp4,127.0.0.1,0,+listen").items():
        assert seen.startswith("ok "), (word, seen)


def test_any_port_is_one_of_the_range(vm):
    """bind(0): a server that lets the kernel choose works, and is reachable."""
    words = [f"{kind},{address},0,+listen" for kind, address in
             (("tcp4", "0.0.0.0"), ("tcp6", "::"), ("tcp4", "10.0.2.15"), ("tcp4", "0.0.0.0"))]
    for word, seen in tries(vm.agent, *words).items():
        assert 3000 <= int(seen.split()[1]) <= 9000, (word, seen)
    for word, seen in tries(vm.agent, "udp4,0.0.0.0,0", "udp6,::,0").items():
        assert seen.startswith("ok "), (word, seen)


def test_listening_without_a_port_is_refused(vm):
    for word, seen in tries(vm.agent, "listen4", "listen6", "connected4", "tcp4,127.0.0.1,0,+noport,+listen").items():
        assert seen == "EACCES", (word, seen)


def test_other_kinds_of_sockets_do_not_come_to_be(vm):
    """SCTP (stream and packets), UDP-Lite, DCCP, MPTCP; raw, packet; vsock, TIPC, RDS, SMC, Bluetooth, CAN, and what is there is refused."""
    unknown = tries(vm.agent, "create,2,1,132", "create,2,5,132", "create,10,1,132", "create,2,2,136", "create,2,6,33", "create,2,1,262",
                    "create,10,1,262", "create,2,10,768")
    assert set(unknown.values()) == {"EPROTONOSUPPORT"}, unknown
    raw = tries(vm.agent, "create,2,3,1", "create,10,3,58", "create,2,3,255")
    assert set(raw.values()) == {"EPERM"}, raw
    other = tries(vm.agent, *(f"create,{family},{kind},0" for family, kind in
                              ((17, 3), (40, 1), (40, 2), (30, 1), (21, 5), (43, 1), (31, 1), (29, 3), (38, 5), (44, 2))))
    assert set(other.values()) == {"EAFNOSUPPORT"}, other
    needed = tries(vm.agent, "create,1,1,0", "create,1,2,0", "create,16,3,0", "create,2,1,0", "create,10,2,0")
    assert set(needed.values()) == {"ok"}, needed
    assert not vm.root("lsmod | grep -E '^(sctp|dccp|vsock|tipc|rds|smc)'").text, "no module was loaded for an agent"


def test_outgoing_is_free(vm):
    """A connection's own port is not a port that is listened on."""
    code = (f"{PROBE} udp4,0.0.0.0,0 >/dev/null; python3 -c 'import socket; s = socket.create_connection((\"127.0.0.1\", 22)); "
            "print(s.recv(3).decode())'")
    assert vm.agent.sh(code) == "SSH"


def test_services_of_the_users(vm):
    run = "systemd-run --user --pipe --wait --quiet "
    assert tries(vm.agent, "tcp4,0.0.0.0,3000,+listen", "tcp4,0.0.0.0,2999", "listen4", prefix=run) == \
        {"tcp4,0.0.0.0,3000,+listen": "ok 3000", "tcp4,0.0.0.0,2999": "EACCES", "listen4": "EACCES"}


def test_processes_outside_of_the_slice(vm):
    """As cron starts them: the uid counts, not the cgroup."""
    run = "systemd-run --uid=agent --pipe --wait --quiet "
    assert tries(vm.root, "tcp4,0.0.0.0,3000", "tcp4,0.0.0.0,2999", "listen6", prefix=run) == \
        {"tcp4,0.0.0.0,3000": "ok 3000", "tcp4,0.0.0.0,2999": "EACCES", "listen6": "EACCES"}


def test_root_and_the_system_are_free(vm):
    words = ("tcp4,0.0.0.0,2999,+listen", "listen4", "create,2,3,1")
    assert all(seen.startswith("ok") for seen in tries(vm.root, *words).values())
    run = "systemd-run --uid=nobody --pipe --wait --quiet "
    assert tries(vm.root, "tcp4,0.0.0.0,2999,+listen", prefix=run) == {"tcp4,0.0.0.0,2999,+listen": "ok 2999"}


def test_a_user_whom_nobody_knows_has_no_ports(vm):
    """No entry is not "allowed": the uid between useradd and creelctl, or of an agent that was removed."""
    vm.root.sh("useradd -u 4321 stranger")
    try:
        run = "systemd-run --uid=stranger --pipe --wait --quiet "
        assert tries(vm.root, "tcp4,0.0.0.0,3000", "tcp4,0.0.0.0,0", "tcp4,127.0.0.1,3000", prefix=run) == \
            {"tcp4,0.0.0.0,3000": "EACCES", "tcp4,0.0.0.0,0": "EACCES", "tcp4,127.0.0.1,3000": "ok 3000"}
    finally:
        vm.root.sh("userdel stranger")


# Binds what it is told, line by line, and answers.
ASK = """
import errno, socket, sys
for line in sys.stdin:
    sock = socket.socket()
    try:
        sock.bind(("0.0.0.0", int(line)))
        print("ok", sock.getsockname()[1], flush=True)
    except OSError as problem:
        print(errno.errorcode[problem.errno], flush=True)
    sock.close()
"""


def test_a_change_is_live_for_what_runs(vm, change):
    vm.write("/var/tmp/ask.py", ASK)
    with vm.bob.start("python3 /var/tmp/ask.py") as client:
        def ask(port):
            client.stdin.write(f"{port}\n".encode())
            client.stdin.flush()
            return client.stdout.readline().decode().strip()
        assert ask(3000) == "ok 3000" and ask(2500) == "EACCES"
        change("ports.listen=2500-2510,7000,20000-20001")
        assert [ask(port) for port in (2499, 2500, 2510, 2511, 3000, 6999, 7000, 7001, 20001)] == \
            ["EACCES", "ok 2500", "ok 2510", "EACCES", "EACCES", "EACCES", "ok 7000", "EACCES", "ok 20001"]
        assert {int(ask(0).split()[1]) for _ in range(60)} <= {*range(2500, 2511), 7000, 20000, 20001}
        change("ports.listen=none")
        assert [ask(port) for port in (2500, 7000, 0)] == ["EACCES"] * 3
        change("--unset ports.listen")
        assert [ask(port) for port in (2999, 3000)] == ["EACCES", "ok 3000"]
        client.stdin.close()
        assert client.wait(60) == 0
    vm.root.sh("rm /var/tmp/ask.py")


def test_any_port_passes_over_those_that_are_taken(vm, change):
    change("ports.listen=4000-4003")
    with vm.bob.start(f"{PROBE} " + " ".join(f"stay,tcp4,0.0.0.0,{port},+listen" for port in (4000, 4001, 4003))) as client:
        assert set(json.loads(client.stdout.readline()).values()) == {"ok 4000", "ok 4001", "ok 4003"}
        for _ in range(5):
            assert tries(vm.bob, "tcp4,0.0.0.0,0,+listen") == {"tcp4,0.0.0.0,0,+listen": "ok 4002"}
        client.stdin.close()
        client.wait(60)


def test_agents_have_ports_of_their_own(vm, change):
    change("ports.listen=4000-4003")
    assert tries(vm.agent, "tcp4,0.0.0.0,5000") == {"tcp4,0.0.0.0,5000": "ok 5000"}
    assert tries(vm.bob, "tcp4,0.0.0.0,5000") == {"tcp4,0.0.0.0,5000": "EACCES"}


def test_a_setting_that_is_wrong_changes_nothing(vm):
    before = vm.root.sh(f"cat {CONF}; ls -l --time-style=full-iso {CONF}")
    for words in ("ports.listen=80", "ports.listen=2222", "ports.magic=1", "ports.listen", "--unset ports.listen=1",
                  "limits.processes=9 limits.tasks=8", "'ports.listen=3000\n[x]'"):
        done = vm.root(f"creelctl agent set bob {words}")
        assert done.rc != 0 and done.errors, words
    assert vm.root("creelctl agent set nobody ports.listen=3000").rc == 1
    assert vm.root("creelctl agent set bob").rc == 2
    assert vm.root.sh(f"cat {CONF}; ls -l --time-style=full-iso {CONF}") == before


def test_too_many_ranges_are_an_error(vm):
    ranges = ",".join(str(port) for port in range(3000, 3100, 3))
    with policy(vm, f"[ports]\nlisten = {ranges}\n", "bob", apply=False):
        done = vm.root("creelctl policy check bob")
    assert done.rc != 0 and "more than 32 ranges" in done.text + done.errors


def test_a_missing_program_refuses_logins_with_the_reason(vm):
    since = vm.now()
    vm.root.sh(f"rm $(readlink -f {FOLDER}/ports)/bind6")
    try:
        assert vm.agent("echo in").text != "in"
        entry = vm.record(since, "refusal", agent="agent")
        assert "bind6" in str(entry) and "ports" in str(entry)
    finally:
        vm.root.sh("systemctl reload creel-enforce.service", timeout=120)
    assert vm.agent.sh("echo in") == "in"
    assert tries(vm.agent, "tcp6,::,2999") == {"tcp6,::,2999": "EACCES"}


def test_making_the_programs_anew_leaves_no_gap(vm):
    """While the set is replaced, an agent tries all the time."""
    code = ("import socket\nimport sys\nn = 0\nimport select\nwhile not select.select([sys.stdin], [], [], 0)[0]:\n"
            "    sock = socket.socket()\n    try:\n        sock.bind(('0.0.0.0', 2999))\n        print('bound', flush=True)\n"
            "    except OSError:\n        n += 1\n    sock.close()\n    if n == 1: print('tries', flush=True)\nprint('never in', n > 100)\n")
    vm.write("/var/tmp/try.py", code)
    with vm.agent.start("python3 /var/tmp/try.py") as client:
        assert client.stdout.readline() == b"tries\n"
        folder = vm.root.sh(f"readlink -f {FOLDER}/ports")
        for _ in range(2):
            vm.root.sh(f"rm {folder}/map_ports && /usr/libexec/creel/creel-enforce && ls {folder}/map_ports", timeout=120)
        client.stdin.close()
        assert client.stdout.read() == b"never in True\n"
    vm.root.sh("rm /var/tmp/try.py")


def test_stopping_the_unit_changes_nothing(vm):
    vm.root.sh("systemctl stop creel-enforce.service")
    try:
        assert tries(vm.agent, "tcp4,0.0.0.0,2999") == {"tcp4,0.0.0.0,2999": "EACCES"}
    finally:
        vm.root.sh("systemctl start creel-enforce.service", timeout=120)
    wait_until(lambda: vm.agent("echo in").text == "in", 60)
