#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A subsystem: says as one line of JSON what it is, then answers lines in capitals until "quit STATUS".

"sleep SECONDS" leaves a child that ignores what polite signals ask for.
"""

import json
import os
import signal
import subprocess
import sys


def main():
    # Python's own handler makes an exception of it, once a read that has just begun comes back: that may be never
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with open("/proc/self/cgroup", encoding="ascii") as file:
        cgroup = file.read().strip().partition("::")[2]
    print(json.dumps({"arguments": sys.argv[1:], "uid": os.getuid(), "cgroup": cgroup, "terminal": os.isatty(0),
                      "environment": dict(os.environ)}), flush=True)
    for line in sys.stdin:
        verb, _, rest = line.strip().partition(" ")
        if verb == "quit":
            print("bye", file=sys.stderr, flush=True)
            sys.exit(int(rest))
        if verb == "sleep":
            subprocess.Popen(["sleep", rest], preexec_fn=lambda: [signal.signal(number, signal.SIG_IGN) for number in (
                signal.SIGTERM, signal.SIGINT, signal.SIGPIPE)])
        print(line.upper(), end="", flush=True)


main()
