#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The front alone beside OpenSSH's sshd (UsePAM yes, Debian's stack) and dropbear: natively, in one run, taking turns.

creel-sshd is the real one; its keeper (fake-keeper) only spawns, so what is compared is the front. All three run the same
commands as the same user with the same shell, for the same client (Debian's ssh), which counts in every wall time.

  connect    connect + authenticate + `true` + close
  claw       OpenClaw's exec: stage a script, run it, remove it; three connections one after the other
  down, up   64 MB through `head` and `cat`
  far ...    the same at 20 ms round trip, through a link that delays packets (delay-link): both ends are real TCP.
             No transfers with dropbear: its 24 KB of window need a minute for one
  CPU        user + system time of the server's processes and of what they started (sh, true), per login
  memory     PSS of the server's processes with 20 idle logins, less the same with none, per login; keeper included,
             the agent's own process (`cat`) not
  burst      100 clients at once: how many were refused, and the 99th percentile of their times beside the median
  many       creel's descriptors and memory after 10,000 connections, less those before: one of each ten logs in, three
             speak and leave, six leave at once

Needs root: it lives in a mount and a network namespace of its own, with a user and /run and /var/log of its own, and
leaves nothing behind.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
USER, UID = "creelbench", 64123
NEAR, FAR = "127.0.0.1", "10.77.0.2"
ONE_WAY_USEC = 10000
IDLE = 20
BURST = 100
MANY = 10000
MEGABYTES = 64
TICKS = os.sysconf("SC_CLK_TCK")

# key, title, unit, factor, {beside whom: at most this part of theirs}
ROWS = [
    ("connect", "connect + true + close", "ms", 1000, {"openssh": 0.12, "dropbear": 0.20}),
    ("claw", "three-connection exec", "ms", 1000, {"openssh": 0.12, "dropbear": 0.20}),
    ("down", f"{MEGABYTES} MB down", "ms", 1000, {"openssh": 1.0}),
    ("up", f"{MEGABYTES} MB up", "ms", 1000, {"openssh": 1.0}),
    ("far_connect", "at 20 ms: connect + true", "ms", 1000, {"openssh": 0.7}),
    ("far_claw", "at 20 ms: three connections", "ms", 1000, {}),
    ("far_down", f"at 20 ms: {MEGABYTES} MB down", "ms", 1000, {}),
    ("far_up", f"at 20 ms: {MEGABYTES} MB up", "ms", 1000, {"openssh": 1.0}),
    ("cpu", "server CPU per login", "ms", 1000, {"openssh": 0.25}),
    ("memory", f"PSS per login, {IDLE} idle", "kB", 1, {"openssh": 0.35}),
    ("burst", f"{BURST} at once: median", "ms", 1000, {}),
    ("burst_p99", f"{BURST} at once: p99", "ms", 1000, {}),
]
SPREAD_MAX = 5.0  # p99 of a burst beside its median
GROWTH_MAX_KB = 1024  # of all of the server's processes together, after many connections


def say(text):
    print(text, file=sys.stderr, flush=True)


def wait_until(condition, what, timeout=20):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def process_table():
    """pid -> (name, parent, CPU ticks of itself and of the children that it waited for)"""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                name, _, rest = pathlib.Path("/proc", entry, "stat").read_text().partition("(")[2].rpartition(")")
                words = rest.split()
                table[int(entry)] = name, int(words[1]), sum(int(word) for word in words[11:15])
    return table


class Server:
    """One server: `roots` are its first processes, `names` those of them and their descendants that are the server's."""

    def __init__(self, name, folder, names):
        self.name, self.folder, self.names = name, folder, names
        self.roots = []
        with socket.socket() as probe:
            probe.bind((NEAR, 0))
            self.port = probe.getsockname()[1]

    def launch(self, argv, **how):
        with (self.folder / f"{self.name}.log").open("a") as log:
            process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **how)
        self.roots.append(process)
        return process

    def stop(self):
        for process in reversed(self.roots):
            process.terminate()
            process.wait(20)

    def family(self):
        table = process_table()
        mine = {process.pid for process in self.roots}
        while True:
            more = {pid for pid, (_, parent, _) in table.items() if parent in mine} - mine
            if not more:
                return {pid: table[pid] for pid in mine if pid in table}
            mine |= more

    def settle(self):
        """How many processes there are at rest; what a login left behind ends meanwhile."""
        self.at_rest, same = 0, 0
        while same < 25:
            count = len(self.family())
            same = same + 1 if count == self.at_rest else 0
            self.at_rest = count
            time.sleep(0.02)

    def quiet(self):
        """Waits until no login is left."""
        wait_until(lambda: len(self.family()) <= self.at_rest, f"{self.name}: logins end")

    def cpu(self):
        """Seconds so far; call it when it is quiet."""
        return sum(ticks for _, _, ticks in self.family().values()) / TICKS

    def memory(self):
        """PSS in kB."""
        total = 0
        for pid, (name, _, _) in self.family().items():
            if name in self.names:
                with contextlib.suppress(OSError):
                    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                    total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid, (name, _, _) in self.family().items() if name in self.names)

    def argv(self, command, address=NEAR, *options):
        return ["ssh", "-F", "none", "-T", *options, "-o", f"UserKnownHostsFile={self.folder}/known-{self.name}", "-o", "BatchMode=yes",
                "-o", f"HostKeyAlias={self.name}", "-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes",
                "-o", "LogLevel=ERROR", "-i", str(self.folder / "id"), "-p", str(self.port), f"{USER}@{address}", command]

    def timed(self, command, data=None, address=NEAR):
        start = time.monotonic()
        done = subprocess.run(self.argv(command, address), input=data, stdin=None if data is not None else subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300, check=False)
        took = time.monotonic() - start
        assert done.returncode == 0, f"{self.name}: {command}: {done.stderr.decode(errors='replace')}"
        return took

    def claw(self, address=NEAR):
        """As the client quotes it."""
        folder = f"/tmp/openclaw-sandbox-exec-{uuid.uuid4()}"
        stage = ("'/bin/sh' '-c' 'umask 077 && mkdir -- \"$1\" && cat > \"$1/exec.sh\" && chmod 700 \"$1/exec.sh\"' "
                 f"'openclaw-sandbox-exec-stage' '{folder}'")
        return (self.timed(stage, b"echo done\n", address) + self.timed(f"'/bin/sh' '{folder}/exec.sh'", address=address) +
                self.timed(f"'rm' '-rf' '--' '{folder}'", address=address))


# ---- the three ------------------------------------------------------------------------------------------------------------

def start_creel(folder):
    server = Server("creel", folder, {"creel-sshd", "creel-monitor", "creel-spare", "fake-keeper"})
    own = folder / "creel"
    keepers = own / "keepers" / str(UID)
    keepers.mkdir(parents=True)
    programs = [shutil.copy2(BUILD / "creel-sshd", own), shutil.copy2(BUILD / "tests/fake-keeper", own)]
    shutil.copy(folder / "id.pub", own / "keys")
    shutil.copy(folder / "host", own / "host")
    for path in (own, own / "keepers", keepers, own / "keys", own / "host"):
        os.chown(path, UID, UID)
    identity = {"user": UID, "group": UID, "extra_groups": []}
    server.launch([programs[1], keepers / "keeper.sock", own / "keys"], **identity)
    wait_until((keepers / "keeper.sock").exists, "fake-keeper")
    with socket.socket() as listening:  # as systemd hands it over
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("0.0.0.0", server.port))
        listening.listen(socket.SOMAXCONN)
        listening.set_inheritable(True)
        server.launch(["/bin/sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", programs[0], "-k", own / "host", "-K", own / "keepers"],
                      preexec_fn=lambda: os.dup2(listening.fileno(), 3), pass_fds=[3], **identity)
    return server


def start_openssh(folder):
    server = Server("openssh", folder, {"sshd"})
    config = folder / "sshd_config"
    # Debian's file, but for the port, the key, and a bound of unauthenticated connections that creel has, too (64)
    config.write_text(f"Port {server.port}\nListenAddress 0.0.0.0\nHostKey {folder}/host\nPidFile none\nUsePAM yes\n"
                      "KbdInteractiveAuthentication no\nX11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\n"
                      "Subsystem sftp /usr/lib/openssh/sftp-server\nMaxStartups 64:30:100\n")
    server.launch(["/usr/sbin/sshd", "-D", "-e", "-f", config])
    return server


def start_dropbear(folder):
    server = Server("dropbear", folder, {"dropbear"})
    key = folder / "dropbear.key"
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", key], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server.launch(["dropbear", "-F", "-E", "-s", "-r", key, "-p", f"0.0.0.0:{server.port}", "-P", folder / "dropbear.pid"])
    return server


def prepare(folder):
    """What the three share: a user, a key, and places that are not the machine's."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for path in ("/run", "/var/log"):
        subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
    pathlib.Path("/run/sshd").mkdir()
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    lines = {"passwd": f"{USER}:x:{UID}:{UID}::{home}:/bin/sh\n", "shadow": f"{USER}:*:19000:0:99999:7:::\n", "group": f"{USER}:x:{UID}:\n"}
    for name, line in lines.items():
        copy = folder / name
        shutil.copy2(f"/etc/{name}", copy)
        with copy.open("a") as text:
            text.write(line)
        subprocess.run(["mount", "--bind", copy, f"/etc/{name}"], check=True)
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", folder / name], check=True)
    shutil.copy(folder / "id.pub", home / ".ssh/authorized_keys")
    for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, UID, UID)
        path.chmod(0o700 if path.is_dir() else 0o600)


# ---- measurements ------------------------------------------------------------------------------------------------------------

def measure_cpu(server, runs):
    server.quiet()
    before = server.cpu()
    for _ in range(runs):
        server.timed("true")
    server.quiet()
    return (server.cpu() - before) / runs


def measure_idle(server):
    server.quiet()
    before = server.memory()
    clients = []
    try:
        for _ in range(IDLE):  # one after the other: dropbear takes five at once from one address
            clients.append(subprocess.Popen(server.argv("echo ready; exec cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            assert clients[-1].stdout.readline() == b"ready\n", server.name
        return (server.memory() - before) / IDLE
    finally:
        for client in clients:
            client.stdin.close()
            client.stdout.close()
            client.wait(60)


def measure_burst(server):
    """Times of those that got in, and how many did not."""
    server.quiet()
    started = {}
    for _ in range(BURST):
        client = subprocess.Popen(server.argv("true"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started[client.pid] = client, time.monotonic()
    times, refused = [], 0
    while started:
        pid, status = os.waitpid(-1, 0)
        client, since = started.pop(pid, (None, 0))
        if client:
            client.returncode = os.waitstatus_to_exitcode(status)
            times.append(time.monotonic() - since)
            if client.returncode:
                times.pop()
                refused += 1
    return times, refused


def make_many(server, n):
    for i in range(n):
        if i % 10 == 0:
            server.timed("true")
            continue
        # who is ended before it has spoken is one of those who leave
        with socket.create_connection((NEAR, server.port), timeout=20) as one, contextlib.suppress(ConnectionError):
            if i % 10 < 4:
                one.sendall(b"SSH-2.0-many\r\n")
                one.recv(100)
    server.quiet()
    server.settle()


def measure_many(server):
    """(descriptors, kB) more than before."""
    make_many(server, 200)
    before = server.descriptors(), server.memory()
    make_many(server, MANY)
    return server.descriptors() - before[0], server.memory() - before[1]


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


@contextlib.contextmanager
def delay_link():
    link = subprocess.Popen([BUILD / "tests/delay-link", str(ONE_WAY_USEC)], stdout=subprocess.PIPE)
    try:
        assert link.stdout.readline() == b"ready\n", "delay-link"
        yield
    finally:
        link.terminate()
        link.wait(20)


def run(servers, runs, rounds, only):
    results = {server.name: {} for server in servers}

    def turns(key, times, measure, without=()):
        if only and key not in only:
            return
        say(f"{key}: {times} each")
        takers = [server for server in servers if server.name not in without]
        for server in takers:
            measure(server)  # not counted
        for _ in range(times):
            for server in takers:
                results[server.name].setdefault(key, []).append(measure(server))

    data = bytes(1 << 20) * MEGABYTES
    download = f"head -c {len(data)} /dev/zero"
    for server in servers:
        server.timed("true")
        server.settle()
    turns("connect", runs, lambda server: server.timed("true"))
    turns("claw", max(runs // 3, 2), Server.claw)
    turns("down", rounds, lambda server: server.timed(download))
    turns("up", rounds, lambda server: server.timed("cat >/dev/null", data))
    with delay_link():
        turns("far_connect", max(runs // 3, 2), lambda server: server.timed("true", address=FAR))
        turns("far_claw", max(runs // 10, 2), lambda server: server.claw(FAR))
        turns("far_down", max(rounds // 2, 2), lambda server: server.timed(download, address=FAR), ["dropbear"])
        turns("far_up", max(rounds // 2, 2), lambda server: server.timed("cat >/dev/null", data, FAR), ["dropbear"])
        for server in servers:  # the last end of a connection must still get through
            server.quiet()
    turns("cpu", 3, lambda server: measure_cpu(server, max(runs // 2, 10)))
    turns("memory", 2, measure_idle)
    if not only or "many" in only:
        say(f"many: {MANY} connections")
        results["creel"]["many"] = [measure_many(server) for server in servers if server.name == "creel"]
    if only and "burst" not in only:
        return results
    say(f"burst: {BURST} at once, 3 each")
    for _ in range(3):
        for server in servers:
            times, refused = measure_burst(server)
            mine = results[server.name]
            mine.setdefault("burst", []).append(percentile(times, 0.5))
            mine.setdefault("burst_p99", []).append(percentile(times, 0.99))
            mine.setdefault("refused", []).append(refused)
    return results


def table(results):
    """Lines to print, and the goals that were missed."""
    others = [name for name in results if name != "creel"]
    lines = [f"{'':32}{'creel':>10}" + "".join(f"{name:>10}" for name in others) + "".join(f"{'/' + name:>10}" for name in others) + "  goals"]
    missed = []

    def judge(what, value, goal, text):
        met = value <= goal
        if not met:
            missed.append(f"{what}: {value:.3f}, goal {text}")
        return f"{text}: {'met' if met else 'MISSED'}"

    for key, title, unit, factor, goals in ROWS:
        if key not in results["creel"]:
            continue
        values = {name: statistics.median(mine[key]) if key in mine else float("nan") for name, mine in results.items()}
        ratios = {name: values["creel"] / values[name] for name in others}
        said = [judge(title, ratios[name], goal, f"<= {goal:.2f} of {name}") for name, goal in goals.items() if name in ratios]
        lines.append(f"{title + ', ' + unit:32}{values['creel'] * factor:10.1f}" + "".join(f"{values[name] * factor:10.1f}" for name in others) +
                     "".join(f"{ratios[name]:10.3f}" for name in others) + "  " + "; ".join(said))
    if "burst" in results["creel"]:
        spread = {name: statistics.median([b / a for a, b in zip(mine["burst"], mine["burst_p99"])]) for name, mine in results.items()}
        lines.append(f"{f'{BURST} at once: p99 / median':32}" + "".join(f"{value:10.1f}" for value in spread.values()) +
                     " " * 10 * len(others) + "  " + judge("p99 / median", spread["creel"], SPREAD_MAX, f"<= {SPREAD_MAX:.0f}"))
        refused = {name: sum(mine["refused"]) for name, mine in results.items()}
        lines.append(f"{f'{BURST} at once: refused of {3 * BURST}':32}" + "".join(f"{value:10}" for value in refused.values()) +
                     " " * 10 * len(others) + "  " + judge("refused", refused["creel"], 0, "none"))
    if "many" in results["creel"]:
        ((descriptors, memory),) = results["creel"]["many"]
        for title, value, most in (("descriptors more", descriptors, 0), ("kB more", memory, GROWTH_MAX_KB)):
            lines.append(f"{f'after {MANY}: {title}':32}{value:10}" + " " * 20 * len(others) + "  " +
                         judge(title, value, most, f"<= {most}"))
    return lines, missed


def measure(options):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="creel-bench-", dir="/tmp"))
    folder.chmod(0o755)
    servers = []
    try:
        prepare(folder)
        for start in (start_creel, start_openssh, start_dropbear):
            servers.append(start(folder))
        for server in servers:
            def answers(server=server):
                with contextlib.suppress(OSError), socket.create_connection((NEAR, server.port), timeout=5) as probe:
                    return probe.recv(4) == b"SSH-"
                return False
            wait_until(answers, f"{server.name}: {(folder / f'{server.name}.log').read_text()}")
        return run(servers, options.runs, options.rounds, options.only)
    finally:
        for server in servers:
            server.stop()
        # its mounts are this namespace's, and go with it; what they cover is in use until then
        for name in ("passwd", "shadow", "group"):
            subprocess.run(["umount", f"/etc/{name}"], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=60, help="connections of each server; other numbers follow from it")
    parser.add_argument("--rounds", type=int, default=6, help="transfers of each server")
    parser.add_argument("--only", metavar="KEY", action="append", help="measure only this: " + ", ".join([*(row[0] for row in ROWS[:-1]), "many"]))
    parser.add_argument("--strict", action="store_true", help="fail when a goal is missed")
    options = parser.parse_args()

    if os.getuid() != 0:
        sys.exit("bench-front: must run as root: OpenSSH's sshd and the namespaces need it")
    if "CREEL_BENCH_NAMESPACE" not in os.environ:
        os.environ["CREEL_BENCH_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--net", sys.executable, "-B", *sys.argv])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    results = measure(options)
    lines, missed = table(results)
    print("\n".join(lines))
    print(f"medians of {options.runs} connections and {options.rounds} transfers; {os.cpu_count()} CPUs, Linux {os.uname().release}")
    out = BUILD / "bench"
    out.mkdir(parents=True, exist_ok=True)
    path = out / time.strftime("front-%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps({"results": results}, indent=1))
    print(f"raw numbers: {path}")
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
