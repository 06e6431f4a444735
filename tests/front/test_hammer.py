# SPDX-License-Identifier: MIT
"""The hammer (hammer.py), for some seconds; `make fuzz` runs it for longer."""

import os
import pathlib
import re
import subprocess

from conftest import SLOW, wait_until

SECONDS = float(os.environ.get("HAMMER_SECONDS", 10))
SEED = int(os.environ.get("HAMMER_SEED", 1))


def test_hammer(front):
    quiet = front.popen("echo ready; cat")
    assert quiet.stdout.readline() == b"ready\n"
    worker = front.worker()
    done = subprocess.run(["/usr/bin/python3", "-W", "ignore", str(pathlib.Path(__file__).parent / "hammer.py"), "--port", str(front.port),
                           "--user", front.user.pw_name, "--key", str(front.folder / "id"), "--seconds", str(SECONDS),
                           "--seed", str(SEED)], capture_output=True, text=True, timeout=SECONDS + 120 * SLOW)
    assert done.returncode == 0, done.stderr[-2000:]
    n = int(re.search(r"seed \d+, (\d+) connections", done.stdout)[1])
    print(done.stdout)
    assert n >= SECONDS / SLOW
    # crashed workers, and those that broke the table of messages, fail the fixture
    wait_until(lambda: front.workers() == [worker], 30, "its workers end")
    assert front("echo works").stdout == b"works\n"
    assert quiet.communicate(b"on")[0] == b"on" and quiet.returncode == 0
    assert front.log.count("creel-sshd: serving") == 1
