# SPDX-License-Identifier: MIT
"""The front against peers that do not mean to log in, and against the loss of itself."""

import os
import socket
import struct
import threading
import time

import pytest

from harness import Terminal, wait_until

GRACE = 6  # seconds, set for this module


@pytest.fixture(scope="module", autouse=True)
def short_grace(vm):
    """The shortest grace time that a policy may ask for, so that its end can be seen."""
    vm.root.sh("cp -p /etc/creel/creel.conf /root/creel.conf 2>/dev/null; "
               f"printf '[front]\\ngrace = {GRACE}s\\nunauthenticated = 64\\n' > /etc/creel/creel.conf; "
               "systemctl daemon-reload; systemctl restart creel-sshd.service")
    assert vm.agent.sh("echo in") == "in"
    yield
    vm.root.sh("rm -f /etc/creel/creel.conf; cp -p /root/creel.conf /etc/creel/creel.conf 2>/dev/null; "
               "systemctl daemon-reload; systemctl restart creel-sshd.service")


@pytest.fixture(autouse=True)
def workers_end(vm):
    """Whatever a test does, its workers end and the next honest login works."""
    before = vm.front_workers()
    yield
    assert vm.agent.sh("echo honest", timeout=60) == "honest"
    wait_until(lambda: not vm.front_workers() - before, 4 * GRACE, "no worker is left")


def dial(vm, timeout=30.0):
    host, port = vm.address()
    peer = socket.create_connection((host, int(port)), timeout=timeout)
    return peer


def read_all(peer):
    """What comes until the other end closes. A reset counts as an end."""
    got = b""
    try:
        while data := peer.recv(65536):
            got += data
    except ConnectionError:
        pass
    return got


def banner(peer):
    line = b""
    while not line.endswith(b"\n"):
        data = peer.recv(1)
        assert data, "closed before the banner"
        line += data
    return line


def refusal_told(vm, since):
    """A line in the record or in the unit's journal says that something was refused."""
    return wait_until(lambda: vm.records(since, "refusal") or
                      vm.journal(since, "_SYSTEMD_UNIT=creel-sshd.service", "PRIORITY=3", "PRIORITY=4", "PRIORITY=5",
                                 "PRIORITY=6"), 30, "a journal line")


def test_banner(vm):
    with dial(vm) as peer:
        assert banner(peer).startswith(b"SSH-2.0-")


def test_only_modern_algorithms_are_offered(vm):
    with dial(vm) as peer:
        banner(peer)
        peer.sendall(b"SSH-2.0-test\r\n")
        head = peer.recv(4, socket.MSG_WAITALL)
        packet = peer.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)
        assert packet[1] == 20
        lists, at = [], 18
        for _ in range(10):
            n = struct.unpack_from(">I", packet, at)[0]
            lists.append(packet[at + 4:at + 4 + n].decode().split(","))
            at += 4 + n
    kex, hostkey, c2s, s2c, mac_c2s, mac_s2c, zip_c2s, zip_s2c = lists[:8]
    assert set(kex) <= {"curve25519-sha256", "curve25519-sha256@libssh.org", "kex-strict-s-v00@openssh.com", "ext-info-s",
                        "sntrup761x25519-sha512@openssh.com", "mlkem768x25519-sha256"}
    assert "kex-strict-s-v00@openssh.com" in kex
    assert hostkey == ["ssh-ed25519"]
    for ciphers in (c2s, s2c):
        assert not [name for name in ciphers if "cbc" in name or "arcfour" in name or "3des" in name or name == "none"]
    for macs in (mac_c2s, mac_s2c):
        assert not [name for name in macs if "md5" in name or "sha1" in name or name == "none"]
    assert zip_c2s == zip_s2c == ["none"]


def test_silent_connection_is_ended_after_the_grace_time(vm):
    since = vm.now()
    start = time.monotonic()
    with dial(vm, 60) as peer:
        read_all(peer)
        assert GRACE * 0.5 <= time.monotonic() - start < 50
    refusal_told(vm, since)


def test_half_a_banner(vm):
    with dial(vm, 60) as peer:
        peer.sendall(b"SSH-2.0-ha")
        read_all(peer)


def test_a_byte_now_and_then_does_not_extend_the_grace_time(vm):
    start = time.monotonic()
    with dial(vm, 60) as peer:
        peer.setblocking(False)
        try:
            while time.monotonic() - start < 50:
                try:
                    if peer.recv(4096) == b"":
                        break
                except BlockingIOError:
                    pass
                peer.send(b"x")
                time.sleep(0.5)  # the slowness is the attack
        except ConnectionError:
            pass
    assert time.monotonic() - start < 40


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 100_000, os.urandom(200_000),
    b"SSH-1.5-old\r\n", b"SSH-2.0-" + b"x" * 100_000, b"SSH-2.0-ok\r\n" + b"\xff" * 4096, b"SSH-2.0-ok\r\n" + b"\0" * 100_000,
    b"SSH-2.0-ok\r\n" + struct.pack(">IB", 35000, 4) + b"\x14" * 35000, b"\r\n" * 50_000,
    b"SSH-2.0-ok\r\n" + struct.pack(">IBB", 6, 4, 94) + b"\0" * 4, b"SSH-2.0-ok\r\n" + struct.pack(">IBB", 12, 10, 52) + b"\0" * 10,
], ids=["http", "tls", "zeros", "random", "ssh1", "long-banner", "ones", "zero-packets", "large-packet", "empty-lines",
        "data-first", "userauth-success-first"])
def test_garbage(vm, data):
    with dial(vm, 60) as peer:
        try:
            peer.sendall(data)
        except ConnectionError:
            pass
        answer = read_all(peer)
        assert len(answer) < 10_000


def test_connections_closed_at_every_stage(vm):
    for data in (b"", b"S", b"SSH-2.0-x\r\n", b"SSH-2.0-x\r\n" + struct.pack(">IB", 60, 4)):
        for linger in (False, True):
            with dial(vm) as peer:
                if linger:  # close with a reset
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.sendall(data)


def test_client_that_never_authenticates(vm):
    """A whole key exchange, then nothing."""
    import asyncio
    import asyncssh

    class Waits(asyncssh.SSHClient):
        async def public_key_auth_requested(self):
            await asyncio.sleep(120)

    async def run():
        start = time.monotonic()
        with pytest.raises((asyncssh.Error, OSError, ConnectionError)):
            async with asyncssh.connect(*address, username="agent", known_hosts=None, config=None, client_keys=[],
                                        agent_path=None, client_factory=Waits, login_timeout=100):
                pass
        return time.monotonic() - start

    host, port = vm.address()
    address = (host, int(port))
    since = vm.now()
    assert asyncio.run(run()) < 60
    refusal_told(vm, since)


def test_200_connections_at_once(vm):
    """More than may be unauthenticated at a time. Established logins go on, and honest ones get in meanwhile."""
    since = vm.now()
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(r"\$ ")
        peers = []

        def open_many():
            for _ in range(25):
                try:
                    peers.append(dial(vm))
                except OSError:
                    pass

        threads = [threading.Thread(target=open_many) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        try:
            terminal.line("echo still''=here")
            terminal.expect("still=here")
            assert len(vm.front_workers()) <= 64 + 8, "the bound on those who did not log in holds"
            # turned away at most until the grace time of the others is over
            wait_until(lambda: vm.agent("echo in", timeout=60).text == "in", 6 * GRACE)
        finally:
            for peer in peers:
                peer.close()
        terminal.line("exit")
        terminal.finish()
    refusal_told(vm, since)


def test_one_source_does_not_shut_out_another(vm):
    """The operator's loopback is another source than the outside."""
    peers = []
    for _ in range(100):
        try:
            peers.append(dial(vm))
        except OSError:
            break
    try:
        key = "/root/front-test-key"
        with open(vm.agent.key(), "rb") as file:
            vm.write(key, file.read(), "0600")
        done = vm.root(f"ssh -i {key} -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
                       "-o LogLevel=ERROR -p 22 agent@127.0.0.1 echo in", timeout=60)
        vm.root.sh(f"rm -f {key}")
        assert done.text == "in", done
    finally:
        for peer in peers:
            peer.close()


def test_established_logins_survive_a_restart_of_the_front(vm):
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal, vm.agent.start("echo ready; cat; exit 6") as client:
        terminal.expect(r"\$ ")
        assert client.stdout.readline() == b"ready\n"
        vm.root.sh("systemctl restart creel-sshd.service")
        terminal.line("echo after''=restart")
        terminal.expect("after=restart")
        client.stdin.write(b"on\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"on\n"
        assert vm.agent.sh("echo new login") == "new login"
        client.stdin.close()
        assert client.wait(30) == 6, "the exit status still arrives"
        terminal.line("exit")
        assert terminal.finish() == 0


def test_a_killed_front_comes_back(vm):
    vm.root.sh("systemctl kill -s KILL --kill-who=main creel-sshd.service")
    wait_until(lambda: vm.agent("echo in").text == "in", 30)


def test_a_killed_worker_ends_its_own_connection_only(vm):
    before = vm.front_workers()
    with vm.agent.start("echo one; cat") as first:
        assert first.stdout.readline() == b"one\n"
        workers = vm.front_workers() - before
        with vm.agent.start("echo two; cat") as second:
            assert second.stdout.readline() == b"two\n"
            vm.root.sh("kill -SEGV " + " ".join(map(str, workers)))
            assert first.wait(30) == 255
            second.stdin.write(b"alive\n")
            second.stdin.flush()
            assert second.stdout.readline() == b"alive\n"


# ---- standing ------------------------------------------------------------------------------------------------------
def status(vm, pid):
    return dict(line.split(":", 1) for line in vm.root.sh(f"cat /proc/{pid}/status").splitlines() if ":" in line)


def test_no_process_of_the_front_is_root_or_has_capabilities(vm):
    front = vm.root.sh("id -u creel-sshd")
    with vm.agent.start("echo ready; cat") as client:
        assert client.stdout.readline() == b"ready\n"
        pids = vm.root.sh("pgrep -u creel-sshd").split()
        assert len(pids) >= 3, "listener, monitor, worker"
        for pid in pids:
            seen = status(vm, pid)
            assert seen["Uid"].split() == [front] * 4
            for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert int(seen[field], 16) == 0, (pid, field)
            assert seen["NoNewPrivs"].strip() == "1" and seen["Seccomp"].strip() == "2"


def test_a_worker_holds_no_files_and_no_sockets_to_open(vm):
    before = vm.front_workers()
    with vm.agent.start("echo ready; cat") as client:
        assert client.stdout.readline() == b"ready\n"
        for pid in wait_until(lambda: vm.front_workers() - before):
            links = vm.root.sh(f"ls -l /proc/{pid}/fd | awk '/->/ {{ print $NF }}'").split()
            assert not [link for link in links if link.startswith(("/etc", "/home", "/run", "/var", "/root"))], links
            assert len(links) < 40


def test_the_host_key_is_where_only_root_and_the_unit_read_it(vm):
    assert vm.root.sh("stat -c '%U %a' /etc/creel/ssh_host_ed25519_key") == "root 600"
    for who in ("agent", "creel-sshd"):
        assert vm.root(f"setpriv --reuid={who} --regid={who} --init-groups cat /etc/creel/ssh_host_ed25519_key").rc != 0
    line = vm.root.sh("cat /etc/creel/ssh_host_ed25519_key.pub").split()[1]
    host, port = vm.address()
    import subprocess
    scan = subprocess.run(["ssh-keyscan", "-t", "ed25519", "-p", str(port), host], capture_output=True, text=True, check=True,
                          timeout=60).stdout
    assert line in scan
