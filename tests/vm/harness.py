# SPDX-License-Identifier: MIT
"""What the tests speak with: a running VM, its hosts, its records, a terminal, and waiting for conditions.

Nothing here sleeps to synchronise: wait_until() polls a condition and says at the end what it last saw. Time limits
are generous, because the VM may be emulated on a busy machine; where time itself is the promise, a test compares two
measurements of one run.
"""

import base64
import collections
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import random
import re
import select
import shlex
import signal
import struct
import subprocess
import tempfile
import termios
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
PROBES = pathlib.Path(__file__).resolve().parent / "probes"
PROBE_DIR = "/var/tmp/creel-probes"
TIMEOUT = 60.0
FORK_BOMB = ":(){ :|:& };:"  # for bash
MEMORY_BOMB = "x=[]\nwhile True: x.append(bytearray(16<<20))"  # for python()
CGROUP = "cut -d: -f3 /proc/self/cgroup"  # where a command runs


def wait_until(condition, timeout=30.0, what="", pause=0.1):
    """Polls until `condition()` is true and returns that value; fails with what it saw last."""
    end = time.monotonic() + timeout
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what or condition}; last seen: {seen!r}")
        time.sleep(pause)


def marker():
    """A number of seconds to sleep that no other process has on its command line."""
    return str(random.randrange(10**7, 10**8))


def median(values):
    values = sorted(values)
    return values[len(values) // 2]


class Result(collections.namedtuple("Result", "rc out err")):
    """Exit status of the client, and what it wrote (bytes)."""

    @property
    def text(self):
        return self.out.decode(errors="replace").strip()

    @property
    def errors(self):
        return self.err.decode(errors="replace").strip()

    def ok(self):
        assert self.rc == 0, f"exit {self.rc}\nstdout: {self.out[-2000:]!r}\nstderr: {self.err[-2000:]!r}"
        return self


Processes = collections.namedtuple("Processes", "count limit refused")


class Host:
    """One entry of the VM's ssh_config. Each call is a connection of its own, unless a control path is given."""

    def __init__(self, machine, name, options=()):
        self.machine = machine
        self.name = name
        self.options = list(options)

    def argv(self, command=None, options=(), program="ssh"):
        argv = [program, "-F", str(self.machine.config), "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
        argv += self.options + list(options) + [self.name]
        return argv + ([command] if command is not None else [])

    def __call__(self, command, stdin=b"", options=(), timeout=TIMEOUT):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run(self.argv(command, options), input=stdin, capture_output=True, timeout=timeout,
                              check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def sh(self, command, stdin=b"", options=(), timeout=TIMEOUT):
        """Runs it, requires success, returns its output as text."""
        return self(command, stdin, options, timeout).ok().text

    def sftp(self, script, options=(), timeout=120):
        """Lines for OpenSSH's sftp; the first that fails ends it, unless it begins with `-`."""
        argv = self.argv(options=["-b", "-", *options], program="sftp")
        done = subprocess.run(argv, input=script.encode(), capture_output=True, timeout=timeout, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def start(self, command, options=(), **keywords):
        """A client that runs beside the test; it is killed at the end if it still lives."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **keywords}
        process = subprocess.Popen(self.argv(command, options), **pipes)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()

    def settings(self):
        """What ssh makes of the configuration: a dictionary of lower-case keys."""
        lines = subprocess.run(self.argv(options=["-G"]), capture_output=True, text=True, check=True).stdout
        found = {}
        for line in lines.splitlines():
            key, _, value = line.partition(" ")
            found.setdefault(key, value)
        return found

    def key(self):
        return os.path.expanduser(self.settings()["identityfile"])


class Machine:
    """A running agent VM, seen through its ssh_config."""

    def __init__(self, config):
        self.config = pathlib.Path(config)
        self.control = tempfile.mkdtemp(prefix="creel-")
        share = ["-o", "ControlMaster=auto", "-o", f"ControlPath={self.control}/%C", "-o", "ControlPersist=yes"]
        self.root = Host(self, "root", share)  # one connection for all that the tests ask as operator
        self.operator = Host(self, "root")     # a connection each
        self.agent = Host(self, "agent")
        self.bob = Host(self, "bob")
        self.openssh = Host(self, "openssh")
        self.uids = {}

    # ---- the operator's view ---------------------------------------------------------------------------------------
    def disconnect(self):
        subprocess.run(self.root.argv(options=["-O", "exit"]), capture_output=True, check=False)
        for path in pathlib.Path(self.control).iterdir():
            if path.is_socket():
                path.unlink(missing_ok=True)  # the client that was told to end removes its socket itself

    def uid(self, user="agent"):
        if user not in self.uids:
            self.uids[user] = int(self.root.sh(f"id -u {user}"))
        return self.uids[user]

    def push_probes(self):
        """Copies tests/vm/probes into the VM, where any user may run them."""
        tar = subprocess.run(["tar", "-C", str(PROBES), "-cf", "-", "--exclude=__pycache__", "."],
                             capture_output=True, check=True)
        self.root.sh(f"mkdir -p {PROBE_DIR} && tar -C {PROBE_DIR} -xf - --no-same-owner && chmod -R a+rX {PROBE_DIR}",
                     stdin=tar.stdout)

    def write(self, path, content, mode="0644", owner="root:root"):
        """Writes a file as root. Only for paths below folders of root's or a fresh agent's home."""
        if isinstance(content, str):
            content = content.encode()
        path = shlex.quote(path)
        self.root.sh(f"cat > {path} && chmod {mode} {path} && chown {owner} {path}", stdin=content)

    def alive(self, command):
        """Processes whose whole command line is `command`, as a list of pids."""
        found = self.root(f"pgrep -fx -- {shlex.quote(command)}")
        return [int(pid) for pid in found.text.split()]

    def cgroup(self, pid):
        return self.root(f"cat /proc/{pid}/cgroup").text.partition("::")[2]

    def processes(self, user="agent"):
        """What the kernel counts for limits.processes: a row (count, limit, refused)."""
        for line in self.root.sh("cat /sys/fs/bpf/creel/processes/usage").splitlines():
            uid, *numbers = map(int, line.split())
            if uid == self.uid(user):
                return Processes(*numbers)
        raise AssertionError(f"nothing is counted for {user}")

    def front_workers(self):
        """Pids of creel-sshd's processes that serve a connection: neither a listener, a monitor nor a spare."""
        listener = int(self.root.sh("systemctl show -P MainPID creel-sshd.service"))
        lines = (line.split() for line in self.root("ps -u creel-sshd -o pid=,comm=").text.splitlines())
        return {int(pid) for pid, comm in lines if comm not in ("creel-monitor", "creel-spare")} - {listener}

    # ---- the record --------------------------------------------------------------------------------------------------
    def now(self):
        """A mark in the VM's time: microseconds."""
        return int(self.root.sh("date +%s%6N"))

    def journal(self, since, *matches, namespace=None):
        """Journal entries since a mark, oldest first, as dictionaries."""
        where = f"--namespace={namespace} " if namespace else ""
        seconds = since // 10**6 - 1
        out = self.root.sh(f"journalctl {where}--sync; journalctl {where}-q --no-pager --all -o json --since=@{seconds} "
                           + " ".join(shlex.quote(match) for match in matches))
        entries = [json.loads(line) for line in out.splitlines()]
        return [entry for entry in entries if int(entry["__REALTIME_TIMESTAMP"]) >= since]

    def records(self, since, kind=None, agent=None, **fields):
        """Records since a mark. Keywords are CREEL_ fields in lower case."""
        wanted = {f"CREEL_{key.upper()}": value for key, value in fields.items()}
        if kind:
            wanted["CREEL_KIND"] = kind
        if agent:
            wanted["CREEL_AGENT"] = agent
        return [entry for entry in self.journal(since, namespace="creel")
                if all(entry.get(key) == str(value) for key, value in wanted.items())]

    def record(self, since, kind, timeout=30.0, **fields):
        """Waits for exactly one such record."""
        found = wait_until(lambda: self.records(since, kind, **fields), timeout, f"record {kind} {fields}")
        assert len(found) == 1, found
        return found[0]

    def only(self, key):
        """Options that offer this key and no other: ssh tries all the identities that a configuration names."""
        bare = pathlib.Path(self.control) / "no-identity"
        # made each time: a VM that was off in between may have other ports
        bare.write_text("".join(line for line in self.config.read_text().splitlines(True) if "IdentityFile" not in line))
        return ["-F", str(bare), "-o", f"IdentityFile={key}", "-o", "IdentitiesOnly=yes"]

    # ---- other clients -----------------------------------------------------------------------------------------------
    def address(self):
        settings = self.agent.settings()
        return settings["hostname"], int(settings["port"])

    def connect(self, user="agent", key=None, **options):
        """An asyncssh connection, for what the OpenSSH client cannot be made to say."""
        import asyncssh
        host, port = self.address()
        return asyncssh.connect(host, port, username=user, known_hosts=None, agent_path=None, config=None,
                                client_keys=[key or self.agent.key()], login_timeout=TIMEOUT, **options)


def limits(text):
    """What `creel limits --json` said, by name."""
    return {row["name"]: row for row in json.loads(text)}


def policy_file(agent="agent"):
    return f"/etc/creel/agents/{agent}.conf"


@contextlib.contextmanager
def policy(vm, text=None, agent="agent", apply=True, manager=False):
    """The agent's policy is that, meanwhile; within each other, the last one holds. Yields a function that changes it once more.

    `apply`: by creelctl; without it the keeper alone sees it, with the next login. `manager`: the agent's user manager, too, is
    started anew with that policy, and with the old one at the end: systemctl comes back when its basic.target is reached.
    `text` None: it stays, until it is changed.
    """
    file, saved = policy_file(agent), f"/root/policy-{marker()}"
    then = " && creelctl policy apply" if apply else ""
    then += f" && systemctl restart user@{vm.uid(agent)}.service" if manager else ""

    def change(new):
        vm.root.sh(f"cat > {file}{then}", new, timeout=240)

    vm.root.sh(f"cp -a {file} {saved}")
    try:
        if text is not None:
            change(text)
        yield change
    finally:
        vm.root.sh(f"mv {saved} {file}{then}", timeout=240)


def manager_is_up(vm):
    """The agent's user manager has started what it starts by itself."""
    wait_until(lambda: vm.agent("timeout 20 systemctl --user is-active basic.target").text == "active", 90,
               "the user manager is there", 1)


def between_half_hours(vm):
    """What */30 starts in the crontab does not start within the next minute."""
    wait_until(lambda: 30 <= int(vm.root.sh("date +%s")) % 1800 <= 1740, 120, "a half hour has begun", 1)


@contextlib.contextmanager
def somebody_else(vm):
    """A user "plain", who is no agent. Yields a function that runs a command as that user, through no door."""
    def run(command, stdin=b"", timeout=TIMEOUT):
        become = "cd /home/plain && HOME=/home/plain setpriv --reuid plain --regid plain --init-groups"
        return vm.root(f"{become} {command}", stdin, timeout=timeout)

    vm.root.sh("useradd -m plain")
    try:
        yield run
    finally:
        vm.root.sh("userdel -r plain 2>/dev/null")


@contextlib.contextmanager
def one_more_agent(vm):
    """carol, with the agent's key. Yields her uid; she is removed at the end where the test has not done it."""
    vm.root.sh("creelctl agent add carol --key -", stdin=pathlib.Path(vm.agent.key() + ".pub").read_text(), timeout=240)
    try:
        yield int(vm.root.sh("id -u carol"))
    finally:
        vm.root.sh("! getent passwd carol || creelctl agent remove carol", timeout=240)


STOP_COUNTING = "systemctl stop creel-count.timer; " \
                "while [ $(systemctl is-active creel-count.service) = activating ]; do sleep 0.1; done"


@contextlib.contextmanager
def nobody_counts(vm):
    """creel-count.timer stands still: what a test breaks is not mended."""
    vm.root.sh(STOP_COUNTING)
    try:
        yield
    finally:
        vm.root.sh("systemctl start creel-count.timer")


class Terminal:
    """A program on a pseudo-terminal of this machine: what a person at `ssh` does."""

    def __init__(self, argv, rows=24, columns=80, term="xterm"):
        self.seen = b""
        self.fd, inner = pty.openpty()
        self.resize(rows, columns)  # before the client looks
        environment = {**os.environ, "TERM": term}
        environment.pop("LC_ALL", None)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.fd)
            os.login_tty(inner)
            os.execvpe(argv[0], argv, environment)
        os.close(inner)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, data):
        os.write(self.fd, data.encode() if isinstance(data, str) else data)

    def line(self, text):
        self.send(text + "\r")

    def expect(self, pattern, timeout=TIMEOUT):
        """Reads until the pattern matches; forgets everything up to the end of the match."""
        pattern = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.S)
        end = time.monotonic() + timeout
        while True:
            match = pattern.search(self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"{pattern.pattern!r} not within {timeout} s; seen: {self.seen[-2000:]!r}")
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                raise AssertionError(f"{pattern.pattern!r} expected, but the program ended; seen: {self.seen!r}")
            self.seen += data

    def finish(self, timeout=TIMEOUT):
        """Reads to the end; returns the exit status (128+n after signal n)."""
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"no end within {timeout} s; seen: {self.seen[-2000:]!r}")
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                break
            if not data:
                break
            self.seen += data
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def kill(self):
        """The client vanishes."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def close(self):
        self.kill()
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def python(code, *arguments):
    """A command that runs Python code in the VM, whatever quotes it holds."""
    packed = base64.b64encode(code.encode()).decode()
    start = f"import base64;exec(base64.b64decode('{packed}'))"
    return " ".join(["python3", "-c", shlex.quote(start), *map(shlex.quote, arguments)])
