# SPDX-License-Identifier: MIT
"""creel-sshd on a loopback port of this machine, with a fake keeper and the real OpenSSH client; no VM.

Started as root, server and keeper run as `nobody`; else as the user who runs the tests. Nothing outside of a temporary
folder is touched.
"""

import os
import pathlib
import pwd
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
# a sanitizer is several times slower, and counts nothing that a time limit could be set for
SLOW = 5 if "asan" in BUILD.name else 1


def wait_until(condition, timeout=10.0, what=""):
    end = time.monotonic() + timeout * SLOW
    while True:
        seen = condition()
        if seen:
            return seen
        assert time.monotonic() < end, f"not within {timeout} s: {what}; last seen {seen!r}"
        time.sleep(0.02)


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


class Front:
    """A server and its keeper. `log` is what the server and the keeper wrote."""

    def __init__(self, folder, *options):
        self.folder = pathlib.Path(folder)
        self.options = options
        root = os.getuid() == 0
        self.user = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.getuid())
        self.identity = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if root else {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        for name, kind in (("host", "ed25519"), ("id", "ed25519"), ("id_ecdsa", "ecdsa"), ("id_rsa", "rsa"), ("id_bad", "ed25519")):
            self.keygen(name, "-t", kind)
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
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(self.folder / name), *options], check=True)

    @property
    def log(self):
        return self.log_path.read_text()

    @property
    def refusals(self):
        return [line for line in self.log.splitlines() if line.startswith("creel-sshd: refused")]

    def launch(self, *argv):
        with self.log_path.open("a") as log:
            return subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    cwd="/", env={**os.environ, "CREEL_DEBUG": "1"}, **self.identity)

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

    def stop(self):
        for process in (self.server, self.keeper):
            if process.poll() is None:
                process.terminate()
            process.wait(10)

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
                              timeout=timeout * SLOW)

    def popen(self, command=None, *options, **how):
        return subprocess.Popen(self.argv(command, *options, **how), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def own(self):
        """The server's processes: pid -> name, without the listener."""
        mine, all_of_them = {self.server.pid}, processes(self.user.pw_uid)
        for _ in range(3):
            mine |= {pid for pid, (parent, _) in all_of_them.items() if parent in mine}
        return {pid: all_of_them[pid][1] for pid in mine if pid in all_of_them and pid != self.server.pid}

    def workers(self):
        """Those that have a connection."""
        return sorted(pid for pid, name in self.own().items() if name not in ("creel-monitor", "creel-spare"))


@pytest.fixture(scope="module")
def front(request):
    folder = tempfile.mkdtemp(prefix="creel-front-", dir="/tmp")
    os.chmod(folder, 0o755)
    front = Front(folder, *getattr(request.module, "OPTIONS", ()))
    yield front
    front.stop()
    crashed = re.findall(r".*(?:CRASHED|broke the rules|Sanitizer|runtime error).*", front.log)
    shutil.rmtree(folder)
    assert not crashed, crashed


@pytest.fixture(autouse=True)
def nothing_left(front):
    """No worker and no command lives on after a test."""
    yield
    wait_until(lambda: not front.workers(), what=f"workers end; {front.log[-2000:]}")


@pytest.fixture
def fresh(request):
    """A server of the test's own."""
    folder = tempfile.mkdtemp(prefix="creel-front-", dir="/tmp")
    os.chmod(folder, 0o755)
    front = Front(folder, *getattr(request, "param", ()))
    yield front
    front.stop()
    shutil.rmtree(folder)


def pause_children(pid, stop):
    os.kill(pid, signal.SIGSTOP if stop else signal.SIGCONT)
