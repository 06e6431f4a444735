# SPDX-License-Identifier: MIT
"""What a modern client asks of the protocol: each is served, or refused by an answer, and never fatal."""

import asyncio
import ctypes
import json
import os
import signal
import struct
import subprocess
import threading

import pytest

from conftest import SLOW, wait_until

CHANNELS_MAX = 64


def talk(front, work, **options):
    """Runs `await work(connection)` in a connection of asyncssh's."""
    import asyncssh

    async def run():
        async with asyncssh.connect("127.0.0.1", front.port, username=front.user.pw_name, known_hosts=None, config=None,
                                    client_keys=[str(front.folder / "id")], login_timeout=20 * SLOW,
                                    **options) as connection:
            return await asyncio.wait_for(work(connection), 60 * SLOW)

    return asyncio.run(run())


async def line_of(process):
    return (await process.stdout.readline()).strip()


# ---- channels ----

def test_64_channels_at_once_and_no_more(front):
    import asyncssh

    async def work(connection):
        processes = [await connection.create_process(f"echo {i}; read x; echo got $x; exit {i}")
                     for i in range(CHANNELS_MAX)]
        for i, process in enumerate(processes):
            assert await line_of(process) == str(i)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process("echo one too many")
        for i, process in enumerate(processes):
            process.stdin.write(f"{i}\n")
        for i, process in enumerate(processes):
            assert await line_of(process) == f"got {i}"
            assert (await process.wait()).exit_status == i
        assert (await connection.run("echo room again")).stdout == "room again\n"

    talk(front, work)


# ---- the terminal ----

def test_terminal_modes(front):
    import asyncssh

    async def stty(connection, modes):
        process = await connection.create_process("stty -a", term_type="xterm", term_size=(80, 24), term_modes=modes)
        return (await process.wait()).stdout.split()

    async def work(connection):
        told = await stty(connection, {asyncssh.PTY_ECHO: 0, asyncssh.PTY_VERASE: 8, asyncssh.PTY_IUTF8: 1,
                                       asyncssh.PTY_ONLCR: 0, asyncssh.PTY_VINTR: 255})
        assert {"-echo", "iutf8", "-onlcr"} <= set(told), told
        assert "erase = ^H;" in " ".join(told) and "intr = <undef>;" in " ".join(told)
        plain = await stty(connection, {})
        assert "echo" in plain and "-iutf8" in plain and "erase = ^?;" in " ".join(plain)

    talk(front, work)


def test_terminal_modes_that_make_no_sense_are_left_out(front):
    from asyncssh.packet import String, UInt32

    async def work(connection):
        for modes in (b"\xff" * 20, b"\x35\0\0", b"\0" + b"x" * 30, bytes(5000), b"\xa0\0\0\0\0\0"):
            session = None

            def factory():
                import asyncssh
                nonlocal session

                class Session(asyncssh.SSHClientSession):
                    text, status = b"", None

                    def data_received(self, data, datatype):
                        self.text += data

                    def exit_status_received(self, status):
                        self.status = status

                session = Session()
                return session

            from asyncssh.channel import SSHClientChannel
            channel = SSHClientChannel(connection, asyncio.get_running_loop(), None, "strict", 1 << 20, 32768)
            packet = await channel._open(b"session")
            packet.check_end()
            channel._session = factory()
            channel._recv_state = "open" if channel._recv_state == "open_pending" else channel._recv_state
            assert await channel._make_request(b"pty-req", String("xterm"), UInt32(80), UInt32(24), UInt32(0), UInt32(0),
                                               String(modes))
            assert await channel._make_request(b"exec", String("stty -a"))
            channel.resume_reading()
            await channel.wait_closed()
            assert session.status == 0 and b"speed" in session.text and b" echo " in session.text, (modes, session.text)

    talk(front, work)


def test_a_real_clients_terminal_modes(front):
    """OpenSSH sends those of its own terminal."""
    import pty

    master, slave = pty.openpty()
    subprocess.run(["stty", "erase", "^H", "-ixon"], stdin=slave, check=True)
    client = subprocess.Popen(front.argv("stty -a; sleep 0.1", "-tt"), stdin=slave, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    told = client.communicate(timeout=20 * SLOW)[0].decode()
    os.close(slave)
    os.close(master)
    assert "erase = ^H;" in told and " -ixon" in told, told


# ---- requests that nobody knows ----

def test_break_is_answered(front):
    from asyncssh.packet import UInt32

    async def work(connection):
        process = await connection.create_process("echo ready; read x; echo $x", term_type="xterm")
        assert await line_of(process) == "ready"
        assert await process.channel._make_request(b"break", UInt32(500)) is False
        process.channel.send_break(500)
        process.stdin.write("on\n")
        assert "on" in (await process.wait()).stdout

    talk(front, work)


@pytest.mark.parametrize("request_name", [b"nonsense", b"nonsense@example.com", b"", b"x" * 3000, b"\xff\0\xfe",
                                          b"eow@openssh.com", b"keepalive@openssh.com", b"auth-agent-req@openssh.com",
                                          b"xon-xoff"])
def test_unknown_channel_requests_are_answered(front, request_name):
    async def work(connection):
        process = await connection.create_process("read x; echo $x")
        assert await asyncio.wait_for(process.channel._make_request(request_name), 10 * SLOW) is False
        if request_name != b"keepalive@openssh.com":  # libssh before 0.11 answers that one even unasked
            process.channel._send_request(request_name)
        process.stdin.write("on\n")
        assert (await process.wait()).stdout == "on\n"
        assert (await connection.run("echo still")).stdout == "still\n"

    talk(front, work)


@pytest.mark.parametrize("request_name", [b"nonsense@example.com", b"", b"x" * 3000, b"hostkeys-prove-00@openssh.com",
                                          b"tcpip-forward", b"cancel-tcpip-forward",
                                          b"streamlocal-forward@openssh.com"])
def test_unknown_global_requests_are_answered(front, request_name):
    from asyncssh.packet import String, UInt32

    async def work(connection):
        arguments = [String("127.0.0.1"), UInt32(0)] if b"forward" in request_name else []
        kind, _ = await asyncio.wait_for(connection._make_global_request(request_name, *arguments), 10 * SLOW)
        assert kind == 82  # SSH_MSG_REQUEST_FAILURE
        assert (await connection.run("echo still")).stdout == "still\n"

    talk(front, work)


@pytest.mark.parametrize("kind", [b"nonsense", b"", b"x11", b"auth-agent@openssh.com", b"tun@openssh.com",
                                  b"direct-streamlocal@openssh.com", b"forwarded-tcpip"])
def test_unknown_channels_are_refused(front, kind):
    import asyncssh
    from asyncssh.channel import SSHTCPChannel
    from asyncssh.packet import String, UInt32

    async def work(connection):
        channel = SSHTCPChannel(connection, asyncio.get_running_loop(), None, "strict", 1 << 20, 32768)
        with pytest.raises(asyncssh.ChannelOpenError):
            await asyncio.wait_for(channel._open(kind, String("127.0.0.1"), UInt32(22), String(""), UInt32(0)), 10 * SLOW)
        assert (await connection.run("echo still")).stdout == "still\n"

    talk(front, work)


def test_no_more_sessions(front):
    import asyncssh
    from asyncssh.packet import Boolean, String

    async def work(connection):
        first = await connection.create_process("echo ready; read x; echo $x")
        assert await line_of(first) == "ready"
        connection.send_packet(80, String("no-more-sessions@openssh.com"), Boolean(False))
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("echo no")
        first.stdin.write("on\n")
        assert (await first.wait()).stdout == "on\n"

    talk(front, work)


# ---- ends ----

def test_a_limits_kill_says_so_twice(front):
    """A line for people, and the message of exit-signal for programs."""
    async def work(connection):
        done = await connection.run(": fake-limit; kill -9 $$")
        assert done.exit_signal[0] == "KILL"
        assert "out of memory" in done.exit_signal[2] and "out of memory" in done.stderr
        done = await connection.run("kill -9 $$")
        assert done.exit_signal[0] == "KILL" and done.exit_signal[2] == done.stderr == ""

    talk(front, work)


# ---- is anybody there? ----

@pytest.mark.parametrize("fresh", [("-a", "1", "-c", "2")], indirect=True)
def test_a_dead_client_is_noticed_and_a_quiet_one_stays(fresh):
    quiet = fresh.popen("echo ready; cat")
    nap = fresh.nap()
    dead = fresh.popen(f"echo ready; exec {nap}")
    for client in (quiet, dead):
        assert client.stdout.readline() == b"ready\n"
    dead.send_signal(signal.SIGSTOP)
    wait_until(lambda: not fresh.runs(nap), 20, "the command of the dead client ends")
    assert quiet.communicate(b"on", timeout=10 * SLOW)[0] == b"on" and quiet.returncode == 0
    dead.kill()
    dead.communicate()


@pytest.mark.parametrize("fresh", [("-a", "1", "-c", "2")], indirect=True)
def test_a_dead_client_is_noticed_while_its_command_writes(fresh):
    dead = fresh.popen("echo ready; while echo on; do sleep 0.1; done")
    assert dead.stdout.readline() == b"ready\n"
    dead.send_signal(signal.SIGSTOP)
    wait_until(lambda: not fresh.workers(), 20, "the worker of the dead client ends")
    dead.kill()
    dead.communicate()


# ---- keys ----

def test_rekey_by_the_client_under_load(front):
    """By one that is not OpenSSH. (asyncssh 2.10 cannot: it goes on sending data after its KEXINIT, against RFC 4253
    section 9, and libssh ends the connection.)"""
    import paramiko

    data = os.urandom(6 << 20)
    transport = paramiko.Transport(("127.0.0.1", front.port))
    transport.packetizer.REKEY_BYTES = 1 << 20
    starts = []
    parse_newkeys = transport._parse_newkeys
    transport._handler_table = {**transport._handler_table,
                                NEWKEYS: lambda self, message: (starts.append(1), parse_newkeys(message))}
    try:
        transport.connect(username=front.user.pw_name, pkey=paramiko.Ed25519Key.from_private_key_file(str(front.folder / "id")))
        channel = transport.open_session()
        channel.exec_command("cat")

        def feed():
            channel.sendall(data)
            channel.shutdown_write()

        feeder = threading.Thread(target=feed)
        feeder.start()
        out = b""
        while chunk := channel.recv(1 << 16):
            out += chunk
        feeder.join()
        assert out == data and channel.recv_exit_status() == 0
        assert len(starts) > 5
    finally:
        transport.close()


@pytest.mark.parametrize("cipher", ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"])
@pytest.mark.parametrize("limit", ["none", "1M"])
@pytest.mark.parametrize("fresh", [("-r", "1048576")], indirect=True)
def test_rekey_by_the_server_under_load(fresh, limit, cipher):
    """By the server alone, and by both ends, which may begin at the same time."""
    data = os.urandom(16 << 20)
    client = fresh.popen("cat", "-c", cipher, "-o", f"RekeyLimit={'default none' if limit == 'none' else limit}",
                         "-o", "LogLevel=DEBUG1")
    out, err = client.communicate(data, timeout=120 * SLOW)
    assert out == data and client.returncode == 0
    assert err.count(b"SSH2_MSG_NEWKEYS received") > 5


def kexinit(strict):
    """A packet in clear, as the first of a connection."""
    lists = ["curve25519-sha256" + (",kex-strict-c-v00@openssh.com" if strict else ""), "ssh-ed25519", "aes256-gcm@openssh.com",
             "aes256-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "none", "none", "", ""]
    return packet(b"\x14" + os.urandom(16) + b"".join(struct.pack(">I", len(x)) + x.encode() for x in lists) + bytes(5))


def packet(payload):
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def answers(front, *packets):
    """What the server says in clear to these packets, by message number; and whether it then ends the connection."""
    with front.connect() as connection:
        connection.settimeout(1 * SLOW)
        connection.sendall(b"SSH-2.0-test\r\n" + b"".join(packets))
        data, over = b"", False
        try:
            while chunk := connection.recv(65536):
                data += chunk
            over = True
        except ConnectionError:
            over = True
        except TimeoutError:
            pass
        return parse(data), over


def parse(data):
    data, seen = data.partition(b"\n")[2], []
    while len(data) >= 5 and len(data) >= 4 + struct.unpack(">I", data[:4])[0]:
        size = 4 + struct.unpack(">I", data[:4])[0]
        seen.append(data[5])
        data = data[size:]
    return seen


IGNORE, KEXINIT, ECDH_INIT, ECDH_REPLY, NEWKEYS = 2, 20, 30, 31, 21


def test_strict_key_exchange(front):
    """Terrapin: a packet more before the keys are in force ends the connection, when both ends are strict."""
    ecdh = packet(bytes([ECDH_INIT]) + struct.pack(">I", 32) + bytes([9]) + bytes(31))
    ignore = packet(bytes([IGNORE]) + struct.pack(">I", 0))
    newkeys = packet(bytes([NEWKEYS]))
    done = [KEXINIT, ECDH_REPLY, NEWKEYS]
    assert answers(front, kexinit(True), ecdh, newkeys) == (done, False)
    for order in ((kexinit(True), ignore, ecdh, newkeys), (ignore, kexinit(True), ecdh, newkeys),
                  (kexinit(True), ecdh, ignore, newkeys)):
        assert answers(front, *order)[1], "a packet more was taken"
    assert answers(front, kexinit(False), ignore, ecdh, newkeys) == (done, False)


def test_a_weak_public_point_is_refused(front):
    zero = packet(bytes([ECDH_INIT]) + struct.pack(">I", 32) + bytes(32))
    short = packet(bytes([ECDH_INIT]) + struct.pack(">I", 31) + bytes(31))
    for point in (zero, short):
        seen, over = answers(front, kexinit(True), point)
        assert ECDH_REPLY not in seen and over


def libssh_version():
    library = ctypes.CDLL("libssh.so.4")
    library.ssh_version.restype = ctypes.c_char_p
    return tuple(int(number) for number in library.ssh_version(0).split(b"/")[0].split(b".")[:3])


def test_the_offer(front):
    """ssh-audit has nothing to blame but that it does not know what strict key exchange is called."""
    done = subprocess.run(["ssh-audit", "-n", "-l", "warn", "-p", str(front.port), "127.0.0.1"], capture_output=True, text=True,
                          timeout=60 * SLOW)
    blamed = [line for line in done.stdout.splitlines() if "[warn]" in line or "[fail]" in line]
    assert [line for line in blamed if "kex-strict-s-v00@openssh.com" not in line and "mlkem768" not in line] == []

    audit = json.loads(subprocess.run(["ssh-audit", "-j", "-p", str(front.port), "127.0.0.1"], capture_output=True, text=True,
                                      timeout=60 * SLOW).stdout)
    kex = [one["algorithm"] for one in audit["kex"]]
    assert "kex-strict-s-v00@openssh.com" in kex and audit["compression"] == ["none"]
    # post-quantum where the library has it
    assert (kex[0] == "mlkem768x25519-sha256") == (libssh_version() >= (0, 12)), kex


def test_older_clients(tmp_path):
    """libssh2 before 1.11 knows no MAC of the plain offer. Others still choose the better ones."""
    from conftest import Front
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="creel-front-", dir="/tmp")
    os.chmod(folder, 0o755)
    data = os.urandom(300_000)
    with open(os.path.join(folder, "data"), "wb") as file:
        file.write(data)
    server = Front(folder, "-o", "1")
    try:
        argv = ["curl", "-sS", "--insecure", "--key", f"{folder}/id", "--pubkey", f"{folder}/id.pub", "-u", f"{server.user.pw_name}:",
                f"sftp://127.0.0.1:{server.port}{folder}/data"]
        done = subprocess.run(argv, capture_output=True, timeout=60 * SLOW)
        assert done.stdout == data, done.stderr
        for mac in ("hmac-sha2-256", "hmac-sha2-512"):
            assert server("cat", "-c", "aes128-ctr", "-m", mac, stdin=data).stdout == data
        done = server("true", "-c", "aes128-ctr", "-o", "LogLevel=DEBUG1")
        assert done.returncode == 0 and done.stderr.count(b"MAC: hmac-sha2-256-etm@openssh.com") == 2
    finally:
        server.stop()
        shutil.rmtree(folder)


# ---- the banner ----

def test_no_banner_without_policy(front):
    assert front("echo in", "-o", "LogLevel=INFO").stderr == b""


def test_banner(tmp_path):
    from conftest import Front
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="creel-front-", dir="/tmp")
    os.chmod(folder, 0o755)
    path = os.path.join(folder, "banner")
    with open(path, "w") as file:
        file.write("agents only: \u00e9\n")
    server = Front(folder, "-b", path)
    try:
        done = server("echo in", "-o", "LogLevel=INFO")
        assert done.stdout == b"in\n" and done.stderr.count(b"agents only: ") == 1, done.stderr
        server.stop()
        os.unlink(path)
        server.start_keeper()
        server.start()
        done = server("echo in", "-o", "LogLevel=INFO")
        assert done.stdout == b"in\n" and done.stderr == b"" and "banner" not in server.log
        server.stop()
        os.mkdir(path)
        server.start_keeper()
        server.start()
        done = server("echo in", "-o", "LogLevel=INFO")
        assert done.stdout == b"in\n" and done.stderr == b"" and "clients get none" in server.log
    finally:
        server.stop()
        shutil.rmtree(folder)
