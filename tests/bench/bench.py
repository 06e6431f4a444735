#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""creel beside OpenSSH's sshd (UsePAM yes, Debian's stack) and dropbear: one VM, one run, taking turns.

Client: this machine's ssh, through the VM's forwarded ports. Where the VM is emulated, the client is native and the
server is not; nothing is subtracted from what the client saw.

  connect    connect + authenticate + `true` + close, wall clock of the client
  claw       OpenClaw's exec: stage a script, run it, remove it; three connections one after the other
  down, up   64 MB through `cat`, wall clock
  memory     PSS of all processes of the server with 20 idle logins, less the same with none, per login. For creel:
             listener, monitor, workers and the agent's keeper. The agent's own process (`cat`) is not counted.
  CPU        of the connect runs, from cgroups' cpu.stat, per login:
             creel     creel-sshd.service + creel-keeper@UID.service + user-UID.slice (the leaf: bash, true)
             openssh   ssh.service + user-UID.slice (the session's scope: sshd's child, bash, true)
             dropbear  its service (children included) + user-UID.slice
             and, told apart because it serves every login but is nobody's server: PID 1, logind and the bus.
  confinement  what it adds to a birth (tests/bench/bench-confine, in the VM), as a part of connect
"""

import argparse
import json
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "vm"))

from harness import BUILD, Host, wait_until  # noqa: E402
import machine as vm_machine  # noqa: E402

DROPBEAR_PORT = 3009  # within the ports that the VM forwards
IDLE = 20
MEGABYTES = 64
GOALS = {  # (what, beside whom): at most this part of theirs
    ("connect", "openssh"): 0.20, ("connect", "dropbear"): 0.50, ("cpu", "openssh"): 0.25,
    ("claw", "openssh"): 0.20, ("claw", "dropbear"): 0.50, ("memory", "openssh"): 0.35,
    ("down", "openssh"): 1.0, ("up", "openssh"): 1.0,
}
CONFINEMENT_GOAL = 0.10  # of a connect


class Server:
    """One server of the VM, and what belongs to it."""

    def __init__(self, name, host, processes, cgroups, standing=""):
        self.name, self.host, self.processes, self.cgroups = name, host, processes, cgroups
        self.standing = standing


def timed(host, command, data=None, out=subprocess.DEVNULL):
    start = time.monotonic()
    subprocess.run(host.argv(command), input=data, stdin=None if data is not None else subprocess.DEVNULL, stdout=out,
                   stderr=subprocess.PIPE, check=True, timeout=600)
    return time.monotonic() - start


def claw(host):
    """Three connections that share one /tmp (see the shipped tests for the exact commands)."""
    folder = f"/tmp/openclaw-sandbox-exec-{uuid.uuid4()}"
    stage = ("'/bin/sh' '-c' 'umask 077 && mkdir -- \"$1\" && cat > \"$1/exec.sh\" && chmod 700 \"$1/exec.sh\"' "
             f"'openclaw-sandbox-exec-stage' '{folder}'")
    return (timed(host, stage, b"echo done\n") + timed(host, f"'/bin/sh' '{folder}/exec.sh'") +
            timed(host, f"'rm' '-rf' '--' '{folder}'"))


def cpu(vm, cgroups):
    """Microseconds of CPU time of cgroups, one after the other; 0 for one that is not there."""
    script = "; ".join(f"sed -n 's/^usage_usec //p' /sys/fs/cgroup/{path}/cpu.stat 2>/dev/null || echo 0"
                       for path in cgroups)
    return sum(int(line) for line in vm.root.sh(script).split())


def memory(vm, pattern):
    """PSS in kB of all processes whose command line matches, and how many they are."""
    script = (f"for p in $(pgrep -f '{pattern}'); do sed -n 's/^Pss: *//p' /proc/$p/smaps_rollup 2>/dev/null; done")
    values = [int(line.split()[0]) for line in vm.root.sh(script).splitlines() if line]
    return sum(values), len(values)


def start_dropbear(vm):
    vm.root.sh("dropbearkey -t ed25519 -f /root/dropbear.key >/dev/null 2>&1 || test -s /root/dropbear.key; "
               "systemctl stop bench-dropbear.service 2>/dev/null; "
               f"systemd-run --quiet --unit=bench-dropbear --collect dropbear -F -E -r /root/dropbear.key "
               f"-p {DROPBEAR_PORT} -s -g")


def make_room(vm):
    """OpenSSH's logins take three tasks each of the agent's slice."""
    vm.root.sh("printf '[limits]\\nprocesses = 400\\n' >> /etc/creel/agents/agent.conf && creelctl policy apply")


def servers(vm):
    uid = vm.uid()
    agent = f"user.slice/user-{uid}.slice"
    port = vm_machine.forwarded(vm, DROPBEAR_PORT)
    dropbear = Host(vm, "agent", ["-p", str(port), "-o", "HostKeyAlias=bench-dropbear", "-o",
                                  "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
    return [
        Server("creel", vm.agent, "^/usr/libexec/creel/creel-(sshd|keeper)",
               ["creel.slice/creel-sshd.service", "system.slice/creel-sshd.service",
                f"creel.slice/creel-keeper@{uid}.service", f"creel.slice/creel-rescue@{uid}.service", agent]),
        Server("openssh", vm.openssh, "sshd: ", ["system.slice/ssh.service", agent]),
        Server("dropbear", dropbear, "^dropbear|/dropbear ", ["system.slice/bench-dropbear.service", agent]),
    ]


HELPERS = ["init.scope", "system.slice/systemd-logind.service", "system.slice/dbus.service"]


def negotiated(server):
    done = subprocess.run(server.host.argv("true", ["-v", "-o", "LogLevel=DEBUG1"]), capture_output=True, text=True,
                          check=True, stdin=subprocess.DEVNULL)
    match = re.search(r"client->server cipher: (\S+)", done.stderr)
    return match.group(1) if match else "?"


def measure_idle(vm, server):
    """PSS per idle login in kB."""
    before, _ = memory(vm, server.processes)
    clients = []
    try:
        for _ in range(IDLE):  # one after the other: OpenSSH drops some of many that log in at once (MaxStartups)
            client = subprocess.Popen(server.host.argv("echo ready; exec cat"), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
            clients.append(client)
            assert client.stdout.readline() == b"ready\n", server.name
        after, count = memory(vm, server.processes)
    finally:
        for client in clients:
            client.stdin.close()
        for client in clients:
            client.wait(60)
            client.stdout.close()
    wait_until(lambda: memory(vm, server.processes)[1] < count, 60)
    return (after - before) / IDLE


def run(vm, runs, rounds):
    make_room(vm)
    all_of_them = servers(vm)
    results = {server.name: {"connect": [], "claw": [], "down": [], "up": []} for server in all_of_them}
    for server in all_of_them:  # one warm-up each, which also shows that it answers
        timed(server.host, "true")
        results[server.name]["cipher"] = negotiated(server)

    def say(text):
        print(text, file=sys.stderr, flush=True)

    say(f"connect + true, {runs} runs each, taking turns")
    spent = {server.name: [0, 0] for server in all_of_them}
    for _ in range(runs):
        for server in all_of_them:
            before = cpu(vm, server.cgroups), cpu(vm, HELPERS)
            results[server.name]["connect"].append(timed(server.host, "true"))
            time.sleep(0.15)  # what the server does after the client has gone belongs to this login
            spent[server.name][0] += cpu(vm, server.cgroups) - before[0]
            spent[server.name][1] += cpu(vm, HELPERS) - before[1]
    # what the questions themselves cost: the operator's connection is a child of ssh.service
    empty = [cpu(vm, all_of_them[1].cgroups) for _ in range(2 * 11)]
    question = (empty[-1] - empty[0]) / (len(empty) - 1)
    for server in all_of_them:
        results[server.name]["cpu"] = spent[server.name][0] / runs
        results[server.name]["cpu_helpers"] = spent[server.name][1] / runs
    results["openssh"]["cpu_of_one_question"] = question

    say("births with and without confinement")
    results["creel"]["births"] = births(vm)

    say(f"three-connection exec, {rounds * 3} runs each")
    for _ in range(rounds * 3):
        for server in all_of_them:
            results[server.name]["claw"].append(claw(server.host))

    say(f"{MEGABYTES} MB down and up, {rounds} runs each")
    data = bytes(1 << 20) * MEGABYTES
    for _ in range(rounds):
        for server in all_of_them:
            results[server.name]["down"].append(timed(server.host, f"head -c {len(data)} /dev/zero"))
            results[server.name]["up"].append(timed(server.host, "cat >/dev/null", data))

    say(f"memory at {IDLE} idle logins")
    for server in all_of_them:
        results[server.name]["memory"] = measure_idle(vm, server)
    return results


def births(vm):
    """Seconds of a processor for a birth, by what bench-confine calls it."""
    program = "/root/bench-confine"
    vm.root.sh(f"cat > {program} && chmod 700 {program}", (BUILD / "tests" / "bench-confine").read_bytes())
    try:
        out = vm.root.sh(program, timeout=600)
    finally:
        vm.root.sh(f"rm {program}")
    rows = (re.match(r"(.+?) +(\d+) us a birth", line) for line in out.splitlines())
    return {row[1]: int(row[2]) / 1e6 for row in rows if row}


def confinement(results):
    """Lines to print, and the goal if it was missed."""
    bare, *confined = results["creel"]["births"].items()
    connect = middle(results["creel"]["connect"])
    lines, missed = [], []
    for name, seconds in confined:
        part = (seconds - bare[1]) / connect
        lines.append(f"confinement, {name}: {(seconds - bare[1]) * 1000:.1f} ms a birth, {part:.1%} of connect + true + close; "
                     f"goal <= {CONFINEMENT_GOAL:.0%}: {'met' if part <= CONFINEMENT_GOAL else 'MISSED'}")
        if part > CONFINEMENT_GOAL:
            missed.append(("confinement", name, part, CONFINEMENT_GOAL))
    return lines, missed


ROWS = [("connect", "connect + true + close", "ms", 1000), ("claw", "three-connection exec", "ms", 1000),
        ("down", f"{MEGABYTES} MB down", "s", 1), ("up", f"{MEGABYTES} MB up", "s", 1), ("memory", "PSS per idle login", "kB", 1),
        ("cpu", "server CPU per login", "ms", 0.001), ("cpu_helpers", "PID 1, logind, bus per login", "ms", 0.001)]


def middle(value):
    return statistics.median(value) if isinstance(value, list) else value


def table(results):
    """Lines to print, and the goals that were missed."""
    names = ["creel", "openssh", "dropbear"]
    lines = [f"{'':30} {'creel':>10} {'openssh':>10} {'dropbear':>10}   {'/openssh':>8} {'/dropbear':>9}  goal"]
    missed = []
    for key, title, unit, factor in ROWS:
        values = {name: middle(results[name][key]) for name in names}
        ratios, goals = {}, []
        for other in names[1:]:
            ratios[other] = values["creel"] / values[other] if values[other] else float("nan")
            goal = GOALS.get((key, other))
            if goal is not None:
                met = ratios[other] <= goal
                goals.append(f"<= {goal:.2f} of {other}: {'met' if met else 'MISSED'}")
                if not met:
                    missed.append((key, other, ratios[other], goal))
        shown = " ".join(f"{values[name] * factor:10.1f}" for name in names)
        lines.append(f"{title + ', ' + unit:30} {shown}   {ratios['openssh']:8.3f} {ratios['dropbear']:9.3f}  "
                     + "; ".join(goals))
    lines.append("ciphers: " + ", ".join(f"{name} {results[name]['cipher']}" for name in names))
    return lines, missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="leave the VM running")
    parser.add_argument("--as-is", metavar="NAME", help="measure in this VM, which runs already")
    parser.add_argument("--strict", action="store_true", help="fail when a goal is missed")
    options = parser.parse_args()

    with vm_machine.running(options.as_is or "bench", bool(options.as_is), options.keep) as vm:
        start_dropbear(vm)
        try:
            results = run(vm, options.runs, options.rounds)
        finally:
            vm.root("systemctl stop bench-dropbear.service; rm -f /root/dropbear.key")
        about = {"kernel": vm.root.sh("uname -r"), "cpu": vm.root.sh("sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1"),
                 "client": platform.machine(), "virtualization": vm.root("systemd-detect-virt").text,
                 "operator_port": vm.openssh.settings()["port"]}
        vm.disconnect()
    lines, missed = table(results)
    more = confinement(results)
    print("\n".join(lines + more[0]))
    missed += more[1]
    print("CPU: cgroups named in tests/bench/bench.py; asking for it costs openssh's ssh.service "
          f"{results['openssh']['cpu_of_one_question'] / 1000:.1f} ms a question, which its own number includes")
    folder = BUILD / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps({"about": about, "results": results}, indent=1))
    print(f"raw numbers: {path}")
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
