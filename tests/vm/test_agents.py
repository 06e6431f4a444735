# SPDX-License-Identifier: MIT
"""creelctl agent: a whole agent or none."""

import subprocess

import pytest

from harness import wait_until

# all that an agent consists of, as one text to compare
STATE = """
getent passwd; getent group; ls -A /home /run/creel /var/lib/systemd/linger /run/user;
ls -lAR --time-style=+ /etc/creel | grep -v ^total;
systemctl list-units --all --plain --no-legend 'creel-*' 'user@*' 'user-*.slice' | awk '{ print $1 }' | sort;
ls /run/systemd/generator* /etc/systemd/system /run/systemd/system
"""


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("agents") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "carol", "-f", path], check=True)
    return path


@pytest.fixture
def public(key):
    return key.with_suffix(".pub").read_bytes()


def as_carol(vm, key, command="whoami"):
    return vm.agent(command, options=["-l", "carol", *vm.only(key)])


@pytest.fixture
def carol(vm, public):
    vm.root.sh("creelctl agent add carol --key - --set limits.processes=40 --set limits.memory=256M", stdin=public)
    yield "carol"
    vm.root("creelctl agent remove carol")


def untouched(vm, command, stdin=b""):
    """It fails, says why in one place, and nothing is there that was not there before."""
    before = vm.root.sh(STATE)
    done = vm.root(command, stdin)
    assert done.rc not in (0, 139, 134) and done.err, done
    wait_until(lambda: vm.root.sh(STATE) == before, 10, "the machine is as before")
    return done


def test_two_agents_are_there(vm):
    names = [line.split()[0] for line in vm.root.sh("creelctl agent list").splitlines() if line.split()]
    assert {"agent", "bob"} <= set(names) and "root" not in names


def test_add_show_login_and_remove(vm, key, public):
    before = vm.root.sh(STATE)
    vm.root.sh("creelctl agent add carol --key - --set limits.processes=40", stdin=public)
    try:
        assert as_carol(vm, key).ok().text == "carol"
        uid = vm.root.sh("id -u carol")
        assert vm.root.sh(f"cat /sys/fs/cgroup/user.slice/user-{uid}.slice/pids.max") == "1024"
        assert vm.processes("carol").limit == 40
        shown = vm.root.sh("creelctl agent show carol")
        assert "40" in shown and "processes" in shown
        assert "carol" in vm.root.sh("creelctl agent list")
        assert vm.root.sh("loginctl show-user carol -P Linger") == "yes"
        assert as_carol(vm, key, "systemctl --user is-system-running").text in ("running", "starting", "degraded")
        assert vm.root.sh("stat -c '%U %a' /home/carol/.ssh /home/carol/.ssh/authorized_keys") == "carol 700\ncarol 600"
        assert as_carol(vm, key, "ls /home/agent").rc != 0, "a neighbour's home is closed"
        assert set(as_carol(vm, key, "id -nG").text.split()) == {"carol", "creel-agents"}
    finally:
        vm.root.sh("creelctl agent remove carol", timeout=120)
    assert as_carol(vm, key).rc == 255
    after = wait_until(lambda: (state := vm.root.sh(STATE)) and state, 5)
    gone = [line for line in after.splitlines() if "carol" in line]
    kept = [line for line in gone if line not in before]
    assert all("/home" in line or line == "carol" for line in kept), kept


def test_remove_while_the_agent_is_logged_in(vm, key, public):
    vm.root.sh("creelctl agent add carol --key -", stdin=public)
    with vm.agent.start("echo in; sleep 1000", ["-l", "carol", *vm.only(key)]) as client:
        assert client.stdout.readline() == b"in\n"
        vm.root.sh("creelctl agent remove carol", timeout=120)
        assert client.wait(30) == 255
    assert vm.root("getent passwd carol").rc != 0


def test_a_neighbours_file_does_not_keep_an_agent(vm, key, public):
    """Bob puts something into a folder of carol's in /tmp that cannot be removed then: she goes, and his file stays his."""
    vm.root.sh("creelctl agent add carol --key -", stdin=public)
    uid = vm.root.sh("id -u carol")
    as_carol(vm, key, "mkdir -p -m 0777 /tmp/carols/deep && chmod 0777 /tmp/carols && touch /tmp/carols/own /tmp/carols/deep/own").ok()
    vm.bob.sh("echo bobs > /tmp/carols/deep/bobs")
    vm.root.sh("creelctl agent remove carol", timeout=120)
    try:
        assert vm.root("getent passwd carol").rc != 0
        assert vm.root.sh("stat -c '%U %a' /tmp/carols /tmp/carols/deep") == "root 1777\nroot 1777"
        assert vm.root.sh("find /tmp/carols -type f -printf '%P %u\n'") == "deep/bobs bob"
        assert vm.root.sh(f"find /tmp /var/tmp /dev/shm -xdev -uid {uid}") == ""
        assert vm.bob.sh("cat /tmp/carols/deep/bobs && rm /tmp/carols/deep/bobs") == "bobs"
    finally:
        vm.root.sh("rm -rf /tmp/carols")


def test_remove_ends_connections_that_run_nothing(vm, key, public):
    vm.root.sh("creelctl agent add carol --key -", stdin=public)
    since = vm.now()
    with vm.agent.start(None, ["-N", "-l", "carol", *vm.only(key)]) as client:
        vm.record(since, "login", agent="carol", timeout=60)
        vm.root.sh("creelctl agent remove carol", timeout=120)
        assert client.wait(90) == 255


def test_an_old_connection_is_nothing_to_the_next_agent_of_its_uid(vm, key, public, tmp_path):
    share = ["-o", f"ControlPath={tmp_path}/control"]
    vm.root.sh("creelctl agent add carol --key -", stdin=public)
    uid = vm.root.sh("id -u carol")
    since = vm.now()
    with vm.agent.start(None, ["-N", "-M", "-l", "carol", *vm.only(key), *share]) as client:
        vm.record(since, "login", agent="carol", timeout=60)
        vm.root.sh("creelctl agent remove carol", timeout=120)
        vm.root.sh("creelctl agent add dora --key -", stdin=public)
        try:
            assert vm.root.sh("id -u dora") == uid, "the case that is meant: the uid is used again"
            assert vm.agent("id -un", options=["-l", "dora", *vm.only(key)]).text == "dora"
            assert vm.agent("id -un", options=["-l", "carol", *vm.only(key), *share]).text == ""
            assert client.wait(60) == 255
            assert vm.agent("id -un", options=["-l", "dora", *vm.only(key)]).text == "dora"
        finally:
            vm.root.sh("creelctl agent remove dora", timeout=120)


def test_lingering_units_run_without_a_login(vm, carol, key):
    uid = vm.root.sh("id -u carol")
    wait_until(lambda: vm.root(f"systemctl is-active user@{uid}.service").text == "active")
    assert vm.root.sh(f"stat -c '%U %G %a' /run/creel/{uid}/keeper.sock") == "carol creel-sshd 660"


def test_second_add_is_refused(vm, carol, key, public):
    done = untouched(vm, "creelctl agent add carol --key -", public)
    assert "carol" in done.errors
    assert as_carol(vm, key).text == "carol"


@pytest.mark.parametrize("name", ["root", "daemon", "creel-sshd"])
def test_existing_users_are_not_taken_over(vm, public, name):
    untouched(vm, f"creelctl agent add {name} --key -", public)


@pytest.mark.parametrize("name", ["''", "'a b'", "../x", "Carol", "é", "-x", "1abc", "a/b", "'a\nb'", "a:b", "x" * 33, "'$(id)'",
                                  "'\x1b[31m'", ".", "a.b"], ids=repr)
def test_odd_names_are_refused(vm, public, name):
    done = untouched(vm, f"creelctl agent add --key - -- {name}", public)
    assert "\x1b" not in done.errors


@pytest.mark.parametrize("text", [b"", b"\n", b"garbage\n", b"ssh-ed25519\n", b"ssh-ed25519 AAAA x\n", b"\0" * 100,
                                  b"-----BEGIN OPENSSH PRIVATE KEY-----\n", b"ssh-dss AAAAB3NzaC1kc3MAAACB x\n",
                                  b"x" * 2_000_000], ids=lambda text: repr(text[:24]))
def test_bad_keys_are_refused(vm, text):
    done = untouched(vm, "creelctl agent add carol --key -", text)
    assert "key" in done.errors.lower()


def test_a_private_key_is_refused(vm, key):
    untouched(vm, "creelctl agent add carol --key -", key.read_bytes())


def test_missing_key_file_and_missing_key(vm):
    assert "/nonexistent" in untouched(vm, "creelctl agent add carol --key /nonexistent").errors
    untouched(vm, "creelctl agent add carol")


@pytest.mark.parametrize("setting", ["limits.memory=1X", "limits.memory=", "limits.memory", "limits.memroy=1G", "nosuch.key=1",
                                     "=", "", "limits.processes=-1", "limits.processes=0", "limits.memory=1G\n[x]",
                                     "limits.cpu=0", "ports.listen=99999", "front.grace=10s", "agent.shell=relative"], ids=repr)
def test_bad_settings_are_refused(vm, public, setting):
    untouched(vm, f"creelctl agent add carol --key - --set '{setting}'", public)


def test_unknown_profile_is_refused(vm, public):
    assert "nosuch" in untouched(vm, "creelctl agent add carol --key - --profile nosuch", public).errors
    untouched(vm, "creelctl agent add carol --key - --profile ../../etc/passwd", public)


@pytest.mark.parametrize("profile", ["instaclaw", "openclaw", "clawcentral"])
def test_profiles_can_be_chosen(vm, key, public, profile):
    vm.root.sh(f"creelctl agent add carol --key - --profile {profile}", stdin=public)
    try:
        assert profile in vm.root.sh("creelctl policy show carol")
        assert as_carol(vm, key).text == "carol"
    finally:
        vm.root.sh("creelctl agent remove carol", timeout=120)


@pytest.mark.parametrize("path", ["/etc/creel/agents", "/var/lib/systemd/linger", "/home"])
def test_a_step_that_fails_leaves_nothing(vm, public, path):
    vm.root.sh(f"chattr +i {path}")
    try:
        untouched(vm, "creelctl agent add carol --key -", public)
    finally:
        vm.root.sh(f"chattr -i {path}")
    vm.root.sh("creelctl agent add carol --key -", stdin=public)
    vm.root.sh("creelctl agent remove carol", timeout=120)


def test_remove_of_an_agent_whose_file_is_gone(vm, key, public):
    before = vm.root.sh("ls /etc/creel/provisioned")
    vm.root.sh("creelctl agent add carol --key -", stdin=public)
    uid = vm.root.sh("id -u carol")
    assert vm.root.sh(f"cat /etc/creel/provisioned/{uid}") == "carol"
    vm.root.sh("rm /etc/creel/agents/carol.conf")
    done = untouched(vm, "creelctl agent add carol --key -", public)
    assert "remove carol" in done.errors
    vm.root.sh("creelctl agent remove carol", timeout=120)
    assert vm.root("getent passwd carol").rc != 0
    assert vm.root.sh("ls /etc/creel/provisioned") == before
    assert vm.root("creelctl agent remove carol").rc != 0


def test_a_mark_takes_no_other_user(vm):
    """The user that was the agent is gone, and another one has its name."""
    vm.root.sh("useradd --no-create-home carol && echo carol > /etc/creel/provisioned/59998")
    try:
        vm.root.sh("creelctl agent remove carol", timeout=120)
        assert vm.root("getent passwd carol").rc == 0, "who was never made an agent stays"
        assert vm.root("test -e /etc/creel/provisioned/59998").rc != 0
    finally:
        vm.root.sh("rm -f /etc/creel/provisioned/59998; userdel carol")


def test_remove_of_what_is_no_agent(vm):
    for name in ("nobody-here", "root", "daemon"):
        untouched(vm, f"creelctl agent remove {name}")
        assert vm.root(f"creelctl agent show {name}").rc != 0
    assert vm.root.sh("id -u root") == "0"


def test_agents_may_not_use_it(vm, public):
    for verb in ("add carol --key -", "remove bob", "lock bob"):
        assert vm.agent(f"/usr/sbin/creelctl agent {verb}", public).rc != 0
    assert vm.root("getent passwd carol").rc != 0


def test_usage_errors(vm):
    for words in ("agent", "agent nosuch", "nosuch", "agent add", "agent add a b --key -", "agent list --nosuch"):
        done = vm.root(f"creelctl {words}")
        assert done.rc != 0 and done.err and b"egmentation" not in done.err
    assert vm.root("creelctl --help").rc == 0
