# SPDX-License-Identifier: MIT
"""creelctl agent: keys, and what stops all of an agent's at once; policy diff."""

import json
import pathlib
import subprocess

import pytest

from harness import marker, one_more_agent, policy, policy_file, wait_until


@pytest.fixture
def key(tmp_path):
    """A key that nobody knows yet: its path, its public line, its fingerprint."""
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "one more", "-f", path], check=True)
    shown = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True).stdout
    return path, pathlib.Path(f"{path}.pub").read_text(), shown.split()[1]


def state(vm, name="agent"):
    return next(row for row in json.loads(vm.root.sh("creelctl agent list --json")) if row["name"] == name)["state"]


def test_key_add_list_remove(vm, key):
    path, line, fingerprint = key
    options = vm.only(path)
    assert vm.agent("true", options=options).rc != 0
    assert vm.root.sh("creelctl agent key add agent --key -", stdin=line) == fingerprint
    assert vm.agent.sh("echo in", options=options) == "in"
    again = vm.root("creelctl agent key add agent --key -", stdin=line)
    assert again.rc == 0 and "already" in again.errors
    # a NUL hides none of them from the operator, as it does not from the keeper
    vm.agent.sh("{ printf '#\\0\\n'; cat ~/.ssh/authorized_keys; } >keys; cat keys >~/.ssh/authorized_keys; rm keys")
    listed = json.loads(vm.root.sh("creelctl agent key list agent --json"))
    assert [row["comment"] for row in listed if row["fingerprint"] == fingerprint] == ["one more"]
    assert fingerprint in vm.root.sh("creelctl agent key list agent")
    assert vm.root.sh("stat -c '%U %a' ~agent/.ssh/authorized_keys") == "agent 600"
    vm.root.sh(f"creelctl agent key remove agent {fingerprint}")
    assert vm.agent("true", options=options).rc != 0
    assert vm.agent.sh("sed -i 1d ~/.ssh/authorized_keys; echo in") == "in"
    assert vm.root(f"creelctl agent key remove agent {fingerprint}").rc == 1


def test_keys_of_the_operator(vm, key):
    path, line, fingerprint = key
    with policy(vm, "[agent]\nkeys = policy\n"):
        vm.root.sh("creelctl agent key add agent --key -", stdin=line)
        try:
            assert vm.agent.sh("echo in", options=vm.only(path)) == "in"
            assert "/etc/creel/agents/agent.keys" in vm.root.sh("creelctl agent key list agent")
        finally:
            vm.root.sh(f"creelctl agent key remove agent {fingerprint}")
        assert vm.agent("true", options=vm.only(path)).rc != 0


def test_keys_that_are_none(vm, key):
    for text in ("", "nonsense\n", "ssh-ed25519 AAAA\n", "-----BEGIN OPENSSH PRIVATE KEY-----\n"):
        done = vm.root("creelctl agent key add agent --key -", stdin=text)
        assert done.rc == 1 and len(done.errors.splitlines()) == 1
    assert vm.root("creelctl agent key add agent --key /nosuch").rc == 1
    assert vm.root("creelctl agent key add nosuch --key -", stdin=key[1]).rc == 1
    assert vm.root("creelctl agent key remove agent one").rc == 1
    assert vm.root("creelctl agent key remove agent").rc == 2 and vm.root("creelctl agent key").rc == 2


def test_links_in_the_home_are_not_followed(vm, key):
    vm.root.sh("cp /etc/shadow /root/shadow-before; mv ~agent/.ssh ~agent/.ssh-saved")
    try:
        vm.root.sh("mkdir ~agent/.ssh; ln -s /etc/shadow ~agent/.ssh/authorized_keys; chown -R -h agent: ~agent/.ssh")
        assert vm.root("creelctl agent key list agent").rc == 1
        assert vm.root("creelctl agent key add agent --key -", stdin=key[1]).rc == 1
        vm.root.sh("rm -r ~agent/.ssh; ln -s /root/.ssh ~agent/.ssh; chown -h agent: ~agent/.ssh")
        assert vm.root("creelctl agent key add agent --key -", stdin=key[1]).rc == 1
        vm.root.sh("cmp /etc/shadow /root/shadow-before")
    finally:
        vm.root.sh("rm -rf ~agent/.ssh /root/shadow-before; mv ~agent/.ssh-saved ~agent/.ssh")
    assert vm.agent.sh("echo in") == "in"


def test_freeze_and_thaw(vm):
    number = marker()
    with vm.agent.start(f"i=0; while :; do i=$((i+1)); echo $i >/tmp/count-{number}; done") as client:
        wait_until(lambda: vm.root(f"cat /tmp/count-{number}").text)
        vm.root.sh("creelctl agent freeze agent")
        try:
            frozen = vm.root.sh("grep frozen /sys/fs/cgroup/user.slice/user-$(id -u agent).slice/cgroup.events")
            assert frozen == "frozen 1" or wait_until(lambda: vm.root.sh(
                "grep frozen /sys/fs/cgroup/user.slice/user-$(id -u agent).slice/cgroup.events") == "frozen 1")
            assert state(vm) == "frozen"
            before = vm.root.sh(f"cat /tmp/count-{number}")
            since = vm.now()
            assert vm.agent("true").rc != 0
            assert "frozen" in wait_until(lambda: vm.records(since, "refusal", agent="agent"))[0]["CREEL_REASON"]
            assert vm.bob.sh("echo in") == "in"
            assert vm.root.sh(f"cat /tmp/count-{number}") == before
        finally:
            vm.root.sh("creelctl agent thaw agent")
        wait_until(lambda: vm.root.sh(f"cat /tmp/count-{number}") != before)
        assert vm.agent.sh("echo in") == "in" and client.poll() is None
    vm.root.sh(f"rm -f /tmp/count-{number}")


def test_stop_and_start(vm):
    with one_more_agent(vm) as uid:
        carol = ["-l", "carol"]
        number, other = marker(), marker()
        assert vm.agent.sh("id -un", options=carol) == "carol"
        vm.agent.sh(f"systemd-run --user -q sleep {number}; nohup setsid sleep {other} >/dev/null 2>&1 &", options=carol)
        wait_until(lambda: vm.root(f"pgrep -u {uid} -f 'sleep {number}'").text and vm.alive(f"sleep {other}"))
        vm.root.sh("creelctl agent stop carol", timeout=240)
        assert vm.root(f"pgrep -u {uid}").text == ""
        assert state(vm, "carol") == "stopped" and vm.agent("true", options=carol).rc != 0
        vm.root.sh("creelctl policy apply", timeout=240)
        assert state(vm, "carol") == "stopped" and vm.root(f"pgrep -u {uid}").text == ""
        # whoever starts its manager, as logind does of all who linger when it is restarted itself
        vm.root(f"systemctl start user@{uid}.service", timeout=120)
        assert vm.root(f"pgrep -u {uid}").text == ""
        assert vm.agent.sh("echo in") == "in"
        vm.root.sh("creelctl agent lock carol")
        locked = vm.root("creelctl agent start carol")
        assert locked.rc == 1 and "creelctl agent unlock carol" in locked.errors and state(vm, "carol") != "ok", locked
        vm.root.sh("creelctl agent unlock carol; creelctl agent start carol", timeout=240)
        assert state(vm, "carol") == "ok" and vm.agent.sh("id -un", options=carol) == "carol"
        # and what was frozen can be stopped, and removed; also where somebody took its policy away
        vm.root.sh(f"mv {policy_file('carol')} /root/carol.conf && creelctl agent freeze carol && creelctl agent stop carol", timeout=240)
        assert vm.root(f"pgrep -u {uid}").text == ""
        # the kernel and its units hear that it is gone, and with start that it is back
        assert "carol is disabled" in vm.root("creelctl policy apply", timeout=240).errors
        gone = vm.root("creelctl agent start carol")
        assert gone.rc == 1 and policy_file("carol") in gone.errors and vm.root(f"pgrep -u {uid}").text == ""
        vm.root.sh(f"mv /root/carol.conf {policy_file('carol')}")
        vm.root.sh("creelctl agent start carol", timeout=240)
        assert vm.agent.sh("echo in", options=carol) == "in"
    assert vm.root(f"test -e /run/creel/stopped/{uid}").rc == 1


@pytest.mark.parametrize("verb", ["stop", "start", "freeze", "thaw"])
def test_whom_these_do_not_touch(vm, verb):
    for name in ("nosuch", "root", "../x", "-x", "x" * 300):
        done = vm.root(f"creelctl agent {verb} {name}")
        assert done.rc in (1, 2) and done.errors
    assert vm.root(f"creelctl agent {verb}").rc == 2
    assert vm.agent(f"/usr/sbin/creelctl agent {verb} bob").rc == 1
    assert vm.root.sh("echo in") == "in"


def test_policy_diff(vm):
    with policy(vm, "[limits]\nprocesses = 61\n"):
        assert "limits.processes: " in vm.root.sh("creelctl policy diff agent") and "-> 61" in vm.root.sh("creelctl policy diff agent")
        rows = json.loads(vm.root.sh("creelctl policy diff agent bob --json"))
        assert [row["was"] for row in rows if row["key"] == "processes" and row["section"] == "limits"] == ["61"]
        vm.root.sh(f"sed s/61/62/ {policy_file()} >/root/new.conf")
        assert vm.root.sh("creelctl policy diff agent /root/new.conf").splitlines()[0].startswith("limits.processes: 61 -> 62")
        assert vm.root.sh("creelctl policy diff agent agent") == ""
        vm.root.sh("echo nonsense >/root/new.conf")
        assert vm.root("creelctl policy diff agent /root/new.conf").rc == 1
        assert vm.root("creelctl policy diff nosuch").rc == 1
        vm.root.sh("rm /root/new.conf")


def test_removal_of_a_renamed_user(vm):
    """Nobody who was an agent goes on without limits because its user has another name."""
    with one_more_agent(vm) as uid:
        vm.root.sh("creelctl agent stop carol && usermod -l dora carol")
        try:
            for name in ("carol", "dora"):
                done = vm.root(f"creelctl agent remove {name}")
                assert done.rc == 1 and "usermod -l carol dora" in done.errors and len(done.errors.splitlines()) == 1
            vm.root.sh(f"grep -qx carol /etc/creel/provisioned/{uid} && test -e {policy_file('carol')} && getent passwd dora")
            # the file under the new name as well: that is an agent's, and goes as a whole
            vm.root.sh(f"mv {policy_file('carol')} {policy_file('dora')} && creelctl agent remove dora", timeout=240)
            assert vm.root(f"ls -d /etc/creel/provisioned/{uid} {policy_file('dora')} /home/carol").text == ""
            assert vm.root("getent passwd dora carol").text == ""
        finally:
            vm.root("usermod -l carol dora; test ! -e /etc/creel/agents/dora.conf || "
                    "mv /etc/creel/agents/dora.conf /etc/creel/agents/carol.conf")


def test_what_cannot_take_effect_is_taken_back(vm):
    before = vm.root.sh(f"cat {policy_file('bob')}")
    vm.root.sh("chmod a-x /usr/sbin/dnsmasq")
    try:
        done = vm.root("creelctl agent set bob network.mode=restricted network.allowed_hosts=example.org", timeout=240)
        assert done.rc == 1 and "its policy is what it was before" in done.errors
        assert vm.root.sh(f"cat {policy_file('bob')}") == before and vm.bob.sh("echo in") == "in"
    finally:
        vm.root.sh("chmod a+x /usr/sbin/dnsmasq; creelctl policy apply", timeout=240)
