# SPDX-License-Identifier: MIT
"""What dishonest, broken and vanished clients do, and that the next honest login works."""

import asyncio
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

from conftest import SLOW, descriptors, pause_children, wait_until

OPTIONS = ("-g", "3", "-u", "40")


def works(front):
    done = front("echo works")
    assert done.stdout == b"works\n", done.stderr


def new_refusals(front, before, n=1):
    return wait_until(lambda: len(front.refusals) >= before + n and front.refusals[before:], what="refusal line")


@pytest.mark.parametrize("how,reason", [
    ({"key": "id_bad"}, "no accepted key, 1 tried"),
    ({"user": "nosuchuser"}, "not an agent"),
    ({"user": "root"}, "not an agent"),
    ({"user": "daemon"}, "not an agent"),
])
def test_refused_logins_make_one_line(front, how, reason):
    before = len(front.refusals)
    assert front("true", **how).returncode == 255
    lines = new_refusals(front, before)
    assert len(lines) == 1 and reason in lines[0], lines
    works(front)


def test_too_many_tries(front):
    before = len(front.refusals)
    names = [f"wrong{i}" for i in range(8)]
    for name in names:
        if not (front.folder / name).exists():
            front.keygen(name, "-t", "ed25519")
    done = front("true", "-o", "LogLevel=INFO", *[word for name in names for word in ("-i", str(front.folder / name))],
                 key="id_bad")
    assert b"Too many authentication failures" in done.stderr, done.stderr
    (line,) = new_refusals(front, before)
    assert "6 tried: too many" in line
    works(front)


def test_the_sixth_key_may_be_the_right_one(front):
    for i in range(5):
        if not (front.folder / f"wrong{i}").exists():
            front.keygen(f"wrong{i}", "-t", "ed25519")
    wrong = [word for i in range(4) for word in ("-i", str(front.folder / f"wrong{i}"))]
    done = front("echo in", *wrong, "-i", str(front.folder / "id"), key="id_bad")
    assert done.stdout == b"in\n"


def test_passwords_are_not_taken(front):
    done = subprocess.run(["ssh", "-F", "none", "-p", str(front.port), "-o", "BatchMode=yes", "-o", "PreferredAuthentications=password,keyboard-interactive",
                           "-o", f"UserKnownHostsFile={front.folder}/known", f"{front.user.pw_name}@127.0.0.1", "true"], capture_output=True, timeout=20)
    assert b"Permission denied (publickey)" in done.stderr


def test_a_certificate_is_no_key_and_its_key_is_one(front):
    front.keygen("id_cert", "-t", "ed25519")
    subprocess.run(["ssh-keygen", "-q", "-s", str(front.folder / "host"), "-I", "x", "-n", front.user.pw_name,
                    str(front.folder / "id_cert.pub")], check=True)
    assert front("true", key="id_cert").returncode == 255
    works(front)


@pytest.mark.parametrize("garbage", [b"", b"\0" * 300, b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n" + b"\xff" * 5000,
                                     b"SSH-1.5-old\r\n", b"x" * 100_000, b"SSH-2.0-x\r\n\0\0\0\x0c\x0a\x14" + b"\0" * 200],
                         ids=["nothing", "zeroes", "http", "ff", "ssh1", "long", "short-kexinit"])
def test_garbage(front, garbage):
    before = len(front.refusals)
    with front.connect() as connection:
        try:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError:
            pass
    assert len(new_refusals(front, before)) == 1
    works(front)


def test_no_login_within_the_grace_time(front):
    before = len(front.refusals)
    with front.connect() as connection:
        began = time.monotonic()
        connection.sendall(b"SSH-2.0-slow\r\n")
        while connection.recv(65536):
            pass
        assert 2.5 < time.monotonic() - began < 5 * SLOW
    (line,) = new_refusals(front, before)
    assert "no login within 3 s" in line


def test_half_open_connections_do_not_keep_others_out(fresh):
    lurkers = [fresh.connect() for _ in range(120)]
    began = time.monotonic()
    works(fresh)
    assert time.monotonic() - began < 15 * SLOW
    for lurker in lurkers:
        lurker.close()
    wait_until(lambda: not fresh.workers())
    works(fresh)


def test_200_at_once_and_none_is_lost(front):
    clients = [front.popen(f"echo {i}") for i in range(200)]
    out = [client.communicate(timeout=120 * SLOW) for client in clients]
    bad = [(i, o, e) for i, (o, e) in enumerate(out) if o != b"%d\n" % i]
    assert not bad, bad[:3]


def test_a_flood_of_refusals_is_counted_not_written(fresh):
    before = fresh.log.count("\n")
    for _ in range(30):
        batch = [fresh.connect() for _ in range(30)]
        for one in batch:
            one.close()
    wait_until(lambda: not fresh.workers(), 60)
    time.sleep(0.5)
    fresh.connect().close()
    assert fresh.log.count("\n") - before < 300
    wait_until(lambda: "lines about refused connections were left out" in fresh.log)
    works(fresh)


def test_a_killed_client_hangs_up_its_command(front):
    nap = front.nap()
    client = front.popen(f"trap '' USR1; exec {nap}")
    wait_until(lambda: front.runs(nap))
    client.kill()
    client.communicate()
    wait_until(lambda: not front.runs(nap), 5)


def test_a_closed_channel_hangs_up_its_command_only(front):
    control = ["-o", f"ControlPath={front.folder}/control2"]
    master = front.popen("cat", "-M", *control)
    wait_until(lambda: front(None, "-O", "check", *control).returncode == 0)
    nap = front.nap()
    client = front.popen(f"echo ready; exec {nap}", *control)
    assert client.stdout.readline() == b"ready\n"
    wait_until(lambda: front.runs(nap))
    client.kill()
    client.wait()
    # OpenSSH's master (9.2) may forget to send the close until something wakes it: it counts on its eow@openssh.com for
    # that, which it sends to OpenSSH's servers only. Meanwhile it holds the killed client's stderr.
    assert front("echo on", *control).stdout == b"on\n"
    wait_until(lambda: not front.runs(nap), 5)
    assert front("echo still on", *control).stdout == b"still on\n"
    front(None, "-O", "exit", *control)
    master.communicate()


def test_a_killed_worker_hangs_up(front):
    nap = front.nap()
    client = front.popen(f"exec {nap}")
    wait_until(lambda: front.runs(nap))
    worker = front.worker()
    os.kill(worker, signal.SIGKILL)
    client.communicate()
    wait_until(lambda: not front.runs(nap), 5)
    works(front)


def asyncssh_login(front, username=None, between=None):
    """
    Logs in by asyncssh and runs a command. With `between`, that request is sent after the answer to the first one
    ("none"), and exactly one failure must come back before asyncssh goes on.
    """
    import asyncssh
    from asyncssh.connection import SSHClientConnection

    failure, request = 51, 50
    handlers = SSHClientConnection._packet_handlers
    original = handlers[failure]

    def on_failure(self, pkttype, pktid, packet):
        if between and not getattr(self, "sent_between", False):
            self.sent_between = True
            self.send_packet(request, between)
            return
        original(self, pkttype, pktid, packet)

    async def run():
        async with asyncssh.connect("127.0.0.1", front.port, username=username or front.user.pw_name, known_hosts=None,
                                    config=None, client_keys=[str(front.folder / "id")], login_timeout=20) as connection:
            return (await connection.run("echo in")).stdout

    handlers[failure] = on_failure
    try:
        return asyncio.run(run())
    finally:
        handlers[failure] = original


@pytest.mark.parametrize("what", ["ed448", "dss", "gssapi", "bad-signature", "unknown-method", "hostbased"])
def test_requests_that_libssh_would_not_answer(front, what):
    """Each is answered with one failure, so that the client goes on and logs in with what it has."""
    from asyncssh.packet import Boolean, String, UInt32

    user = String(front.user.pw_name) + String("ssh-connection")
    blob = String("ssh-ed25519") + String(bytes(32))
    bodies = {
        "ed448": user + String("publickey") + Boolean(False) + String("ssh-ed448") +
            String(String("ssh-ed448") + String(bytes(57))),
        "dss": user + String("publickey") + Boolean(False) + String("ssh-dss") +
            String(String("ssh-dss") + String(b"\1") * 4),
        "gssapi": user + String("gssapi-with-mic") + UInt32(1) +
            String(b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"),
        "bad-signature": user + String("publickey") + Boolean(True) + String("ssh-ed25519") + String(blob) +
            String(String("ssh-ed25519") + String(bytes(64))),
        "unknown-method": user + String("telepathy"),
        "hostbased": user + String("hostbased") + String("ssh-ed25519") + String(blob) + String("h") + String("u") +
            String(b""),
    }
    began = time.monotonic()
    assert asyncssh_login(front, between=bodies[what]) == "in\n"
    assert time.monotonic() - began < 2 * SLOW
    works(front)


@pytest.mark.parametrize("name", ['a b"\\`$(x)', "\u00e9\u4e2d", "x" * 33, "y" * 5000, "-l", "../root", "%s%n"],
                         ids=["shell", "unicode", "33", "5000", "option", "path", "format"])
def test_odd_user_names(front, name):
    import asyncssh

    before = len(front.refusals)
    with pytest.raises(asyncssh.PermissionDenied):
        asyncssh_login(front, name)
    (line,) = new_refusals(front, before)
    assert line.isascii() and len(line) < 300
    works(front)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to look into the processes")
def test_an_old_instance_gives_back_its_keepers(fresh):
    """Without a listener a monitor keeps a keeper's bus only while a connection uses it: a keeper takes only so many."""
    def buses():
        return sum(target.startswith("socket:") for target in descriptors(fresh.keeper.pid).values())

    none = buses()
    client = fresh.popen("echo ready; cat", "-o", "ServerAliveInterval=0")
    assert client.stdout.readline() == b"ready\n"
    assert buses() == none + 1
    monitor = next(pid for pid, name in fresh.own().items() if name == "creel-monitor")
    half = fresh.connect()  # keeps the old monitor, and needs no keeper
    wait_until(lambda: len(fresh.workers()) == 2)
    fresh.server.terminate()
    assert fresh.server.wait(10) == 0
    client.stdin.write(b"still here\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"still here\n" and buses() == none + 1  # it is used
    client.stdin.close()
    assert client.wait(20) == 0
    wait_until(lambda: buses() == none, what="the old monitor gives its place back")
    assert pathlib.Path(f"/proc/{monitor}/comm").read_text() == "creel-monitor\n"
    half.close()
    fresh.start()
    assert fresh("echo new").stdout == b"new\n"


def test_sigterm_of_the_listener(fresh):
    client = fresh.popen("echo ready; cat; exit 6")
    assert client.stdout.readline() == b"ready\n"
    half = fresh.connect()
    old = fresh.server
    workers = fresh.workers()
    old.terminate()
    assert old.wait(5) == 0
    fresh.start()
    assert fresh("echo new").stdout == b"new\n"
    out, _ = client.communicate(b"still here")
    assert out == b"still here" and client.returncode == 6
    half.close()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") and b"Z" not in open(f"/proc/{pid}/stat", "rb").read().split(b") ")[1][:1]
                               for pid in workers))


def test_keeper_restart(fresh):
    client = fresh.popen("echo ready; cat; exit 6")
    assert client.stdout.readline() == b"ready\n"
    fresh.keeper.send_signal(signal.SIGUSR1)
    wait_until(lambda: "went away" in fresh.log and "attached" in fresh.log)
    out, _ = client.communicate(b"still here")
    assert out == b"still here" and client.returncode == 6
    assert fresh("echo again").stdout == b"again\n"


def test_keeper_killed(fresh):
    control = ["-o", f"ControlPath={fresh.folder}/control"]
    master = fresh.popen("echo ready; cat", "-M", *control)
    assert master.stdout.readline() == b"ready\n"
    fresh.keeper.kill()
    fresh.keeper.wait()
    done = fresh("echo no", *control)
    assert done.returncode == 254 and b"keeper" in done.stderr
    fresh.start_keeper()
    # a keeper that knows nothing of the session: what ran there ended, how is not known
    assert master.wait(10) == 255
    assert b"how is not known" in master.stderr.read()
    assert fresh("echo again").stdout == b"again\n"


def test_a_stuck_keeper(fresh):
    pause_children(fresh.keeper.pid, True)
    client = fresh.popen("echo in")
    time.sleep(1)
    assert client.poll() is None
    pause_children(fresh.keeper.pid, False)
    assert client.communicate()[0] == b"in\n"


def test_a_crashed_worker_is_told_loudly_and_changes_the_layout(fresh):
    def layout():
        lines = open(f"/proc/{fresh.server.pid}/maps").read().splitlines()
        return [line.split("-")[0] for line in lines if line.endswith("creel-sshd")]

    before = layout() if os.getuid() == 0 else None  # the process is not dumpable: its maps are root's
    client = fresh.popen("echo ready; cat")
    assert client.stdout.readline() == b"ready\n"
    other = fresh.popen("echo ready; cat")
    assert other.stdout.readline() == b"ready\n"
    os.kill(fresh.workers()[0], signal.SIGTRAP)  # one that sanitizers leave alone
    wait_until(lambda: fresh.log.count("creel-sshd: serving") == 2)
    assert "CRASHED with SIGTRAP" in fresh.log
    if before:
        assert before != layout() != []
    assert fresh("echo new").stdout == b"new\n"
    alive = [one for one in (client, other) if one.poll() is None]
    assert alive
    out, _ = alive[-1].communicate(b"still here")
    assert out == b"still here"


def test_root_is_refused(front):
    if os.getuid():
        pytest.skip("needs root to be refused")
    from conftest import BUILD
    done = subprocess.run([str(BUILD / "creel-sshd"), "-l", "1"], capture_output=True)
    assert done.returncode == 1 and b"must not be root" in done.stderr


@pytest.mark.parametrize("options", [["-g", "0"], ["-u", "x"], ["-l", "70000"], ["-z"], ["extra"]])
def test_bad_options(front, options):
    from conftest import BUILD
    done = subprocess.run([str(BUILD / "creel-sshd"), *options], capture_output=True)
    assert done.returncode == 2 and b"usage:" in done.stderr
