# SPDX-License-Identifier: MIT
"""creelctl session: who is logged in, and ending it."""

import json

import pytest

from harness import Terminal, marker, wait_until


def sessions(vm, words=""):
    return json.loads(vm.root.sh(f"creelctl session list --json {words}"))


def session_with(vm, text):
    return wait_until(lambda: [s for s in sessions(vm) if text in (s["command"] or "")])[0]


def test_list(vm):
    number = marker()
    with vm.agent.start(f"echo in; sleep {number}") as client:
        assert client.stdout.readline() == b"in\n"
        found = session_with(vm, number)
        assert found["agent"] == "agent" and found["door"] == "ssh" and found["running"] == 1 and found["state"] == "open"
        assert found["key"].startswith("SHA256:") and str(found["pid"]) in vm.root.sh(f"pgrep -f -- 'sleep {number}'").split()
        assert number in vm.root.sh("creelctl session list") and number not in str(sessions(vm, "--agent bob"))
    wait_until(lambda: not [s for s in sessions(vm) if s["session"] == found["session"]])


def test_kill_ends_all_of_one_session_and_nothing_else(vm):
    one, two, left = marker(), marker(), marker()
    with vm.agent.start(f"nohup sleep {left} >/dev/null 2>&1 & echo in; sleep {one}") as first, \
            vm.agent.start(f"echo in; sleep {two}") as second:
        assert first.stdout.readline() == b"in\n" and second.stdout.readline() == b"in\n"
        found = session_with(vm, one)
        since = vm.now()
        assert found["session"] in vm.root.sh(f"creelctl session kill {found['session']}")
        assert first.wait(60) != 0
        assert not vm.alive(f"sleep {one}") and not vm.alive(f"sleep {left}") and vm.alive(f"sleep {two}")
        assert second.poll() is None
        vm.record(since, "logout", agent="agent", session=found["session"])
        assert found["session"] in wait_until(lambda: vm.records(since, "operator"))[0]["CREEL_COMMAND"]
        assert vm.root(f"creelctl session kill {found['session']}").rc == 1


def test_kill_a_connection_that_runs_nothing(vm, tmp_path):
    share = ["-o", f"ControlPath={tmp_path}/c"]
    with vm.agent.start(None, ["-M", "-N", *share]) as master:
        wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0)
        idle = wait_until(lambda: [s for s in sessions(vm, "--agent agent") if s["running"] == 0 and s["state"] == "open"])
        for session in idle:
            vm.root.sh(f"creelctl session kill {session['session']}")
        assert master.wait(60) != 0


@pytest.mark.parametrize("host", ["openssh"])
def test_kill_a_session_of_another_door(vm, host):
    number = marker()
    with getattr(vm, host).start(f"echo in; sleep {number}") as client:
        assert client.stdout.readline() == b"in\n"
        door = wait_until(lambda: [s for s in sessions(vm, "--agent agent") if s["door"] == "openssh"])[0]
        vm.root.sh(f"creelctl session kill {door['session']}")
        assert client.wait(60) != 0
        assert not vm.alive(f"sleep {number}")


def test_watch_until_the_end(vm):
    number = marker()
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(r"\$ ")
        found = wait_until(lambda: [s for s in sessions(vm, "--agent agent") if s["kind"] == "shell"])[0]
        with vm.operator.start(f"creelctl session watch {found['session']}") as watcher:
            terminal.line(f"/bin/echo {number}")
            lines = iter(watcher.stdout.readline, b"")
            assert any(number.encode() in line for line in lines)
            terminal.line("exit 0")
            terminal.finish()
            assert b" logout " in list(lines)[-1] and watcher.wait(60) == 0


def test_ids_that_are_none(vm):
    for word in ("nosuch", "0123456789abcdef", "'../x'", "x" * 300, "''"):
        done = vm.root(f"creelctl session kill {word}")
        assert done.rc == 1 and "creelctl session list" in done.errors and len(done.errors.splitlines()) == 1
    assert vm.root("creelctl session kill").rc == 2
    assert vm.root("creelctl session list --agent nosuch").rc == 1


def test_agents_may_not(vm):
    assert vm.agent("/usr/sbin/creelctl session list").rc == 1
    call = "busctl --address=unix:path=/run/creel/$(id -u)/keeper.sock call org.creel.Keeper1 /org/creel/Keeper org.creel.Keeper1 "
    assert vm.agent(call + "Sessions").rc != 0 and vm.agent(call + "End s 0123456789abcdef").rc != 0
