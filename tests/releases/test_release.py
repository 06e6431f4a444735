# SPDX-License-Identifier: MIT
"""Stock Debian 12 and 13: an agent VM by cloud-init, and given back, and an agent VM again over its own SSH."""

import json
import subprocess

from conftest import OUTSIDE, RELEASES, STATE, TARBALL
from harness import Host, wait_until

FIRST_BOOT = 1800  # seconds, emulated: packages, Node.js and the first start of all that there is
PLACE = "/root/creel"
COMMANDS = "git jq curl wget sqlite3 psql ffmpeg screen node npm npx python3 pip3"
PYTHON = "requests pandas numpy matplotlib PIL psycopg2 flask fastapi uvicorn bs4 openpyxl reportlab weasyprint pypdf"
NODE = "express axios cheerio sharp better-sqlite3 ws node-fetch @modelcontextprotocol/sdk/server/index.js"
# adjtimex(2): this machine has nobody to ask the time; a kept clock is simulated by clearing STA_UNSYNC
CLOCK = """import ctypes
buffer = bytearray(208)
clock = (ctypes.c_uint * 52).from_buffer(buffer)
clock[0], clock[10] = 0x10 | 0x8 | 0x4, 0
ctypes.CDLL(None).adjtimex(clock)
"""


def changes(done):
    assert done.rc == 0, done.out[-3000:] + done.err[-3000:]
    return [line.split(None, 1)[1] for line in done.text.splitlines() if line.split()[:1] == ["changed"]]


def provision(vm, arguments="", timeout=1200):
    return vm.root(f"{PLACE}/creel/provision/provision.sh {arguments}", timeout=timeout)


def state(vm):
    return {name: vm.root(command).text.splitlines() for name, command in STATE.items()}


def listeners(vm):
    return vm.root.sh("ss -Hltn | awk '{ print $4 }' | grep -v -e ^127 -e '^.::1'").splitlines()


def well(vm):
    """creelctl doctor, with a clock that is kept: nothing to say. The rows that are not well."""
    vm.root.sh("python3 -", CLOCK)
    rows = json.loads(vm.root("creelctl doctor --json", timeout=180).text)["checks"]
    return {(row["id"], row["agent"], row["state"], row["detail"]) for row in rows if row["state"] != "OK"}


def front_pin(vm):
    """The front's host key, by the operator's login."""
    key = vm.root.sh("cat /etc/creel/ssh_host_ed25519_key.pub").split()[:2]
    (vm.folder / "known").write_text("creel-front " + " ".join(key) + "\n")
    vm.agent.options = [*vm.only(vm.folder / "key"), "-o", f"UserKnownHostsFile={vm.folder / 'known'}"]


class TestInOrder:
    def test_cloud_init_makes_it_an_agent_vm(self, rented):
        """At its first boot, by nobody's hand: OpenSSH is on a port of its own when it is done."""
        vm = rented
        vm.disconnect()
        vm.root = vm.after
        said = "cat /var/lib/creel/cloud-init; tail -n 30 /var/log/creel-provision.log"

        def ended():
            try:
                words = vm.after("cat /var/lib/creel/cloud-init", timeout=60).text
            except subprocess.TimeoutExpired:
                return None
            return words

        seen = wait_until(ended, FIRST_BOOT, "the first boot has ended", pause=5)
        assert seen == "ready", vm.after(said).text
        assert vm.root.sh(". /etc/os-release; echo $VERSION_ID") == RELEASES[vm.release]
        log = vm.root.sh("cat /var/log/creel-provision.log")
        assert "creel-sshd: on port 22" in log and "OpenSSH: to port 2222" in log
        assert vm.root("ls /var/lib/creel/first-boot /var/lib/creel/release").rc, "keys and release are gone"
        wait_until(lambda: "done" in vm.root("cloud-init status").text, 300, "cloud-init is done")

    def test_the_agent_has_what_its_policy_says(self, rented):
        vm = rented
        front_pin(vm)
        assert wait_until(lambda: vm.agent("id -un").text, 120) == "agent"
        shown = vm.root.sh("creelctl policy show agent")
        assert "limits.memory" in shown and "900M" in shown and "3000-3005" in shown
        # a change holds at once, not with the next one
        held = "cat /sys/fs/cgroup/user.slice/user-$(id -u agent).slice/memory.max"
        for size in (800, 900):
            assert vm.root.sh(f"creelctl agent set agent limits.memory={size}M >/dev/null; {held}", timeout=180) == str(size << 20)

    def test_what_agents_were_told_is_there(self, rented):
        script = (f"for c in {COMMANDS}; do command -v $c >/dev/null || echo command $c; done; "
                  f"for m in {PYTHON}; do python3 -c \"import $m\" 2>/dev/null || echo python $m; done; "
                  f"for m in {NODE}; do node -e \"require('$m')\" || echo node $m; done; node --version; "
                  "python3 -c 'import sys; print(sys.version_info >= (3, 11))'")
        lines = rented.agent.sh(script, timeout=600).splitlines()
        assert len(lines) == 2 and lines[0].startswith("v22.") and lines[1] == "True", lines
        done = rented.agent("echo \"const D = require('better-sqlite3'); console.log(new D(':memory:').prepare('select 6*7 v').get().v)\" "
                            "| creel run - --lang javascript", timeout=180)
        assert "42" in done.text, done
        log = rented.root.sh("cat /var/log/creel-provision.log")
        assert "Debian has no pdfplumber" in log, "what is missing without a registry is named"

    def test_the_machine_is_kept(self, rented):
        assert rented.root.sh("systemctl is-active systemd-timesyncd creel-enforce creel-quota creel-count.timer").split() == ["active"] * 4
        assert rented.root.sh("apt-config shell v APT::Periodic::Unattended-Upgrade") == "v='1'"
        assert rented.root.sh("ls -d /var/log/journal").strip()
        assert "is on" in rented.root("quotaon -pu /").text
        assert rented.root.sh("systemctl --failed --plain --no-legend") == ""

    def test_the_doctor_finds_nothing(self, rented):
        assert well(rented) == set()

    def test_again_changes_nothing(self, rented):
        rented.root.sh(f"mkdir -p {PLACE} && cd {PLACE} && curl -fsS http://{OUTSIDE}:{rented.port}/{TARBALL.name} | tar -xz",
                       timeout=300)
        done = provision(rented)
        assert changes(done) == [] and done.text.splitlines()[-1] == "provision: nothing to change"

    def test_it_is_not_given_back_while_there_are_agents(self, rented):
        for arguments in ("--remove", "--remove --dry-run"):
            done = provision(rented, arguments)
            assert done.rc == 1 and "there are agents: agent" in done.errors and "--agents" in done.errors
        assert provision(rented, "--purge").rc == 2

    def test_it_is_not_given_back_where_that_would_lock_the_operator_out(self, rented):
        """Another firewall, which lets nobody in on the port that OpenSSH goes back to."""
        rented.root.sh("nft 'table inet shut { chain in { type filter hook input priority 5; policy drop; "
                       "ct state established,related accept; iif lo accept; tcp dport 2222 accept; }; }'")
        done = provision(rented, "--remove --agents")
        rented.root.sh("nft delete table inet shut")
        assert done.rc == 1 and "no rule for port 22:" in done.errors
        assert rented.agent("id -un").text == "agent"

    def test_a_dry_run_of_giving_back_changes_nothing(self, rented):
        before = state(rented)
        done = provision(rented, "--remove --agents --purge --dry-run")
        lines = done.ok().text.splitlines()
        for thing in ("agent agent: stopped; it ran", "agent agent: removed", "OpenSSH: back to port 22", "firewall:", "Node.js", "packages", "accounts", "/etc/creel"):
            assert any(line.split()[:2] == ["would", "do"] and thing in line for line in lines), (thing, lines)
        assert state(rented) == before and rented.agent("id -un").text == "agent"

    def test_it_is_given_back(self, rented):
        """Over the very OpenSSH that moves back; a login stands open meanwhile, and the agent works."""
        vm = rented
        vm.agent.sh("echo mine > kept; creel job start works -- sleep 100000")
        # what the operator put to use, and what follows from a policy
        vm.root.sh("systemctl enable -q --now creel-metrics.timer; printf '[audit]\\nretention = 60d\\n' >>/etc/creel/creel.conf; "
                   "creelctl policy apply; ls /etc/systemd/journald@creel.conf.d/policy.conf", timeout=180)
        operator = Host(vm, "operator")
        with operator.start("echo open; cat") as witness:
            assert witness.stdout.readline() == b"open\n"
            told = changes(provision(vm, "--remove --agents --purge"))
            witness.stdin.write(b"alive\n")
            witness.stdin.flush()
            assert witness.stdout.readline() == b"alive\n"
        for thing in ("agent agent: stopped; it ran", "agent agent: removed", "OpenSSH: back to port 22", "creel-sshd: off port 22", "packages:", "PAM"):
            assert any(thing in line for line in told), (thing, told)
        vm.disconnect()
        vm.root = vm.before
        assert vm.root.sh("id -un") == "root" and operator("true").rc, "port 2222 is closed"
        assert vm.root.sh("cat /home/agent/kept") == "mine" and vm.root.sh("stat -c %U /home/agent") == "root"
        now, stock = state(vm), {name: vm.root.sh(f"cat /root/stock/{name}").splitlines() for name in STATE}
        # cloud-init's own user
        now["users"] = [name for name in now["users"] if name in stock["users"]]
        for name in STATE:
            assert now[name] == stock[name], name
        assert vm.root("nft list tables").text == "" and {line.split(":")[-1] for line in listeners(vm)} == {"22"}
        assert vm.root.sh("systemctl --failed --plain --no-legend") == ""
        assert "nothing to remove" in provision(vm, "--remove").ok().text

    def test_and_an_agent_vm_again_over_its_own_ssh(self, rented):
        vm = rented
        with vm.before.start("echo open; cat", options=["-o", "ControlMaster=no", "-o", "ControlPath=none"]) as witness:
            assert witness.stdout.readline() == b"open\n"
            told = changes(provision(vm))
            witness.stdin.write(b"alive\n")
            witness.stdin.flush()
            assert witness.stdout.readline() == b"alive\n"
        for thing in ("packages:", "Node.js", "PAM", "OpenSSH: to port 2222", "creel-sshd: on port 22"):
            assert any(thing in line for line in told), (thing, told)
        vm.disconnect()
        vm.root = vm.after
        vm.root.sh("rm -rf /home/agent && creelctl agent add agent --key -", stdin=(vm.folder / "key.pub").read_bytes(), timeout=180)
        front_pin(vm)
        assert wait_until(lambda: vm.agent("id -un").text, 120) == "agent"
        assert well(vm) == set()
        done = provision(vm)
        assert changes(done) == [] and done.text.splitlines()[-1] == "provision: nothing to change"
