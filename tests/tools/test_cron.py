# SPDX-License-Identifier: MIT
"""creel cron: what it does before the user manager is asked, and without it."""

import json
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


def entry(home, log):
    """A crontab whose entry "check" writes there. How creel is called for it: words, and an environment."""
    (home / ".config" / "creel").mkdir(parents=True)
    (home / ".config" / "creel" / "crontab").write_text(f"# creel: check\n@daily true >> {log} 2>&1\n")
    return [CREEL, "cron", "logs", "check"], {**os.environ, "HOME": str(home)}


@pytest.mark.parametrize("folder", ["logs", "elsewhere"])
def test_a_log_does_nothing_to_a_terminal(tmp_path, folder):
    (tmp_path / folder).mkdir()
    log = tmp_path / folder / "check.log"
    log.write_bytes(b"\033]0;title\a\n")
    words, environment = entry(tmp_path, log)
    ours, terminal = pty.openpty()
    try:
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=terminal, env=environment, timeout=60, check=True)
        assert os.read(ours, 4096) == b"\\x1b]0;title\\x07\r\n"
    finally:
        os.close(terminal)
        os.close(ours)
    assert subprocess.run(words, capture_output=True, env=environment, timeout=60, check=True).stdout == log.read_bytes()


def test_a_log_as_objects(tmp_path):
    """One a line, whatever is in it; a line without its end is one, and one without an end to be seen is cut."""
    log = tmp_path / "check.log"
    log.write_bytes(b"one\n\n\xff\033\n" + b"x" * 100000 + b"\n" + b"y" * 200000)
    words, environment = entry(tmp_path, log)
    done = subprocess.run([*words, "--json"], capture_output=True, env=environment, timeout=60, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(row["time"] is None and row["by"] == "log" for row in rows)
    said = [row["message"] for row in rows]
    assert said[:3] == ["one", "", "\ufffd\033"] and max(map(len, said)) == 65536, said[:3]
    assert "".join(said[3:]) == "x" * 100000 + "y" * 200000
    done = subprocess.run([*words, "--json", "-n", "0"], capture_output=True, env=environment, timeout=60, check=True)
    assert not done.stdout


def test_a_log_that_is_not_there_yet_is_followed(tmp_path):
    log = tmp_path / "check.log"
    words, environment = entry(tmp_path, log)
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 1 and "has not written anything yet" in done.stderr
    with subprocess.Popen([*words, "-f"], stdout=subprocess.PIPE, env=environment) as follower:
        try:
            log.write_bytes(b"begun\n")
            assert follower.stdout.readline() == b"begun\n"
        finally:
            follower.terminate()


def test_a_log_that_keeps_nothing(tmp_path):
    words, environment = entry(tmp_path, "/dev/null")
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 1 and "/dev/null: it is no file, and keeps nothing" in done.stderr
