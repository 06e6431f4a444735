# SPDX-License-Identifier: MIT
"""Independent runs: what they see, what stays of them, and that nothing gets out. tests/runs has what needs no machine."""

import pytest

from harness import policy, python, wait_until
from test_keeper import kill_keeper
from test_run import POLICY, ask, leaves, nothing_is_left, order

SECOND = 10**6


def independent(language, code, **rest):
    made = order(language, code, **rest)
    made["options"]["independent"] = True
    return made


@pytest.fixture(scope="module", autouse=True)
def rules(vm):
    vm.agent.sh("mkdir -p ~/workspace/output ~/workspace/kept && echo old > ~/workspace/kept/file && touch /tmp/mine")
    with policy(vm, POLICY.replace("[exec]\n", "[exec]\nscratch = 8M\n")):
        yield
    vm.agent.sh("rm -rf ~/workspace/output/* ~/workspace/kept /tmp/mine")


def mounts(vm):
    return vm.root.sh("cut -d' ' -f2,3 /proc/1/mounts | sort")


def test_what_it_changes_is_gone_but_for_its_output(vm):
    before = mounts(vm)
    code = ("cd kept; cat file; echo new > file; cat file; rm -r ../kept; mkdir ../kept; ls ../kept | wc -l; echo x > ~/made; "
            "echo stays > ~/workspace/output/stays; ls -d /tmp/* /var/tmp/* /home/* /run/creel /run/dbus /run/systemd 2>/dev/null; "
            "ls /proc | grep -c '^[0-9]'; cat /proc/self/cgroup; test -r /sys/fs/cgroup/memory.max && echo leaf")
    answer, = ask(vm, independent("bash", code))
    assert answer["reason"] == "ok", answer
    said = answer["stdout"].split("\n")
    assert said[:4] == ["old", "new", "0", "/home/agent"] and said[5:7] == ["0::/", "leaf"], said
    assert int(said[4]) <= 5
    assert vm.agent.sh("cat ~/workspace/kept/file ~/workspace/output/stays; ls ~/made 2>&1 | wc -l").split() == ["old", "stays", "1"]
    assert "No such" in vm.agent("ls ~/made").errors
    nothing_is_left(vm)
    assert mounts(vm) == before


# Each ends badly; what does not is printed.
ESCAPES = """\
t() { "$@" >/dev/null 2>&1 </dev/null && echo "OK: $*"; }
t mount -t tmpfs none /mnt; t mount -o remount,rw /; t umount -l /proc; t umount -l "$HOME"; t umount -l "$HOME/workspace/output"
t unshare -m true; t unshare -U true; t unshare -Un true; t nsenter -t 1 -m true; t nsenter -t 1 -n true; t chroot / true
t touch /etc/x /usr/x; t touch /proc/self/root/etc/x; t touch /proc/1/root/x; t ls /proc/1/root; t ls /proc/1/fd
t cat /proc/1/mem; t cat /proc/1/environ; t cat /proc/1/maps; t sh -c 'kill -9 1; sleep 1; test ! -d /proc/1'
t mkdir /sys/fs/cgroup/x; t sh -c 'echo $$ > /sys/fs/cgroup/cgroup.procs'; t sh -c 'echo max > /sys/fs/cgroup/memory.max'
t sh -c 'echo 1 > /sys/fs/cgroup/cgroup.kill'; t sh -c 'echo x > /proc/sys/kernel/hostname'; t ls /home/bob; t ls /root
t systemd-run --user true; t systemctl --user status; t busctl --user list; t busctl list; t creel limits; t screen -ls
t sh -c 'echo x > /tmp/../../etc/x'; t ln -s / output/root-link/x; t mknod output/null c 1 3; t cat /tmp/mine
echo end
"""


def test_nothing_gets_out(vm):
    answer, = ask(vm, independent("bash", ESCAPES, timeout=200 * SECOND))
    assert answer["stdout"] == "end\n", answer


TRACE = """\
import ctypes, os
c = ctypes.CDLL(None, use_errno=True)
print(c.ptrace(16, 1, 0, 0), c.syscall(438, os.pidfd_open(1), 4, 0), c.syscall(428, -100, b"/", 1), c.syscall(308, os.pidfd_open(1), 0))
print(sorted(os.listdir("/proc/self/fd"))[:4], os.getpid(), os.getppid(), os.path.exists("/run/user/%d/bus" % os.getuid()))
try: os.kill(1, 0); print("signal")
except OSError as e: print(e)
"""


def test_process_1_keeps_its_own(vm):
    answer, = ask(vm, independent("python", TRACE))
    assert answer["stdout"].split("\n")[:2] == ["-1 -1 -1 -1", "['0', '1', '2', '3'] 2 1 False"], answer


LISTENER = """\
import os, socket
s = socket.socket(socket.AF_UNIX); s.bind(os.path.expanduser("~/door")); s.listen()
print("ready", flush=True); input()
"""
KNOCK = """\
import os, socket
print(os.path.exists("../door"))
try: socket.socket(socket.AF_UNIX).connect("../door"); print("open")
except OSError as e: print(e.errno)
"""


def test_sockets_in_the_home_are_closed(vm):
    with vm.agent.start(python(LISTENER)) as client:
        assert client.stdout.readline() == b"ready\n"
        shared, = ask(vm, order("python", KNOCK))
        answer, = ask(vm, independent("python", KNOCK))
    vm.agent.sh("rm ~/door")
    assert (shared["stdout"], answer["stdout"]) == ("True\nopen\n", "True\n111\n"), (shared, answer)


def test_limits_hold_inside(vm):
    memory, processes, scratch, timeout = ask(
        vm, independent("python", "x = []\nwhile True: x.append(bytearray(1 << 20))", memory=64 << 20),
        independent("python", "import os, time\nfor _ in range(100):\n if not os.fork(): time.sleep(600); os._exit(0)", processes=8),
        independent("bash", "for there in /dev/shm ~; do for i in 1 2 3 4; do head -c 3000000 /dev/zero > $there/$i; done; rm $there/[1-4]; done"),
        independent("bash", "(trap '' TERM HUP INT; setsid sleep 600) & echo begun; sleep 600", timeout=20 * SECOND), timeout=600)
    assert (memory["reason"], memory["error"]) == ("memory", "Error: memory limit exceeded (64M)"), memory
    assert (processes["reason"], processes["error"]) == ("processes", "Error: process limit exceeded (8)"), processes
    assert scratch["stderr"].count("No space left on device") == 4, scratch
    assert (timeout["reason"], timeout["stdout"]) == ("timeout", "begun\n"), timeout
    nothing_is_left(vm)


def test_what_it_writes_counts_as_its_memory(vm):
    with policy(vm, POLICY.replace("[exec]\n", "[exec]\nscratch = 200M\n")):
        answer, = ask(vm, independent("bash", "for i in {1..40}; do head -c 3000000 /dev/zero > /tmp/$i || exit; done; echo whole", memory=48 << 20))
    assert answer["reason"] == "memory" and "whole" not in answer["stdout"], answer


def test_a_directory_that_is_not_there(vm):
    answer, = ask(vm, independent("bash", "pwd", directory="/run/systemd"))
    assert (answer["reason"], answer["error"]) == (
        "refused", 'Error: directory: "/run/systemd" is not there in an independent run'), answer


def test_what_is_hidden_stays_hidden(vm):
    with policy(vm, POLICY + "[files]\nhidden = /etc/hosts\n"):
        answer, = ask(vm, independent("bash", "cat /etc/hosts; cat /etc/hostname"))
    assert answer["stdout"] == "agent-vm\n" and "Permission denied" in answer["stderr"], answer


def test_a_killed_keeper_leaves_nothing(vm):
    before = mounts(vm)
    vm.agent.sh("true")
    vm.agent.sh("python3 -B - <<'.'\n" + UNDER_WAY.format(vm.uid()) + ".\n", timeout=120)
    kill_keeper(vm)
    vm.agent.sh("true")
    wait_until(lambda: not leaves(vm), 90, "the next keeper ends what is left")
    assert mounts(vm) == before and "No such" in vm.agent("ls ~/left").errors


UNDER_WAY = """\
import sys
sys.path.insert(0, "/var/tmp/creel-probes")
import runs
client = runs.Client("/run/creel/{}/keeper.sock")
number = client.run("bash", b"echo x > ~/left; echo begun; sleep 900", {{"independent": True, "follow": True}})
while b"begun" not in client.followed.get(number, {{"stdout": b""}})["stdout"]: client.hear()
import os
if os.fork(): os._exit(0)
os.setsid()
for fd in range(3): os.close(fd)
try:
    while client.peer.recv(4096): pass
except OSError: pass
"""


def test_interpreters(vm):
    answers = ask(vm, independent("python", "import ssl, sqlite3, multiprocessing\nprint(multiprocessing.Pool(2).map(abs, [-1, 2]))"),
                  independent("javascript", "console.log(require('child_process').execSync('echo 42').toString())"),
                  independent("bash", "mktemp >/dev/null && echo made"), timeout=400)
    assert [answer["stdout"].strip() for answer in answers] == ["[1, 2]", "42", "made"], answers
