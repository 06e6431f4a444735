# SPDX-License-Identifier: MIT
"""One VM for the whole run. Each module starts from the same snapshot and must leave nothing running behind.

  pytest tests/vm                 a fresh VM, taken down at the end
  pytest tests/vm -n 3 --dist loadfile    three of them, which share the modules
  pytest tests/vm --reuse         the VM of the last --reuse run, with the current build pushed into it; it stays up
  pytest tests/vm --as-is         the same VM just as it runs now: no restore before, no push
"""

import json
import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent)]

import machine  # noqa: E402
from harness import PROBE_DIR, wait_until  # noqa: E402
from patience import patience  # noqa: E402
from skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: E402, F401

PATIENCE = 300  # seconds for one test, its fixtures apart: whatever hangs, the run goes on


def pytest_addoption(parser):
    parser.addoption("--reuse", action="store_true", help="keep the VM between runs")
    parser.addoption("--as-is", action="store_true", help="take the running VM as it is, and keep it")


@pytest.fixture(scope="session")
def suite_vm(pytestconfig):
    reuse, as_is = pytestconfig.getoption("--reuse"), pytestconfig.getoption("--as-is")
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(flush=True)
        if machine.WORKER and not (reuse or as_is):
            vm = machine.bring_up_one_of_many()
        else:
            vm = machine.bring_up(machine.NAME, reuse, as_is)
    vm.pristine = True
    yield vm
    vm.disconnect()
    if not (reuse or as_is):
        machine.vm_command(machine.NAME, "down")


def holdings(vm):
    return json.loads(vm.root.sh(f"python3 {PROBE_DIR}/leftovers.py agent bob"))


def surplus(before, now):
    """What is there beyond what was there before: readable lines."""
    found = [f"process {line}" for line in now["processes"] if line not in before["processes"]]
    for place in ("leaves", "rescue"):
        for agent, names in now[place].items():
            found += [f"{place[:6]} {agent}/{name}" for name in names if name not in before[place].get(agent, [])]
    if now["front"] > before["front"]:
        found.append(f"{now['front'] - before['front']} processes of creel-sshd")
    if now["front_fds"] > before["front_fds"] + 2:
        found.append(f"descriptors of creel-sshd: {before['front_fds']} -> {now['front_fds']}")
    for unit, count in now["keeper_fds"].items():
        # what it opens when it is first needed stays open: the watch of the memory, an empty result, ...
        if count > before["keeper_fds"].get(unit, count) + 4:
            found.append(f"descriptors of {unit}: {before['keeper_fds'][unit]} -> {count}")
    return found


@pytest.fixture(scope="module")
def vm(suite_vm):
    """The VM at its snapshot. At the module's end: no process, no leaf, no descriptor more than at its start."""
    if not suite_vm.pristine:
        suite_vm.disconnect()
        machine.vm_command(suite_vm.name, "restore")
    suite_vm.pristine = False
    before = holdings(suite_vm)
    yield suite_vm
    try:
        wait_until(lambda: not surplus(before, holdings(suite_vm)), 30, "nothing is left")
    except AssertionError:
        pytest.fail("left behind: " + "; ".join(surplus(before, holdings(suite_vm))))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call():
    with patience(PATIENCE):
        yield
