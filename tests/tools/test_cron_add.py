# SPDX-License-Identifier: MIT
"""creel cron add: what is refused before the user manager is asked."""

import os
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
