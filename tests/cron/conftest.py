# SPDX-License-Identifier: MIT
"""Oracles for what creel makes of a crontab. As root: Debian's cron runs in a mount namespace of its own."""

import os
import pathlib
import shutil
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
CRON = shutil.which("cron", path="/usr/sbin")
LIVES = r"""
set -e
mount -t tmpfs none /run; mount -t tmpfs none /var/spool/cron; mount -t tmpfs none /etc/cron.d
[ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab
mkdir -m 1730 /var/spool/cron/crontabs
cat >/var/spool/cron/crontabs/root
chmod 600 /var/spool/cron/crontabs/root
LD_PRELOAD="$1" exec /usr/sbin/cron -f
"""


def debians_cron(lines, zone, begin, end, folder):
    """Which of the lines' commands Debian's cron starts, as a set of (minute, command). `begin`, `end`: minutes since the epoch."""
    log = folder / "log"
    log.write_text("")
    environment = {**os.environ, "TZ": f":/usr/share/zoneinfo/{zone}", "CLOCK_LOG": str(log),
                   # it starts nothing in the minute in which it begins
                   "CLOCK_FROM": str((begin - 1) * 60), "CLOCK_TO": str(end * 60 + 59)}
    subprocess.run(["unshare", "-m", "sh", "-c", LIVES, "sh", str(BUILD / "tests/clock.so")], env=environment, check=True,
                   input="\n".join(lines) + "\n", text=True, timeout=120)
    rows = (line.split(" ", 1) for line in log.read_text().splitlines())
    return {(int(minute), command) for minute, command in rows}


def creel_starts(schedules, zone, begin, end):
    """The same by creel, as a set of (minute, schedule)."""
    done = subprocess.run([BUILD / "tests/starts", str(begin), str(end), zone], input="\n".join(schedules) + "\n",
                          capture_output=True, text=True, check=True, timeout=120)
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {(int(minute), schedule) for schedule, minute in rows}


@pytest.fixture(scope="session", autouse=True)
def installed():
    assert CRON, "Debian's cron is missing: make deps"
