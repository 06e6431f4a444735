# SPDX-License-Identifier: MIT
"""creelctl doctor: a healthy machine is said to be one; whatever a check looks at is broken, found with its remedy, and mended."""

import contextlib
import json
import shlex

import pytest

from harness import PROBE_DIR, STOP_COUNTING, wait_until

# What the agent VM itself has not: a time server to reach. Everything else must hold.
KNOWN = {("doors.clock", None)}
EXITS = {"OK": 0, "DEGRADED": 1, "MISSING": 3, "UNSEEN": 4}
RANK = ("OK", "UNSEEN", "DEGRADED", "MISSING")
SLICE = "/sys/fs/cgroup/user.slice/user-$(id -u bob).slice"


def examine(vm, words=""):
    """Runs it; the rows by (id, agent)."""
    done = vm.root(f"creelctl doctor --json {words}", timeout=120)
    told = json.loads(done.text)
    worst = max((row["state"] for row in told["checks"]), key=RANK.index)
    assert told["verdict"] == worst and done.rc == EXITS[worst], "the exit status is the verdict"
    assert sum(told[word.lower()] for word in RANK) == len(told["checks"])
    for row in told["checks"]:
        assert bool(row["remedy"]) == (row["state"] in ("DEGRADED", "MISSING")), row
        assert row["detail"] and "\n" not in row["detail"]
    return {(row["id"], row["agent"]): row for row in told["checks"]}


def sick(rows):
    return {key: row for key, row in rows.items() if row["state"] != "OK" and key not in KNOWN}


@pytest.fixture(scope="module", autouse=True)
def healthy(vm):
    """Before and after everything else in this module."""
    assert sick(examine(vm)) == {}
    yield
    wait_until(lambda: sick(examine(vm)) == {}, 60, "all is mended", 1)


def test_a_healthy_machine(vm):
    rows = examine(vm)
    assert sick(rows) == {}
    assert {agent for _, agent in rows} == {None, "agent", "bob"}
    # no degraded row: nothing to say
    assert vm.root("creelctl doctor --agent bob --quiet").text == ""
    verdict = vm.root("creelctl doctor --agent bob --brief").text
    assert verdict.startswith("doctor: OK: ") and len(verdict.splitlines()) == 1


def test_the_clock_counts_when_it_is_kept(vm):
    """adjtimex(2): this machine has nobody to ask the time; a kept clock is simulated by clearing STA_UNSYNC."""
    set_status = ("python3 -c 'import ctypes; libc = ctypes.CDLL(None); buffer = ctypes.create_string_buffer(208); "
                  "clock = (ctypes.c_uint * 52).from_buffer(buffer); clock[0] = 0x10 | 0x8 | 0x4; clock[10] = {}; "
                  "assert libc.adjtimex(buffer) >= 0'")
    assert examine(vm, "--check doors.clock")["doors.clock", None]["state"] == "DEGRADED"
    vm.root.sh(set_status.format(0))
    state = examine(vm, "--check doors.clock")["doors.clock", None]["state"]
    vm.root.sh(set_status.format(0x40))
    assert state == "OK"
    assert examine(vm, "--check doors.clock")["doors.clock", None]["state"] == "DEGRADED"


def switch(name, value):
    """A kernel setting, and back to what it was."""
    return f"sysctl -n {name} > /root/switch; sysctl -qw {name}={value}", f"sysctl -qw {name}=$(cat /root/switch)"


def removed(command):
    """Something that nft holds, while nobody looks after it each minute; and back."""
    mends = "systemctl restart creel-enforce.service; systemctl start creel-count.timer"
    return f"{STOP_COUNTING}; nft {command}", mends


# id, state, how it is broken, how it is mended. Rows of agents are bob's.
MACHINE = [
    ("kernel.cgroup2", "MISSING", "mount -t tmpfs none /sys/fs/cgroup", "umount /sys/fs/cgroup"),
    ("kernel.controllers", "MISSING", "echo 'cpu memory pids' > /root/fake; mount --bind /root/fake "
     "/sys/fs/cgroup/user.slice/cgroup.subtree_control", "umount /sys/fs/cgroup/user.slice/cgroup.subtree_control"),
    ("kernel.version", "DEGRADED", "echo 5.15.0 > /root/fake; mount --bind /root/fake /proc/sys/kernel/osrelease",
     "umount /proc/sys/kernel/osrelease"),
    ("kernel.memory_peak", "DEGRADED", "mount -t tmpfs none /sys/fs/cgroup/creel.slice", "umount /sys/fs/cgroup/creel.slice"),
    ("kernel.cgroup_kill", "MISSING", "mount -t tmpfs none /sys/fs/cgroup/creel.slice", "umount /sys/fs/cgroup/creel.slice"),
    ("kernel.seccomp", "MISSING", "echo 'trap errno allow' > /root/fake; mount --bind /root/fake "
     "/proc/sys/kernel/seccomp/actions_avail", "umount /proc/sys/kernel/seccomp/actions_avail"),
    ("kernel.lsm", "MISSING", "echo capability,landlock,yama > /root/fake; mount --bind /root/fake /sys/kernel/security/lsm",
     "umount /sys/kernel/security/lsm"),
    ("kernel.bpf", "MISSING", "echo bpf_lsm_socket_listen > /root/fake; mount --bind /root/fake /sys/kernel/btf/vmlinux",
     "umount /sys/kernel/btf/vmlinux"),
    ("kernel.bpf_mount", "DEGRADED", "chmod 0755 /sys/fs/bpf", "chmod 0700 /sys/fs/bpf"),
    ("kernel.bpf_unprivileged", "DEGRADED", "echo 0 > /root/fake; mount --bind /root/fake "
     "/proc/sys/kernel/unprivileged_bpf_disabled", "umount /proc/sys/kernel/unprivileged_bpf_disabled"),
    ("kernel.ptrace", "DEGRADED", *switch("kernel.yama.ptrace_scope", 0)),
    ("kernel.dmesg", "DEGRADED", *switch("kernel.dmesg_restrict", 0)),
    ("kernel.user_namespaces", "DEGRADED", *switch("kernel.unprivileged_userns_clone", 1)),
    ("kernel.quota", "MISSING", "mount -t tmpfs none /proc/sys/fs/quota", "umount /proc/sys/fs/quota"),
    ("kernel.ipv6", "DEGRADED", *switch("net.ipv6.conf.all.disable_ipv6", 1)),
    ("units.generator", "MISSING", "mkdir -p /etc/systemd/system-generators && ln -s /dev/null "
     "/etc/systemd/system-generators/creel-generator", "rm -r /etc/systemd/system-generators"),
    ("units.generator", "MISSING", "chmod a-x /usr/lib/systemd/system-generators/creel-generator",
     "chmod a+x /usr/lib/systemd/system-generators/creel-generator"),
    ("units.loaded", "MISSING", "systemctl mask --runtime -q creel.slice", "systemctl unmask --runtime -q creel.slice"),
    ("units.loaded", "DEGRADED", "cp /usr/lib/systemd/system/creel-sshd.service /etc/systemd/system/ && systemctl daemon-reload",
     "rm /etc/systemd/system/creel-sshd.service && systemctl daemon-reload"),
    ("units.active", "MISSING", "systemctl stop creel-sshd.service creel-sshd.socket",
     "systemctl start creel-sshd.socket creel-sshd.service"),
    ("units.enabled", "DEGRADED", "systemctl disable -q creel-sshd.socket", "systemctl enable -q creel-sshd.socket"),
    ("units.overridden", "DEGRADED", "systemctl set-property --runtime user.slice MemoryLow=1M",
     "systemctl revert -q user.slice"),
    ("units.reload", "DEGRADED", "touch /usr/lib/systemd/system/creel.slice", "systemctl daemon-reload"),
    ("units.applied", "DEGRADED", "cp /etc/creel/creel.conf /root/ && printf '[front]\\ngrace = 77s\\n' >> /etc/creel/creel.conf",
     "mv /root/creel.conf /etc/creel/creel.conf"),
    ("units.user_slice", "MISSING", "cat /sys/fs/cgroup/user.slice/memory.max > /root/memory; echo max > "
     "/sys/fs/cgroup/user.slice/memory.max", "cat /root/memory > /sys/fs/cgroup/user.slice/memory.max"),
    ("files.installed", "MISSING", "cp -p /usr/bin/creel /root/creel && echo >> /usr/bin/creel", "mv /root/creel /usr/bin/creel"),
    ("files.installed", "DEGRADED", "mv /var/lib/creel/installed /root/", "mv /root/installed /var/lib/creel/"),
    ("policy.defaults", "MISSING", "cp /etc/creel/creel.conf /root/ && printf '[limts]\\nx = 1\\n' >> /etc/creel/creel.conf",
     "mv /root/creel.conf /etc/creel/creel.conf"),
    ("policy.names", "DEGRADED", "touch '/etc/creel/agents/Not An Agent.conf'", "rm '/etc/creel/agents/Not An Agent.conf'"),
    ("policy.folders", "MISSING", "chmod 0775 /etc/creel/agents", "chmod 0755 /etc/creel/agents"),
    ("files.bounded", "DEGRADED", "mkdir -p /srv/open && truncate -s 8M /root/disk && mkfs.ext4 -qF /root/disk && "
     "mount -o loop /root/disk /srv/open && chmod 1777 /srv/open", "umount /srv/open; rm -r /srv/open /root/disk"),
    ("record.socket", "MISSING", "chmod 0666 /run/systemd/journal.creel/socket", "chmod 0660 /run/systemd/journal.creel/socket"),
    ("record.kept", "DEGRADED", "mkdir -p /etc/systemd/journald@creel.conf.d && echo '[Journal]' > "
     "/etc/systemd/journald@creel.conf.d/short.conf", "rm -r /etc/systemd/journald@creel.conf.d"),
    ("record.kept", "MISSING", "mv /usr/lib/systemd/journald@creel.conf.d/creel.conf /root/",
     "mv /root/creel.conf /usr/lib/systemd/journald@creel.conf.d/"),
    ("record.persistent", "MISSING", "chmod o+w /var/log/journal/*.creel", "chmod o-w /var/log/journal/*.creel"),
    ("record.space", "DEGRADED", "fallocate -l $(($(df --output=avail -B1 /var/log | tail -1) - (300 << 20))) /var/log/full",
     "rm /var/log/full"),
    ("record.space", "MISSING", "fallocate -l $(($(df --output=avail -B1 /var/log | tail -1) - (20 << 20))) /var/log/full",
     "rm /var/log/full"),
    ("doors.host_key", "MISSING", "chmod 0644 /etc/creel/ssh_host_ed25519_key", "chmod 0600 /etc/creel/ssh_host_ed25519_key"),
    ("doors.host_key", "DEGRADED", "mv /etc/creel/ssh_host_ed25519_key.pub /root/", "mv /root/ssh_host_ed25519_key.pub /etc/creel/"),
    ("doors.front", "MISSING", "systemctl stop creel-sshd.socket creel-sshd.service",
     "systemctl start creel-sshd.socket creel-sshd.service"),
    ("doors.addresses", "DEGRADED", "mkdir -p /run/systemd/system/creel-sshd.socket.d && printf '[Socket]\\nListenStream=\\n"
     "ListenStream=127.0.0.1:22\\n' > /run/systemd/system/creel-sshd.socket.d/x.conf && systemctl daemon-reload && "
     "systemctl stop creel-sshd.service && systemctl restart creel-sshd.socket",
     "rm -r /run/systemd/system/creel-sshd.socket.d; systemctl daemon-reload; systemctl stop creel-sshd.service; "
     "systemctl restart creel-sshd.socket; systemctl start creel-sshd.service"),
    ("doors.operator", "MISSING", "cp /etc/creel/creel.conf /root/ && sed -i 's/^operator_port.*/operator_port = 2229/' "
     "/etc/creel/creel.conf", "mv /root/creel.conf /etc/creel/creel.conf"),
    ("doors.account", "DEGRADED", "usermod -s /bin/bash creel-sshd", "usermod -s /usr/sbin/nologin creel-sshd"),
    ("doors.pam", "DEGRADED", "cp -p /etc/pam.d/creel /root/ && sed -i 's/required pam_unix/optional pam_unix/' /etc/pam.d/creel",
     "mv /root/creel /etc/pam.d/creel"),
    ("doors.sessions", "MISSING", "cp -p /etc/pam.d/common-session /root/ && sed -i '/pam_creel/s/^/#/' /etc/pam.d/common-session",
     "mv /root/common-session /etc/pam.d/common-session"),
    ("units.active", "MISSING", "systemctl stop creel-count.timer", "systemctl start creel-count.timer"),
    ("network.firewall", "MISSING", *removed("delete table inet creel")),
    ("network.firewall", "MISSING", *removed("flush chain inet creel input")),
    ("network.firewall", "MISSING", *removed("insert rule inet creel input accept")),
    ("network.table", "MISSING", *removed("delete table inet creel_network")),
    ("network.table", "MISSING", *removed("flush chain inet creel_network judge")),
]

BOB = [
    ("agent.user", "MISSING", "sed -i.doctor 's/^bob:x:[0-9]*:/bob:x:900:/' /etc/passwd", "mv /etc/passwd.doctor /etc/passwd"),
    ("agent.policy", "MISSING", "cp -p /etc/creel/agents/bob.conf /root/; printf '[limts]\\nx = 1\\n' >> /etc/creel/agents/bob.conf",
     "mv /root/bob.conf /etc/creel/agents/bob.conf"),
    ("agent.policy", "MISSING", "mv /etc/creel/agents/bob.conf /root/", "mv /root/bob.conf /etc/creel/agents/bob.conf"),
    ("agent.mark", "DEGRADED", "mv /etc/creel/provisioned/$(id -u bob) /root/mark", "mv /root/mark /etc/creel/provisioned/$(id -u bob)"),
    ("agent.groups", "MISSING", "usermod -aG adm bob", "gpasswd -d bob adm"),
    ("agent.groups", "MISSING", "gpasswd -d bob creel-agents", "usermod -aG creel-agents bob"),
    ("network.ports", "MISSING", *removed("flush set inet creel agents")),
    ("network.resolver", "MISSING", "cp -p /etc/creel/agents/bob.conf /root/; printf '[network]\\nmode = restricted\\nallowed_hosts = 192.0.2.1\\n' >> "
     "/etc/creel/agents/bob.conf; creelctl policy apply; systemctl stop creel-resolver@$(id -u bob).service",
     "mv /root/bob.conf /etc/creel/agents/bob.conf; creelctl policy apply"),
    ("disk.quota", "MISSING", "setquota -u bob 0 0 0 0 /", "systemctl restart creel-enforce.service"),
    ("disk.quota", "MISSING", "quotaoff -u /", "quotaon -u /"),
    ("agent.sudo", "MISSING", "echo 'bob ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/bob", "rm /etc/sudoers.d/bob"),
    ("agent.home", "DEGRADED", "chmod 0755 /home/bob", "chmod 0700 /home/bob"),
    ("agent.home", "MISSING", "chown root /home/bob", "chown bob /home/bob"),
    ("agent.shell", "DEGRADED", "cp -p /etc/passwd /root/passwd; usermod -s /bin/sh bob", "mv /root/passwd /etc/passwd"),
    ("agent.keys", "MISSING", "chmod g+w /home/bob/.ssh/authorized_keys", "chmod g-w /home/bob/.ssh/authorized_keys"),
    ("agent.keys", "DEGRADED", "mv /home/bob/.ssh/authorized_keys /root/", "mv /root/authorized_keys /home/bob/.ssh/"),
    ("agent.units", "MISSING", "systemctl stop creel-rescue@$(id -u bob).service",
     "systemctl start creel-rescue@$(id -u bob).service creel-keeper@$(id -u bob).service"),
    ("agent.overridden", "DEGRADED", "systemctl set-property --runtime user-$(id -u bob).slice MemoryHigh=900M",
     "systemctl revert -q user-$(id -u bob).slice"),
    ("agent.applied", "DEGRADED", "cp -p /etc/creel/agents/bob.conf /root/; printf '[limits]\\nmemory = 333M\\n' >> "
     "/etc/creel/agents/bob.conf", "mv /root/bob.conf /etc/creel/agents/bob.conf"),
    ("agent.slice", "MISSING", f"cat {SLICE}/pids.max > /root/pids && echo max > {SLICE}/pids.max",
     f"cat /root/pids > {SLICE}/pids.max"),
    ("agent.slice", "MISSING", f"cat {SLICE}/cpu.max > /root/cpu && echo max > {SLICE}/cpu.max", f"cat /root/cpu > {SLICE}/cpu.max"),
    ("agent.slice", "MISSING", f"echo 99 > {SLICE}/io.weight", f"echo 100 > {SLICE}/io.weight"),
    ("agent.keeper", "MISSING", "chmod 0666 /run/creel/$(id -u bob)/keeper.sock", "chmod 0660 /run/creel/$(id -u bob)/keeper.sock"),
    ("agent.keeper", "MISSING", "systemctl kill -s STOP creel-keeper@$(id -u bob).service",
     "systemctl kill -s CONT creel-keeper@$(id -u bob).service"),
    ("agent.keeper", "DEGRADED", "systemctl start creel-keeper@$(id -u bob).service; cd /usr/libexec/creel && cp -p creel-keeper "
     "/root/keeper && mv /root/keeper creel-keeper", "systemctl restart 'creel-keeper@*.service'"),
    ("enforced.needed", "MISSING", "mv /run/creel/enforced/$(id -u bob) /root/enforced", "mv /root/enforced /run/creel/enforced/$(id -u bob)"),
    ("enforced.needed", "MISSING", "cp /run/creel/enforced/$(id -u bob) /root/enforced; sed -i 's/^mechanism ports ok/mechanism ports failed "
     "there is no room/' /run/creel/enforced/$(id -u bob)", "mv /root/enforced /run/creel/enforced/$(id -u bob)"),
    ("enforced.optional", "DEGRADED", "cp -p /etc/creel/agents/bob.conf /root/; printf '[agent]\\noptional = ports\\n' >> "
     "/etc/creel/agents/bob.conf; mv /run/creel/enforced/$(id -u bob) /root/enforced",
     "mv /root/bob.conf /etc/creel/agents/bob.conf; creelctl policy apply"),
    # each minute it is looked after
    ("enforced.applied", "DEGRADED", "systemctl stop creel-count.timer; touch /etc/creel/agents/bob.conf",
     "systemctl start creel-count.service creel-count.timer"),
    ("enforced.attached", "MISSING", f"python3 {PROBE_DIR}/bpf.py detach $(grep '^pin ports' /run/creel/enforced/$(id -u bob) | "
     "awk '{ print $3; exit }')", "rm -r /sys/fs/bpf/creel/ports* && systemctl restart creel-enforce.service"),
    ("enforced.maps", "MISSING", f"python3 {PROBE_DIR}/bpf.py forget /sys/fs/bpf/creel/strangers/map_confined $(id -u bob)",
     "systemctl reload creel-enforce.service"),
    ("enforced.processes", "MISSING", "cp -p /etc/creel/agents/bob.conf /root/; printf '[limits]\\nprocesses = 44\\n' >> "
     "/etc/creel/agents/bob.conf", "mv /root/bob.conf /etc/creel/agents/bob.conf; creelctl policy apply"),
    ("agent.linger", "DEGRADED", "mv /var/lib/systemd/linger/bob /root/linger", "mv /root/linger /var/lib/systemd/linger/bob"),
    ("agent.strays", "MISSING", "systemd-run -q --unit=stray --uid=bob sleep infinity", "systemctl stop stray.service"),
]


def manager_row(vm):
    """Settings of the process take effect when it starts."""
    return ("agent.manager", "DEGRADED", "cp -p /etc/creel/agents/bob.conf /root/; printf '[limits]\\nfile_size = 123M\\n' >> "
            "/etc/creel/agents/bob.conf", "mv /root/bob.conf /etc/creel/agents/bob.conf; creelctl policy apply")


# These change what other checks look at, or how others are mended: each is broken by itself.
ALONE = {"kernel.cgroup2", "kernel.memory_peak", "kernel.cgroup_kill", "units.generator", "units.loaded",
         "units.reload", "units.applied", "policy.defaults", "record.space", "doors.addresses", "doors.operator",
         "agent.user", "agent.policy", "agent.mark", "agent.units", "agent.applied", "network.resolver", "enforced.needed",
         "enforced.optional", "enforced.applied", "enforced.attached", "enforced.maps", "enforced.processes"}
# What one of these does, or what mends it, would see a broken kernel or other broken units.
APART = ("kernel", "units", "network", "disk")


def waves(rows):
    """Rows that are broken at once; none has a check twice."""
    def kind(row):
        area = row[0].partition(".")[0]
        return row[0] if row[0] in ALONE else area if area in APART else "files"

    found = []
    for row in rows:
        fitting = (wave for wave in found if row[0] not in {other[0] for other in wave} and kind(row) == kind(wave[0]))
        wave = next(fitting, None)
        if not wave:
            found.append(wave := [])
        wave.append(row)
    return found


def label(wave):
    return f"{wave[0][0]}-{wave[0][1]}" + (f"-and-{len(wave) - 1}-more" if len(wave) > 1 else "")


def break_and_look(vm, wave, agent, words):
    """Breaks, examines, mends. What was found where it is not what the row says, by (id, state)."""
    if len(wave) == 1:
        words += f" --check {wave[0][0]}"
    folder = "/root/doctor"
    with contextlib.ExitStack() as mending:
        mending.callback(vm.root.sh, f"rm -rf {folder}")
        planned = set()
        for number, (_, _, *acts) in enumerate(wave):
            # each keeps what it takes away in a folder of its own
            breaks, mends = (act.replace("/root/", f"{folder}/{number}/") for act in acts)
            if mends not in planned:
                mending.callback(vm.root.sh, mends, timeout=120)
                planned.add(mends)
            vm.root.sh(f"mkdir -p {folder}/{number}; {breaks}", timeout=120)
        told = examine(vm, words)
    # which is how it was: see healthy()
    names = {row[0] for row in wave}
    wait_until(lambda: not names & {name for name, _ in sick(examine(vm, words))}, 60, f"{names} are mended", 1)
    return {(name, state): told[name, agent] for name, state, *_ in wave if told[name, agent]["state"] != state}


def broken(vm, wave, agent, words):
    wrong = break_and_look(vm, wave, agent, words)
    if len(wave) > 1:
        # what another of them did to a check is not what is asked
        for row in [row for row in wave if row[:2] in wrong]:
            wrong |= break_and_look(vm, [row], agent, words) or {row[:2]: None}
    assert not any(wrong.values()), "\n".join(f"{row}: {found}" for row, found in wrong.items() if found)


@pytest.mark.parametrize("wave", waves(MACHINE), ids=label)
def test_of_the_machine(vm, wave):
    broken(vm, wave, None, "")


@pytest.mark.parametrize("wave", waves(BOB), ids=label)
def test_of_an_agent(vm, wave):
    broken(vm, wave, "bob", "--agent bob")


def test_settings_of_a_running_user_manager(vm):
    drop_in = vm.root.sh("cat /run/systemd/generator/user@$(id -u bob).service.d/50-creel.conf")
    if "LimitFSIZE" in drop_in:
        broken(vm, [manager_row(vm)], "bob", "--agent bob")
    else:
        assert examine(vm, "--agent bob --check agent.manager")["agent.manager", "bob"]["state"] == "OK"


def test_a_key_that_is_not_enforced(vm):
    """Whatever this version reads and does not enforce is said as soon as an agent's file asks for it."""
    rows = json.loads(vm.root.sh("creelctl policy show bob --json"))
    found = [row for row in rows["keys"] if not row["enforced"]] if isinstance(rows, dict) else \
        [row for row in rows if not row["enforced"]]
    if not found:
        assert examine(vm, "--agent bob")["agent.unenforced", "bob"]["state"] == "OK"
        return
    row = found[0]
    try:
        vm.root.sh("cp -p /etc/creel/agents/bob.conf /root/; "
                   f"printf '[%s]\\n%s = %s\\n' {row['section']} {row['key']} {shlex.quote(row['value'])} >> /etc/creel/agents/bob.conf")
        told = examine(vm, "--agent bob")["agent.unenforced", "bob"]
    finally:
        vm.root.sh("mv /root/bob.conf /etc/creel/agents/bob.conf; creelctl policy apply", timeout=120)
    assert told["state"] == "DEGRADED" and row["key"] in told["detail"], told


def test_every_check_is_broken_here(vm):
    """A check that no row breaks could be one that cannot fail. These need a kernel or a systemd of another kind."""
    others = {"kernel.clone_into", "kernel.landlock", "units.version", "agent.unenforced", "agent.manager", "doors.clock"}
    tried = {row[0] for row in MACHINE + BOB}
    assert {name for name, _ in examine(vm)} - tried - others == set()


def test_others_are_told_what_they_cannot_see(vm):
    done = vm.bob("/usr/sbin/creelctl doctor --agent bob --json")
    told = json.loads(done.text)
    states = {row["id"]: row["state"] for row in told["checks"]}
    assert states["agent.keeper"] == states["agent.strays"] == "UNSEEN"
    assert states["agent.user"] == "OK"
    assert done.rc == EXITS[told["verdict"]] != 0
    assert any("as root" in (row["remedy"] or "") for row in told["checks"])


def test_another_root(vm):
    """Files below a folder: a part of a machine is no healthy machine, and nothing of the running one is taken for it."""
    vm.root.sh("mkdir -p /root/other/etc/creel/agents /root/other/proc/sys/kernel && echo 5.4.0 > /root/other/proc/sys/kernel/osrelease")
    done = vm.root("creelctl doctor --json --root /root/other")
    vm.root.sh("rm -r /root/other")
    states = {row["id"]: row["state"] for row in json.loads(done.text)["checks"]}
    assert done.rc == EXITS["MISSING"]
    assert states["kernel.version"] == "MISSING" and states["doors.front"] == states["units.active"] == "UNSEEN"
    assert not any(name.startswith("agent.") for name in states)


def test_it_ends_although_nobody_answers(vm):
    """A keeper that hangs, and a port that accepts and says nothing: bounded, and said."""
    vm.root.sh("systemctl kill -s STOP creel-keeper@$(id -u bob).service creel-sshd.service")
    try:
        rows = examine(vm)
    finally:
        vm.root.sh("systemctl kill -s CONT creel-keeper@$(id -u bob).service creel-sshd.service")
    assert rows["agent.keeper", "bob"]["state"] == rows["doors.front", None]["state"] == "MISSING"
    assert rows["agent.keeper", "agent"]["state"] == "OK"


def test_wrong_words(vm):
    assert vm.root("creelctl doctor --nosuch").rc == 2
    assert vm.root("creelctl doctor --check no.such").rc == 2
    done = vm.root("creelctl doctor --agent nobody-here")
    assert done.rc == EXITS["MISSING"] and "no such agent" in done.errors
