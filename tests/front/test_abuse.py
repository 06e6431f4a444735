# SPDX-License-Identifier: MIT
"""What a client can do against libssh's bounds and against split keys, with the keys of a login or without."""

import asyncio
import contextlib
import os
import time

import asyncssh
import pytest

from conftest import SLOW, wait_until
from test_bad import works
from test_protocol import talk

# the bound of unread input (test_memory.py), and what else a worker has
MEMORY_MAX_KB = 32 << 10


def resident_kb(pid):
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("VmRSS")), 0)
    except OSError:
        return 0


def test_a_peer_that_ignores_the_window(front):
    """libssh 0.10 keeps all that comes; the worker ends the connection before it has kept much."""
    most = 0

    async def work(connection):
        nonlocal most
        process = await connection.create_process("sleep 30")
        worker = front.worker()
        process.channel._send_window = 1 << 40
        for _ in range(200):
            process.stdin.write("x" * 262144)
            await asyncio.sleep(0.002)
            most = max(most, resident_kb(worker))
        await asyncio.wait_for(connection.wait_closed(), 20 * SLOW)

    try:
        talk(front, work)
    except (OSError, asyncio.TimeoutError) as error:
        assert not isinstance(error, asyncio.TimeoutError), "the connection lives on"
    assert most < MEMORY_MAX_KB * SLOW
    works(front)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 100])
def test_a_peer_that_takes_only_tiny_packets(front, size):
    """
    libssh takes 10 from the size. At 10 its version 0.10 would send empty packets for ever. Nobody's worker may burn for
    it: it serves, or waits, or ends the connection.
    """
    async def work(connection):
        async def one():
            process = await connection.create_process("echo abc; exit 3", max_pktsize=size)
            return (await process.wait()).stdout

        worker = front.worker()
        try:
            return await asyncio.wait_for(one(), 3 * SLOW)
        except asyncio.TimeoutError:
            assert cpu_seconds(worker) < 1.0
            return None

    try:
        out = talk(front, work)
    except (OSError, asyncssh.Error):
        out = None
    assert out in (None, "", "abc\n") and (size <= 11 or out == "abc\n")
    works(front)
    wait_until(lambda: not front.workers(), 10, "the worker ends")


# ---- signatures ----

# key in the front's folder: algorithm of its signature
KINDS = {"id": b"ssh-ed25519", "id_ecdsa": b"ecdsa-sha2-nistp256", "id_rsa": b"rsa-sha2-512"}


def signed(front, session_id, user=None, key="id", alter=None, algorithm=None, with_signature=True):
    from asyncssh.packet import Boolean, Byte, String

    pair = asyncssh.read_private_key(str(front.folder / key))
    true_algorithm = KINDS.get(key, b"ssh-ed25519")
    body = String(user or front.user.pw_name) + String("ssh-connection") + String("publickey") + Boolean(with_signature) + \
        String(algorithm or true_algorithm) + String(pair.public_data)
    signature = pair.sign(String(session_id) + Byte(50) + body, true_algorithm)
    if alter:
        signature = alter(signature)
    return body + (String(signature) if with_signature else b"")


def flip(signature):
    return signature[:-1] + bytes([signature[-1] ^ 1])


def renamed(algorithm):
    """The signature itself, said to be of another kind."""
    from asyncssh.packet import SSHPacket, String

    def rename(signature):
        packet = SSHPacket(signature)
        packet.get_string()
        return String(algorithm) + packet.get_remaining_payload()
    return rename


def unsigned(front, own, key):
    """All but the signature that the request says to have."""
    return signed(front, own, key=key, with_signature=False).replace(b"publickey\0", b"publickey\1")


OTHER = {"id": b"rsa-sha2-256", "id_ecdsa": b"ssh-ed25519", "id_rsa": b"ecdsa-sha2-nistp256"}
WEAKER = {"id": b"ecdsa-sha2-nistp256", "id_ecdsa": b"ecdsa-sha2-nistp384", "id_rsa": b"ssh-rsa"}
FORGERIES = {
    "another-session-id": lambda front, own, key: signed(front, bytes(32), key=key),
    "bits-of-the-session-id": lambda front, own, key: signed(front, flip(own), key=key),
    "longer-session-id": lambda front, own, key: signed(front, own + b"\0", key=key),
    "one-bit-of-the-signature": lambda front, own, key: signed(front, own, key=key, alter=flip),
    "short-signature": lambda front, own, key: signed(front, own, key=key, alter=lambda s: s[:-8]),
    "half-a-signature": lambda front, own, key: signed(front, own, key=key, alter=lambda s: s[:len(s) // 2]),
    "empty-signature": lambda front, own, key: signed(front, own, key=key, alter=lambda s: b""),
    "no-signature-at-all": unsigned,
    "for-another-user": lambda front, own, key: signed(front, own, key=key, user="root"),
    "other-algorithm": lambda front, own, key: signed(front, own, key=key, algorithm=OTHER[key]),
    "weaker-algorithm": lambda front, own, key: signed(front, own, key=key, algorithm=WEAKER[key]),
    "signature-of-other-kind": lambda front, own, key: signed(front, own, key=key, alter=renamed(OTHER[key])),
    "signature-of-weaker-kind": lambda front, own, key: signed(front, own, key=key, alter=renamed(WEAKER[key])),
}


def answer_the_first_failure(front, forge):
    """A login with the listed ed25519 key, whose first failure is answered with forge(session id). What was answered to that."""
    from asyncssh.connection import SSHClientConnection

    failure, success = 51, 52
    answered = []
    handlers = SSHClientConnection._packet_handlers
    original = dict(handlers)

    def on_failure(self, pkttype, pktid, packet):
        answered.append("failure")
        if len(answered) == 1:
            self.send_packet(50, forge(self._session_id))
        else:
            self.abort()

    def on_success(self, pkttype, pktid, packet):
        answered.append("success")
        self.abort()

    async def run():
        async with asyncssh.connect("127.0.0.1", front.port, username=front.user.pw_name, known_hosts=None, config=None,
                                    client_keys=[str(front.folder / "id")], login_timeout=20 * SLOW):
            pass

    handlers[failure], handlers[success] = on_failure, on_success
    try:
        with contextlib.suppress(asyncssh.Error, OSError):
            asyncio.run(run())
    finally:
        handlers.update(original)
    return answered


@pytest.mark.parametrize("key", KINDS)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_signatures_are_denied(front, forgery, key):
    """Each gets one failure, or ends the connection; none of them a login."""
    answered = answer_the_first_failure(front, lambda own: FORGERIES[forgery](front, own, key))
    assert answered in (["failure", "failure"], ["failure"])
    works(front)


def test_a_good_signature_of_an_unlisted_key_is_denied(front):
    answered = answer_the_first_failure(front, lambda own: signed(front, own, key="id_bad"))
    assert answered in (["failure", "failure"], ["failure"])


@pytest.mark.parametrize("key", KINDS)
def test_the_same_way_with_nothing_forged_logs_in(front, key):
    """So that the tests above cannot pass for another reason."""
    assert answer_the_first_failure(front, lambda own: signed(front, own, key=key)) == ["failure", "success"]


# ---- the sftp-server's queue ----

@pytest.mark.parametrize("how", ["subsystem", "command"])
def test_many_small_sftp_requests(front, how):
    """
    4 KiB writes without waiting for answers, as PuTTY's psftp sends them: sftp-server's queue stays short. Likewise when it
    is not the subsystem that was asked for but what a key's command= runs.
    """
    import paramiko

    transport = paramiko.Transport(("127.0.0.1", front.port))
    name = f"/tmp/creel-small-{os.getpid()}"
    try:
        transport.connect(username=front.user.pw_name, pkey=paramiko.Ed25519Key.from_private_key_file(str(front.folder / "id")))
        channel = transport.open_session()
        if how == "subsystem":
            channel.invoke_subsystem("sftp")
        else:
            channel.exec_command("exec /usr/lib/openssh/sftp-server")
        sftp = paramiko.SFTPClient(channel)
        piece, began = os.urandom(4096), time.monotonic()
        with sftp.open(name, "wb") as file:
            file.set_pipelined(True)
            for _ in range(2000):
                file.write(piece)
        with open(name, "rb") as file:
            assert file.read() == piece * 2000
        assert time.monotonic() - began < 30 * SLOW
        sftp.remove(name)
    finally:
        transport.close()


SLOW_SERVER = """import struct, sys, time
read, out = sys.stdin.buffer, sys.stdout.buffer
def message():
    return read.read(struct.unpack(">I", read.read(4))[0])
%s
sys.stderr.write("ready\\n"); sys.stderr.flush()
while True:
    n = struct.unpack("i", __import__("fcntl").ioctl(0, 0x541B, b"\\0" * 4))[0]
    sys.stderr.write(str(n) + "\\n"); sys.stderr.flush()
    if n >= 100 * 9 or n == 64 * 9: break
    time.sleep(0.02)
time.sleep(0.5)
sys.stderr.write("most " + str(struct.unpack("i", __import__("fcntl").ioctl(0, 0x541B, b"\\0" * 4))[0]) + "\\n")
"""


@pytest.mark.parametrize("answer,most", [("b'\\0\\0\\0\\5\\2\\0\\0\\0\\3'", 64), ("b'hello, world'", 100)], ids=["sftp", "other"])
def test_what_is_held_back_is_what_speaks_sftp(front, answer, most):
    """A program of any name, run by exec: held to 64 unanswered requests if it answers as sftp does, else not at all."""
    program = SLOW_SERVER % f"message(); out.write({answer}); out.flush()"
    client = front.popen("exec python3 -c '" + program.replace("'", "'\\''") + "'")
    client.stdin.write(b"\0\0\0\5\1\0\0\0\3")
    client.stdin.flush()
    assert client.stderr.readline() == b"ready\n"
    client.stdin.write(b"\0\0\0\5\x11\0\0\0\1" * 100)
    client.stdin.flush()
    said = client.communicate(timeout=60 * SLOW)[1].split(b"\n")
    assert f"most {most * 9}".encode() in said, said
