# SPDX-License-Identifier: MIT
"""Where things lie: the sources, the image's layers, and one folder a VM."""

import contextlib
import fcntl
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD") or "build")
BUILD = BUILD if BUILD.is_absolute() else TOP / BUILD
VM = BUILD / "vm"
IMAGE = VM / "image"
DEST = VM / "dest"  # what `make install DESTDIR=` gave
NODE = VM / "node"  # what image/node.sh gave

KEYS = {"agent": VM / "id_ed25519", "bob": VM / "id_bob", "root": VM / "id_root"}
AGENTS = ("agent", "bob")


class Failure(Exception):
    """A reason for a person: printed as one line, exit status 1."""


def say(text):
    print(text, flush=True)


def quote_tail(path, lines=15):
    """The end of a log file, for a failure's message."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


@contextlib.contextmanager
def locked(path):
    """Holds the lock file `path` exclusively; says so when it must wait for another process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  WAIT     another process holds {path}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(argv, **kwargs):
    """subprocess.run that turns a failure into a reason."""
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    try:
        done = subprocess.run([str(a) for a in argv], **kwargs)
    except FileNotFoundError as error:
        raise Failure(f"{error.filename} is missing: run `make deps`") from error
    if done.returncode:
        words = f"{done.stdout or ''}{done.stderr or ''}".strip() if kwargs.get("text") else ""
        raise Failure(f"`{' '.join(str(a) for a in argv)}` ended with status {done.returncode}"
                      + (f":\n{words}" if words else ""))
    return done


def keys_make():
    """The test logins' keys. Made once a build folder, never part of the repository."""
    VM.mkdir(parents=True, exist_ok=True)
    for name, path in KEYS.items():
        if not path.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"creel-vm-{name}", "-f", path])


def fail_unless_root():
    if os.geteuid():
        raise Failure("must run as root: the image holds files of other owners")


def main_guard(function):
    """Runs a program's main function; a Failure becomes one line."""
    try:
        return function()
    except Failure as failure:
        print(f"vm: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vm: interrupted", file=sys.stderr)
        return 130
