# SPDX-License-Identifier: MIT
"""docs/operator-guide.md: each command of each section is typed, in the guide's order, for an agent that has something to show.

The sections share that agent, and each goes on where the one before it ended.
"""

import json
import pathlib
import re

import pytest

from harness import Host, marker, wait_until
from pages import DOCS, blocks

PLACE, BACKUPS = "/root/guide", "/var/backups/creel"
PATIENCE = 240  # seconds, of an emulated VM
GUIDE = re.split(r"^## (.*)$", (DOCS / "operator-guide.md").read_text(), flags=re.M)
SECTIONS = {title: text for title, text in zip(GUIDE[1::2], GUIDE[2::2]) if blocks(text)}


class Operator:
    def __init__(self, vm):
        self.vm, self.known = vm, {}
        self.bot = Host(vm, "agent", ["-l", "bot"])
        self.busy = marker()

    def types(self, line):
        known = "".join(f"{name}={value}; " for name, value in self.known.items())
        done = self.vm.root(f"cd {PLACE}; set -e; {known}{line}", timeout=PATIENCE)
        # doctor's status is its verdict: nothing may be missing
        assert done.rc in ((0, 1, 4) if line.rstrip().endswith("--brief") else (0,)), f"{line}: {done}"
        return done.text

    def follows(self, title):
        """What its commands print, one text a block."""
        assert {block.language for block in blocks(SECTIONS[title])} == {"sh"}
        return [self.types(block.text) for block in blocks(SECTIONS[title])]

    def session(self):
        rows = json.loads(self.vm.root.sh("creelctl session list --agent bot --json"))
        return next((row["session"] for row in rows if self.busy in (row["command"] or "")), None)


@pytest.fixture(scope="module")
def operator(vm):
    vm.root.sh(f"mkdir -p {PLACE}; ssh-keygen -q -t ed25519 -N '' -f {PLACE}/second")
    vm.root.sh(f"cat > {PLACE}/bot.pub", pathlib.Path(vm.agent.key() + ".pub").read_text())
    yield Operator(vm)
    vm.root.sh(f"! getent passwd bot || creelctl agent remove bot; rm -rf {PLACE} {BACKUPS}", timeout=PATIENCE)


@pytest.fixture(scope="module")
def working(operator):
    """bot is there, in a session that goes on, and did something."""
    operator.follows("Agents")
    with operator.bot.start(f"sleep {operator.busy}"):
        operator.bot.sh("printf value | creel secret set TOKEN && echo kept > kept && "
                        "echo 'echo a run' | creel run - --lang bash", timeout=PATIENCE)
        operator.known["ID"] = wait_until(operator.session, 60, "the session is listed")
        last = operator.vm.root.sh("creelctl audit list --agent bot --kind run --json -n 1")
        operator.known["RUN"] = json.loads(last)["run"]
        yield operator


def test_no_section_is_left_out():
    assert list(SECTIONS) == ["Install", "Agents", "Policies", "Day by day", "What did this agent do?", "Backup and restore"]


def test_install(operator):
    operator.follows("Install")


def test_policies(working):
    working.follows("Policies")


def test_day_by_day(working):
    working.follows("Day by day")


def test_what_did_this_agent_do(working):
    told = "\n".join(working.follows("What did this agent do?"))
    assert "echo a run" in told and f"sleep {working.busy}" in told


def test_backup_and_restore(working):
    working.follows("Backup and restore")
    assert working.bot.sh("cat kept", timeout=PATIENCE) == "kept"
    assert "/bot.conf" in working.vm.root.sh("creelctl policy show bot | grep '^limits.memory = 2G'")
