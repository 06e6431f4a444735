# SPDX-License-Identifier: MIT
"""How a client can vanish, and from what: what it ran ends, all of it, and before anything could take that for a proper end.

test_hangup.py has the rules of what survives; here are the ways to go, and each kind of session.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess

import pytest

from harness import PROBE_DIR, Terminal, marker, wait_until
from test_forward import PORT, serving
from test_subsystems import policy, rows  # noqa: F401

DEFAULTS = "/etc/creel/creel.conf"


@pytest.fixture(scope="module", autouse=True)
def short_keepalive(vm):
    """A silent client is asked after three seconds, and once more: policy, so that its loss can be waited for.

    Not sooner, because the client answers on the same emulated processors.
    """
    vm.root.sh(f"cp -p {DEFAULTS} /root/defaults.saved 2>/dev/null; "
               f"printf '[front]\\nkeepalive = 3s\\nkeepalive_count = 2\\n' > {DEFAULTS}; "
               "creelctl policy check && systemctl daemon-reload && systemctl restart creel-sshd.service")
    yield
    vm.root.sh(f"rm -f {DEFAULTS}; cp -p /root/defaults.saved {DEFAULTS} 2>/dev/null; "
               "systemctl daemon-reload; systemctl restart creel-sshd.service")


@pytest.mark.parametrize("how", ["kill", "reset", "stop", "drop"])
def test_each_way_to_go(vm, how, record_property):
    """Every time: all of the tree ends, nothing else does, the reason is on record. The promise is a second from the moment

    the loss was noticed; what is measured on a machine under load is printed, not judged.
    """
    key, since = "/root/vanish-key", vm.now()
    with open(vm.agent.key(), "rb") as file:
        vm.write(key, file.read(), "0600")
    done = vm.root.sh(f"python3 -B {PROBE_DIR}/vanish.py {key} {how} 3; s=$?; rm -f {key}; exit $s", timeout=400)
    seen = json.loads(done)
    print(f"{how}: seconds from the worker's end to the command's:", seen["after"])
    record_property("seconds", seen["after"])
    assert len(seen["after"]) == 3
    assert not seen["lost"] and seen["survivors"] == ["nohup", "setsid", "screen", "service"] * 3, seen
    entries = wait_until(lambda: len(found := vm.records(since, "command", agent="agent")) >= 3 and found)
    assert [entry["CREEL_RESULT"] for entry in entries] == ["hangup"] * 3, entries  # before its pipes closed


def test_a_client_that_answers_is_never_gone(vm):
    """Beside the refusal: many intervals of silence of the command, and nothing happens."""
    assert vm.agent.sh("sleep 15; echo still here") == "still here"


# ---- each kind of session ----------------------------------------------------------------------------------------------
@contextlib.contextmanager
def group(argv, **keywords):
    """A client with the processes that it starts; all of them are killed at once, as a crash of their machine would."""
    process = subprocess.Popen([str(word) for word in argv], start_new_session=True, stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **keywords)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()


def vanishes(vm, before, runs, process):
    """`runs()` is true while the remote end lives."""
    wait_until(runs, 60, "it runs")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not runs(), 15, "it ended")
    wait_until(lambda: not vm.front_workers() - before, 15, "its worker ended")


@pytest.fixture
def before(vm):
    return vm.front_workers()


def has(vm, name):
    return lambda: vm.root(f"pgrep -u agent -x {name}").rc == 0


def test_exec(vm, before):
    dies = marker()
    with group(vm.agent.argv(f"sleep {dies}; :")) as process:
        vanishes(vm, before, lambda: vm.alive(f"sleep {dies}"), process)


def test_shell_with_terminal(vm, before):
    dies = marker()
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(r"\$ ")
        terminal.line(f"sleep {dies}")
        wait_until(lambda: vm.alive(f"sleep {dies}"))
        terminal.kill()
        wait_until(lambda: not vm.alive(f"sleep {dies}"), 15)
        wait_until(lambda: not vm.front_workers() - before, 15)
    assert "pts/" not in vm.root("ps -u agent -o tty=").text


def test_sftp(vm, before):
    with group(["sftp", "-F", vm.config, "-o", "BatchMode=yes", "agent"]) as process:
        vanishes(vm, before, has(vm, "sftp-server"), process)


@pytest.mark.parametrize("flags, remote", [([], "sftp-server"), (["-O"], "scp")], ids=["sftp", "legacy"])
def test_scp_in_the_middle(vm, before, tmp_path, flags, remote):
    (tmp_path / "large").write_bytes(os.urandom(4_000_000))
    argv = ["scp", *flags, "-l", "400", "-F", vm.config, "-o", "BatchMode=yes", tmp_path / "large", "agent:large"]
    with group(argv) as process:
        wait_until(lambda: vm.agent("test -s large").rc == 0, what="some of it came")
        vanishes(vm, before, has(vm, remote), process)
    assert int(vm.agent.sh("stat -c %s large; rm large")) < 4_000_000


def test_subsystem(vm, before, rows):  # noqa: F811
    dies = marker()
    with group(vm.agent.argv("probe", ["-s"])) as process:
        process.stdin.write(f"sleep {dies}\n".encode())
        process.stdin.flush()
        vanishes(vm, before, lambda: vm.alive(f"sleep {dies}"), process)
        assert vm.root("pgrep -u agent -f subsystem.py").rc == 1


@pytest.mark.parametrize("options", [["-N", "-L", f"127.0.0.1:39457:127.0.0.1:{PORT}"], ["-W", f"127.0.0.1:{PORT}"]],
                         ids=["local-port", "stdio"])
def test_forwarding(vm, options):
    """The agent's own server sees the end of the connection that was forwarded."""
    def established():
        return vm.root.sh(f"ss -tnH state established dport = :{PORT}")

    def local():
        with contextlib.suppress(ConnectionError):
            return socket.create_connection(("127.0.0.1", 39457), 20)

    with serving(vm):
        before = vm.front_workers()
        with group(vm.agent.argv(None, ["-o", "ExitOnForwardFailure=yes", *options])) as process, contextlib.ExitStack() as stack:
            if "-L" in options:
                stack.enter_context(wait_until(local, what="the client listens"))
            vanishes(vm, before, established, process)


def test_master_of_shared_connections(vm, before, tmp_path):
    """All that it carried ends."""
    share = ["-o", f"ControlPath={tmp_path}/c"]
    one, two, three = marker(), marker(), marker()
    with group(vm.agent.argv(f"sleep {one}; :", ["-M", *share])) as master:
        wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0)
        with group(vm.agent.argv(f"sleep {two}; :", share)), \
                group(vm.agent.argv(f"nohup sleep {three} >/dev/null 2>&1 & cat", share)):
            wait_until(lambda: vm.alive(f"sleep {two}") and vm.alive(f"sleep {three}"))
            vanishes(vm, before, lambda: vm.alive(f"sleep {one}") or vm.alive(f"sleep {two}"), master)
    assert vm.alive(f"sleep {three}")
    vm.root(f"pkill -fx 'sleep {three}'")
