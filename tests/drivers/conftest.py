# SPDX-License-Identifier: MIT
"""The keeper's part of a session, for drivers that run here: descriptor 3, three streams, and time limits that only end tests."""
import collections
import fcntl
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: E402, F401

DRIVERS = ROOT / "shell" / "drivers"
TIMEOUT = 60.0
FIGURES, ECHO = 1, 2

Done = collections.namedtuple("Done", "status value error out err")


class Session:
    def __init__(self, argv, cwd, environment):
        ours, theirs = socket.socketpair()
        arguments = ["/bin/bash", "-c", f'exec "$@" 3<&{theirs.fileno()} {theirs.fileno()}<&-', "bash", *argv]
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        pass_fds=[theirs.fileno()], start_new_session=True, cwd=cwd, env=environment)
        theirs.close()
        self.channel = ours
        self.buffer = b""
        self.interrupts = 0
        self.streams = {self.process.stdout.fileno(): [], self.process.stderr.fileno(): []}
        kind, payload = self.frame()
        assert (kind, payload) == (b"H", b""), (kind, payload)

    def pump(self, end, stop):
        """Reads streams and channel until `stop()`, or until the channel is at its end."""
        while not stop():
            left = end - time.monotonic()
            assert left > 0, f"nothing came; streams so far: {self.streams}"
            ready, _, _ = select.select([self.channel, *self.streams], [], [], left)
            for fd in ready:
                if fd is self.channel:
                    data = self.channel.recv(65536)
                    self.buffer += data
                    if not data:
                        return False
                else:
                    data = os.read(fd, 65536)
                    self.streams[fd].append(data)
                    if not data:
                        self.streams = {other: parts for other, parts in self.streams.items() if other != fd}
        return True

    def complete(self):
        return len(self.buffer) >= 5 and len(self.buffer) >= 5 + struct.unpack(">I", self.buffer[1:5])[0]

    def frame(self, timeout=TIMEOUT):
        if not self.pump(time.monotonic() + timeout, self.complete):
            return None, b""
        n = 5 + struct.unpack(">I", self.buffer[1:5])[0]
        frame, self.buffer = self.buffer[:n], self.buffer[n:]
        return frame[:1], frame[5:]

    def begin(self, code, flags=ECHO, label="<run>"):
        if isinstance(code, str):
            code = code.encode()
        payload = bytes([flags | self.interrupts % 64 << 2]) + label.encode() + b"\0" + code
        data = b"R" + struct.pack(">I", len(payload)) + payload
        for parts in self.streams.values():
            parts.clear()
        self.channel.sendall(data)

    def begin_slowly(self, code, label="<run>"):
        """An interrupt comes while it reads the call, and none of the code has begun."""
        payload = bytes([ECHO | self.interrupts % 64 << 2]) + label.encode() + b"\0" + code.encode()
        data = b"R" + struct.pack(">I", len(payload)) + payload
        self.channel.sendall(data[:-1])
        end = time.monotonic() + TIMEOUT
        while struct.unpack("i", fcntl.ioctl(self.channel, termios.TIOCOUTQ, bytes(4)))[0]:
            assert time.monotonic() < end
            time.sleep(0.001)
        self.interrupt()
        time.sleep(0.1)  # nothing tells that a signal was taken
        self.channel.sendall(data[-1:])

    def drain(self):
        """What was written before D is in the pipes."""
        texts = []
        for pipe in (self.process.stdout, self.process.stderr):
            parts = self.streams.get(pipe.fileno(), [])
            while pipe.fileno() in self.streams and select.select([pipe], [], [], 0)[0]:
                data = os.read(pipe.fileno(), 65536)
                if not data:
                    break
                parts.append(data)
            texts.append(b"".join(parts).decode(errors="replace"))
        return texts

    def finish(self):
        kind, payload = self.frame()
        if kind is None:
            return None
        assert kind == b"D" and len(payload) >= 2 and len(payload) <= 4096 + 2, (kind, payload)
        out, err = self.drain()
        return Done(payload[:1].decode(), payload[1], payload[2:].decode(errors="replace"), out, err)

    def __call__(self, code, flags=ECHO, label="<run>"):
        self.begin(code, flags, label)
        return self.finish()

    def wait_for(self, text):
        """Until it wrote that, which it does while it runs."""
        def seen():
            return text in b"".join(b"".join(parts) for parts in self.streams.values()).decode(errors="replace")
        self.pump(time.monotonic() + TIMEOUT, seen)

    def interrupt(self):
        self.interrupts += 1
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self):
        self.process.stdout.close()
        self.process.stderr.close()
        self.streams = {}
        return self.process.wait(TIMEOUT)

    def close(self):
        self.channel.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def sessions(tmp_path):
    made = []

    def make(*argv, **environment):
        # the environment of a login, not of whoever tests
        base = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "MPLBACKEND": "Agg",
                "CREEL_OUTPUT": str(tmp_path / "output")}
        made.append(Session([str(word) for word in argv], tmp_path, {**base, **environment}))
        return made[-1]

    yield make
    for session in made:
        session.close()
