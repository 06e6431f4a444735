# SPDX-License-Identifier: MIT
"""What all on the machine share and one agent must not take whole, or read: connections, /run, terminals, marks of sessions."""

import shlex

from harness import PROBE_DIR, marker, nobody_counts, python, wait_until

FLOWS = """
import socket, sys
number = int(sys.argv[1])
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
for i, sock in enumerate(sockets):
    sock.bind(("127.0.0.1", 0))
    for port in range(number // len(sockets)):
        try:
            sock.sendto(b"x", (f"127.0.{i}.1", 10000 + port))
        except OSError:
            pass
"""


def test_tracked_connections(vm):
    """The kernel's table is the machine's: an agent meets its end of it, and SSH goes on answering."""
    size = int(vm.root.sh("cat /proc/sys/net/netfilter/nf_conntrack_max"))
    vm.root.sh("sysctl -qw net.netfilter.nf_conntrack_max=4000 && systemctl reload creel-enforce.service", timeout=120)
    try:
        vm.agent.sh(python(FLOWS, "4000"), timeout=240)
        # half of three quarters: there are two agents
        assert 1000 < int(vm.root.sh("cat /proc/sys/net/netfilter/nf_conntrack_count")) < 2000
        assert vm.bob.sh("echo in") == vm.operator.sh("echo in") == "in"
    finally:
        vm.root.sh(f"sysctl -qw net.netfilter.nf_conntrack_max={size} && systemctl reload creel-enforce.service", timeout=120)


def test_what_others_asked_for_is_not_read(vm):
    """A session's cgroup carries who came from where with which command."""
    number = marker()
    with vm.agent.start(f"sleep {number}"):
        pid = wait_until(lambda: vm.alive(f"sleep {number}"))[0]
        folder = f"/sys/fs/cgroup{vm.cgroup(pid)}"
        assert number in vm.root.sh(python(f"import os\nprint(os.getxattr('{folder}', 'user.creel.command'))"))
        for what in (folder, folder.rsplit("/", 1)[0]):
            for act in (f"os.getxattr('{what}', 'user.creel.command')", f"os.listdir('{what}')"):
                assert vm.bob.sh(python(f"import os\ntry:\n    print({act})\nexcept PermissionError:\n    print('closed')")) == "closed"


def test_screens_folder_has_its_own_end(vm):
    """Of bytes and of names: it is no part of /run, and screen works on."""
    def used():
        return int(vm.root.sh("df --output=used -k /run | tail -1"))

    before = used()
    done = vm.agent("cd /run/screen && mkdir mine && head -c 400M /dev/zero > mine/fill; "
                    "for n in $(seq 5000); do : > mine/fill-$n || exit 3; done")
    assert done.rc == 3 and done.errors.count("No space left") >= 2, done
    assert abs(used() - before) < 1024
    assert vm.operator.sh("systemd-run --quiet --wait --collect true; echo $?") == "0", "the operator has /run"
    vm.agent.sh("rm -r /run/screen/mine")
    said = vm.agent.sh(f"screen -dmS tried sleep {marker()}; screen -ls | grep -c tried; screen -S tried -X quit")
    assert said == "1"


def test_ping(vm):
    """It has a file capability, which gives nothing; the kernel's own sockets for it need none."""
    assert vm.agent("ping -c 1 -W 20 127.0.0.1").rc == 0
    assert vm.openssh("ping -c 1 -W 20 127.0.0.1").rc == 0


def test_the_terminal_of_somebody_else(vm):
    """Where su leaves the agent on the operator's terminal, what stays behind would read on."""
    def on_terminal(command):
        return vm.root(f"script -qec {shlex.quote(command)} /dev/null </dev/null", timeout=120)

    for command in ("su - agent", "su - agent -c id", "su agent"):
        done = on_terminal(command)
        assert "this terminal is somebody else's" in done.text and "uid=" not in done.text, (command, done)
    for command in ("su --pty - agent -c id", "su - agent -c id </dev/null 2>&1 | cat"):
        assert f"uid={vm.uid()}(agent)" in on_terminal(command).text, command


# cgroups that come and go, each with a page of a file charged to it; says how many there were, and why no more
CHURN = """
import os, sys
own, folder, wanted = "/sys/fs/cgroup" + open("/proc/self/cgroup").read().strip().partition("::")[2], sys.argv[1], int(sys.argv[2])
def enter(name):
    with open(f"{own}/{name}/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))
os.mkdir(own + "/main")
enter("main")
with open(own + "/cgroup.subtree_control", "w") as file:
    file.write("+memory")
n = 0
try:
    while n < wanted:
        os.mkdir(own + "/churn")
        enter("churn")
        with open(f"{folder}/churn-{n}", "w") as file:
            file.write("x")
        enter("main")
        os.rmdir(own + "/churn")
        n += 1
except OSError as problem:
    print(problem.errno, end=" ")
print(n)
"""


def test_removed_cgroups(vm):
    """What is left of them in the kernel's memory is counted, and let go of where it can be."""
    def churn(folder, wanted):
        return vm.agent.sh("systemd-run --user -q --pipe --wait -p Delegate=memory " + python(CHURN, folder, wanted), timeout=280)

    def removed():
        text = vm.root.sh(f"cat /sys/fs/cgroup/user.slice/user-{vm.uid()}.slice/cgroup.stat")
        return int(text.split()[text.split().index("nr_dying_descendants") + 1])

    with nobody_counts(vm):  # who would put the map right, and let go of what is left before it is looked at
        vm.root.sh(f"python3 {PROBE_DIR}/bpf.py put /sys/fs/bpf/creel/cgroups/map_confined {vm.uid()} 200")
        error, made = map(int, churn("/dev/shm", "400").split())
        assert error == 11 and 100 < made < 200, "EAGAIN, and others of its cgroups count as well"
        assert vm.agent.sh("echo in") == vm.bob.sh("echo in") == "in"
        vm.agent.sh("rm /dev/shm/churn-*")
        vm.root.sh("systemctl reload creel-enforce.service", timeout=120)

        vm.agent.sh("mkdir churn")
        assert churn("/home/agent/churn", "600") == "600"
        before = removed()
        assert before >= 512, "the page cache keeps them"
        vm.root.sh("sync; systemctl start creel-count.service", timeout=120)
        wait_until(lambda: removed() < before / 4, 60, "they are let go of")
    vm.agent.sh("rm -r churn")
