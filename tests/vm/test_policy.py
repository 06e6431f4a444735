# SPDX-License-Identifier: MIT
"""Policies: checked with file, line and reason; a bad one closes that agent and no other."""

import pytest

from harness import Host, marker, wait_until

BOB = "/etc/creel/agents/bob.conf"
DEFAULTS = "/etc/creel/creel.conf"


@pytest.fixture
def saved(vm):
    """Both files are put back and loaded again afterwards."""
    vm.root.sh(f"cp -p {BOB} /root/bob.conf; cp -p {DEFAULTS} /root/creel.conf 2>/dev/null || true")
    yield
    vm.root.sh(f"cp -p /root/bob.conf {BOB}; if [ -e /root/creel.conf ]; then cp -p /root/creel.conf {DEFAULTS}; "
               f"else rm -f {DEFAULTS}; fi; systemctl daemon-reload; systemctl reset-failed")
    wait_until(lambda: vm.bob("echo in").text == "in", 60)


def check(vm, text):
    vm.write("/root/check.conf", text)
    return vm.root("creelctl policy check /root/check.conf")


def test_the_installed_policies_are_good(vm):
    vm.root.sh("creelctl policy check")


@pytest.mark.parametrize("text", [
    "", "# only a comment\n", "[limits]\nmemory = 1G\n", "[limits]\nmemory=256M\nprocesses=20\ncpu=0.5\n",
    "[agent]\nprofile = openclaw\n[limits]\nmemory = max\n", "[ports]\nlisten = 3000-3010,8080\n", "\ufeff[limits]\nmemory = 1G\n",
    "[limits]\r\nmemory = 1G\r\n",
])
def test_good_files(vm, text):
    done = check(vm, text)
    assert done.rc == 0, done.err


@pytest.mark.parametrize("text,line,words", [
    ("[limits]\nmemroy = 1G\n", 2, ["memroy"]),
    ("[limts]\nmemory = 1G\n", 2, ["limts"]),
    ("[limits]\nmemory = 1X\n", 2, ["memory"]),
    ("[limits]\n\n# c\nmemory = -1G\n", 4, ["memory"]),
    ("[limits]\nmemory = 99999999999999999999G\n", 2, ["memory"]),
    ("[limits]\nmemory = 1k\n", 2, ["memory"]),
    ("[limits]\nprocesses = 50.5\n", 2, ["processes"]),
    ("[limits]\nprocesses =\n", 2, ["processes"]),
    ("[limits]\ncpu = fast\n", 2, ["cpu"]),
    ("[limits]\nmemory\n", 2, []),
    ("memory = 1G\n", 1, ["memory"]),
    ("[limits\nmemory = 1G\n", 1, []),
    ("[ports]\nlisten = 9000-3000\n", 2, ["listen"]),
    ("[ports]\nlisten = 70000\n", 2, ["listen"]),
    ("[agent]\nshell = bash\n", 2, ["shell"]),
    ("[agent]\nprofile = nosuch\n", 2, ["nosuch"]),
    ("[agent]\nkeys = anywhere\n", 2, ["keys"]),
    ("[limits]\nmemory = 1G\nmemory = 2G\n", 3, ["memory"]),
    ("[limits]\nmemory = 1G extra\n", 2, ["memory"]),
    ("[exec]\ntimeout = 30\n", 2, ["timeout"]),
])
def test_errors_name_file_line_key_and_reason(vm, text, line, words):
    done = check(vm, text)
    assert done.rc != 0
    assert f"/root/check.conf:{line}:" in done.errors
    for word in words:
        assert word in done.errors
    assert len(done.errors.splitlines()) <= 2


def test_escape_sequences_in_a_file_do_not_reach_the_terminal(vm):
    done = check(vm, "[limits]\n\x1b[31mred = 1\n")
    assert done.rc != 0 and b"\x1b" not in done.err


def test_files_that_are_none(vm):
    for path in ("/nonexistent", "/root", "/dev/null/x"):
        done = vm.root(f"creelctl policy check {path}")
        assert done.rc != 0 and path.split("/")[1] in done.errors


def test_show_says_where_each_value_came_from(vm, saved):
    vm.write(DEFAULTS, "[limits]\ncpu = 1.5\n")
    vm.write(BOB, "[limits]\nmemory = 300M\n")
    shown = vm.root.sh("creelctl policy show bob")
    lines = {line.split()[0]: line for line in shown.splitlines() if "." in (line.split() or [""])[0]}
    assert "300M" in lines["limits.memory"] and f"{BOB}:2" in lines["limits.memory"]
    assert "1.5" in lines["limits.cpu"] and f"{DEFAULTS}:2" in lines["limits.cpu"]
    assert "built-in" in lines["limits.swap"]
    assert vm.root("creelctl policy show nobody-here").rc != 0


def test_front_keys_are_not_for_one_agent(vm, saved):
    vm.write(BOB, "[front]\ngrace = 10s\n")
    done = vm.root("creelctl policy check")
    assert done.rc != 0 and f"{BOB}:2" in done.errors


def test_a_changed_policy_takes_effect(vm, saved):
    uid = vm.uid("bob")
    vm.write(BOB, "[limits]\nprocesses = 33\ntasks = 333\nmemory = 200M\n")
    vm.root.sh("systemctl daemon-reload")
    assert vm.root.sh(f"cat /sys/fs/cgroup/user.slice/user-{uid}.slice/pids.max") == "333"
    vm.root.sh("creelctl policy apply")
    assert vm.processes("bob").limit == 33
    assert vm.root.sh(f"cat /sys/fs/cgroup/user.slice/user-{uid}.slice/memory.max") == str(200 << 20)
    assert vm.bob.sh("echo in") == "in"


def test_a_bad_policy_closes_that_agent_and_no_other(vm, saved):
    since = vm.now()
    vm.write(BOB, "[limits]\nmemroy = 1G\n")
    vm.root.sh("systemctl daemon-reload")
    done = vm.bob("echo in")
    assert done.rc == 255 and done.out == b""
    assert vm.agent.sh("echo in") == "in"
    assert any("memroy" in str(entry.get("MESSAGE")) for entry in vm.journal(since)), "the journal says why"
    wait_until(lambda: vm.records(since, "refusal") or vm.journal(since, "SYSLOG_IDENTIFIER=creel-sshd"))
    uid = vm.uid("bob")
    vm.root.sh(f"systemctl stop user@{uid}.service")
    assert vm.root(f"systemctl start user@{uid}.service").rc != 0, "no user manager without limits either"


def test_a_bad_policy_keeps_the_agent_out_of_the_other_door_or_limited(vm, saved):
    """Through OpenSSH an agent with a bad policy must not be without limits."""
    uid = vm.uid("bob")
    vm.write(BOB, "[limits]\nmemroy = 1G\n")
    vm.root.sh("systemctl daemon-reload")
    assert vm.root.sh(f"systemctl show -P TasksMax user-{uid}.slice") != "infinity"


def test_a_policy_file_that_is_gone_lifts_no_limit(vm, saved):
    """The user, its processes and its lingering manager are still there: they stay limited, and nothing new starts."""
    uid = vm.uid("bob")
    cgroup = f"/sys/fs/cgroup/user.slice/user-{uid}.slice"
    number = marker()
    with vm.bob.start(f"echo in; exec sleep {number}") as client:
        assert client.stdout.readline() == b"in\n"
        vm.root.sh(f"mv {BOB} /root/bob.gone && systemctl daemon-reload")
        assert vm.root.sh(f"cat {cgroup}/pids.max") == "1"
        assert vm.root.sh(f"cat {cgroup}/memory.max") != "max"
        assert vm.alive(f"sleep {number}"), "what runs goes on"
        assert vm.bob("echo in").rc == 255
        assert vm.agent.sh("echo in") == "in", "nobody else is touched"
        applied = vm.root("creelctl policy apply")
        assert applied.rc != 0 and "bob" in applied.errors
        assert vm.root.sh(f"cat {cgroup}/pids.max") == "1"
        row, = (line for line in vm.root.sh("creelctl agent list").splitlines() if line.startswith("bob "))
        assert "bad policy" in row
    vm.root.sh(f"systemctl stop user@{uid}.service")
    assert vm.root(f"systemctl start user@{uid}.service").rc != 0
    vm.root.sh(f"mv /root/bob.gone {BOB} && systemctl reset-failed && creelctl policy apply")
    assert vm.bob.sh("echo back") == "back"
    assert vm.root.sh(f"cat {cgroup}/pids.max") != "1"


def test_a_hand_made_agent_is_remembered_by_policy_apply(vm, saved):
    uid = vm.uid("bob")
    vm.root.sh(f"rm /etc/creel/provisioned/{uid}; creelctl policy apply")
    assert vm.root.sh(f"cat /etc/creel/provisioned/{uid}") == "bob"


def test_a_bad_default_closes_all_agents_and_not_the_operator(vm, saved):
    vm.write(DEFAULTS, "[limits]\nmemory = lots\n")
    vm.root.sh("systemctl daemon-reload")
    assert vm.bob("echo in").rc == 255
    assert Host(vm, "root").sh("echo operator") == "operator"
    vm.root.sh(f"rm -f {DEFAULTS}; cp -p /root/creel.conf {DEFAULTS} 2>/dev/null; systemctl daemon-reload")
    assert wait_until(lambda: vm.agent("echo in").text == "in", 60)


def test_agents_cannot_change_policies(vm):
    for path in (DEFAULTS, BOB, "/etc/creel/agents/agent.conf", "/etc/creel/agents/new.conf", "/usr/share/creel/profiles/x.conf"):
        assert vm.agent(f"echo x >> {path}").rc != 0
    assert vm.agent("cat /etc/creel/ssh_host_ed25519_key").rc != 0
