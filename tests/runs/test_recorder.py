# SPDX-License-Identifier: MIT
"""creel-recorder between two terminals of this machine: bytes, sizes, ends, and a reader that does not read."""

import fcntl
import json
import os
import pathlib
import pty
import select
import struct
import subprocess
import termios
import time
import tty

import pytest

BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
ROOM = 1 << 20


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def size_of(fd):
    return struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))[:2]


class Recorded:
    """`front`: what the front has; `terminal`: what a program has."""

    def __init__(self, path, room=ROOM):
        self.path = path
        master, self.terminal = pty.openpty()
        self.front, inner = pty.openpty()
        tty.setraw(inner)
        set_size(master, 24, 80)
        set_size(self.front, 24, 80)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        start = "exec \"$0\" \"$@\" 3>&%d" % file
        self.process = subprocess.Popen(["bash", "-c", start, BUILD / "creel-recorder", str(room), "xterm", "/bin/sh", "a title"],
                                        stdin=master, stdout=inner, pass_fds=[file])
        for fd in (master, inner, file):
            os.close(fd)

    def read(self, until):
        seen, end = b"", time.monotonic() + 30
        while until not in seen:
            assert select.select([self.front], [], [], max(0, end - time.monotonic()))[0], seen[-200:]
            seen += os.read(self.front, 65536)
        return seen

    def read_to_end(self):
        seen = b""
        try:
            while data := os.read(self.front, 65536):
                seen += data
        except OSError:
            pass
        return seen

    def cast(self):
        assert self.process.wait(30) == 0
        header, *events = map(json.loads, self.path.read_text().splitlines())
        return header, events


@pytest.fixture
def recorded(tmp_path):
    made = Recorded(tmp_path / "cast")
    yield made
    made.process.kill()
    made.process.wait()


def text(events):
    return "".join(data for _, kind, data in events if kind == "o")


def test_both_ways_sizes_and_the_end_of_the_terminal(recorded):
    os.write(recorded.terminal, b"hello\n")
    assert recorded.read(b"hello\r\n") == b"hello\r\n"
    os.write(recorded.front, b"typed\r")
    assert os.read(recorded.terminal, 100) == b"typed\n"
    recorded.read(b"typed\r\n")
    set_size(recorded.front, 33, 99)
    end = time.monotonic() + 30
    while size_of(recorded.terminal) != (33, 99) and time.monotonic() < end:
        time.sleep(0.01)
    assert size_of(recorded.terminal) == (33, 99)
    os.write(recorded.terminal, b"last words\n")
    os.close(recorded.terminal)
    assert recorded.read_to_end() == b"last words\r\n"
    header, events = recorded.cast()
    assert (header["width"], header["height"], header["title"]) == (80, 24, "a title")
    assert text(events) == "hello\r\ntyped\r\nlast words\r\n" and [d for _, k, d in events if k == "r"] == ["99x33"]


def test_the_front_goes(recorded):
    os.write(recorded.terminal, b"x")
    recorded.read(b"x")
    os.close(recorded.front)
    recorded.front = os.open("/dev/null", os.O_RDWR)
    _, events = recorded.cast()
    assert text(events) == "x"
    # and the program's terminal is hung up
    assert os.read(recorded.terminal, 1) == b""


def test_a_front_that_does_not_read_holds_the_terminal_back(recorded):
    os.set_blocking(recorded.terminal, False)
    written, quiet = 0, 0
    while quiet < 20 and written < 10 << 20:
        try:
            written += os.write(recorded.terminal, b"y" * 4096)
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.05)
    assert written < 1 << 20
    os.set_blocking(recorded.terminal, True)
    os.close(recorded.terminal)
    assert len(recorded.read_to_end()) == written
    assert len(text(recorded.cast()[1])) == written


def test_its_room(tmp_path):
    recorded = Recorded(tmp_path / "cast", 65536)
    writer = subprocess.Popen(["seq", "40000"], stdout=recorded.terminal)
    os.close(recorded.terminal)
    seen = recorded.read_to_end()
    assert writer.wait() == 0 and seen.endswith(b"\n40000\r\n")
    _, events = recorded.cast()
    assert events[-1][1] == "m" and "no more room" in events[-1][2] and recorded.path.stat().st_size <= 65536
