# SPDX-License-Identifier: MIT
"""Local forwarding with the real keeper: whose socket it is, which ports, which keys, and what is left."""

import asyncio
import contextlib
import subprocess

import asyncssh
import pytest

from harness import policy, wait_until
from test_keys import optioned  # noqa: F401
from test_login import keys  # noqa: F401

PORT, OTHER = 3456, 2999  # inside and outside of the policy's ports.forward

SERVER = """python3 -c '
import socket
s = socket.create_server(("ADDRESS", PORT), family=socket.AF_INET6 if ":" in "ADDRESS" else socket.AF_INET,
                         dualstack_ipv6="ADDRESS" == "::")
print("ready", flush=True)
while True:
    c, _ = s.accept()
    data = b""
    while part := c.recv(65536):
        data += part
    c.sendall(data.upper())
    c.close()
'"""


@contextlib.contextmanager
def serving(vm, port=PORT, address="127.0.0.1", host=None):
    command = SERVER.replace("ADDRESS", address).replace("PORT", str(port))
    with (host or vm.agent).start(command) as server:
        assert server.stdout.readline() == b"ready\n"
        yield


def through(vm, port=PORT, host="127.0.0.1", options=(), data=b"hello"):
    return subprocess.run(vm.agent.argv(None, [*options, "-v", "-W", f"[{host}]:{port}"]), input=data,
                          capture_output=True, timeout=60, check=False)


def reason(done):
    assert done.returncode == 255 and b"administratively prohibited" in done.stderr
    line, = [line for line in done.stderr.decode().splitlines() if "creel: forwarding refused: " in line]
    return line.split("refused: ")[1]


def test_to_a_port_of_the_policy(vm):
    since = vm.now()
    with serving(vm):
        for host in ("127.0.0.1", "localhost", "127.0.0.1"):
            assert through(vm, host=host).stdout == b"HELLO", host
    entries = vm.records(since, "forward", result="connected")
    assert len(entries) == 3 and entries[0]["CREEL_PORT"] == str(PORT) and entries[0]["CREEL_SESSION"]


def test_to_ipv6_loopback(vm):
    with serving(vm, address="::1"):
        assert through(vm, host="::1").stdout == b"HELLO"
        assert through(vm, host="localhost").stdout == b"HELLO"


@pytest.mark.parametrize("host, port, why", [
    ("127.0.0.1", OTHER, "ports.forward"), ("127.0.0.1", 22, "ports.forward"), ("10.0.2.2", PORT, "loopback"),
    ("0.0.0.0", PORT, "loopback"), ("::", PORT, "loopback"), ("::ffff:127.0.0.1", PORT, "loopback"),
    ("example.org", PORT, "loopback"),
])
def test_nowhere_else(vm, host, port, why):
    since = vm.now()
    assert why in reason(through(vm, port, host))
    assert why in vm.record(since, "forward", result="refused")["CREEL_REASON"]


def test_nobody_listens(vm):
    since = vm.now()
    assert "Connection refused" in reason(through(vm, PORT + 1))
    assert "refused" in vm.record(since, "forward", result="refused")["CREEL_REASON"]


@pytest.fixture
def own(vm):
    """The policy's ports.forward is the word alone."""
    with policy(vm, "[ports]\nforward = own\n", apply=False):
        yield


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_own_ports(vm, own, address):
    with serving(vm, address=address):
        assert through(vm, host="::1" if address == "::1" else "127.0.0.1").stdout == b"HELLO"


def test_own_ports_are_no_others(vm, own):
    """Neither a neighbour's nor the system's; and where nobody listens, nothing is."""
    since = vm.now()
    with serving(vm, host=vm.bob):
        assert "not the agent" in reason(through(vm))
        assert "not the agent" in vm.record(since, "forward", result="refused")["CREEL_REASON"]
        with serving(vm, address="127.0.0.2"):
            assert through(vm, host="127.0.0.2").stdout == b"HELLO"
            assert "not the agent" in reason(through(vm))
    assert "not the agent" in reason(through(vm, 22))
    assert "Connection refused" in reason(through(vm))


def test_options_of_the_key(vm, optioned):  # noqa: F811
    with serving(vm):
        assert through(vm, options=optioned("pty")).stdout == b"HELLO"
        assert "this key" in reason(through(vm, options=optioned("no-port-forwarding")))
        assert "this key" in reason(through(vm, options=optioned("restrict")))
        assert through(vm, options=optioned("restrict,port-forwarding")).stdout == b"HELLO"
        assert through(vm, options=optioned(f'permitopen="127.0.0.1:{PORT}"')).stdout == b"HELLO"
        assert through(vm, options=optioned('permitopen="127.0.0.1:*"')).stdout == b"HELLO"
        assert "permitopen" in reason(through(vm, options=optioned(f'permitopen="127.0.0.1:{PORT + 1}"')))
        assert "permitopen" in reason(through(vm, options=optioned(f'permitopen="localhost:{PORT}"')))
        # what the key permits, the policy need not
        assert "ports.forward" in reason(through(vm, OTHER, options=optioned(f'permitopen="127.0.0.1:{OTHER}"')))


def test_the_socket_is_the_agents(vm):
    """Not the keeper's, not the front's: uid and cgroup are those of the login."""
    with serving(vm), subprocess.Popen(vm.agent.argv(None, ["-W", f"127.0.0.1:{PORT}"]), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE) as client:
        def line():
            return vm.root.sh(f"ss -tneH state established dport = :{PORT}")

        wait_until(line, what="a connection")
        assert f"uid:{vm.uid()}" in line() and f"user-{vm.uid()}.slice" in vm.root.sh(f"ss -tneH --cgroup dport = :{PORT}")
        client.communicate(b"bye", timeout=60)


def test_local_port(vm):
    """ssh -L, several connections of a browser's kind."""
    with serving(vm), vm.agent.start(None, ["-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:39456:127.0.0.1:{PORT}"]):
        import socket

        def ask():
            try:
                with socket.create_connection(("127.0.0.1", 39456), 20) as peer:
                    peer.sendall(b"abc")
                    peer.shutdown(socket.SHUT_WR)
                    return peer.recv(100)
            except ConnectionError:
                return None

        assert wait_until(ask, what="the forwarding") == b"ABC"
        assert [ask() for _ in range(20)] == [b"ABC"] * 20


def test_the_keeper_is_killed_meanwhile(vm):
    """What is connected goes on; afterwards there are new ones, and the session is the same."""
    with serving(vm), subprocess.Popen(vm.agent.argv(None, ["-W", f"127.0.0.1:{PORT}"]), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE) as client:
        wait_until(lambda: vm.root.sh(f"ss -tnH state established dport = :{PORT}"), what="a connection")
        vm.root.sh(f"systemctl kill -s KILL --kill-who=main creel-keeper@{vm.uid()}.service")
        out, _ = client.communicate(b"through", timeout=60)
        assert (client.returncode, out) == (0, b"THROUGH")
        assert wait_until(lambda: through(vm).stdout, what="the keeper is back") == b"HELLO"


def test_many_leave_nothing(vm):
    """200 on one connection: the keeper's and the front's descriptors are counted when the module ends."""
    async def run():
        async with vm.connect() as connection:
            for _ in range(20):
                async def once():
                    reader, writer = await connection.open_connection("127.0.0.1", PORT)
                    writer.write(b"x")
                    writer.write_eof()
                    assert await reader.read() == b"X"
                    writer.close()
                    await writer.wait_closed()
                await asyncio.gather(*(once() for _ in range(10)))
            return (await connection.run("ls -d /proc/[0-9]*/ | wc -l")).exit_status

    with serving(vm):
        assert asyncio.run(run()) == 0
    wait_until(lambda: vm.root.sh("ps -eo stat,comm | grep -c '^Z' || true") == "0", what="no zombie")


# ---- places that do not answer -------------------------------------------------------------------------------------------
FULL = """python3 -c '
import socket, time
s = socket.create_server(("127.0.0.1", PORT), backlog=0)
held = []
while True:
    c = socket.socket()
    c.settimeout(0.5)
    held.append(c)
    try:
        c.connect(("127.0.0.1", PORT))
    except TimeoutError:
        break
print("ready", flush=True)
time.sleep(600)
'"""

STOP = """python3 -c '
import glob, os, signal, time
print("ready", flush=True)
end = time.monotonic() + 120
while time.monotonic() < end:
    for path in glob.glob("/sys/fs/cgroup/user.slice/user-UID.slice/creel-leaves@UID.service/session-*/forward/cgroup.procs"):
        try:
            with open(path) as file:
                pid = file.readline().strip()
            os.kill(int(pid), signal.SIGSTOP)
        except (OSError, ValueError):  # none yet, still with the uid of the keeper, or gone
            continue
        print(pid, flush=True)
        raise SystemExit
'"""


@contextlib.contextmanager
def full(vm):
    """A listener of the agent's whose queue is full, and which accepts nobody."""
    with vm.agent.start(FULL.replace("PORT", str(PORT))) as server:
        assert server.stdout.readline() == b"ready\n"
        yield


def pending(vm):
    """The connectors that are at work."""
    return vm.root.sh(f"cat /sys/fs/cgroup/user.slice/user-{vm.uid()}.slice/creel-leaves@{vm.uid()}.service/session-*/forward/"
                      "cgroup.procs 2>/dev/null || true").split()


def test_a_full_listener_holds_up_nobody_else(vm):
    """Its connection is being made: the bytes of a command beside it flow, another place is reached, and in the end it is refused."""
    since = vm.now()
    order = []

    async def reach(connection):
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", PORT)
        order.append("refused")

    async def run():
        async with vm.connect() as connection:
            cat = await connection.create_process("cat")
            cat.stdin.write("begin\n")
            assert await cat.stdout.readline() == "begin\n"
            task = asyncio.create_task(reach(connection))
            for i in range(10):
                cat.stdin.write(f"line {i}\n")
                assert await cat.stdout.readline() == f"line {i}\n"
            order.append("flowed")
            await task
            cat.stdin.write_eof()
            await cat.wait()

    with full(vm):
        asyncio.run(run())
        assert "timed out" in reason(through(vm))
    assert order == ["flowed", "refused"]
    assert "timed out" in vm.records(since, "forward", result="refused")[0]["CREEL_REASON"]
    wait_until(lambda: not pending(vm), what="no connector is left")


def test_a_connector_that_the_agent_stops_is_ended(vm):
    """It is the agent's process, so the agent may stop it; the keeper does not wait for it for long."""
    with full(vm), vm.agent.start(STOP.replace("UID", str(vm.uid()))) as stopper:
        assert stopper.stdout.readline() == b"ready\n"
        assert "timed out" in reason(through(vm))
        pid = int(stopper.stdout.readline())
        wait_until(lambda: vm.root(f"test -e /proc/{pid}").rc == 1, what="it is gone")
    with serving(vm):
        assert through(vm).stdout == b"HELLO"
