# SPDX-License-Identifier: MIT
"""Subsystems and variables of a policy, with the real keeper: what a row allows, and what no row names."""

import asyncio
import json

import pytest

from harness import PROBE_DIR, marker, wait_until
from test_files import client

POLICY = "/etc/creel/agents/agent.conf"
PROGRAM = f"/usr/bin/python3 -B {PROBE_DIR}/subsystem.py one two"
OPENSSH = "/etc/ssh/sshd_config.d/creel-test.conf"


@pytest.fixture
def policy(vm):
    """Sets one key of [agent]; the file is put back."""
    vm.root.sh(f"cp -p {POLICY} /root/policy.saved")

    def put(key, value):
        vm.write("/root/setting", f"{key} = {value}\n")
        vm.root.sh(f"sed -i '/^{key} *=/d' {POLICY}; grep -q '^\\[agent\\]' {POLICY} || echo '[agent]' >> {POLICY}; "
                   f"sed -i '/^\\[agent\\]/r /root/setting' {POLICY}")
        return vm.root("creelctl policy check")

    yield put
    vm.root.sh(f"cp -p /root/policy.saved {POLICY}; creelctl policy check")


@pytest.fixture
def rows(policy):
    """A row beside that of sftp."""
    policy("subsystems", f"sftp=/usr/lib/openssh/sftp-server, probe={PROGRAM}").ok()


def speak(host, name="probe", text="abc\nquit 5\n", options=()):
    """What it says it is, what it answered, and how it ended."""
    done = host(name, text, options=["-s", *options])
    first, _, rest = done.out.partition(b"\n")
    return json.loads(first) if first else None, rest, done


def test_a_row_of_the_policy(vm, rows):
    since = vm.now()
    said, rest, done = speak(vm.agent)
    assert (done.rc, rest, done.err) == (5, b"ABC\n", b"bye\n")
    assert said["arguments"] == ["one", "two"] and said["uid"] == vm.uid() and not said["terminal"]
    session = said["environment"]["CREEL_SESSION"]
    top = f"/user.slice/user-{vm.uid()}.slice/creel-leaves@{vm.uid()}.service/session-{session}/"
    assert said["cgroup"].startswith(top), "a leaf of its own, as a command"
    entry = vm.record(since, "command", agent="agent", session=session)
    assert "probe" in entry["CREEL_COMMAND"] and entry["CREEL_RESULT"] == "exit" and entry["CREEL_EXIT"] == "5"
    assert client(vm, "sftp", "-b", "-", "agent", stdin=b"pwd\n").returncode == 0, "beside it"


def test_a_row_added_when_the_agent_is(vm, tmp_path):
    """By creelctl, which checks it before it counts."""
    import subprocess
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", tmp_path / "key"], check=True)
    vm.write("/root/carol.pub", (tmp_path / "key.pub").read_text())
    bad = vm.root("creelctl agent add carol --key /root/carol.pub --set agent.subsystems=probe=relative")
    assert bad.rc != 0 and "subsystems" in bad.errors and vm.root("id carol").rc != 0
    vm.root.sh(f"creelctl agent add carol --key /root/carol.pub --set 'agent.subsystems=probe={PROGRAM}'", timeout=200)
    try:
        as_carol = [*vm.only(tmp_path / "key"), "-l", "carol"]
        said, rest, done = speak(vm.agent, options=as_carol)
        assert (done.rc, rest) == (5, b"ABC\n") and said["uid"] == vm.uid("carol"), done
        assert "no subsystem" in vm.agent("sftp", options=["-s", *as_carol]).errors, "a list replaces the default"
    finally:
        vm.root.sh("creelctl agent remove carol", timeout=200)


@pytest.mark.parametrize("name", ["other", "prob", "probes", "probe=", "PROBE", "sftp-server", "../../bin/sh", "/bin/sh", " "])
def test_what_no_row_names_is_refused_by_name(vm, rows, name):
    done = vm.agent(name, "x\n", options=["-s"])
    assert done.rc != 0 and not done.out
    assert f'there is no subsystem "{name}"' in done.errors, done
    assert vm.agent.sh("echo next") == "next"


def test_a_list_without_sftp(vm, policy, tmp_path):
    policy("subsystems", f"probe={PROGRAM}").ok()
    done = client(vm, "sftp", "-b", "-", "agent", stdin=b"pwd\n")
    assert done.returncode != 0 and b'there is no subsystem "sftp"' in done.stderr, done
    (tmp_path / "file").write_bytes(b"x" * 1000)
    assert client(vm, "scp", "-O", tmp_path / "file", "agent:file").returncode == 0
    assert vm.agent.sh("stat -c %s file; rm file") == "1000"


@pytest.mark.parametrize("value", ["probe=bin/sh", "probe", "=/bin/sh", "probe=", "two words=/bin/sh"])
def test_rows_that_are_none(vm, policy, value):
    done = policy("subsystems", value)
    assert done.rc != 0 and "[agent] subsystems" in done.errors and f"{POLICY}:" in done.errors
    assert vm.agent("sftp", options=["-s"]).rc == 255, "closed until it is mended"


def test_a_program_that_is_not_there(vm, policy):
    policy("subsystems", "probe=/usr/bin/no-such-program").ok()
    done = vm.agent("probe", options=["-s"])
    assert done.rc not in (0, 5) and b"No such file" in done.err, done


def test_the_same_program_as_a_line_of_openssh(vm):
    vm.write(OPENSSH, f"Subsystem probe {PROGRAM}\n")
    vm.root.sh("sshd -t && systemctl restart ssh.service")  # unlike a reload, it ends when sshd listens
    try:
        said, rest, done = speak(vm.openssh)
        assert (done.rc, rest) == (5, b"ABC\n"), done  # OpenSSH does not pass on what a subsystem writes to stderr
        assert said["arguments"] == ["one", "two"] and said["uid"] == vm.uid()
        assert said["cgroup"].startswith(f"/user.slice/user-{vm.uid()}.slice/"), "within the same limits"
        assert vm.openssh("other", options=["-s"]).rc != 0
    finally:
        vm.root.sh(f"rm -f {OPENSSH}; systemctl restart ssh.service")


# ---- signals, and how it ends --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1", "KILL"])
def test_signal_requests(vm, rows, name):
    async def run():
        async with vm.connect() as connection:
            process = await connection.create_process(subsystem="probe")
            assert json.loads(await process.stdout.readline())["arguments"]
            process.send_signal(name)
            result = await asyncio.wait_for(process.wait(), 60)
            assert result.exit_signal and result.exit_signal[0] == name, result

    asyncio.run(run())


def test_a_channel_closed_before_its_end(vm, rows):
    dies, lives = marker(), marker()

    async def run():
        async with vm.connect() as connection:
            one, two = [await connection.create_process(subsystem="probe") for _ in range(2)]
            for process, seconds in ((one, lives), (two, dies)):
                await process.stdout.readline()
                process.stdin.write(f"sleep {seconds}\n")
                await process.stdout.readline()
            two.channel.close()
            await asyncio.to_thread(wait_until, lambda: not vm.alive(f"sleep {dies}"), 15)
            assert vm.alive(f"sleep {lives}") and one.exit_status is None

    asyncio.run(run())
    wait_until(lambda: not vm.alive(f"sleep {lives}"), 15)


# ---- variables -----------------------------------------------------------------------------------------------------------
def environment(vm, *settings):
    said, _, done = speak(vm.agent, options=["-o", "SetEnv=" + " ".join(settings)])
    assert done.rc == 5, done
    return said["environment"]


SET = ["MINE=a", "MINE_TOO=b", "LC_TIME=C", "LANG=xx", "OTHER=c", "PATH=/evil", "LD_PRELOAD=/evil.so", "BASH_ENV=/evil", "HOME=/",
       "SHELL=/evil", "SSH_CONNECTION=1", "CREEL_SESSION=0", "IFS=x", "PYTHONPATH=/evil"]


def test_variables_of_the_policy(vm, rows, policy):
    before = environment(vm, *SET)
    assert "MINE" not in before and before["LC_TIME"] == "C" and before["LANG"] == "xx"
    policy("environment", "MINE, MINE_*").ok()
    seen = environment(vm, *SET)
    assert seen["MINE"] == "a" and seen["MINE_TOO"] == "b"
    assert "LC_TIME" not in seen and seen.get("LANG") != "xx", "a list replaces the default"
    for name in ("OTHER", "LD_PRELOAD", "BASH_ENV", "IFS", "PYTHONPATH"):
        assert name not in seen, name
    assert seen["HOME"] == "/home/agent" and "evil" not in " ".join(seen.values()) and seen["CREEL_SESSION"] != "0"
    policy("environment", "").ok()
    assert "MINE" not in environment(vm, *SET), "an empty list: none"


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_*", "PATH", "BASH_ENV", "*", "HOME", "IFS", "SSH_CONNECTION", "CREEL_SESSION",
                                  "A=b", "two words"])
def test_names_that_no_policy_may_let_in(vm, policy, name):
    done = policy("environment", f"MINE, {name}")
    assert done.rc != 0 and f"`{name}` is not the name of a variable that a client may set" in done.errors, done
