# SPDX-License-Identifier: MIT
"""The keeper: it may die at any time without touching what runs, and it believes nobody."""

import json
import shlex

import pytest

from harness import PROBE_DIR, Terminal, marker, python, wait_until

PROBE = f"python3 {PROBE_DIR}/keeperbus.py"
PEER = "192.0.2.1 1 192.0.2.2 22"


def unit(vm, user="agent"):
    return f"creel-keeper@{vm.uid(user)}.service"


def socket_of(vm, user="agent"):
    return f"/run/creel/{vm.uid(user)}/keeper.sock"


def main_pid(vm, user="agent"):
    return int(vm.root.sh(f"systemctl show -P MainPID {unit(vm, user)}"))


def kill_keeper(vm):
    """SIGKILL; returns when that process is gone."""
    pid = wait_until(lambda: main_pid(vm), what="a keeper")
    vm.root.sh(f"kill -KILL {pid}")
    wait_until(lambda: main_pid(vm) != pid)
    return pid


def ask(vm, who, path, *words, **keywords):
    """Runs the probe as `who` (root, or a user of the VM) and returns what it says."""
    line = " ".join([PROBE, path, *map(shlex.quote, words)])
    if who != "root":
        line = f"setpriv --reuid={who} --regid={who} --init-groups {line}"
    return json.loads(vm.root.sh(line, **keywords))


def call(vm, who, member, signature="", arguments=(), *more, user="agent"):
    return ask(vm, who, socket_of(vm, user), "call", member, signature, json.dumps(list(arguments)), *map(str, more))


# ---- death and return ----------------------------------------------------------------------------------------------
def test_kill_9_touches_nothing_that_runs(vm):
    nohup, screen, number = marker(), marker(), marker()
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal, \
            vm.agent.start(f"echo ready; cat; sleep {number}") as client:
        terminal.expect(r"\$ ")
        terminal.line(f"nohup sleep {nohup} >/dev/null 2>&1 & screen -dmS kept sleep {screen}")
        wait_until(lambda: vm.alive(f"sleep {nohup}") and vm.alive(f"sleep {screen}"))
        assert client.stdout.readline() == b"ready\n"
        kill_keeper(vm)
        # the open sessions go on: bytes flow past the keeper
        terminal.line("echo still''=here")
        terminal.expect("still=here")
        client.stdin.write(b"through the pipe\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"through the pipe\n"
        # the next login works and brings the keeper back
        assert vm.agent.sh("echo next") == "next"
        assert main_pid(vm)
        assert vm.alive(f"sleep {nohup}") and vm.alive(f"sleep {screen}")
        terminal.line("exit")
        terminal.finish()
    assert vm.alive(f"sleep {nohup}") and vm.alive(f"sleep {screen}")
    # the new keeper knows the session of before: its client is gone, so its command is
    wait_until(lambda: not vm.alive(f"sleep {number}"), 15)
    vm.root(f"pkill -fx 'sleep {nohup}'; pkill -fx 'sleep {screen}'")


def test_an_exit_that_nobody_saw_is_recorded_as_unknown(vm):
    since = vm.now()
    number = marker()
    with vm.agent.start(f"echo ready; sleep {number}; exit 3") as client:
        assert client.stdout.readline() == b"ready\n"
        vm.root.sh(f"systemctl stop creel-keeper@{vm.uid()}.socket; systemctl kill -s KILL {unit(vm)}; "
                   f"pkill -fx 'sleep {number}'")
        wait_until(lambda: not vm.alive(f"sleep {number}"))
        vm.root.sh(f"systemctl start creel-keeper@{vm.uid()}.socket")
        assert vm.agent.sh("echo next") == "next"
        entry = vm.record(since, "command", agent="agent", command=f"echo ready; sleep {number}; exit 3")
        assert entry["CREEL_RESULT"] == "unknown" and "CREEL_EXIT" not in entry
        assert client.wait(60) not in (0, 3), "the client is not told a status that nobody knows"


def test_an_exit_after_the_keeper_came_back_reaches_the_client(vm):
    """What can still be known is told: the output is complete and the connection ends."""
    with vm.agent.start("echo ready; read line; echo got $line; exit 3") as client:
        assert client.stdout.readline() == b"ready\n"
        kill_keeper(vm)
        assert vm.agent.sh("echo next") == "next"
        client.stdin.write(b"more\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"got more\n"
        client.wait(60)


def test_new_channels_on_an_old_connection_after_kill_9(vm, tmp_path):
    share = ["-o", f"ControlPath={tmp_path}/c"]
    with vm.agent.start("cat", ["-M", *share]):
        wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0)
        assert vm.agent.sh("echo before", options=share) == "before"
        kill_keeper(vm)
        assert vm.agent.sh("echo after", options=share, timeout=120) == "after"
        assert vm.agent("exit 9", options=share).rc == 9


def test_killed_again_and_again(vm):
    """More often than systemd's start limit would like."""
    for _ in range(8):
        kill_keeper(vm)
        assert vm.agent.sh("echo in", timeout=60) == "in"


def test_neighbours_keeper_is_another_process(vm):
    vm.bob.sh("true")
    vm.agent.sh("true")
    bobs = main_pid(vm, "bob")
    kill_keeper(vm)
    assert main_pid(vm, "bob") == bobs


def test_stopping_the_keeper_properly_touches_nothing_either(vm):
    with vm.agent.start("echo ready; cat") as client:
        assert client.stdout.readline() == b"ready\n"
        vm.root.sh(f"systemctl restart {unit(vm)}")
        client.stdin.write(b"on\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"on\n"


# ---- standing ------------------------------------------------------------------------------------------------------
def test_its_capabilities_are_few(vm):
    vm.agent.sh("true")
    status = vm.root.sh(f"cat /proc/{main_pid(vm)}/status")
    bounding, effective = (int(status.partition(row)[2].split()[0], 16) for row in ("CapBnd:", "CapEff:"))
    for number, name in ((16, "CAP_SYS_MODULE"), (25, "CAP_SYS_TIME"), (17, "CAP_SYS_RAWIO"), (22, "CAP_SYS_BOOT"),
                         (39, "CAP_BPF"), (2, "CAP_DAC_READ_SEARCH"), (0, "CAP_CHOWN"), (3, "CAP_FOWNER"), (19, "CAP_SYS_PTRACE")):
        assert not bounding >> number & 1, name
    # for births of runs: never in effect otherwise, whatever it did as the agent meanwhile
    for number, name in ((21, "CAP_SYS_ADMIN"), (12, "CAP_NET_ADMIN"), (1, "CAP_DAC_OVERRIDE"), (13, "CAP_NET_RAW")):
        assert not effective >> number & 1, name
    assert bounding >> 7 & 1, "CAP_SETUID, to become the agent"


def test_it_stands_in_creels_slice_and_shares_the_mounts_of_the_machine(vm):
    """A mount namespace of its own would be its children's too."""
    vm.agent.sh("true")
    pid = main_pid(vm)
    assert vm.cgroup(pid).startswith("/creel.slice/")
    assert vm.root.sh(f"readlink /proc/{pid}/ns/mnt") == vm.root.sh("readlink /proc/1/ns/mnt")
    assert vm.root.sh(f"systemctl show -P MemoryMax {unit(vm)}") != "infinity"


# ---- who may speak -------------------------------------------------------------------------------------------------
def test_socket_belongs_to_agent_and_front(vm):
    assert vm.root.sh(f"stat -c '%U %G %a' {socket_of(vm)}") == "agent creel-sshd 660"


def test_another_agent_meets_the_kernel(vm):
    answer = ask(vm, "bob", socket_of(vm), "call", "Limits", "", "[]")
    assert answer["errno"] == "EACCES"
    assert vm.bob(f"{PROBE} {socket_of(vm)} call Limits '' '[]'").text.find("EACCES") > 0


def test_another_agent_meets_the_keeper_where_the_mode_is_wrong(vm):
    since = vm.now()
    vm.root.sh(f"chmod 666 {socket_of(vm)}; chmod a+rx $(dirname {socket_of(vm)})")
    try:
        answer = ask(vm, "bob", socket_of(vm), "call", "Limits", "", "[]")
        assert answer.get("closed") or answer.get("error") or answer.get("errno"), answer
        assert "reply" not in answer
    finally:
        vm.root.sh(f"chmod 660 {socket_of(vm)}")
    wait_until(lambda: [entry for entry in vm.journal(since, f"_SYSTEMD_UNIT={unit(vm)}")
                        if str(vm.uid("bob")) in str(entry.get("MESSAGE")) or "bob" in str(entry.get("MESSAGE"))],
               what="a line in the journal")
    assert vm.agent.sh("echo in") == "in"


def test_agent_and_root_may_ask_for_limits(vm):
    for who in ("agent", "root"):
        assert call(vm, who, "Limits")["reply"] == "a(ssss)"


@pytest.mark.parametrize("member,signature,arguments", [
    ("Authorize", "ssay", ["agent", PEER, ""]), ("Login", "ssssay", ["agent", PEER, "ssh-ed25519", "SHA256:x", ""]),
    ("Start", "sussasbsauay", ["1", 1, "exec", "id", [], False, "", [80, 24, 0, 0], ""]), ("Signal", "sus", ["1", 1, "KILL"]),
    ("Hangup", "su", ["1", 1]), ("Told", "su", ["1", 1]), ("Logout", "s", ["1"]), ("Attach", "s", ["1"]), ("Refused", "sss", ["agent", PEER, "x"]),
    ("Reload", "", []),
])
def test_the_agent_itself_may_do_nothing_of_the_fronts(vm, member, signature, arguments):
    """An agent that could call these would log in without a key, forge records or start what no limit counts."""
    since = vm.now()
    answer = call(vm, "agent", member, signature, arguments)
    assert "reply" not in answer, answer
    assert not vm.records(since, "login", agent="agent") and not vm.records(since, "command", agent="agent")
    assert vm.agent.sh("echo in") == "in"


def test_root_may_not_log_agents_in(vm):
    assert "reply" not in call(vm, "root", "Login", "ssssay", ["agent", PEER, "ssh-ed25519", "SHA256:x", ""])


def test_the_front_may_not_do_the_operators_part(vm):
    assert "reply" not in call(vm, "creel-sshd", "Reload")


# ---- what may be said ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("member,signature,arguments", [
    ("Login", "", []), ("Login", "u", [1]), ("Authorize", "sss", ["agent", PEER, "key"]), ("Authorize", "ssay", ["bob", PEER, ""]),
    ("Authorize", "ssay", ["a" * 300, PEER, ""]), ("Authorize", "ssay", ["agent", PEER, "x" * 20_000]),
    ("Start", "sussasbsauay", ["no-such-session", 1, "exec", "id", [], False, "", [80, 24, 0, 0], ""]),
    ("Start", "sussasbsauay", ["no-such-session", 1, "nonsense", "id", ["=", "A"] * 50, True, "x" * 500, [], "y" * 5000]),
    ("Signal", "sus", ["1", 1, "NOSUCH"]), ("Attach", "s", ["x" * 100_000]), ("NoSuchMember", "s", ["x"]),
    ("Limits", "a(ss)", [[["a", "b"]]]),
], ids=lambda value: value if isinstance(value, str) else None)
def test_wrong_messages_of_the_front_are_refused(vm, member, signature, arguments):
    answer = call(vm, "creel-sshd", member, signature, arguments)
    assert answer.get("error") or answer.get("closed"), answer
    assert vm.agent.sh("echo in") == "in"


def assert_complaint(vm, since):
    """One line of the keeper's names who was refused."""
    wait_until(lambda: [entry for entry in vm.journal(since, f"_SYSTEMD_UNIT={unit(vm)}")
                        if "refused caller uid" in str(entry["MESSAGE"])], what="a line about the caller")


@pytest.mark.parametrize("interface", ["org.example.Nonsense", "org.freedesktop.DBus.Peer"])
def test_wrong_interface_is_refused(vm, interface):
    since = vm.now()
    answer = call(vm, "agent", "Ping" if "Peer" in interface else "Limits", "", [], 0, interface)
    assert answer.get("error") or answer.get("closed")
    assert_complaint(vm, since)


@pytest.mark.parametrize("count", [1, 16, 200])
def test_descriptors_that_nobody_asked_for(vm, count):
    before = vm.root.sh(f"ls /proc/{main_pid(vm)}/fd | wc -l") if main_pid(vm) else None
    answer = call(vm, "agent", "Limits", "", [], count)
    assert answer.get("reply") or answer.get("error") or answer.get("closed")
    assert vm.agent.sh("echo in") == "in"
    if before:
        wait_until(lambda: int(vm.root.sh(f"ls /proc/{main_pid(vm)}/fd | wc -l")) <= int(before) + 2, 15,
                   "descriptors are closed again")


@pytest.mark.parametrize("verb", ["raw", "early"])
@pytest.mark.parametrize("data", [b"\0" * 64, b"\xff" * 4096, b"l\x01\x00\x01" + b"\xff" * 60, b"GET / HTTP/1.0\r\n\r\n",
                                  b"l\x01\x00\x01\xff\xff\xff\x7f\x01\x00\x00\x00\xff\xff\xff\x7f" + b"a" * 1000],
                         ids=["zeros", "ones", "header", "http", "lengths"])
def test_bytes_that_are_no_messages(vm, verb, data):
    since = vm.now()
    answer = ask(vm, "agent", socket_of(vm), verb, data.hex(), timeout=90)
    assert "reply" not in answer
    assert_complaint(vm, since)
    assert vm.agent.sh("echo in") == "in"


def test_a_flood_of_connections_is_bounded_and_shuts_nobody_out(vm):
    answer = ask(vm, "agent", socket_of(vm), "flood", "300", timeout=500)
    assert answer["live"] < 300, answer
    assert vm.agent.sh("echo in") == "in"


def test_front_gets_in_while_the_agent_holds_all_its_connections(vm):
    script = ("import socket,sys\n"
              "held = []\n"
              "for i in range(200):\n"
              "    s = socket.socket(socket.AF_UNIX); s.settimeout(5)\n"
              "    try: s.connect(sys.argv[1]); held.append(s)\n"
              "    except OSError: break\n"
              "print('held', len(held), flush=True)\n"
              "sys.stdin.read()\n")
    with vm.agent.start(python(script, socket_of(vm))) as client:
        assert client.stdout.readline().startswith(b"held")
        assert vm.agent.sh("echo in", timeout=60) == "in"


def test_nobody_waits_for_a_peer_that_reads_nothing(vm):
    """Its answers wait for it, and when they are too many its connection ends."""
    with vm.agent.start(f"{PROBE} {socket_of(vm)} unread 60") as client:
        assert client.stdout.readline() == b"ready\n"
        assert vm.agent.sh("echo in", timeout=60) == "in"
    with vm.agent.start(f"{PROBE} {socket_of(vm)} unread 3000") as client:
        assert client.stdout.readline() == b'{"closed": true}\n'
    assert vm.agent.sh("echo in", timeout=60) == "in"


def test_memory_of_the_keeper_stays_bounded(vm):
    pid = main_pid(vm)
    before = int(vm.root.sh(f"awk '/VmRSS/ {{ print $2 }}' /proc/{pid}/status"))
    for _ in range(3):
        call(vm, "agent", "Limits", "s", ["x" * 100_000])
    for _ in range(15):
        vm.agent.sh("true")
    after = int(vm.root.sh(f"awk '/VmRSS/ {{ print $2 }}' /proc/{main_pid(vm)}/status"))
    assert after < before + 4000, (before, after)
