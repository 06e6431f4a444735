#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""hangup.py KEY RUNS: how many seconds pass in this machine between the death of a client and that of its command.

Runs as root inside the VM, so that one clock sees both ends. Prints one number a line.
"""

import os
import subprocess
import sys
import time


def alive(mark):
    """Some process sleeps for that long. Reads /proc itself: starting a program would cost more than what is measured."""
    wanted = b"sleep\0" + mark.encode() + b"\0"
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if file.read() == wanted:
                    return True
        except OSError:
            pass
    return False


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit("waited too long")
        time.sleep(0.01)


def main():
    key, runs = sys.argv[1], int(sys.argv[2])
    for number in range(runs):
        mark = f"{os.getpid()}{number}"
        client = subprocess.Popen(["ssh", "-i", key, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o",
                                   "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-p", "22", "agent@127.0.0.1",
                                   f"(sleep {mark} & sleep {mark} & wait) & sleep {mark}; :"], stdin=subprocess.PIPE)
        wait(lambda: alive(mark))
        start = time.monotonic()
        client.kill()
        wait(lambda: not alive(mark))
        print(f"{time.monotonic() - start:.3f}", flush=True)
        client.wait()


if __name__ == "__main__":
    main()
