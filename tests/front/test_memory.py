# SPDX-License-Identifier: MIT
"""What a client can make its worker hold: bounded, whatever it sends and does not read, before login and after.

Not under a sanitizer, which has memory of its own (tests/run).
"""

import asyncio
import contextlib
import os
import pathlib
import socket

import pytest

from conftest import wait_until
from test_bad import works
from test_protocol import packet, talk

INPUT_MAX_KB = 16 << 10  # worker.h: WORKER_INPUT_MAX
FIXED_KB = 12 << 10      # its libraries, and what every connection has
OPTIONS = ("-g", "60")


def resident_kb(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("VmRSS")), 0)
    return 0


class Watched:
    """The most that a process was seen to hold, kB."""

    def __init__(self, pid):
        self.pid, self.most, self.first = pid, 0, resident_kb(pid)

    def look(self):
        self.most = max(self.most, resident_kb(self.pid))
        return self.most


def test_input_that_no_process_reads(front):
    """Each channel's window is filled: the connection as a whole holds no more than its bound, and goes on."""
    async def work(connection):
        worker = front.worker()
        watched, ended = Watched(worker), []
        processes = [await connection.create_process("sleep 600", encoding=None) for _ in range(40)]
        for process in processes:
            if process.exit_status is None:  # it may have been ended for what it held already
                process.stdin.write(bytes(3 << 20))
            watched.look()
            await asyncio.sleep(0.02)
        for _ in range(600):
            watched.look()
            ended = [process for process in processes if process.exit_status is not None]
            if len(ended) > 20:
                break
            await asyncio.sleep(0.05)
        said = await ended[0].stderr.read()
        assert ended[0].exit_status == 254 and b"more input was sent ahead" in said, said
        assert (await connection.run("echo on")).stdout == "on\n"  # the connection serves on
        assert watched.look() < 2 * INPUT_MAX_KB + FIXED_KB, watched.most
        assert any(process.exit_status is None for process in processes)  # and who held little was left alone
        # with their channels those that ended lost their processes
        wait_until(lambda: len(front.runs("sleep 600")) <= len(processes) - len(ended), what="they were hung up")
        for process in processes:
            process.close()

    talk(front, work)
    works(front)


def test_what_is_read_late_is_not_refused(front):
    """Ten slow processes at once, each with a full window: within the bound, so all of it arrives."""
    size = 1 << 20

    async def one(connection):
        process = await connection.create_process("sleep 2; wc -c", encoding=None)
        process.stdin.write(bytes(size))
        process.stdin.write_eof()
        done = await process.wait()
        return int(done.stdout)

    async def work(connection):
        assert await asyncio.gather(*[one(connection) for _ in range(10)]) == [size] * 10

    talk(front, work)


def flood(front, piece, most):
    """Sends `piece` again and again and reads nothing, until the server takes no more. The worker, and what was sent."""
    with socket.create_connection(("127.0.0.1", front.port), timeout=20) as one:
        one.sendall(b"SSH-2.0-x\r\n")
        (worker,) = wait_until(front.workers)
        watched, sent = Watched(worker), 0
        one.settimeout(2)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < most:
                sent += one.send(piece)
                watched.look()
    return watched, sent


def test_answers_that_are_not_read(front):
    """Each packet of an unknown kind is answered; libssh keeps without bound what it cannot send."""
    watched, sent = flood(front, packet(bytes([192])) * 4096, 64 << 20)
    assert 1 << 20 < sent < 64 << 20, "the server stops reading"
    assert watched.most < watched.first + (4 << 10), (watched.first, watched.most, sent)
    works(front)


HUGE, LONG = 0x3fff8, 8 << 10


@pytest.mark.parametrize("piece", [b"x" * 65536, HUGE.to_bytes(4, "big") + bytes(HUGE),
                                   packet(bytes([2]) + LONG.to_bytes(4, "big") + bytes(LONG))],
                         ids=["no-packet", "huge-packet", "ignore"])
def test_a_stranger(front, piece):
    """Before login: what comes is thrown away or ends the connection, and is not kept."""
    watched, sent = flood(front, piece, 16 << 20)
    assert watched.most < watched.first + (4 << 10), (watched.first, watched.most, sent)
    works(front)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to look into the processes")
def test_workers_go_first(front):
    """Should the front as a whole run out of memory, the kernel ends workers, the largest first, not what all need."""
    def score(pid):
        return int(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text())

    with front.connect():
        (worker,) = wait_until(front.workers)
        own = front.own()
        assert score(worker) == 500
        assert all(score(pid) == 500 for pid, name in own.items() if name == "creel-spare")
        (monitor,) = [pid for pid, name in own.items() if name == "creel-monitor"]
        assert score(monitor) == score(front.server.pid) == score(os.getpid())
