# SPDX-License-Identifier: MIT
"""Local forwarding: bytes, half-closes, refusals with their reason, broken peers, and nothing left after many."""

import asyncio
import contextlib
import hashlib
import os
import pathlib
import socket
import socketserver
import struct
import threading

import asyncssh
import pytest
from conftest import SLOW, wait_until

MB = 1024 * 1024


@contextlib.contextmanager
def serving(handle):
    """A server on a loopback port, each connection in a thread: handle(socket)."""
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def echo(peer):
    while data := peer.recv(65536):
        peer.sendall(data)


def read_all(peer):
    parts = []
    while data := peer.recv(65536):
        parts.append(data)
    return b"".join(parts)


def connected(front, **options):
    return asyncssh.connect("127.0.0.1", front.port, username=front.user.pw_name, known_hosts=None, agent_path=None,
                            config=None, client_keys=[str(front.folder / "id")], **options)


def descriptors(front):
    pids = front.workers()
    return [len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir())) for pid in pids]


def test_through_a_pipe(front):
    """ssh -W: the client's EOF reaches the server, which answers after it."""
    def upper(peer):
        data = read_all(peer)
        peer.sendall(data.upper())

    with serving(upper) as port:
        done = front(None, "-W", f"127.0.0.1:{port}", stdin=b"hello")
    assert (done.returncode, done.stdout) == (0, b"HELLO")


def test_the_server_speaks_last_and_first(front):
    """The server's EOF ends only its own direction: what the client sends afterwards still arrives."""
    heard = []

    def half(peer):
        peer.sendall(b"greeting")
        peer.shutdown(socket.SHUT_WR)
        heard.append(read_all(peer))

    async def run(port):
        async with connected(front) as connection:
            reader, writer = await connection.open_connection("127.0.0.1", port)
            assert await reader.read() == b"greeting"
            writer.write(b"after your end")
            writer.write_eof()
            await asyncio.wait_for(asyncio.get_event_loop().run_in_executor(
                None, lambda: wait_until(lambda: heard, what="the client's bytes")), 20 * SLOW)

    with serving(half) as port:
        asyncio.run(run(port))
    assert heard == [b"after your end"]


def test_much_both_ways_at_once(front):
    data = os.urandom(24 * MB)
    with serving(echo) as port:
        client = front.popen(None, "-W", f"127.0.0.1:{port}")
        out, err = client.communicate(data, timeout=120 * SLOW)
    assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest(), err


def test_a_slow_reader_holds_up_its_own_channel_only(front):
    """Back-pressure: while nobody reads, the server cannot write for ever, and a command beside it runs."""
    sent = []

    def flood(peer):
        peer.settimeout(2)
        chunk = bytes(65536)
        with contextlib.suppress(TimeoutError):
            for _ in range(4096):
                peer.sendall(chunk)
                sent.append(len(chunk))

    async def run(port):
        async with connected(front) as connection:
            session = Stalled()
            channel, _ = await connection.create_connection(lambda: session, "127.0.0.1", port)
            channel.pause_reading()
            last = -1
            while last != len(sent) or not sent:
                last = len(sent)
                assert (await connection.run("echo on")).stdout == "on\n"
                await asyncio.sleep(0.5)
            stalled_at = sum(sent)
            channel.abort()
            return stalled_at

    class Stalled(asyncssh.SSHTCPSession):
        pass

    with serving(flood) as port:
        stalled_at = asyncio.run(run(port))
    assert 0 < stalled_at < 64 * MB


@pytest.mark.parametrize("where, why", [
    (("127.0.0.1", 9), "only loopback, and not port 9"),
    (("example.org", 80), "only loopback"),
])
def test_refusal_has_its_reason(front, where, why):
    """libssh's refusal has no text of its own: it goes before, as a message that `ssh -v` shows."""
    client = front.popen(None, "-W", f"{where[0]}:{where[1]}", "-o", "LogLevel=DEBUG1")
    _, err = client.communicate(timeout=20 * SLOW)
    assert client.returncode == 255 and b"administratively prohibited" in err
    assert f"creel: forwarding refused: {why}".encode() in err


def test_nobody_listens(front):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = front.popen(None, "-W", f"127.0.0.1:{free.getsockname()[1]}", "-o", "LogLevel=DEBUG1")
        _, err = client.communicate(timeout=20 * SLOW)
    assert client.returncode == 255 and b"Connection refused" in err


def test_other_kinds_are_refused_with_the_reason(front):
    async def run():
        async with connected(front) as connection:
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_unix_connection("/tmp/no-socket")
            with pytest.raises(asyncssh.ChannelListenError):
                await connection.forward_remote_port("", 0, "localhost", 1)
            with pytest.raises(asyncssh.ChannelListenError):
                await connection.forward_remote_path("/tmp/no-socket", "/tmp/none")
            return (await connection.run("echo on")).stdout

    assert asyncio.run(run()) == "on\n"
    done = front("echo on", "-R", "0:127.0.0.1:1", "-o", "LogLevel=DEBUG1", "-o", "ExitOnForwardFailure=no")
    assert done.stdout == b"on\n" and b"creel: remote forwarding is not possible here" in done.stderr


def test_a_broken_server_ends_the_channel(front):
    """A reset, also when the server's direction had ended before: the client learns of it, nothing stays."""
    def reset(peer):
        peer.recv(1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def run(port):
        async with connected(front) as connection:
            reader, writer = await connection.open_connection("127.0.0.1", port)
            writer.write(b"x")
            assert await reader.read() == b""
            with contextlib.suppress(BrokenPipeError):  # the channel may have been closed by now
                writer.write(b"nobody hears this")
            await asyncio.wait_for(writer.channel.wait_closed(), 20 * SLOW)
            return (await connection.run("echo on")).stdout

    with serving(reset) as port:
        assert asyncio.run(run(port)) == "on\n"


def test_the_client_vanishes(front):
    """The server at the other end sees its connection end."""
    ended = threading.Event()

    def wait(peer):
        peer.sendall(b"here")
        with contextlib.suppress(OSError):
            read_all(peer)
        ended.set()

    with serving(wait) as port:
        client = front.popen(None, "-W", f"127.0.0.1:{port}")
        assert client.stdout.read(4) == b"here"
        client.kill()
        client.wait()
        assert ended.wait(20 * SLOW)


def test_many_leave_nothing(front):
    """1000 opened and closed on one connection: no descriptor more than before."""
    async def once(connection, port):
        reader, writer = await connection.open_connection("127.0.0.1", port)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()
        await writer.wait_closed()

    async def run(port):
        async with connected(front) as connection:
            await once(connection, port)
            before = descriptors(front)
            for _ in range(50):
                await asyncio.gather(*(once(connection, port) for _ in range(20)))
            wait_until(lambda: descriptors(front) == before, what=f"descriptors as before: {before}")

    with serving(echo) as port:
        asyncio.run(run(port))


def test_not_more_channels_than_allowed(front):
    """A connection has 64 channels, of whatever kind; the one too many is refused, and one may be opened when one ended."""
    async def run(port):
        async with connected(front) as connection:
            held = [await connection.open_connection("127.0.0.1", port) for _ in range(64)]
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_connection("127.0.0.1", port)
            held[0][1].close()
            await held[0][1].wait_closed()
            assert (await connection.run("echo on")).stdout == "on\n"
            for _, writer in held[1:]:
                writer.close()

    with serving(echo) as port:
        asyncio.run(run(port))


@contextlib.contextmanager
def full():
    """A listener that never accepts and whose queue is full: who connects waits."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        while True:
            client = stack.enter_context(socket.socket())
            client.settimeout(0.3)
            try:
                client.connect(listener.getsockname())
            except TimeoutError:
                break
        yield listener.getsockname()[1]


def test_a_full_listener_holds_up_nobody_else(front):
    """While its connection is being made the other channels' bytes flow, and other places are reached."""
    order = []

    async def run(stuck, port):
        async def reach_stuck():
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_connection("127.0.0.1", stuck)
            order.append("refused")

        async with connected(front) as connection:
            cat = await connection.create_process("cat")
            task = asyncio.create_task(reach_stuck())
            for i in range(20):
                cat.stdin.write(f"line {i}\n")
                assert await cat.stdout.readline() == f"line {i}\n"
            reader, writer = await connection.open_connection("127.0.0.1", port)
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"
            writer.close()
            assert (await connection.run("echo on")).stdout == "on\n"
            order.append("others")
            await task
            cat.stdin.write_eof()
            await cat.wait()

    with full() as stuck, serving(echo) as port:
        asyncio.run(run(stuck, port))
    assert order == ["others", "refused"]


def test_more_than_are_connected_at_a_time_take_turns(front):
    """The keeper makes 16 at a time; the others wait, and each gets its answer."""
    async def run(stuck):
        async with connected(front) as connection:
            answers = await asyncio.gather(*(connection.open_connection("127.0.0.1", stuck) for _ in range(20)),
                                           return_exceptions=True)
            assert all(isinstance(answer, asyncssh.ChannelOpenError) for answer in answers)
            return (await connection.run("echo on")).stdout

    with full() as stuck:
        assert asyncio.run(run(stuck)) == "on\n"


def test_those_that_wait_count_as_channels(front):
    """64 in all; the one too many is refused at once, with the reason, and a client that goes leaves nothing."""
    async def run(stuck):
        async with connected(front) as connection:
            waiting = [asyncio.create_task(connection.open_connection("127.0.0.1", stuck)) for _ in range(64)]
            await asyncio.sleep(0)  # they are sent in this order
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_connection("127.0.0.1", stuck)
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_process("true")
            assert not all(task.done() for task in waiting), "they wait still"
            connection.abort()
            await asyncio.gather(*waiting, return_exceptions=True)

    with full() as stuck:
        asyncio.run(run(stuck))
        wait_until(lambda: not front.workers(), what="the worker ends")


def test_the_keeper_goes_away(fresh):
    """What is connected stays connected; what is asked for meanwhile is refused with the reason."""
    async def run(port):
        async with connected(fresh) as connection:
            reader, writer = await connection.open_connection("127.0.0.1", port)
            fresh.keeper.kill()
            fresh.keeper.wait()
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_connection("127.0.0.1", port)
            writer.write(b"still")
            assert await reader.readexactly(5) == b"still"
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()

    with serving(echo) as port:
        asyncio.run(run(port))
    wait_until(lambda: not fresh.workers(), what="the worker ends")
