# SPDX-License-Identifier: MIT
"""A login at a console, as getty does it: outside of any session, on a terminal of its own."""

import shlex

from harness import python

# What is typed there reads and writes two FIFOs, so that what the terminal shows is not taken for a program's output.
LOGIN = """
import os, pty, select, shutil, sys, tempfile
folder = tempfile.mkdtemp(prefix="console-", dir="/tmp")
os.chmod(folder, 0o711)
for name in ("in", "out"):
    os.mkfifo(f"{folder}/{name}")
    os.chmod(f"{folder}/{name}", 0o666)
to = os.open(f"{folder}/in", os.O_RDWR)
back = os.open(f"{folder}/out", os.O_RDONLY | os.O_NONBLOCK)
pid, terminal = pty.fork()
if pid == 0:
    os.execv("/bin/login", ["login", "-f", "agent"])

def some(fd):
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""

seen = b""
while b"$ " not in seen:
    data = some(terminal)
    if not data:
        shutil.rmtree(folder)
        sys.exit(f"no prompt: {seen}")
    seen += data
os.write(terminal, f"bash -c {sys.argv[1]} <{folder}/in >{folder}/out 2>&1; exit\\r".encode())

watched = {0, terminal, back}
while terminal in watched:
    for fd in select.select(watched, [], [])[0]:
        data = some(fd)
        if fd == 0 and data:
            os.write(to, data)
        elif fd == back and data:
            os.write(1, data)
        elif not data and fd != back:
            watched.remove(fd)
while data := some(back):
    os.write(1, data)
shutil.rmtree(folder)
os.waitpid(pid, 0)
"""


def at_console(command):
    """For root: a command that logs the agent in at a console and runs this there."""
    return f"systemd-run --quiet --wait --pipe --collect --slice=system.slice {python(LOGIN, shlex.quote(command))}"
