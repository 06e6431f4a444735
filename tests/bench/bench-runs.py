#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What it costs to execute code by creel, beside other ways: in the agent VM, one run, taking turns.

All of it happens inside the VM (tests/bench/bench-runs.c): no connection is in these times. A way ends when its output was read
and its end is known. The code does nothing, so that what is told is the way itself.

  plain              fork, exec, read, wait: as the agent, without limits, confinement or record
  bwrap              bubblewrap as root, without a user namespace: a read-only /, a /dev, /proc and /tmp of its own, and namespaces
                     for pids, ipc, host name and network; it limits, filters and records nothing
  systemd-run        systemd-run --user --wait --pipe
  creel              Run by the keeper, over a connection that is open: leaf, limits, confinement, record
  creel independent  the same in a throw-away view with namespaces of its own
  import             plain and independent with pandas imported: [python] preload = pandas, which the other ways are without
  loop               one line to a Python that waits for it, and one back: by a pipe, and a call of a session
  mcp                the tool execute_python by `creel mcp`: over a connection that is open, and with all that a new one takes

  many runs          one after the other: what the keeper and the cgroup tree have more afterwards
  at once            20 that each count to 100,000: the slowest beside the median

Overhead is what a way takes more than plain.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "vm"))

from harness import BUILD, policy, wait_until  # noqa: E402
import machine as vm_machine  # noqa: E402

LANGUAGES = ["bash", "python", "javascript"]
WAYS = ["plain", "bwrap", "systemd-run", "creel", "creel independent"]
PROGRAM = "/root/bench-runs"
NODE = "/opt/node/bin/node"  # the image's, which an operator names in the policy
POLICY = f"[limits]\nprocesses = 400\nmemory = max\n[javascript]\ninterpreter = {NODE}\n"
PREPARED = POLICY + "[python]\npreload = pandas\n"  # with it, no Python run is cold
OVERHEAD_GOAL = 1.0    # of bwrap's
LOOP_GOAL = 2.0        # of the bare pipe's time
IMPORT_GOAL = 0.1      # of starting Python and importing
FAIR_GOAL = 2.0        # the slowest, of the median: nobody waits for another's end


def measure(vm, *words):
    """Medians in microseconds by name, and the times themselves."""
    out = vm.root.sh(f"CREEL_NODE={NODE} {PROGRAM} agent {' '.join(map(str, words))}", timeout=3600)
    times = {}
    for line in out.splitlines():
        name, _, values = line.partition("\t")
        times[name] = [int(value) for value in values.split()]
    return times


def keeper(vm):
    """What it holds: descriptors, resident kB, leaves, and files in the output folder."""
    uid = vm.uid()
    pid = vm.root.sh(f"systemctl show -P MainPID creel-keeper@{uid}.service")
    leaves = f"/sys/fs/cgroup/user.slice/user-{uid}.slice/creel-leaves@{uid}.service"
    out = vm.root.sh(f"ls /proc/{pid}/fd | wc -l; sed -n 's/^VmRSS: *\\([0-9]*\\).*/\\1/p' /proc/{pid}/status; "
                     f"find {leaves} -mindepth 1 -type d -name 'run-*' | wc -l; "
                     "ls ~agent/.creel/output 2>/dev/null | wc -l")
    return dict(zip(("descriptors", "resident kB", "leaves", "output files"), map(int, out.split())))


def overheads(times):
    """Rows of a table, and the goals that were missed."""
    middle = {name: statistics.median(values) / 1000 for name, values in times.items()}
    lines = [f"{'ms':12}" + "".join(f"{way:>19}" for way in WAYS) + "   overhead of creel / of bwrap"]
    missed = []
    for language in LANGUAGES:
        plain, bwrap, creel, independent = (middle[f"{language} {way}"] for way in
                                            ("plain", "bwrap", "creel", "creel independent"))
        ratio = (creel - plain) / (bwrap - plain)
        met = ratio < OVERHEAD_GOAL
        lines.append(f"{language:12}" + "".join(f"{middle[f'{language} {way}']:19.1f}" for way in WAYS) +
                     f"   {ratio:.2f} (independent {(independent - plain) / (bwrap - plain):.2f}); goal < {OVERHEAD_GOAL}: "
                     + ("met" if met else "MISSED"))
        if not met:
            missed.append((language, ratio, OVERHEAD_GOAL))
    return lines, missed


def compared(title, ours, theirs, goal):
    ratio = statistics.median(ours) / statistics.median(theirs)
    met = ratio <= goal
    line = (f"{title}: {statistics.median(ours) / 1000:.2f} ms beside {statistics.median(theirs) / 1000:.2f} ms, "
            f"{ratio:.2f}; goal <= {goal}: {'met' if met else 'MISSED'}")
    return [line], [] if met else [(title, ratio, goal)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--keep", action="store_true", help="leave the VM running")
    parser.add_argument("--as-is", metavar="NAME", help="measure in this VM, which runs already")
    parser.add_argument("--strict", action="store_true", help="fail when a goal is missed")
    options = parser.parse_args()

    with vm_machine.running(options.as_is or "bench", bool(options.as_is), options.keep) as vm, contextlib.ExitStack() as stack:
        vm.root.sh(f"cat > {PROGRAM} && chmod 700 {PROGRAM}", (BUILD / "tests" / "bench-runs").read_bytes())
        print(f"{options.rounds} rounds", file=sys.stderr)
        with policy(vm, PREPARED):
            times = measure(vm, options.rounds, "import")
        stack.enter_context(policy(vm, POLICY))
        times.update(measure(vm, options.rounds))
        times.update(measure(vm, options.rounds, "mcp"))
        print("20 at once", file=sys.stderr)
        times.update(measure(vm, 1, "fair"))
        print(f"{options.many} runs", file=sys.stderr)
        measure(vm, 1, "many", 20)
        before = keeper(vm)
        measure(vm, 1, "many", options.many)
        # the caller's connection, and the last leaf, are gone a moment later
        wait_until(lambda: keeper(vm)["descriptors"] <= before["descriptors"] and
                   keeper(vm)["leaves"] <= before["leaves"], 30, f"as before: {before}")
        after = keeper(vm)
        about = {"kernel": vm.root.sh("uname -r"), "virtualization": vm.root("systemd-detect-virt").text,
                 "cpu": vm.root.sh("sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1")}
        vm.root.sh(f"rm {PROGRAM}")
        vm.disconnect()

    lines, missed = overheads(times)
    for title, ours, theirs, goal in (
            ("import pandas, independent", times["import creel independent"], times["import plain"], IMPORT_GOAL),
            ("a session's call, warm", times["loop creel"], times["loop plain"], LOOP_GOAL)):
        more = compared(title, ours, theirs, goal)
        lines += more[0]
        missed += more[1]
    for name in ("mcp call", "mcp connection"):
        lines.append(f"{name}: {statistics.median(times[name]) / 1000:.2f} ms")
    slowest = max(times["at once"]) / statistics.median(times["at once"])
    lines.append(f"20 at once, the slowest beside the median: {slowest:.2f}; goal <= {FAIR_GOAL}: "
                 + ("met" if slowest <= FAIR_GOAL else "MISSED"))
    if slowest > FAIR_GOAL:
        missed.append(("at once", slowest, FAIR_GOAL))
    lines.append(f"{options.many} runs: " + ", ".join(f"{name} {before[name]} then {after[name]}" for name in before))
    print("\n".join(lines))
    folder = BUILD / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("runs-%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps({"about": about, "times": times, "before": before, "after": after}, indent=1))
    print(f"raw numbers: {path}")
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
