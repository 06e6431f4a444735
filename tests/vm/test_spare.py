# SPDX-License-Identifier: MIT
"""Prepared interpreters ([python] preload) with limits of a real cgroup tree, in the machine's own files.

What needs neither is in tests/runs/test_spares.py.
"""

import pytest

from harness import policy, wait_until
from test_keeper import kill_keeper
from test_run import LEAVES, ask, nothing_is_left, order

POLICY = """\
[agent]
profile = instaclaw
[limits]
memory = 512M
[exec]
memory = 256M
processes = 24
timeout = 120s
max_timeout = 600s
[python]
preload = decimal, pandas
"""
SERVED = "import sys\nprint('pandas' in sys.modules)\n"


@pytest.fixture(scope="module", autouse=True)
def rules(vm):
    with policy(vm, POLICY):
        yield
    assert ask(vm, order("bash", "true"))[0]["reason"] == "ok"  # the keeper sees that there is nothing to preload any more
    nothing_is_left(vm)


def waiting(vm):
    """Leaves of those that are ready, by the pid that waits for its packet."""
    script = ("for leaf in run-*; do for pid in $(cat $leaf/cgroup.procs 2>/dev/null); do "
              "grep -q wait_for_more_packets /proc/$pid/wchan 2>/dev/null && grep -q prepared.py /proc/$pid/cmdline && echo $pid $leaf; "
              "done; done; true")
    lines = vm.root.sh(f"cd {LEAVES.format(vm.uid())} && {script}").splitlines()
    return {int(line.split()[0]): line.split()[1] for line in lines}


def ready(vm, count=1, **options):
    """Asks for one of a kind where that is not there, and waits until it is."""
    if len(waiting(vm)) >= count:
        return waiting(vm)
    assert ask(vm, {**order("python", "pass"), "options": options})[0]["reason"] == "ok"
    return wait_until(lambda: len(waiting(vm)) >= count and waiting(vm), 180, "a prepared interpreter", 0.5)


def test_pandas_is_there_already_and_much_faster(vm):
    ready(vm)
    code = "import pandas\nprint(pandas.DataFrame({'a': [1, 2, 3]}).mean()['a'])"
    warm = ask(vm, order("python", code))[0]
    assert (warm["stdout"], warm["reason"]) == ("2.0\n", "ok")
    with_others = ask(vm, {**order("python", code), "options": {"figures": True}})[0]  # no spare serves that one
    assert with_others["stdout"] == "2.0\n"
    assert with_others["duration"] > 4 * warm["duration"], (with_others, warm)
    assert warm["cpu"] < with_others["cpu"]


def test_its_limits_are_the_runs(vm):
    ready(vm)
    hungry = "print('pandas' in __import__('sys').modules, flush=True)\nx = bytearray(1 << 30)"
    memory = ask(vm, order("python", hungry))[0]
    assert (memory["stdout"], memory["reason"], memory["error"]) == ("True\n", "memory", "Error: memory limit exceeded (256M)")
    ready(vm)
    small = ask(vm, order("python", SERVED, memory=32 << 20))[0]  # less than it holds already: none serves it
    assert small["stdout"] == "False\n"
    ready(vm)
    forks = ("import os, sys, time\nprint('pandas' in sys.modules, flush=True)\n"
             "for _ in range(20):\n    if not os.fork(): time.sleep(1000)")
    processes = ask(vm, order("python", forks, processes=8))[0]
    assert (processes["stdout"], processes["reason"]) == ("True\n", "processes"), processes


def test_an_independent_one_leaves_nothing(vm):
    ready(vm, 2, independent=True)
    code = SERVED + "open('/tmp/left', 'w'); open('left', 'w')"
    result = ask(vm, {**order("python", code), "options": {"independent": True}})[0]
    assert (result["stdout"], result["reason"]) == ("True\n", "ok"), result
    assert vm.agent("ls /tmp/left ~/left ~/workspace/left").text == ""


def test_another_agent_and_the_record_see_nothing_of_it(vm):
    since = vm.now()
    pid, leaf = next(iter(ready(vm).items()))
    assert vm.bob(f"kill -9 {pid}").rc != 0
    assert pid in waiting(vm)
    kill_keeper(vm)
    wait_until(lambda: pid not in waiting(vm), 60, "it went with its keeper")
    assert ask(vm, order("bash", "true"))[0]["reason"] == "ok"
    number = leaf.partition("-")[2]
    assert not [entry for entry in vm.records(since) if number in str(entry)]


def test_memory_that_is_short_takes_it_first(vm):
    """The last one here: for some minutes no other is made ready."""
    there = ready(vm)
    assert {vm.root.sh(f"cat /proc/{pid}/oom_score_adj") for pid in there} == {"1000"}
    # the agent's own process stays: it takes until the spare has gone
    hungry = (f"import os, time\nx = []\nwhile any(os.path.exists(f'/proc/{{pid}}') for pid in {sorted(there)}):\n"
              "    x.append(bytearray(8 << 20)); time.sleep(0.3)\nprint('stays')")
    assert vm.agent.sh("python3 -", hungry, timeout=300) == "stays"
    assert not set(there) & set(waiting(vm))
    assert ask(vm, order("python", "print(1)"))[0]["stdout"] == "1\n"
