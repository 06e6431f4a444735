# SPDX-License-Identifier: MIT
"""Escapes by what is the agent's own: its user manager, its part of the cgroup tree, its processes.

Whatever the agent tells its manager, each of its processes stays in its slice, behind the filter, without privilege, and the
slice's limits stay what the policy says.
"""

import json
import re
import shlex

import pytest

from harness import CGROUP, manager_is_up, marker, python, wait_until
from test_limits import FILL, SLICE, calm, in_slice, oom_kills, processes
from test_rescue import NOTICE, is_rescue

UNITS = ".config/systemd/user"
LIMITS = ("memory.max", "memory.swap.max", "pids.max", "cpu.max")

# root's view of each process of an agent's
LOOK = """
import json, os, sys
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if os.stat(f"/proc/{pid}").st_uid != int(sys.argv[1]):
            continue
        status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
        limits = {line[:26].strip(): line[26:].split()[1] for line in open(f"/proc/{pid}/limits")}
        found.append({"pid": int(pid), "name": status["Name"].strip(), "seccomp": status["Seccomp"].strip(), "new": status["NoNewPrivs"].strip(),
                      "uids": status["Uid"].split(), "groups": status["Groups"].split(),
                      "caps": [status["Cap" + kind].strip() for kind in ("Inh", "Prm", "Eff", "Amb")], "bound": int(status["CapBnd"], 16),
                      "cgroup": open(f"/proc/{pid}/cgroup").read().strip()[3:], "command": open(f"/proc/{pid}/cmdline").read(),
                      "score": int(open(f"/proc/{pid}/oom_score_adj").read()), "policy": os.sched_getscheduler(int(pid)),
                      "nice": os.getpriority(os.PRIO_PROCESS, int(pid)), "files": limits["Max open files"], "core": limits["Max core file size"]})
    except (FileNotFoundError, ProcessLookupError):
        pass
print(json.dumps(found))
"""


def look(vm):
    """All processes of the agent's but (sd-pam), which is no program of anybody's and waits for its manager's end."""
    return [one for one in json.loads(vm.root.sh(python(LOOK, str(vm.uid())))) if one["name"] != "(sd-pam)"]


def assert_held(vm):
    uid = str(vm.uid())
    groups = sorted(vm.root.sh("id -G agent").split())
    for one in look(vm):
        assert one["cgroup"].startswith(f"/user.slice/user-{uid}.slice/"), one
        assert (one["seccomp"], one["new"], one["bound"] & ~(1 << 13)) == ("2", "1", 0), one
        assert set(one["caps"]) == {"0" * 16} and set(one["uids"]) == {uid} and sorted(one["groups"]) == groups, one
        assert one["score"] >= 300 and one["policy"] in (0, 3, 5) and one["nice"] >= 0, one
        assert one["files"] == "16384" and one["core"] == "0", one


@pytest.fixture(autouse=True)
def held(vm):
    """Before and after: the limits are the same, everything is confined, and there are ways in."""
    files = " ".join(f"{SLICE.format(uid=vm.uid())}/{file}" for file in LIMITS)
    before = vm.root.sh(f"grep . {files}")
    yield
    assert vm.root.sh(f"grep . {files}") == before
    manager_is_up(vm)
    assert_held(vm)
    assert vm.agent.sh("echo in") == "in"


@pytest.fixture
def home(vm):
    """What a test does to the user manager's files is undone, and the manager made anew."""
    yield
    vm.root.sh("rm -rf /home/agent/.config/systemd /home/agent/.config/environment.d /home/agent/escape* /run/user/$(id -u agent)/systemd/user.control")
    vm.root.sh(f"systemctl restart user@{vm.uid()}.service", timeout=200)


TRICKS = {
    "slice-system": "Slice=system.slice", "slice-root": "Slice=-.slice", "slice-creel": "Slice=creel.slice", "slice-user": "Slice=user.slice",
    "delegate": "Delegate=yes", "user-root": "User=root", "group-root": "Group=root", "groups": "SupplementaryGroups=root shadow",
    "dynamic": "DynamicUser=yes", "ambient": "AmbientCapabilities=~", "bounding": "CapabilityBoundingSet=~",
    "privileges": "NoNewPrivileges=no\nCapabilityBoundingSet=~\nSecureBits=", "filter": "SystemCallFilter=~\nSystemCallArchitectures=",
    "filter-all": "SystemCallFilter=@default @mount @module @raw-io @reboot", "root": "RootDirectory=/home/agent", "strict": "ProtectSystem=strict",
    "namespaces": "PrivateUsers=yes\nPrivateTmp=yes\nPrivateMounts=yes", "network": "PrivateNetwork=yes", "bind": "BindPaths=/home/agent:/etc",
    "files": "LimitNOFILE=1048576\nLimitNPROC=infinity\nLimitCORE=infinity\nLimitFSIZE=infinity", "score": "OOMScoreAdjust=-1000",
    "memory": "MemoryMax=infinity\nMemoryMin=4G\nTasksMax=infinity\nCPUWeight=10000\nCPUQuota=", "packets": "IPAccounting=yes\nIPAddressAllow=any",
    "fifo": "CPUSchedulingPolicy=fifo\nCPUSchedulingPriority=99", "nice": "Nice=-20\nIOSchedulingClass=realtime", "pam": "PAMName=login",
    "terminal": "StandardInput=tty-force\nTTYPath=/dev/tty1", "record": "LogNamespace=creel", "secret": "LoadCredential=x:/etc/shadow",
    "secret-file": "EnvironmentFile=/etc/shadow", "output": "StandardOutput=append:/etc/escaped", "pid-file": "PIDFile=/run/creel/escaped.pid",
    "run-folder": "RuntimeDirectory=../../creel/escaped", "personality": "Personality=x86", "realtime": "RestrictRealtime=no\nLimitRTPRIO=99\nLimitNICE=40",
    "out-of-memory": "OOMPolicy=continue\nManagedOOMPreference=omit", "keyring": "KeyringMode=shared", "devices": "DevicePolicy=auto\nDeviceAllow=/dev/vda rw",
}
PREFIXES = {"plus": "+", "bang": "!", "bangs": "!!", "all": "-+"}


def test_units_that_ask_for_more(vm, home):
    """Each of them fails to start, or is started as any other."""
    mark = marker()
    units = {name: f"[Service]\n{lines}\nExecStart=/usr/bin/sleep {mark}\n" for name, lines in TRICKS.items()}
    units |= {name: f"[Service]\nExecStart={prefix}/usr/bin/sleep {mark}\n" for name, prefix in PREFIXES.items()}
    files = {f"escape-{name}.service": text for name, text in units.items()}
    files["escape-low.socket"] = f"[Socket]\nListenStream=0.0.0.0:80\nService=escape-delegate.service\n"
    files["escape-path.socket"] = f"[Socket]\nListenStream=/run/creel/escaped\nService=escape-delegate.service\n"
    files["etc-escaped.mount"] = "[Mount]\nWhat=tmpfs\nWhere=/etc/escaped\nType=tmpfs\n"
    files["mnt.mount"] = "[Mount]\nWhat=tmpfs\nWhere=/mnt\nType=tmpfs\n"
    make = python("import json, os, sys\nos.makedirs(sys.argv[1], exist_ok=True)\n"
                  "for name, text in json.load(sys.stdin).items():\n    open(f'{sys.argv[1]}/{name}', 'w').write(text)\n", UNITS)
    vm.agent.sh(make, json.dumps(files))
    vm.agent("systemctl --user daemon-reload; systemctl --user start --no-block " + " ".join(map(shlex.quote, files)), timeout=120)
    wait_until(lambda: "No jobs" in vm.agent("timeout 30 systemctl --user list-jobs --no-pager").text, 120, "each has started or failed", 1)
    assert_held(vm)
    running = [one for one in look(vm) if one["command"] == f"/usr/bin/sleep\0{mark}\0"]
    assert len(running) >= 10, "the tricks are started, so that something is looked at"
    assert all(f"/user@{vm.uid()}.service/" in one["cgroup"] for one in running)
    for path in ("/etc/escaped", "/run/creel/escaped", "/run/creel/escaped.pid"):
        assert vm.root(f"test -e {path}").rc != 0, path
    assert vm.root("mountpoint -q /mnt").rc != 0 and vm.agent("ss -Hltn sport = :80").text == ""
    assert "root:" not in vm.agent("systemctl --user show-environment; cat /run/user/$(id -u)/credentials/*/* 2>/dev/null").text


EDITOR = """#!/bin/sh
printf '[Service]\\nExecStart=\\nExecStart=+/usr/bin/id\\n' > "$1"
"""


def test_properties_and_edits(vm, home):
    """What can be set is of its own units, below the slice."""
    uid = vm.uid()
    vm.agent.sh("systemctl --user set-property app.slice MemoryMax=infinity TasksMax=infinity MemoryMin=2G")
    assert vm.agent.sh("systemctl --user show -P MemoryMin app.slice") == str(2 << 30), "of its own it can"
    vm.agent(f"systemctl --user set-property user-{uid}.slice MemoryMax=infinity; "
             "systemctl --user set-property -- -.slice MemoryMax=infinity TasksMax=infinity; "
             f"systemctl --user set-property user@{uid}.service MemoryMax=infinity", timeout=120)
    vm.agent.sh("cat > escape-editor && chmod 755 escape-editor", EDITOR)
    for unit in (f"user@{uid}.service", "creel-keeper@.service"):
        # it edits for who sits at a terminal
        edit = f"EDITOR=$PWD/escape-editor systemctl --user edit --force --full {unit}"
        done = vm.agent(f"script -qec '{edit}' /dev/null </dev/null", timeout=120)
        assert "+/usr/bin/id" in vm.agent(f"cat {UNITS}/{unit}").text, (unit, done)
    vm.agent.sh("systemctl --user daemon-reload")
    for reload in ("true", "systemctl daemon-reload"):
        vm.root.sh(reload)
        assert "MemoryMax=infinity" not in vm.root.sh(f"systemctl show user-{uid}.slice -p MemoryMax")
        starts = vm.root.sh(f"systemctl show -p ExecStart user@{uid}.service creel-keeper@{uid}.service")
        assert "creel-confine" in starts and "creel-keeper" in starts and "/usr/bin/id" not in starts


GENERATOR = """#!/bin/sh
{ cat /proc/self/status; cat /proc/self/cgroup; } > /home/agent/escape-generator
echo escaped > /run/creel/escaped
printf '[Service]\\nExecStart=+/usr/bin/sleep 600\\n' > "$1/escape-made.service"
"""
ENVIRONMENT = """LD_PRELOAD=/home/agent/escape.so
PATH=/home/agent
SYSTEMD_LOG_TARGET=kmsg
NOTIFY_SOCKET=/run/systemd/notify
SYSTEMD_UNIT_PATH=/home/agent
SYSTEMD_GENERATOR_PATH=/home/agent/.config/systemd/user-generators
DBUS_SYSTEM_BUS_ADDRESS=unix:path=/home/agent/bus
SYSTEMD_SECCOMP=0
"""
# tells of each process that loads it
LIBRARY = """#include <stdio.h>
#include <unistd.h>

static void copy(const char *from, FILE *to)
{
	FILE *file = fopen(from, "r");

	for (int c; file && (c = fgetc(file)) != EOF;)
		fputc(c, to);
	if (file)
		fclose(file);
}

__attribute__((constructor)) static void tell(void)
{
	char name[64];
	FILE *file;

	snprintf(name, sizeof(name), "/home/agent/escape-loaded-%d", (int)getpid());
	file = fopen(name, "w");
	if (!file)
		return;
	copy("/proc/self/status", file);
	copy("/proc/self/cgroup", file);
	fclose(file);
}
"""


def loaded(vm):
    """What the library told since it was asked last: a text for each process."""
    told = vm.agent("cd /home/agent; for file in escape-loaded-*; do cat $file && echo ----; rm -f $file; done")
    return [text for text in told.text.split("----") if text.strip()]


def test_generators_environment_and_new_managers(vm, home):
    """Generators and variables of its own, a manager that executes itself again, a library for all that it starts."""
    for folder in ("user-generators", "user-environment-generators"):
        vm.agent.sh(f"mkdir -p .config/systemd/{folder} && cat > .config/systemd/{folder}/escape && "
                    f"chmod 755 .config/systemd/{folder}/escape", GENERATOR)
    vm.agent.sh("gcc -shared -fPIC -o escape.so -x c -", LIBRARY)
    vm.agent.sh("mkdir -p .config/environment.d && cat > .config/environment.d/escape.conf", ENVIRONMENT)
    for act in ("daemon-reload", "set-environment LD_PRELOAD=/home/agent/escape.so SYSTEMD_SECCOMP=0", "daemon-reexec"):
        vm.agent(f"timeout 60 systemctl --user {act}", timeout=120)
        service = "timeout 30 systemd-run --user --quiet --wait --collect /usr/bin/true"
        wait_until(lambda: vm.agent(service).rc == 0, 90, f"a service after {act}")
        texts = loaded(vm)
        assert any(re.search(r"^Name:\ttrue$", text, re.M) for text in texts), f"a service loads it after {act}"
        for text in texts:
            assert "Seccomp:\t2\n" in text and "NoNewPrivs:\t1\n" in text and f"user@{vm.uid()}.service" in text, text
    assert vm.agent.sh("echo in") == "in"
    assert vm.agent("test -e escape-generator").rc == 1 and vm.agent("systemctl --user cat escape-made.service").rc != 0
    assert vm.root("test -e /run/creel/escaped").rc != 0
    assert_held(vm)
    assert "escape.so" not in vm.root.sh(f"tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID creel-keeper@{vm.uid()}.service)/environ")


def main_process(vm):
    return vm.root.sh(f"systemctl show -P MainPID user@{vm.uid()}.service")


def sessions_holder(vm):
    return vm.root.sh(f"pgrep -u {vm.uid()} -x '[(]sd-pam[)]'")


ENDS = {
    "exit": "systemctl --user exit", "kill": "pkill -KILL -x -u $(id -u) systemd", "abort": "pkill -ABRT -x -u $(id -u) systemd",
    "pam": "pkill -KILL -x '[(]sd-pam[)]'", "runtime": "rm -rf /run/user/$(id -u)/systemd /run/user/$(id -u)/bus",
}


@pytest.mark.parametrize("way", ENDS)
def test_an_end_of_its_own_manager(vm, way):
    """It comes back as it was, confined; the agent's and others' logins do not wait for it."""
    what = sessions_holder if way == "pam" else main_process
    before = what(vm)
    vm.agent(ENDS[way], timeout=60)
    assert vm.agent.sh("echo in") == "in"
    if way == "kill":  # once for all ways
        assert vm.bob.sh("echo in") == vm.operator.sh("echo in") == "in"
    if way == "runtime":
        assert vm.root(f"test -e /run/user/{vm.uid()}/bus").rc == 1
        vm.root.sh(f"systemctl restart user@{vm.uid()}.service", timeout=200)
    elif way == "pam":
        assert vm.root(f"test -d /proc/{before}").rc == 1, "it did not end"
        vm.root.sh(f"systemctl restart user@{vm.uid()}.service", timeout=200)
    wait_until(lambda: what(vm) not in (before, "0"), 90, "there is another one")


# ---- cgroups ----------------------------------------------------------------------------------------------------------
# from a service, where its own part of the tree can be written: what must not be, though
CGROUPS = """
import os, sys
uid, bob = sys.argv[1:3]
top = "/sys/fs/cgroup"
slice = f"{top}/user.slice/user-{uid}.slice"
leaves, manager = f"{slice}/creel-leaves@{uid}.service", f"{slice}/user@{uid}.service"
rescue = f"{top}/creel.slice/creel-rescue@{uid}.service"
me = str(os.getpid())
tries = [(f"{place}/{file}", me) for file in ("cgroup.procs", "cgroup.threads") for place in (
    top, f"{top}/user.slice", slice, f"{top}/system.slice", f"{top}/init.scope", f"{top}/creel.slice", leaves, f"{leaves}/hold", rescue, f"{rescue}/hold",
    f"{top}/user.slice/user-{bob}.slice", f"{top}/user.slice/user-{bob}.slice/user@{bob}.service", f"{top}/creel.slice/creel-keeper@{uid}.service")]
for place in (top, f"{top}/user.slice", slice, leaves, rescue, manager, f"{top}/user.slice/user-{bob}.slice"):
    tries += [(f"{place}/{file}", value) for file, value in (
        ("memory.max", "max"), ("memory.high", "max"), ("memory.swap.max", "max"), ("memory.min", "4G"), ("memory.low", "4G"), ("pids.max", "max"), ("cpu.max", "max"),
        ("cpu.weight", "10000"), ("io.weight", "1000"), ("cgroup.kill", "0"), ("cgroup.freeze", "1"), ("cgroup.type", "threaded"), ("cgroup.max.descendants", "max"),
        ("cgroup.max.depth", "1"))]
    if place != manager:
        tries.append((f"{place}/cgroup.subtree_control", "-memory"))
for path, value in tries:
    try:
        with open(path, "w") as file:
            file.write(value)
        print("wrote", path, value)
    except FileNotFoundError:
        print("absent", path)
    except OSError as problem:
        if problem.errno not in (1, 13, 30):
            print(problem.strerror, path, value)
for place in (top, slice, leaves, rescue, f"{top}/system.slice"):
    try:
        os.mkdir(f"{place}/escaped")
        print("made", place)
    except OSError:
        pass
    for act in (lambda: os.chmod(place, 0o777), lambda: os.setxattr(place, "user.creel.kept", b"yes"), lambda: os.rename(place, place + "x")):
        try:
            act()
            print("changed", place)
        except OSError:
            pass
print("tried", len(tries))
"""


def test_cgroup_files_that_are_not_its_own(vm):
    for door in ("systemd-run --user --quiet --wait --pipe --collect -p Delegate=yes ", "systemd-run --user --quiet --scope --collect ", ""):
        *said, tried = vm.agent.sh(door + python(CGROUPS, str(vm.uid()), str(vm.uid("bob"))), timeout=120).splitlines()
        absent = {line.removeprefix("absent ") for line in said if line.startswith("absent ")}
        assert tried.startswith("tried ") and len(said) == len(absent), (door, said)
        # the root of the tree has few of them, and places whose controllers are off; where others are put is everywhere
        assert not {path for path in absent if path.endswith((".procs", ".threads"))}, (door, absent)
        assert vm.root(f"ls -d {' '.join(absent)} /").text == "/", f"{door}: it is there, and hidden from the agent"


MANY = """
import os, sys
base = f"/sys/fs/cgroup{open('/proc/self/cgroup').read().strip()[3:]}/many"
os.mkdir(base)
n, depth = 0, base
try:
    while n < 3000:
        os.mkdir(f"{base}/{n}")
        n += 1
except OSError as problem:
    print(n, problem.errno, flush=True)
try:
    open(base + "/cgroup.type", "w").write("threaded")
except OSError:
    pass
sys.stdin.read()
"""


def test_thousands_of_cgroups(vm):
    """Each costs the kernel memory that nobody's limit counts, and there are 65535 for the machine."""
    with vm.agent.start("systemd-run --user --quiet --wait --pipe --collect -p Delegate=yes " + python(MANY)) as client:
        made, error = map(int, client.stdout.readline().split())
        assert 500 < made <= 1024 and error == 11
        assert vm.agent.sh("echo in") == "in" and vm.bob.sh("systemd-run --user --quiet --wait --collect true; echo in") == "in"
        assert vm.openssh.sh("echo in") == "in"
        client.stdin.close()
        client.wait(60)


FREEZE = """
import os
uid = os.getuid()
open(f"/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service/init.scope/cgroup.freeze", "w").write("1")
"""


def test_a_manager_that_freezes_itself(vm):
    """Everybody is answered; a login ends it, and it comes back."""
    with vm.agent.start("systemd-run --user --collect " + python(FREEZE)):
        path = f"{SLICE.format(uid=vm.uid())}/user@{vm.uid()}.service/init.scope/cgroup.events"
        wait_until(lambda: "frozen 1" in vm.root(f"cat {path}").text, 30, "it is frozen")
        assert vm.agent.sh("echo in") == "in" and vm.openssh.sh("echo in") == "in" and vm.operator.sh("systemctl is-active creel-sshd.socket") == "active"
        vm.agent("pkill -KILL -x -u $(id -u) systemd")


# ---- signals and ends -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("signal", ["STOP", "KILL"])
def test_signals_to_all_that_is_its_own(vm, signal):
    """All processes with its uid, in whosesoever charge they are: a login follows, and the record is whole."""
    since, mark = vm.now(), marker()
    with vm.agent.start(f"sleep {mark}") as client, vm.openssh.start(f"sleep {mark}; :"):
        wait_until(lambda: len(vm.alive(f"sleep {mark}")) == 2)
        vm.agent(f"kill -{signal} -1", timeout=60)
        assert vm.agent.sh("echo in") == "in"
        if signal == "STOP":
            client.kill()
            vm.record(since, "command", agent="agent", command=f"sleep {mark}", result="hangup")
            vm.agent("kill -KILL -1")
    wait_until(lambda: not vm.alive(f"sleep {mark}"))
    wait_until(lambda: len(vm.records(since, "login", agent="agent")) == len(vm.records(since, "logout", agent="agent")) >= 4, what="each login has its end")
    for unit in ("creel-leaves", "creel-rescue", "creel-keeper"):
        assert vm.root.sh(f"systemctl show -P ActiveState {unit}@{vm.uid()}.service") == "active"


def test_exhausted_processes_and_descriptors(vm):
    """Processes up to the limit, each descriptor that it may have: the login that follows is served."""
    with vm.agent.start(python(FILL, mark := marker())) as client:
        assert client.stdout.readline()
        wait_until(lambda: processes(vm) == 50)
        hold = python("import os, sys\ntry:\n    while True: os.open('/dev/null', 0)\n"
                      "except OSError as problem: print(problem.errno)\nsys.stdin.read()")
        done = vm.agent(hold, timeout=120)
        assert done.text == "24" and NOTICE in done.errors
        assert vm.bob.sh("echo in") == "in"
    wait_until(lambda: not vm.alive(f"sleep {mark}"))
    calm(vm, 20)


TASKS = """
import os, sys, threading
end = threading.Event()
try:
    while True:
        threading.Thread(target=end.wait, daemon=True).start()
except RuntimeError:
    pass
try:
    os.fork()
except OSError as problem:
    print(problem.errno, flush=True)
sys.stdin.read()
os._exit(0)
"""


def test_exhausted_tasks(vm):
    """Threads are no processes, and have an end of their own, which is no refusal of a process."""
    refused = vm.processes().refused
    with vm.agent.start(python(TASKS)) as client:
        assert client.stdout.readline() == b"11\n", client.stderr.read()
        assert int(in_slice(vm, "pids.max")) - int(in_slice(vm, "pids.current")) <= 2 and processes(vm) < 50
        done = vm.agent(f"{CGROUP}; echo in", timeout=120)
        assert done.text.endswith("\nin") and is_rescue(vm, done.text) and NOTICE in done.errors, done
        assert vm.bob.sh("echo in") == vm.operator.sh("echo in") == "in"
        client.stdin.close()
        assert client.wait(60) == 0
    assert vm.processes().refused == refused
    wait_until(lambda: int(in_slice(vm, "pids.current")) < 100, what="the threads are gone")
    assert not is_rescue(vm, vm.agent.sh(CGROUP))


def test_the_manager_dies_of_its_own_memory(vm):
    """A service that lowers all others' chances: the manager is killed, and comes back; the rest of the machine does not notice."""
    before, kills = main_process(vm), oom_kills(vm)
    vm.agent.sh(f"choom -n 1000 -p {before}")
    eat = python("import os\nfor _ in range(6):\n    if os.fork() == 0: break\nx = []\nwhile True: x.append(b'x' * (8 << 20))")
    try:
        vm.agent(f"systemd-run --user --collect {eat}")
        wait_until(lambda: oom_kills(vm) > kills and main_process(vm) not in (before, "0"), 120, "it is another")
        assert vm.bob.sh("echo in") == "in" and vm.operator.sh("echo in") == "in"
    finally:
        vm.agent("pkill -KILL -f 'b64decode'", timeout=120)
    assert vm.root.sh("systemctl is-active creel-sshd.service ssh.service").split() == ["active"] * 2
