# SPDX-License-Identifier: MIT
"""creel's commands about runs beside a fake keeper (fake-runs.c), which executes them without any confinement; no VM.

The keeper's socket has one path for each user. So that tests run beside each other, and beside a keeper of the machine's own,
this process and its children see a /run/creel of their own; that takes root.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import resource
import select
import shutil
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: E402, F401

BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
CREEL = BUILD / "creel"
FAKE = BUILD / "tests" / "fake-runs"
SOCKETS = pathlib.Path("/run/creel")
PATIENCE = 60  # seconds, for what takes none on a machine that is not busy

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def own_sockets():
    """Why it cannot be done, or None."""
    if os.geteuid() != 0:
        return "it takes root"
    SOCKETS.mkdir(exist_ok=True)
    if (
        libc.unshare(CLONE_NEWNS)
        or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
        or libc.mount(b"creel", bytes(SOCKETS), b"tmpfs", 0, None)
    ):
        return f"no mount namespace: {os.strerror(ctypes.get_errno())}"
    (SOCKETS / str(os.getuid())).mkdir()
    if os.path.isdir("/run/user"):  # nor is there a user manager of the machine's own
        libc.mount(b"creel", b"/run/user", b"tmpfs", 0, None)
    return None


WHY_NOT = own_sockets()


@contextlib.contextmanager
def agents_of_our_own(folder):
    """The agent zed, the user may who is none, and an empty /etc/creel, of this process's mount namespace. `folder`: for files."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    etc = pathlib.Path("/etc/creel")
    with contextlib.ExitStack() as stack:
        def mount(*words):
            subprocess.run(["mount", *map(str, words)], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", str(words[-1])], check=True)
        home = SOCKETS / "zed"
        home.mkdir()
        os.chown(home, 1990, 1990)
        stack.callback(shutil.rmtree, home)
        users = (folder / "passwd", f"zed:x:1990:1990::{home}:/bin/sh\nmay:x:1991:1991::/tmp:/bin/sh\n")
        groups = (folder / "group", "zed:x:1990:\nmay:x:1991:\ncreel-agents:x:2990:zed\n")
        for path, more in (users, groups):
            path.write_text(pathlib.Path("/etc", path.name).read_text() + more)
            mount("--bind", path, f"/etc/{path.name}")
        etc.mkdir(exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=755", "creel", etc)
        (etc / "agents").mkdir()
        yield

# as the unit has it; a login has less
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, most), most))


@pytest.fixture(autouse=True)
def needs_own_sockets():
    if WHY_NOT:
        pytest.skip(WHY_NOT)


def wait_until(condition, what=""):
    end = time.monotonic() + PATIENCE
    while True:
        seen = condition()
        if seen:
            return seen
        assert time.monotonic() < end, f"not within {PATIENCE} s: {what}; last seen {seen!r}"
        time.sleep(0.02)


class Lines:
    """A program that speaks JSON, an object a line."""

    def __init__(self, *command, program=CREEL, **how):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen([program, *command], **pipes, **how)
        self.rest = b""

    def send_bytes(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, **message):
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def line(self):
        """The next line, or None at the end."""
        end = time.monotonic() + PATIENCE
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.process.stdout], [], [], left)[0], "no line came"
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                assert not self.rest, f"half a line: {self.rest[:200]!r}"
                return None
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def receive(self):
        line = self.line()
        return None if line is None else json.loads(line)

    def call(self, **message):
        """Sends, and returns what comes next."""
        self.send(**message)
        return self.receive()

    def close(self):
        self.process.stdin.close()

    def wait(self):
        return self.process.wait(PATIENCE)

    def end(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass


class Agent:
    """A home, and a keeper that is running."""

    def __init__(self, home):
        self.home = home
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        (home / "workspace" / "output").mkdir(parents=True)
        self.socket = SOCKETS / str(os.getuid()) / "keeper.sock"
        self.keeper = None
        self.programs = []
        self.start_keeper()

    def start_keeper(self):
        self.socket.unlink(missing_ok=True)
        self.keeper = subprocess.Popen([FAKE], env=self.env, cwd=self.home / "workspace")
        wait_until(self.socket.exists, "the fake keeper's socket")

    def stop_keeper(self):
        self.keeper.terminate()
        self.keeper.wait(PATIENCE)
        self.socket.unlink(missing_ok=True)

    def creel(self, *words, input=b"", **more):
        """Runs creel to its end."""
        data = input.encode() if isinstance(input, str) else input
        return subprocess.run(
            [CREEL, *words], input=data, capture_output=True, timeout=PATIENCE, env=self.env, cwd=self.home, **more
        )

    def start(self, *words, **more):
        program = subprocess.Popen([CREEL, *words], env=self.env, cwd=self.home, **more)
        self.programs.append(program)
        return program

    def lines(self, *words):
        program = Lines(*words, env=self.env)
        self.programs.append(program)
        return program

    def descendants(self):
        """Command lines of what the keeper started."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                text = path.read_text()
                if f"PPid:\t{self.keeper.pid}\n" in text and "State:\tZ" not in text:
                    found.append((path.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def end(self):
        for program in self.programs:
            if isinstance(program, Lines):
                program.end()
            else:
                program.kill()
                program.wait(PATIENCE)
        self.stop_keeper()


@pytest.fixture
def agent(tmp_path):
    one = Agent(tmp_path)
    yield one
    one.end()
