# SPDX-License-Identifier: MIT
"""creel status, what is used of what may be used; creel doctor, for the agent's own usual mistakes."""

import json
import re

import pytest

from harness import Terminal, limits, manager_is_up, policy, python, wait_until

CHECKS = ["servers", "units", "cron", "pids", "logs", "limits", "secrets", "pip", "matplotlib"]


@pytest.fixture(autouse=True, scope="module")
def manager(vm):
    manager_is_up(vm)


def status(vm):
    return json.loads(vm.agent.sh("creel status --json", timeout=120))


def meters(vm):
    return {meter["name"]: meter for meter in status(vm)["meters"]}


def doctor(vm, prefix=""):
    """What is wrong, by check; and that the exit status says so."""
    result = vm.agent(f"{prefix}creel doctor --json", timeout=120)
    found = json.loads(result.text)
    assert [row["check"] for row in found if row["status"] == "ok"] == \
        [check for check in CHECKS if not any(row["check"] == check and row["status"] == "warn" for row in found)]
    wrong = {}
    for row in found:
        if row["status"] == "warn":
            assert row["what"] and row["remedy"], row
            wrong.setdefault(row["check"], []).append(row["what"])
    assert result.rc == (1 if wrong else 0), (result.rc, wrong)
    return wrong


def finds(vm, check, *words):
    """This check, and no other, finds one thing that has these words."""
    wrong = doctor(vm)
    assert list(wrong) == [check] and len(wrong[check]) == 1, wrong
    for word in words:
        assert word in wrong[check][0], wrong


# ---- status ----------------------------------------------------------------------------------------------------------

def test_numbers_are_the_slices(vm):
    found, told = meters(vm), limits(vm.agent.sh("creel limits --json"))
    for name in ("memory", "processes", "disk", "files", "sessions"):
        assert found[name]["limit"] == told[name]["limit"], name
    assert found["memory"]["used"] < found["memory"]["limit"] and found["memory"]["unit"] == "bytes"
    assert 0 < found["cpu"]["limit"] <= 1000000 * int(vm.root.sh("nproc"))
    network = status(vm)["network"]
    assert set(network) == {"sent", "received", "bandwidth"}


def test_who_uses_most_comes_first(vm):
    vm.agent.sh("creel job start big -- " + python("x = bytearray(80 << 20)\nimport time\ntime.sleep(1000)"), timeout=120)
    wait_until(lambda: status(vm)["top_memory"][0]["name"] == "big", 120, "the job is on top", 1)
    vm.agent.sh("creel job start busy -- sh -c 'while :; do :; done'", timeout=120)
    top = wait_until(lambda: [one for one in status(vm)["top_cpu"] if one["name"] == "busy" and one["cpu_percent"] > 10], 120,
               "it uses a processor", 1)
    assert top[0]["kind"] == "job", top
    wait_until(lambda: "job busy" in vm.agent.sh("creel status", timeout=120), 120, "it is told", 1)
    vm.agent.sh("creel stop big && creel stop busy", timeout=240)


def test_it_warns_before_a_limit_is_met(vm):
    assert not status(vm)["warnings"]
    with policy(vm, "[limits]\nprocesses = 40\n"):
        # nearly all: a login has room, also while the one before it still ends
        with vm.agent.start("for i in $(seq 30); do sleep 1000 & done; wait"):
            wait_until(lambda: vm.processes().count >= 33, 60)
            found = {one["name"]: one for one in status(vm)["warnings"]}
            assert found["processes"]["level"] in ("warn", "full") and "creel ps" in found["processes"]["remedy"], found
            assert "processes: " in vm.agent.sh("creel status", timeout=120)


def test_bars_are_for_terminals_and_colours_too(vm):
    plain = vm.agent("creel status", timeout=120)
    assert re.search(rb"^memory +\[[#.]+\] +\d+%", plain.out) and b"\x1b" not in plain.out
    with Terminal(vm.agent.argv("creel status", options=["-tt"])) as terminal:
        terminal.expect(r"memory +\x1b\[32m\[[#.]+\]\x1b\[0m", 120)
        assert terminal.finish(120) == 0
    with Terminal(vm.agent.argv("NO_COLOR=1 creel status", options=["-tt"])) as terminal:
        terminal.expect(r"memory +\[[#.]+\] ", 120)
        assert terminal.finish(120) == 0


def test_wrong_usage(vm):
    for command in ("status x", "status --what", "doctor x", "doctor --what"):
        result = vm.agent(f"creel {command}")
        assert result.rc == 2 and not result.out and "usage:" in result.errors, (command, result)


# ---- doctor ----------------------------------------------------------------------------------------------------------

def test_nothing_is_wrong_at_first(vm):
    assert doctor(vm) == {}
    assert [line.split()[:2] for line in vm.agent.sh("creel doctor", timeout=120).splitlines()] == \
        [["ok", check] for check in CHECKS]


def test_a_server_that_nobody_reaches(vm):
    vm.agent.sh("systemd-run --user -q --unit=shy python3 -m http.server 3001 --bind 127.0.0.1", timeout=120)
    wait_until(lambda: doctor(vm), 120, "it listens", 1)
    finds(vm, "servers", "service shy", "3001", "loopback")
    vm.agent.sh("creel stop shy && systemd-run --user -q --unit=open python3 -m http.server 3001 --bind 0.0.0.0", timeout=180)
    wait_until(lambda: "3001" in vm.agent("creel ps", timeout=120).text, 120, "it listens", 1)
    assert doctor(vm) == {}
    vm.agent.sh("creel stop open", timeout=120)


def test_units(vm):
    vm.agent.sh("systemd-run --user -q --unit=broken false", timeout=120)
    wait_until(lambda: doctor(vm), 120, "it failed", 1)
    finds(vm, "units", "service broken", "exit 1")
    vm.agent.sh("creel stop broken; mkdir -p ~/.config/systemd/user; "
                "printf '[Service]\\nType=fish\\n' > ~/.config/systemd/user/odd.service; systemctl --user daemon-reload; "
                "systemctl --user start odd; true", timeout=180)
    finds(vm, "units", "odd.service", "bad-setting")
    vm.agent.sh("rm ~/.config/systemd/user/odd.service; systemctl --user daemon-reload", timeout=120)


def test_pid_files(vm):
    vm.agent.sh("mkdir -p ~/pids; echo 4000000 > ~/pids/dead.pid")
    finds(vm, "pids", "~/pids/dead.pid", "not there")
    vm.agent.sh("rm ~/pids/dead.pid; echo nonsense > ~/pids/odd.pid")
    finds(vm, "pids", "~/pids/odd.pid", "no number")
    # a number that another process has: it began long after the file was written
    vm.agent.sh("rm ~/pids/odd.pid; setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $! > ~/pids/other.pid; "
                "touch -d 2020-01-01 ~/pids/other.pid")
    finds(vm, "pids", "~/pids/other.pid", "another one")
    vm.agent.sh("kill $(cat ~/pids/other.pid); rm ~/pids/other.pid")


def test_logs_without_a_bound(vm):
    vm.agent.sh("mkdir -p ~/logs; truncate -s 60M ~/logs/huge.log; truncate -s 40M ~/logs/fine.log")
    finds(vm, "logs", "~/logs/huge.log", "60M")
    vm.agent.sh("rm ~/logs/huge.log ~/logs/fine.log")


def test_secrets_for_others(vm):
    vm.agent.sh("mkdir -p ~/.openclaw; echo KEY=value > ~/.openclaw/.env; chmod 644 ~/.openclaw/.env")
    finds(vm, "secrets", "0644")
    vm.agent.sh("chmod 600 ~/.openclaw/.env")
    assert doctor(vm) == {}
    vm.agent.sh("rm ~/.openclaw/.env")


def test_packages(vm):
    folder = "~/.local/lib/python3.11/site-packages"
    vm.root.sh("mkdir -p /usr/lib/python3/dist-packages/creelprobe")
    vm.agent.sh(f"mkdir -p {folder}/creelprobe {folder}/onlymine")
    finds(vm, "pip", "creelprobe")
    vm.agent.sh("rm -r ~/.local/lib")
    vm.root.sh("rmdir /usr/lib/python3/dist-packages/creelprobe")
    vm.agent.sh("mkdir -p ~/.config/pip; printf '[global]\\nbreak-system-packages = true\\n' > ~/.config/pip/pip.conf")
    finds(vm, "pip", "~/.config/pip/pip.conf", "break-system-packages")
    vm.agent.sh("rm -r ~/.config/pip")
    vm.agent.sh("mkdir -p ~/project/api; echo flask > ~/project/api/requirements.txt")
    finds(vm, "pip", "~/project/api", "no virtual environment")
    vm.agent.sh("mkdir ~/project/api/.venv")
    assert doctor(vm) == {}
    vm.agent.sh("rm -r ~/project")


def test_scripts_that_plot(vm):
    vm.agent.sh("mkdir -p ~/scripts ~/project/node_modules; "
                "printf 'import matplotlib.pyplot as plt\\n' > ~/scripts/bad.py; "
                "printf 'import matplotlib.pyplot as plt\\n' > ~/project/node_modules/others.py; "
                "printf 'import matplotlib\\nmatplotlib.use(\"Agg\")\\nimport matplotlib.pyplot\\n' > ~/scripts/good.py; "
                "ln -s bad.py ~/scripts/link.py; mkfifo ~/scripts/fifo.py")
    finds(vm, "matplotlib", "~/scripts/bad.py")
    assert doctor(vm, "MPLBACKEND=Agg ") == {}
    vm.agent.sh("rm -r ~/scripts ~/project")


def test_a_crontab_that_was_broken_by_hand(vm):
    vm.agent.sh("mkdir -p ~/.config/creel; printf '61 * * * * true\\n' > ~/.config/creel/crontab")
    finds(vm, "cron", "line 1")
    vm.agent.sh("rm ~/.config/creel/crontab")
