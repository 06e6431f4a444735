# SPDX-License-Identifier: MIT
"""A keeper of runs on this machine (run-keeper.c): its agent is uid 1999, its leaves lie in a cgroup tree that is mounted here."""
import ctypes
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
sys.path[:0] = [str(ROOT / "tests" / "vm" / "probes"), str(ROOT / "tests")]

import runs  # noqa: E402  the VM's own probe
from skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: E402, F401

UID = 1999
# as the unit has it; a login has less
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, most), most))
PREFIX = pathlib.Path(os.environ.get("PREFIX", "/usr"))
DRIVERS = PREFIX / "share" / "creel" / "drivers"
PROGRAMS = PREFIX / "libexec" / "creel"


def wait_until(condition, what="", timeout=60):
    """Polls until `condition()` is true and returns that value. `what` was waited for: words, or a function that says how things stand."""
    end = time.monotonic() + timeout
    while not (seen := condition()):
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.01)
    return seen


class Keeper:
    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "home"
        self.policy_file = folder / "policy"
        self.socket = folder / "keeper.sock"
        self.tree = folder / "tree"
        self.leaves = self.tree / f"creel-test-{os.getpid()}"
        self.home.mkdir()
        os.chown(self.home, UID, UID)
        self.tree.mkdir()
        if subprocess.run(["mount", "-t", "cgroup2", "none", self.tree], check=False).returncode:
            pytest.skip("no cgroup tree can be mounted here")
        self.leaves.mkdir()
        self.process = None
        self.policy()

    def policy(self, text=""):
        self.policy_file.write_text(text)

    def start(self):
        argv = [BUILD / "tests" / "run-keeper", self.socket, str(UID), self.home, self.policy_file, self.leaves]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=open(self.folder / "log", "ab"))
        assert self.process.stdout.readline() == b"ready\n", (self.folder / "log").read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        for leaf in self.left():
            os.rmdir(self.leaves / leaf)
        os.rmdir(self.leaves)
        subprocess.run(["umount", self.tree], check=True)

    def client(self):
        os.setegid(UID)
        os.seteuid(UID)
        try:
            return runs.Client(str(self.socket), UID)
        finally:
            os.seteuid(0)
            os.setegid(0)

    def left(self):
        return [entry.name for entry in self.leaves.iterdir() if entry.is_dir()]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """What the keeper finds where it is installed is this tree's: in a mount namespace of this process and its children, so that
    other trees' tests may run beside these."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid():
        pytest.skip("needs root")
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        pytest.skip(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    programs = tmp_path_factory.mktemp("libexec")
    programs.parent.chmod(0o755)
    programs.chmod(0o755)
    shutil.copy(BUILD / "creel-collect", programs)
    for source, place in ((ROOT / "shell" / "drivers", DRIVERS), (programs, PROGRAMS)):
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", source, place], check=True)


@pytest.fixture(scope="session")
def keeper(installed):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="creel-runs-", dir="/srv"))
    folder.chmod(0o755)
    keeper = Keeper(folder)
    keeper.start()
    yield keeper
    keeper.stop()
    shutil.rmtree(folder)


@pytest.fixture
def client(keeper):
    keeper.policy()
    client = keeper.client()
    yield client
    client.peer.close()
    assert keeper.process.poll() is None, "the keeper ended"
    wait_until(lambda: not keeper.left(), keeper.left)
