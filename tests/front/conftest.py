# SPDX-License-Identifier: MIT
"""creel-sshd on a loopback port of this machine, with a fake keeper and the real OpenSSH client; no VM.

Started as root, server and keeper run as `nobody`; else as the user who runs the tests. Nothing outside of a temporary
folder is touched.

Runs may go on beside each other: all that a front starts (keeper, its commands and theirs, clients) inherits a variable
of the front's own, and only by that it is found; nothing of it outlives the front.
"""

import atexit
import contextlib
import ctypes
import functools
import itertools
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: E402, F401

BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
# a sanitizer is slower, and counts nothing that a time limit could be set for
SLOW = 2 if "asan" in BUILD.name else 1
MARK = "CREEL_TEST_RUN"  # fake-keeper hands it on
ESTABLISHED, LISTEN = "01", "0A"  # in /proc/net/tcp
COMPLAINTS = r".*(?:Sanitizer|runtime error).*"
numbers = itertools.count(1)
libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def wait_until(condition, timeout=10.0, what=""):
    end = time.monotonic() + timeout * SLOW
    while True:
        seen = condition()
        if seen:
            return seen
        assert time.monotonic() < end, f"not within {timeout} s: {what}; last seen {seen!r}"
        time.sleep(0.02)


def descriptors(pid):
    """What a process holds: number -> target; without what it closed meanwhile."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
    return found


def processes(uid):
    """pid -> (parent, name) of the processes of a user."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if entry.stat().st_uid not in (uid, 0):
                continue
            status = (entry / "status").read_text()
        except OSError:
            continue
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        if int(fields["Uid"].split()[0]) == uid and not fields["State"].startswith("Z"):
            found[int(entry.name)] = (int(fields["PPid"]), fields["Name"])
    return found


def end_with_the_tests():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port():
    """One that the kernel does not give to connections (ip_local_port_range), so that nobody takes it between two starts."""
    while True:
        port = random.SystemRandom().randrange(10000, 32768)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def keygen(path, *options):
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(path), *options], check=True)


@functools.cache
def key_folder():
    folder = tempfile.mkdtemp(prefix="creel-front-keys-", dir="/tmp")
    atexit.register(shutil.rmtree, folder)
    return pathlib.Path(folder)


@functools.cache
def made_key(name, kind):
    """Both halves; made once a run, because an RSA key takes seconds."""
    keygen(key_folder() / name, "-t", kind)
    return key_folder() / name, key_folder() / f"{name}.pub"


class Front:
    """A server and its keeper. `log` is what the server and the keeper wrote."""

    def __init__(self, folder, *options):
        self.folder = pathlib.Path(folder)
        self.options = options
        self.mark = f"{os.getpid()}-{next(numbers)}"
        self.environment = {**os.environ, "CREEL_DEBUG": "1", MARK: self.mark}
        self.clients = []
        root = os.getuid() == 0
        self.user = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.getuid())
        self.identity = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if root else {}
        self.port = free_port()
        for name, kind in (("host", "ed25519"), ("id", "ed25519"), ("id_ecdsa", "ecdsa"), ("id_rsa", "rsa"), ("id_bad", "ed25519")):
            for path in made_key(name, kind):
                shutil.copy(path, self.folder)
        keys = self.folder / "keys"
        keys.write_text("".join((self.folder / f"{name}.pub").read_text() for name in ("id", "id_ecdsa", "id_rsa")))
        self.keepers = self.folder / "keepers"
        (self.keepers / str(self.user.pw_uid)).mkdir(parents=True)
        if root:
            for path in (self.folder, self.keepers, self.keepers / str(self.user.pw_uid), keys, self.folder / "host"):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        # where the user whom they run as can reach them, wherever the build folder is
        self.programs = {}
        for program in (BUILD / "creel-sshd", BUILD / "tests/fake-keeper"):
            self.programs[program.name] = shutil.copy2(program, self.folder / program.name)
        self.log_path = self.folder / "log"
        self.log_path.touch()
        self.start_keeper()
        self.start()

    def keygen(self, name, *options):
        keygen(self.folder / name, *options)

    @property
    def log(self):
        return self.log_path.read_text()

    @property
    def refusals(self):
        return [line for line in self.log.splitlines() if line.startswith("creel-sshd: refused")]

    def launch(self, *argv):
        with self.log_path.open("a") as log:
            return subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    cwd="/", env=self.environment, preexec_fn=end_with_the_tests, **self.identity)

    def start_keeper(self):
        path = self.keepers / str(self.user.pw_uid) / "keeper.sock"
        self.keeper = self.launch(self.programs["fake-keeper"], path, self.folder / "keys")
        wait_until(path.exists, what="keeper")

    def start(self):
        said = self.log.count("creel-sshd: serving")
        self.server = self.launch(self.programs["creel-sshd"], "-k", self.folder / "host", "-K", self.keepers, "-l", self.port,
                                  *self.options)
        wait_until(lambda: self.log.count("creel-sshd: serving") > said or self.server.poll() is not None,
                   what=f"server: {self.log}")

    def started(self):
        """What this front and its clients started and what still lives of it: pid -> (name, command line)."""
        needle, found = b"\0%s=%s\0" % (MARK.encode(), self.mark.encode()), {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if needle in b"\0" + (entry / "environ").read_bytes():
                    found[int(entry.name)] = ((entry / "comm").read_text().strip(),
                                              (entry / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode())
            except OSError:
                continue  # gone, or (without root) a process of the server's, which is not dumpable
        return found

    def runs(self, command):
        return [pid for pid, (_, line) in self.started().items() if line == command]

    @staticmethod
    def nap():
        """A command that does not end by itself and is like no other."""
        return f"sleep 600.{next(numbers):06}"

    def sweep(self):
        """Ends clients and commands, as a test that failed leaves them; server and keeper go on."""
        for client in self.clients:
            if client.poll() is None:
                client.kill()
            client.wait()
        self.clients = []

        def rest():
            pids = [pid for pid, (name, _) in self.started().items()
                    if not name.startswith("creel-") and pid not in (self.keeper.pid, self.server.pid)]
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return pids

        wait_until(lambda: not rest(), what="commands end")

    def stop(self):
        """Ends all of it. Whoever does not end by itself when the clients have gone is a fault."""
        self.sweep()
        own = self.own()
        for process in (self.server, self.keeper):
            process.terminate()
            process.send_signal(signal.SIGCONT)

        def left():
            return sorted(pid for pid in {*self.started(), *own} if pid in processes(self.user.pw_uid))

        try:
            for process in (self.server, self.keeper):
                process.wait(10 * SLOW)
            wait_until(lambda: not left(), what="workers and monitor end")
        finally:
            for pid in left():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        complaints = re.findall(COMPLAINTS, self.log)
        assert not complaints, complaints

    def argv(self, command=None, *options, user=None, key="id", program="ssh"):
        # the first of two settings wins
        argv = [program, "-F", "none", *options, "-o", f"UserKnownHostsFile={self.folder}/known", "-o", "BatchMode=yes",
                "-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR",
                "-i", str(self.folder / key), "-o", f"Port={self.port}"]
        if program == "ssh":
            argv += [f"{user or self.user.pw_name}@127.0.0.1"] + ([command] if command is not None else [])
        return argv

    def __call__(self, command=None, *options, stdin=b"", timeout=60, **how):
        return subprocess.run(self.argv(command, *options, **how), input=stdin, capture_output=True, check=False,
                              timeout=timeout * SLOW, env=self.environment)

    def popen(self, command=None, *options, **how):
        client = subprocess.Popen(self.argv(command, *options, **how), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=self.environment)
        self.clients.append(client)
        return client

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def own(self):
        """The server's processes: pid -> name, without the listener."""
        mine, all_of_them = {self.server.pid}, processes(self.user.pw_uid)
        for _ in range(3):
            mine |= {pid for pid, (parent, _) in all_of_them.items() if parent in mine}
        return {pid: all_of_them[pid][1] for pid in mine if pid in all_of_them and pid != self.server.pid}

    def workers(self):
        """Those that have a connection, and for a moment the next one, that was forked and has not its name yet."""
        return sorted(pid for pid, name in self.own().items() if name not in ("creel-monitor", "creel-spare"))

    def worker(self):
        """The one that has a connection, when there is one connection."""
        def found():
            workers = self.workers()
            return workers if len(workers) == 1 else None

        return wait_until(found, what="one worker")[0]

    def sockets(self):
        """Of the server's port, proc(5): the state, and how much waits in it: bytes, or with LISTEN connections."""
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return [(row[3], int(row[4].split(":")[1], 16)) for row in rows if row[1].endswith(f":{self.port:04X}")]


@pytest.fixture(scope="module")
def front(request):
    folder = tempfile.mkdtemp(prefix="creel-front-", dir="/tmp")
    os.chmod(folder, 0o755)
    front = Front(folder, *getattr(request.module, "OPTIONS", ()))
    yield front
    front.stop()
    crashed = re.findall(r".*(?:CRASHED|broke the rules).*", front.log)
    shutil.rmtree(folder)
    assert not crashed, crashed


@pytest.fixture(autouse=True)
def nothing_left(front):
    """No worker lives on when the clients have gone, and no command after a test."""
    yield
    front.sweep()
    wait_until(lambda: not front.workers(), what=f"workers end; {front.log[-2000:]}")


@pytest.fixture
def fresh(request):
    """A server of the test's own, for what would spoil the module's: it ends, or its lines about refusals are used up."""
    folder = tempfile.mkdtemp(prefix="creel-front-", dir="/tmp")
    os.chmod(folder, 0o755)
    front = Front(folder, *getattr(request, "param", getattr(request.module, "OPTIONS", ())))
    yield front
    front.stop()
    shutil.rmtree(folder)


def pause_children(pid, stop):
    os.kill(pid, signal.SIGSTOP if stop else signal.SIGCONT)
