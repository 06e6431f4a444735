# SPDX-License-Identifier: MIT
"""[audit] terminals: what terminals show is recorded, is nothing that the agent can reach, and costs the terminal nothing."""

import json

import pytest

from harness import Terminal, marker, policy, wait_until

FOLDER = "/var/log/creel/terminals/agent"


@pytest.fixture(scope="module")
def recorded(vm):
    with policy(vm, "[audit]\nterminals = yes\nterminals_room = 16M\n"):
        yield
    vm.root.sh("rm -rf /var/log/creel/terminals")


def cast(vm, session):
    """Header and events of the one recording of a session."""
    header, *events = map(json.loads, vm.root.sh(f"creelctl session recording {session}").splitlines())
    return header, events


def shown(events):
    return "".join(data for _, kind, data in events if kind == "o")


def no_recorder(vm):
    wait_until(lambda: not vm.alive("creel-recorder"))


def test_what_is_shown_typed_and_resized(vm, recorded):
    since, number = vm.now(), marker()
    with Terminal(vm.agent.argv(options=["-tt"]), rows=30, columns=90) as terminal:
        terminal.expect(r"\$ ")
        terminal.line("stty size; tty; ps -o tty= -p $$")
        terminal.expect(r"30 90\r\n/dev/(pts/\d+)\r\n\1")
        terminal.resize(33, 99)
        terminal.line(f"until [ \"$(stty size)\" = '33 99' ]; do :; done; echo x{number}")
        terminal.expect(f"\rx{number}")
        terminal.line("read -sp 'Sec''ret?' secret; echo ${#secret}")
        terminal.expect(r"Secret\?")
        terminal.line("hunter2hunter2")
        terminal.expect("14\r")
        terminal.line("printf '\\303\\244\\377\\033[1mbold'; printf 'token=%ster2%ster2\\n' hun hun")
        terminal.expect("token=hunter2hunter2")
        terminal.send("sleep 1000\r")
        wait_until(lambda: vm.alive("sleep 1000"))
        terminal.send("\x03")
        terminal.expect(r"\$ ")
        terminal.line("exit 7")
        assert terminal.finish() == 7
    entry = vm.record(since, "command", agent="agent")
    session = entry["CREEL_SESSION"]
    assert entry["CREEL_RECORDING"] == f"{session}-{entry['CREEL_CHANNEL']}.cast" and entry["CREEL_EXIT"] == "7"
    no_recorder(vm)
    header, events = cast(vm, session)
    assert header["version"] == 2 and (header["width"], header["height"]) == (90, 30) and header["env"]["TERM"] == "xterm"
    assert session in header["title"] and abs(header["timestamp"] - since / 1e6) < 120
    assert [data for _, kind, data in events if kind == "r"] == ["99x33"]
    text = shown(events)
    assert f"x{number}\r\n" in text and "ä\ufffd\x1b[1mbold" in text and "hunter2" not in text
    times = [time for time, _, _ in events]
    assert times == sorted(times) and {kind for _, kind, _ in events} == {"o", "r"}
    rows = json.loads(vm.root.sh("creelctl session recordings --json --agent agent"))
    row = next(row for row in rows if row["session"] == session)
    assert row["file"] == f"{FOLDER}/{entry['CREEL_RECORDING']}" and row["bytes"] > 100
    assert vm.root.sh(f"stat -c '%U %a' {FOLDER} {row['file']}").split() == ["root", "700", "root", "600"]
    assert session in vm.root.sh("creelctl session recordings")


def test_agents_cannot_reach_it(vm, recorded):
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(r"\$ ")
        pid = vm.root.sh("pgrep -x creel-recorder").split()[0]
        assert vm.agent(f"kill -9 {pid}").rc != 0 and vm.agent(f"kill -STOP {pid}").rc != 0
        assert vm.agent(f"ls {FOLDER} || ls /proc/{pid}/fd || cat /proc/{pid}/environ").text == ""
        assert vm.agent("for t in /dev/pts/*; do test -O $t || { echo x > $t; }; done 2>/dev/null; echo $?").text != "0"
        assert "user.slice/user-" in vm.root.sh(f"cat /proc/{pid}/cgroup")
        assert vm.root.sh(f"grep CapEff /proc/{pid}/status").split()[1] == "0" * 16
        assert vm.root.sh(f"grep ^Seccomp: /proc/{pid}/status").split()[1] == "2"
        terminal.line("exit")
        terminal.finish()
    assert vm.agent("/usr/sbin/creelctl session recordings").rc != 0


def test_it_lives_on_without_its_keeper_and_goes_with_its_client(vm, recorded):
    one, two = marker(), marker()
    since = vm.now()
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(r"\$ ")
        terminal.line(f"echo a{one}")
        terminal.expect(f"\ra{one}")
        vm.root.sh(f"systemctl restart creel-keeper@{vm.uid()}.service")
        terminal.line(f"echo b{two}; nohup sleep {one} >/dev/null 2>&1 & sleep {two}")
        terminal.expect(f"\rb{two}")
        wait_until(lambda: vm.alive(f"sleep {two}"))
        terminal.kill()
    wait_until(lambda: not vm.alive(f"sleep {two}"))
    no_recorder(vm)
    assert vm.alive(f"sleep {one}")
    vm.root.sh(f"pkill -f '[s]leep {one}'")
    entry = vm.record(since, "command", agent="agent")
    text = shown(cast(vm, entry["CREEL_SESSION"])[1])
    assert f"a{one}" in text and f"b{two}" in text


def test_its_room(vm, recorded):
    """One recording ends where its part of the room does, and the terminal goes on; what took no room gives it back."""
    since = vm.now()
    with Terminal(vm.agent.argv("seq 400000; echo over", ["-tt"])) as terminal:
        terminal.expect("\nover", 300)
        terminal.finish()
    entry = vm.record(since, "command", agent="agent")
    no_recorder(vm)
    path = f"{FOLDER}/{entry['CREEL_RECORDING']}"
    assert (1 << 20) - 100_000 < int(vm.root.sh(f"stat -c %s {path}")) <= 1 << 20
    assert "no more room" in vm.root.sh(f"tail -n 1 {path}")
    assert int(vm.root.sh(f"du -k {path}").split()[0]) <= 1030
    vm.root.sh(f"fallocate -l 16M {FOLDER}/full.cast; touch -d '10 days ago' {FOLDER}/full.cast; "
               f"touch -d '40 days ago' {path}")
    since = vm.now()
    with Terminal(vm.agent.argv("echo in", ["-tt"])) as terminal:
        assert terminal.finish() == 0
    assert vm.record(since, "command", agent="agent")["CREEL_RECORDING"] == "none"
    vm.root.sh(f"test -e {FOLDER}/full.cast && test ! -e {path} && rm {FOLDER}/full.cast")


def test_what_cannot_be_recorded_is_refused(vm, recorded):
    vm.root.sh(f"rm -rf {FOLDER} && touch {FOLDER}")
    try:
        with Terminal(vm.agent.argv("echo in", ["-tt"])) as terminal:
            assert terminal.finish() != 0 and b"\nin" not in terminal.seen
        assert vm.agent.sh("echo in") == "in"
    finally:
        vm.root.sh(f"rm -f {FOLDER}")
    with Terminal(vm.agent.argv("echo in", ["-tt"])) as terminal:
        assert terminal.finish() == 0
    no_recorder(vm)


@pytest.mark.parametrize("words", ["nosuch", "0123456789abcdef", "'../x'", "''", "0123456789abcdef-1/../../x"])
def test_recordings_that_are_none(vm, words):
    done = vm.root(f"creelctl session recording {words}")
    assert done.rc == 1 and done.text == "" and len(done.errors.splitlines()) == 1
