# SPDX-License-Identifier: MIT
"""Who gets in and who does not. Each refusal leaves one record, says nothing to the client, and the next login works."""

import asyncio
import subprocess
import unittest.mock

import pytest

from harness import Host, wait_until

HOME = "/home/agent"
KEYS = f"{HOME}/.ssh/authorized_keys"


def make_key(folder, *arguments, name="key"):
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "test", "-f", path, *arguments], check=True)
    return path


def login(vm, user, key):
    """True when the server lets that user in. Names go over the wire as they are."""
    import asyncssh

    async def run():
        try:
            async with vm.connect(user, str(key)) as connection:
                return (await connection.run("echo in")).stdout == "in\n"
        except asyncssh.PermissionDenied:
            return False

    with unittest.mock.patch("asyncssh.connection.saslprep", lambda name: name):
        return asyncio.run(run())


@pytest.fixture
def honest(vm):
    """After each test of a refusal the next honest login works."""
    yield
    assert vm.agent.sh("echo honest") == "honest"


@pytest.fixture
def keys(vm):
    """The agent's file of keys, put back afterwards with everything around it."""
    vm.root.sh(f"cp -p {KEYS} /root/keys.saved")
    yield vm.root.sh(f"cat {KEYS}")
    vm.root.sh(f"rm -rf {HOME}/.ssh; install -d -m 700 -o agent -g agent {HOME}/.ssh; chmod 755 {HOME}; "
               f"chown agent:agent {HOME}; cp -p /root/keys.saved {KEYS}")


def refused_once(vm, since, **fields):
    """Exactly one refusal in the agent's record since then."""
    entry = vm.record(since, "refusal", **fields)
    assert entry["CREEL_REASON"] and entry["CREEL_PEER"]
    return entry


def stranger_refused_once(vm, since):
    """Who is no agent has no keeper: exactly one line of the front's says it."""
    def lines():
        return [str(entry["MESSAGE"]) for entry in vm.journal(since, "_SYSTEMD_UNIT=creel-sshd.service")
                if str(entry["MESSAGE"]).startswith("refused ")]

    wait_until(lines, what="a line of the front's")
    line, = lines()
    entry = vm.record(since, "refusal")
    assert entry["CREEL_REASON"] in line and entry["CREEL_PEER"] and "CREEL_AGENT" not in entry
    return line


@pytest.mark.parametrize("kind", [["-t", "ed25519"], ["-t", "ecdsa", "-b", "256"], ["-t", "ecdsa", "-b", "521"],
                                  ["-t", "rsa", "-b", "3072"]], ids=["ed25519", "ecdsa256", "ecdsa521", "rsa"])
def test_key_types(vm, tmp_path, keys, kind):
    key = make_key(tmp_path, *kind)
    stranger = make_key(tmp_path, *kind, name="stranger")
    vm.write(KEYS, keys + "\n" + (tmp_path / "key.pub").read_text(), "0600", "agent:agent")
    assert vm.agent("echo in", options=vm.only(key)).text == "in"
    assert vm.agent("echo in", options=vm.only(stranger)).rc == 255


def test_wrong_key(vm, tmp_path, honest):
    since = vm.now()
    done = vm.agent("echo in", options=vm.only(make_key(tmp_path, "-t", "ed25519")))
    assert done.rc == 255 and done.out == b"" and b"Permission denied (publickey)" in done.err
    refused_once(vm, since, agent="agent")


def test_no_key_at_all(vm, honest):
    since = vm.now()
    done = vm.agent("echo in", options=["-o", "PubkeyAuthentication=no"])
    assert done.rc == 255 and b"(publickey)" in done.err
    wait_until(lambda: vm.records(since, "refusal") or vm.journal(since, "SYSLOG_IDENTIFIER=creel-sshd"))


def test_passwords_are_not_offered(vm, honest):
    done = vm.agent("true", options=["-o", "PreferredAuthentications=password,keyboard-interactive", "-v", "-o",
                                     "LogLevel=DEBUG1"])
    assert done.rc == 255 and b"Authentications that can continue: publickey\r\n" in done.err


def test_unknown_user_looks_like_a_wrong_key(vm, tmp_path, honest):
    key = make_key(tmp_path, "-t", "ed25519")
    since = vm.now()
    unknown = vm.agent("true", options=vm.only(key) + ["-l", "nobody-here"])
    known = vm.agent("true", options=vm.only(key))
    assert unknown.rc == known.rc == 255
    assert unknown.err.replace(b"nobody-here", b"agent") == known.err
    refused_once(vm, since, agent="agent")
    assert vm.journal(since, "_SYSTEMD_UNIT=creel-sshd.service")


@pytest.mark.parametrize("user", ["root", "daemon", "creel-sshd", "nobody", "systemd-network"])
def test_users_that_are_no_agents(vm, user, honest):
    """Root has the very key that the operator's door accepts."""
    if user == "root":
        vm.root.sh(f"grep -q . /root/.ssh/authorized_keys && cat {KEYS} >> /root/.ssh/authorized_keys")
    since = vm.now()
    done = vm.agent("echo in", options=["-l", user])
    assert done.rc == 255 and done.out == b"" and b"Permission denied" in done.err
    assert user in stranger_refused_once(vm, since)


def test_an_account_that_is_no_agent(vm, honest):
    vm.root.sh("useradd -m carla && install -d -m 700 -o carla -g carla /home/carla/.ssh && "
               f"install -m 600 -o carla -g carla {KEYS} /home/carla/.ssh/authorized_keys")
    since = vm.now()
    try:
        assert vm.agent("echo in", options=["-l", "carla"]).rc == 255
        assert "carla" in stranger_refused_once(vm, since)
    finally:
        vm.root.sh("userdel -r carla 2>/dev/null")


def test_a_restarted_front_records_strangers_too(vm):
    """Its group must still be the one that the record's socket has, after journald made the folder its own."""
    vm.root.sh("systemctl restart systemd-journald@creel.service creel-sshd.service")
    since = vm.now()
    assert vm.agent("echo in", options=["-l", "nobody-here"]).rc == 255
    stranger_refused_once(vm, since)


def test_expired_account(vm, honest):
    since = vm.now()
    vm.root.sh("usermod -e 1 agent")
    try:
        done = vm.agent("echo in")
        assert done.rc == 255 and done.out == b""
    finally:
        vm.root.sh("usermod -e '' agent")
    assert "xpired" in refused_once(vm, since, agent="agent")["CREEL_REASON"]


def test_agent_lock_and_unlock(vm, honest):
    since = vm.now()
    vm.root.sh("creelctl agent lock agent")
    try:
        assert vm.agent("echo in").rc == 255
    finally:
        vm.root.sh("creelctl agent unlock agent")
    refused_once(vm, since, agent="agent")
    assert vm.root("creelctl agent lock nobody-here").rc != 0


def test_a_locked_password_is_no_locked_account(vm):
    """A key-only agent has no password at all; that is its normal state."""
    assert vm.root.sh("passwd -S agent").split()[1] in ("L", "LK")
    assert vm.agent.sh("echo in") == "in"


@pytest.mark.parametrize("path", [HOME, f"{HOME}/.ssh", KEYS])
@pytest.mark.parametrize("mode", ["g+w", "o+w"])
def test_modes_that_let_others_write_are_refused(vm, keys, path, mode):
    since = vm.now()
    vm.root.sh(f"chmod {mode} {path}")
    assert vm.agent("echo in").rc == 255
    refused_once(vm, since, agent="agent")
    vm.root.sh(f"chmod {mode.replace('+', '-')} {path}")
    assert vm.agent.sh("echo in") == "in"


@pytest.mark.parametrize("path", [HOME, f"{HOME}/.ssh", KEYS])
def test_files_of_another_user_are_refused(vm, keys, path):
    vm.root.sh(f"chmod a+rX {HOME} {HOME}/.ssh {KEYS}; chown bob {path}")
    assert vm.agent("echo in").rc == 255
    vm.root.sh(f"chown agent {path}")
    assert vm.agent.sh("echo in") == "in"


@pytest.mark.parametrize("make", [
    "ln -s /home/bob/.ssh/authorized_keys {k}", "ln -s /root/.ssh/authorized_keys {k}", "mkfifo {k}", "mkdir {k}",
    "ln -s /dev/zero {k}", "true", ": > {k}", "ln -s {k} {k}",
    "mkdir /tmp/moved && cp /root/keys.saved /tmp/moved/authorized_keys && chown -R agent /tmp/moved && "
    "rm -r " + HOME + "/.ssh && ln -s /tmp/moved " + HOME + "/.ssh",
], ids=["bobs", "roots", "fifo", "folder", "device", "missing", "empty", "loop", "linked-folder"])
def test_files_of_keys_that_are_none(vm, keys, make):
    vm.root.sh(f"rm {KEYS}; " + make.format(k=KEYS))
    assert vm.agent("echo in", timeout=30).rc == 255
    vm.root.sh("rm -rf /tmp/moved")


def test_a_file_of_keys_that_is_far_too_large(vm, keys):
    vm.root.sh(f"head -c 60000000 /dev/zero | tr '\\0' '#' > {KEYS}; cat /root/keys.saved >> {KEYS}")
    assert vm.agent("echo in").rc == 255


@pytest.mark.parametrize("options", ["cert-authority", "no-such-option", 'principals="agent"', 'tunnel="1"', "no-restrict"])
def test_unknown_key_options_are_refused_not_ignored(vm, tmp_path, keys, options):
    key = make_key(tmp_path, "-t", "ed25519")
    vm.write(KEYS, f"{keys}\n{options} {(tmp_path / 'key.pub').read_text()}", "0600", "agent:agent")
    since = vm.now()
    done = vm.agent("echo in", options=vm.only(key))
    assert done.rc == 255 and done.out == b""
    assert "option" in refused_once(vm, since, agent="agent")["CREEL_REASON"]
    assert vm.agent.sh("echo in") == "in", "the agent's other key"


def test_garbage_lines_are_skipped(vm, keys):
    garbage = b"\n".join([
        b"\xff\xfe\x00\x01 binary", b"ssh-ed25519", b"ssh-ed25519 !!!!notbase64", b"ssh-ed25519 AAAA", b'"unclosed quote',
        b"# comment", b"", b"   ", b"ssh-rsa " + b"A" * 9000, b"x" * 70_000, b"\r", b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
        b'no-pty,command="a \\" b ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA',
    ])
    vm.write(KEYS, garbage + b"\n" + keys.encode() + b"\n", "0600", "agent:agent")
    assert vm.agent.sh("echo in") == "in"


def test_a_key_without_a_newline_at_the_end_of_the_file(vm, keys):
    vm.write(KEYS, keys.strip(), "0600", "agent:agent")
    assert vm.agent.sh("echo in") == "in"


def test_bobs_key_does_not_open_agent(vm, tmp_path, keys, honest):
    key = make_key(tmp_path, "-t", "ed25519")
    vm.root.sh("cat >> /home/bob/.ssh/authorized_keys", stdin=(tmp_path / "key.pub").read_bytes())
    assert vm.agent("whoami", options=vm.only(key) + ["-l", "bob"]).text == "bob"
    assert vm.agent("whoami", options=vm.only(key)).rc == 255


@pytest.mark.parametrize("name", [
    "a b", "agent ", " agent", "agent'", '"agent"', "agent\n", "agent\nroot", "a" * 33, "a" * 300, "a" * 5000, "../agent",
    "agent/../bob", "1000", "-l", "$(id)", "%n%s%d", "agent\x1b[31m", "émile", "AGENT", "*", "agent:x", "\x01",
], ids=repr)
def test_odd_user_names(vm, name, honest):
    since = vm.now()
    assert not login(vm, name, vm.agent.key())
    line = stranger_refused_once(vm, since)
    assert line.isprintable() and len(line) < 1024


def test_user_name_with_a_nul_byte(vm, honest):
    """libssh hands names over as C strings: what it cuts off must not log in either as the rest or as the whole."""
    assert not login(vm, "agent\0evil", vm.agent.key())


def test_many_wrong_keys_end_the_connection(vm, tmp_path, honest):
    keys = [make_key(tmp_path, "-t", "ed25519", name=f"k{i}") for i in range(12)]
    options = ["-o", "IdentitiesOnly=yes", "-o", "IdentityFile=none", "-v", "-o", "LogLevel=DEBUG1"]
    for key in keys:
        options += ["-i", str(key)]
    # the configuration's own key would be offered last: leave it out
    argv = ["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o",
            f"UserKnownHostsFile={tmp_path}/known", "-p", str(vm.address()[1]), *options, f"agent@{vm.address()[0]}", "true"]
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False)
    assert done.returncode == 255
    assert 1 <= done.stderr.count(b"Offering public key") < 12, "the server ends the guessing"


def test_none_method_is_no_login(vm, honest):
    import asyncssh

    async def run():
        with pytest.raises(asyncssh.PermissionDenied):
            async with vm.connect(preferred_auth="none"):
                pass

    asyncio.run(run())


def test_a_login_is_recorded_with_its_key(vm):
    since = vm.now()
    vm.agent.sh("true")
    entry = vm.record(since, "login", agent="agent")
    print_key = subprocess.run(["ssh-keygen", "-lf", vm.agent.key() + ".pub"], capture_output=True, text=True,
                               check=True).stdout.split()[1]
    assert entry["CREEL_KEY"] == print_key
    assert entry["CREEL_UID"] == str(vm.uid())


def test_root_and_agent_through_the_operators_door(vm):
    assert vm.operator.sh("id -un") == "root"
    assert Host(vm, "openssh").sh("id -un") == "agent"
