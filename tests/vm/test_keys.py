# SPDX-License-Identifier: MIT
"""Options in front of a key, and where keys count: what each allows beside what it refuses."""

import subprocess

import pytest

from harness import policy, wait_until
from test_login import KEYS, keys, make_key, refused_once  # noqa: F401

POLICY_KEYS = "/etc/creel/agents/agent.keys"


@pytest.fixture
def optioned(vm, tmp_path, keys):  # noqa: F811
    """A key with such options in the agent's own file; returns the client's options to use it."""
    key = make_key(tmp_path, "-t", "ed25519")

    def write(options):
        vm.write(KEYS, f"{keys}\n{options} {key.with_suffix('.pub').read_text()}", "0600", "agent:agent")
        return vm.only(key)

    return write


@pytest.fixture
def counting(vm):
    """Sets agent.keys of the policy; the file of the policy's keys is removed at the end."""
    with policy(vm, apply=False) as change:
        yield lambda value: change(f"[agent]\nkeys = {value}\n")
    vm.root.sh(f"rm -f {POLICY_KEYS}")


def test_forced_command(vm, optioned):
    """It runs instead of a command, a shell and a subsystem, and learns what was asked for."""
    options = optioned('command="printf %s, \\"$SSH_ORIGINAL_COMMAND\\" forced"')
    since = vm.now()
    assert vm.agent.sh("echo mine", options=options) == "echo mine,forced,"
    entry = vm.record(since, "command")
    assert entry["CREEL_ORIGINAL_COMMAND"] == "echo mine" and entry["CREEL_COMMAND"].startswith("printf")
    assert vm.agent(None, options=options).text == ",forced,"
    assert vm.agent("sftp", options=options + ["-s"]).text == "sftp,forced,"


def test_a_forced_sftp_server(vm, optioned, tmp_path):
    """What a key's command= runs speaks SFTP whatever was asked for: many small requests do not pile up in it."""
    options = optioned('restrict,command="exec /usr/lib/openssh/sftp-server"')
    data = tmp_path / "data"
    data.write_bytes(bytes(range(256)) * 16384)
    argv = vm.agent.argv(options=options, program="sftp")
    done = subprocess.run([*argv[:1], "-B", "2048", "-R", "1024", "-b", "-", *argv[1:]], capture_output=True, timeout=120, check=False,
                          input=f"put {data} forced-sftp\nget forced-sftp {tmp_path}/back\nrm forced-sftp\n".encode())
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == data.read_bytes()


def test_no_terminal(vm, optioned):
    """The request for a terminal is refused; for a client that insists on one (-tt) that is the end."""
    for what in ("no-pty", "restrict"):
        options = optioned(what)
        done = vm.agent("echo ran", options=options + ["-tt"])
        assert done.rc == 255 and not done.out and b"PTY allocation request failed" in done.err, what
        assert vm.agent.sh("echo ran", options=options) == "ran"
    done = vm.agent("test -t 0 && echo terminal || echo none", options=optioned("restrict,pty") + ["-tt"])
    assert done.text == "terminal"


def test_from(vm, optioned):
    address = vm.agent.sh("echo $SSH_CONNECTION").split()[0]
    assert vm.agent.sh("echo in", options=optioned(f'from="{address}"')) == "in"
    options = optioned(f'from="*,!{address}"')
    since = vm.now()
    assert vm.agent("echo in", options=options).rc == 255
    assert "from=" in refused_once(vm, since)["CREEL_REASON"]


def test_expiry(vm, optioned):
    assert vm.agent.sh("echo in", options=optioned('expiry-time="29990101"')) == "in"
    options = optioned('expiry-time="20010101"')
    since = vm.now()
    assert vm.agent("echo in", options=options).rc == 255
    assert "expired" in refused_once(vm, since)["CREEL_REASON"]


def test_environment(vm, optioned):
    """Only names that a client may set, too."""
    options = optioned('environment="TZ=Asia/Tokyo",environment="LD_PRELOAD=/tmp/evil.so"')
    assert vm.agent.sh("echo $TZ ${LD_PRELOAD:-none}", options=options) == "Asia/Tokyo none"


@pytest.mark.parametrize("options", ["frobnicate", "cert-authority", 'tunnel="1"', "no-pty,", 'command="open'])
def test_unknown_options_refuse_the_key(vm, optioned, options):
    since = vm.now()
    assert vm.agent("echo in", options=optioned(options)).rc == 255
    reason = refused_once(vm, since)["CREEL_REASON"]
    if not options.endswith("open"):
        assert "line " in reason and options.split("=")[0].rstrip(",") in reason


@pytest.mark.parametrize("options", ["no-agent-forwarding,no-X11-forwarding,no-user-rc", "agent-forwarding", 'permitlisten="1"'])
def test_options_about_what_nobody_has(vm, optioned, options):
    assert vm.agent.sh("echo in", options=optioned(options)) == "in"


def test_which_file_counts(vm, tmp_path, keys, counting):  # noqa: F811
    home, other = make_key(tmp_path, "-t", "ed25519", name="home"), make_key(tmp_path, "-t", "ed25519", name="policy")
    vm.write(KEYS, f"{keys}\n{home.with_suffix('.pub').read_text()}", "0600", "agent:agent")
    vm.write(POLICY_KEYS, other.with_suffix(".pub").read_text(), "0644")

    def enter():
        return [vm.agent("echo in", options=vm.only(key)).text == "in" for key in (home, other)]

    for value, expected in (("home", [True, False]), ("policy", [False, True]), ("both", [True, True])):
        counting(value)
        assert enter() == expected, value


def test_policy_keys_of_another_owner_are_refused(vm, tmp_path, counting):
    key = make_key(tmp_path, "-t", "ed25519")
    counting("both")
    vm.write(POLICY_KEYS, key.with_suffix(".pub").read_text(), "0644")
    assert vm.agent.sh("echo in", options=vm.only(key)) == "in"
    for change in (f"chown agent {POLICY_KEYS}", f"chown root {POLICY_KEYS}; chmod 0666 {POLICY_KEYS}"):
        vm.root.sh(change)
        since = vm.now()
        assert vm.agent("echo in", options=vm.only(key)).rc == 255, change
        assert "ownership or modes" in refused_once(vm, since)["CREEL_REASON"]
    wait_until(lambda: vm.root.sh(f"chmod 0644 {POLICY_KEYS}; echo done") == "done")
    assert vm.agent.sh("echo in", options=vm.only(key)) == "in"


def test_a_new_agents_key_goes_where_it_counts(vm, tmp_path):
    key = make_key(tmp_path, "-t", "ed25519")
    name, public = "keyed", key.with_suffix(".pub").read_text()
    said = vm.root.sh(f"creelctl agent add {name} --set agent.keys=policy --key -", stdin=public)
    try:
        assert f"key in /etc/creel/agents/{name}.keys" in said
        assert vm.root.sh(f"stat -c '%U %a' /etc/creel/agents/{name}.keys; ls /home/{name}/.ssh") == "root 644"
        assert vm.agent("whoami", options=vm.only(key) + ["-l", name]).text == name
    finally:
        vm.root.sh(f"creelctl agent remove {name}")
    assert vm.root(f"ls /etc/creel/agents/{name}.keys").rc != 0
