# SPDX-License-Identifier: MIT
"""creel ps, stop and logs: all that runs for an agent in one table, whoever began it, and each row's own end."""

import contextlib
import json
import re

import pytest

from harness import TIMEOUT, Terminal, manager_is_up, marker, wait_until

SERVER = "python3 -m http.server {port} --bind {address}"


@pytest.fixture(autouse=True, scope="module")
def manager(vm):
    manager_is_up(vm)


def rows(vm, *options):
    return json.loads(vm.agent.sh(" ".join(["creel ps --json", *options]), timeout=120))


def row(vm, kind, name):
    """That row, or None."""
    found = [one for one in rows(vm, "--all") if one["kind"] == kind and one["name"] == name]
    assert len(found) <= 1, found
    return found[0] if found else None


def there(vm, kind, name, condition=lambda one: True):
    def look():
        one = row(vm, kind, name)
        return one if one and condition(one) else None
    return wait_until(look, 120, f"a {kind} {name}", 1)


def gone(vm, kind, name):
    wait_until(lambda: row(vm, kind, name) is None, 120, f"no {kind} {name}", 1)


def ports(one):
    return {port["port"]: port["reach"] for port in one["ports"]}


def refused(vm, command, *words):
    """It fails with 1 and one line that has these words; nothing is on stdout."""
    result = vm.agent(command, timeout=120)
    assert result.rc == 1 and not result.out, result
    assert len(result.errors.splitlines()) == 1, result.errors
    for word in words:
        assert word in result.errors, result.errors


def test_what_a_login_left_behind_is_a_stray(vm):
    vm.agent.sh(f"setsid {SERVER.format(port=3001, address='0.0.0.0')} >/dev/null 2>&1 </dev/null & ")
    one = there(vm, "stray", "python3", lambda one: 3001 in ports(one))
    assert ports(one) == {3001: "any"} and one["state"] == "running" and one["memory"] > 1 << 20
    assert one["pid"] in one["pids"] and "http.server 3001" in one["command"]
    assert vm.agent.sh(f"creel stop {one['pid']}", timeout=120) == "stopped stray python3"
    gone(vm, "stray", "python3")


def test_a_pid_file_names_a_process_and_its_log(vm):
    vm.agent.sh("mkdir -p ~/pids ~/logs; nohup sh -c 'echo begun; exec sleep 1000' > ~/logs/task.log 2>&1 & "
                "echo $! > ~/pids/task.pid; wait_for=; until grep -q begun ~/logs/task.log; do :; done")
    one = there(vm, "process", "task", lambda one: one["command"] == "sleep 1000")
    assert vm.agent.sh("creel logs task -n 1", timeout=120) == "begun"
    assert json.loads(vm.agent.sh("creel stop task --json", timeout=120)) == {
        "kind": "process", "name": "task", "pid": one["pid"], "whole": True}
    gone(vm, "process", "task")
    assert vm.agent.sh("ls ~/pids") == ""
    # its log stays, and is found by name
    assert vm.agent.sh("creel logs task", timeout=120) == "begun"


def test_a_job_and_a_transient_unit(vm):
    vm.agent.sh("creel job start worker -- sh -c 'echo working; exec sleep 1000'", timeout=120)
    vm.agent.sh(f"systemd-run --user --unit=hand -q {SERVER.format(port=3002, address='127.0.0.1')}", timeout=120)
    assert there(vm, "job", "worker")["unit"] == "creel-job-worker.service"
    one = there(vm, "service", "hand", lambda one: one["ports"])
    assert ports(one) == {3002: "loopback"} and one["unit"] == "hand.service" and one["ok"]
    wait_until(lambda: vm.agent("creel logs worker", timeout=120).text == "working", 60)
    assert "Started hand.service" in vm.agent.sh("creel logs hand", timeout=120)
    for name, kind in (("worker", "job"), ("hand", "service")):
        assert vm.agent.sh(f"creel stop {name}", timeout=180) == f"stopped {kind} {name}"
        gone(vm, kind, name)


def test_a_unit_that_failed_says_why_until_it_is_forgotten(vm):
    vm.agent.sh("systemd-run --user --unit=broken -q false", timeout=120)
    one = there(vm, "service", "broken", lambda one: one["state"] == "failed")
    assert not one["ok"] and one["health"] == "exit 1" and one["pid"] is None
    vm.agent.sh("creel stop broken", timeout=120)
    gone(vm, "service", "broken")


def test_timers_say_when(vm):
    vm.agent.sh("systemd-run --user --unit=tick -q --on-calendar=hourly true", timeout=120)
    one = there(vm, "timer", "tick")
    assert one["state"] == "waiting" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one["next"]), one
    assert re.search(r"tick +- +waiting .* next run in ", vm.agent.sh("creel ps --kind timer", timeout=120))
    vm.agent.sh("creel stop tick", timeout=120)
    gone(vm, "timer", "tick")


def test_an_entry_of_the_crontab(vm):
    vm.agent.sh("printf '# creel: yearly\\n0 0 1 1 * true\\n' | crontab -", timeout=120)
    one = there(vm, "cron", "yearly", lambda one: one["next"])
    assert one["state"] == "waiting" and one["unit"] == "creel-cron-yearly.timer" and "-01-01T" in one["next"], one
    assert vm.agent.sh("creel stop yearly", timeout=180) == "stopped cron yearly"
    gone(vm, "cron", "yearly")
    vm.agent.sh("crontab -r", timeout=120)


def test_interpreters(vm):
    vm.agent.sh("echo 'x = 1' | creel run - --session main", timeout=180)
    one = there(vm, "repl", "main")
    assert one["language"] == "python" and one["state"] == "idle" and one["memory"] > 0
    refused(vm, "creel logs main", "who called it")
    assert vm.agent.sh("creel stop python/main", timeout=120) == "stopped repl main"
    gone(vm, "repl", "main")


def test_runs(vm):
    seconds = marker()
    with vm.agent.start("creel run - --lang bash") as client:
        client.stdin.write(f"sleep {seconds}\n".encode())
        client.stdin.close()
        client.stdin = None
        one = wait_until(lambda: next((one for one in rows(vm, "--kind run") if one["pids"]), None), 120, "a run", 1)
        assert one["name"].isdigit()
        wait_until(lambda: vm.alive(f"sleep {seconds}"), 60)
        assert vm.agent.sh(f"creel stop {one['name']}", timeout=120) == f"stopped run {one['name']}"
        assert client.wait(TIMEOUT) != 0
    wait_until(lambda: not rows(vm, "--kind run"), 60, "no run", 1)
    assert not vm.alive(f"sleep {seconds}")


def test_screens(vm):
    vm.agent.sh(f"screen -dmS server {SERVER.format(port=3003, address='0.0.0.0')}")
    one = there(vm, "screen", "server", lambda one: one["ports"])
    assert one["state"] == "detached" and ports(one) == {3003: "any"} and len(one["pids"]) == 2
    assert vm.agent.sh("creel stop server", timeout=120) == "stopped screen server"
    gone(vm, "screen", "server")
    wait_until(lambda: not vm.alive("python3 -m http.server 3003 --bind 0.0.0.0"), 60)


def test_two_strays_have_a_port_each(vm):
    """Both sockets were made in one cgroup that is gone: command lines tell them apart."""
    vm.agent.sh("for port in 3004 3005; do setsid python3 -m http.server $port >/dev/null 2>&1 </dev/null & done")
    wait_until(lambda: sorted(port for one in rows(vm, "--kind stray") for port in ports(one)) == [3004, 3005], 120,
               "both listen", 1)
    for one in rows(vm, "--kind stray"):
        assert [f"http.server {port}" in one["command"] for port in ports(one)] == [True], one
    # several of a name: both are named, none is ended
    refused(vm, "creel stop python3", "several are called so", *[str(one["pid"]) for one in rows(vm, "--kind stray")])
    assert len(rows(vm, "--kind stray")) == 2
    for one in rows(vm, "--kind stray"):
        vm.agent.sh(f"creel stop {one['pid']}", timeout=120)
    wait_until(lambda: not rows(vm, "--kind stray"), 60, "no stray", 1)


def test_a_login_is_a_row_and_can_be_ended_from_another(vm):
    seconds = marker()
    with vm.agent.start(f"sleep {seconds}") as client:
        wait_until(lambda: vm.alive(f"sleep {seconds}"))
        [pid] = vm.alive(f"sleep {seconds}")
        one = next(one for one in rows(vm, "--kind session") if pid in one["pids"])
        assert one["state"] == "running" and one["uptime_seconds"] >= 0
        refused(vm, f"creel logs {one['name']}", "kept nowhere")
        assert vm.agent.sh(f"creel stop {one['name']}", timeout=120) == f"stopped session {one['name']}"
        assert client.wait(TIMEOUT) != 0
    assert not vm.alive(f"sleep {seconds}")
    refused(vm, "creel stop $$", "the login that you are in")


def test_one_process_of_a_row(vm):
    vm.agent.sh("creel job start pair -- sh -c 'sleep 1001 & exec sleep 1002'", timeout=120)
    there(vm, "job", "pair", lambda one: len(one["pids"]) >= 2)
    [pid] = wait_until(lambda: vm.alive("sleep 1001"), 60)  # two processes may be twice the shell still
    wait_until(lambda: vm.alive("sleep 1002"), 60)
    assert vm.agent.sh(f"creel stop {pid}", timeout=120) == f"stopped process {pid} of job pair"
    wait_until(lambda: not vm.alive("sleep 1001"))
    assert vm.alive("sleep 1002")
    vm.agent.sh("creel stop pair", timeout=180)
    wait_until(lambda: not vm.alive("sleep 1002"))


def test_what_is_not_ones_own_is_refused(vm):
    refused(vm, "creel stop 1", "process 1", "root", "not to you")
    refused(vm, "creel stop nobody-is-called-so", "nothing that runs is called so")
    refused(vm, "creel stop 2147483647", "no process has this number")
    refused(vm, "creel stop user-manager", "user manager")
    refused(vm, "creel logs ../../etc/passwd", "nothing that runs is called so")
    refused(vm, "creel logs " + "x" * 300, "nothing that runs is called so")
    # bob's processes are no rows of the agent's
    vm.bob.sh("setsid sleep 1003 >/dev/null 2>&1 </dev/null &")
    [pid] = wait_until(lambda: vm.alive("sleep 1003"))
    assert not any(pid in one["pids"] for one in rows(vm, "--all"))
    refused(vm, f"creel stop {pid}", "bob", "not to you")
    assert vm.alive("sleep 1003") == [pid]
    vm.bob.sh(f"kill {pid}")


def test_wrong_usage(vm):
    for command in ("ps --what", "ps --kind fish", "ps --watch", "ps --every 1ms", "ps x", "stop", "stop a b", "logs",
                    "logs -n many x", "stop --grace long x", "stop ''"):
        result = vm.agent(f"creel {command}", timeout=120)
        assert result.rc == 2 and not result.out and "usage:" in result.errors, (command, result)
    for verb in ("ps", "stop", "logs"):
        assert vm.agent.sh(f"creel {verb} --help").startswith("usage:")


def test_a_log_that_is_a_link_is_not_read(vm):
    vm.agent.sh("mkdir -p ~/logs; ln -sf /etc/hostname ~/logs/link.log")
    refused(vm, "creel logs link", "symbolic link")
    vm.agent.sh("rm ~/logs/link.log")


def test_watch_gives_the_terminal_back(vm):
    vm.agent.sh("creel job start watched -- sleep 1004", timeout=120)
    with Terminal(vm.agent.argv("creel ps --watch --every 250ms", options=["-tt"]), columns=120) as terminal:
        terminal.expect(r"\x1b\[\?1049h\x1b\[\?25l", 120)
        terminal.expect(r"watched", 120)
        terminal.expect(r"watched +\d+ +running +\S+ +\d+\.\d%", 120)  # from the second picture on
        terminal.send("\x03")
        terminal.expect(r"\x1b\[\?25h\x1b\[\?1049l", 120)
        assert terminal.finish(120) == 0
    vm.agent.sh("creel stop watched", timeout=180)


def test_names_do_not_act_on_the_terminal(vm):
    vm.agent.sh(r"printf '#!/bin/sh\nsleep 1005\n' > /tmp/$(printf 'e\033[31m') && chmod +x /tmp/e* && "
                r"(setsid /tmp/$(printf 'e\033[31m') >/dev/null 2>&1 </dev/null &)")
    wait_until(lambda: vm.alive("sleep 1005"))
    shown = vm.agent("creel ps", timeout=120).out
    assert b"\x1b" not in shown, shown
    vm.agent.sh("pkill -fx 'sleep 1005'; rm -f /tmp/e*")


def test_without_the_user_manager_the_rest_is_told(vm):
    uid = vm.uid()
    vm.agent.sh("setsid sleep 1006 >/dev/null 2>&1 </dev/null &")
    with contextlib.ExitStack() as stack:
        vm.root.sh(f"systemctl stop user@{uid}.service", timeout=180)
        stack.callback(manager_is_up, vm)
        stack.callback(vm.root.sh, f"systemctl start user@{uid}.service", timeout=180)
        result = vm.agent("creel ps --json", timeout=120)
        assert result.rc == 1 and f"systemctl start user@{uid}" in result.errors, result
        [one] = [one for one in json.loads(result.text) if one["command"] == "sleep 1006"]
        assert one["kind"] == "stray"
        vm.agent.sh(f"creel stop {one['pid']}", timeout=120)
    assert not vm.alive("sleep 1006")
