# SPDX-License-Identifier: MIT
"""A time limit for one test that works in any thread: a worker of pytest-xdist may run its tests in another than the main one.

What a test waits for is mostly a client that it started. Those are killed, so that whatever waits for them comes back,
and the test's thread is made to raise TimeoutError.
"""

import contextlib
import ctypes
import os
import pathlib
import signal
import threading


def children():
    """Pids of what this process started and has not waited for."""
    found = []
    for task in pathlib.Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            found += map(int, task.read_text().split())
    return found


@contextlib.contextmanager
def patience(seconds):
    """Raises TimeoutError in the calling thread when its block takes longer than that."""
    thread, before = threading.get_ident(), set(children())

    def expired():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TimeoutError))
        for pid in set(children()) - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    timer = threading.Timer(seconds, expired)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
