# SPDX-License-Identifier: MIT
"""creel cron: what it does before the user manager is asked, and without it."""

import os
import pty
import subprocess

import pytest

from conftest import CREEL


@pytest.fixture(autouse=True)
def needs_own_sockets():
    """Nothing here asks a keeper."""


def add(home, *words):
    return subprocess.run([CREEL, "cron", "add", *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={**os.environ, "HOME": str(home)})


@pytest.mark.parametrize("argument", ["a\nb", "x\n* * * * * touch beside", "\r"])
def test_a_line_break_is_no_way_to_a_second_entry(tmp_path, argument):
    script = tmp_path / "check.sh"
    script.write_text("#!/bin/bash\nset -e\n")
    done = add(tmp_path, "@daily", str(script), "--", argument)
    assert done.returncode == 1 and "line break" in done.stderr, done
    assert [path.name for path in tmp_path.iterdir()] == ["check.sh"]


def test_a_log_does_nothing_to_a_terminal(tmp_path):
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "check.log"
    log.write_bytes(b"\033]0;title\a\n")
    (tmp_path / ".config" / "creel").mkdir(parents=True)
    (tmp_path / ".config" / "creel" / "crontab").write_text(f"# creel: check\n@daily true >> {log} 2>&1\n")
    words, environment = [CREEL, "cron", "logs", "check"], {**os.environ, "HOME": str(tmp_path)}
    ours, terminal = pty.openpty()
    try:
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=terminal, env=environment, timeout=60, check=True)
        assert os.read(ours, 4096) == b"\\x1b]0;title\\x07\r\n"
    finally:
        os.close(terminal)
        os.close(ours)
    assert subprocess.run(words, capture_output=True, env=environment, timeout=60, check=True).stdout == log.read_bytes()
