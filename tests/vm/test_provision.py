# SPDX-License-Identifier: MIT
"""provision.sh on a stock Debian VM over its SSH: twice, without losing that connection; and its refusals."""

import subprocess

import pytest

import machine
from harness import BUILD, ROOT, Host, Machine, wait_until

NAME = "stock"
PLACE = "/root/creel"


@pytest.fixture(scope="module")
def stock():
    """A stock Debian 12 as a provider rents it out, with our sources and build copied to it."""
    machine.vm_command(NAME, "up", "--stock", "--fresh")
    vm = Machine(machine.folder(NAME) / "ssh_config")
    vm.name = NAME
    tar = subprocess.Popen(["tar", "--owner=0", "--group=0", "-cf", "-", "-C", str(ROOT), "provision",
                            "-C", str(BUILD / "vm"), "dest"], stdout=subprocess.PIPE)
    copied = subprocess.run(vm.root.argv(f"mkdir -p {PLACE} && tar -C {PLACE} -xf -"), stdin=tar.stdout, timeout=120,
                            capture_output=True, check=False)
    assert tar.wait() == 0 and copied.returncode == 0, copied.stderr
    yield vm
    vm.disconnect()
    machine.vm_command(NAME, "down")


def provision(vm, arguments="", timeout=900):
    return vm.root(f"cd {PLACE} && provision/provision.sh --from {PLACE}/dest {arguments}", timeout=timeout)


class TestInOrder:
    """Refusals first, then the real thing, then again."""

    def test_it_refuses_to_run_as_somebody_else(self, stock):
        done = stock.root(f"cp -r {PLACE}/provision /tmp/p && cd /tmp && setpriv --reuid=65534 --regid=65534 "
                          f"--clear-groups /tmp/p/provision.sh --from /tmp; s=$?; rm -rf /tmp/p; exit $s")
        assert done.rc != 0 and b"root" in done.err + done.out

    def test_it_refuses_a_build_that_is_not_there(self, stock):
        done = stock.root(f"{PLACE}/provision/provision.sh --from /nonexistent")
        assert done.rc != 0 and b"/nonexistent" in done.err + done.out
        assert stock.root("id creel-sshd").rc != 0, "nothing was changed"

    def test_it_refuses_another_system(self, stock):
        stock.root.sh("cp /etc/os-release /root/os-release; rm /etc/os-release; "
                      "sed 's/^ID=.*/ID=fedora/; s/^VERSION_ID=.*/VERSION_ID=40/' /root/os-release > /etc/os-release")
        done = provision(stock)
        stock.root.sh("cp /root/os-release /etc/os-release")
        assert done.rc != 0 and b"Debian" in done.err + done.out

    def test_it_refuses_unknown_words(self, stock):
        assert provision(stock, "--no-such-option").rc != 0

    def test_a_dry_run_says_what_would_change_and_changes_nothing(self, stock):
        state = ("ls -A /etc/creel /var/lib/creel /usr/libexec/creel 2>&1; getent passwd creel-sshd; ss -Hltn | sort; "
                 "sha256sum /etc/ssh/sshd_config /etc/ssh/sshd_config.d/* 2>&1; dpkg-query -W | sha256sum; "
                 "systemctl list-unit-files --no-legend 'creel*'; systemctl show -P MainPID ssh.service")
        before = stock.root.sh(state)
        done = provision(stock, "--dry-run")
        assert done.rc == 0, done.out[-3000:] + done.err[-3000:]
        lines = done.text.splitlines()
        for thing in ("files:", "host key:", "configuration:", "OpenSSH: to port 2222", "creel-sshd"):
            assert any(line.split()[:2] == ["would", "do"] and thing in line for line in lines), (thing, lines)
        assert not any(line.split()[:1] == ["changed"] for line in lines)
        assert lines[-1].endswith("to be changed")
        assert stock.root.sh(state) == before

    def test_live_without_losing_the_connection(self, stock):
        """The script runs over the very sshd that it moves to another port; another login stands open beside it."""
        with stock.operator.start("echo open; cat") as witness:
            assert witness.stdout.readline() == b"open\n"
            done = provision(stock)
            assert done.rc == 0, done.out[-3000:] + done.err[-3000:]
            witness.stdin.write(b"alive\n")
            witness.stdin.flush()
            assert witness.stdout.readline() == b"alive\n"
        assert len(done.text.splitlines()) >= 3, "it says what it did"

    def test_both_doors_answer_afterwards(self, stock):
        stock.disconnect()
        operator = Host(stock, "operator", ["-o", "StrictHostKeyChecking=yes"])
        assert operator.sh("id -un") == "root"
        stock.root = Host(stock, "operator", stock.root.options)
        assert stock.root.sh("systemctl is-active creel-sshd.socket ssh.service").split() == ["active", "active"]
        listening = stock.root.sh("ss -Hltn | awk '{ print $4 }'").split()
        assert any(place.endswith(":22") for place in listening) and any(place.endswith(":2222") for place in listening)

    def test_again_changes_nothing(self, stock):
        state = ("find /etc /usr /var/lib/creel* -xdev -type f -newer /root/mark ! -name '*.cache' 2>/dev/null | "
                 "grep -v -e /etc/.pwd.lock -e ld.so.cache -e '^/var/lib/creel-pool'; true")
        stock.root.sh("touch /root/mark")
        before = stock.root.sh("sha256sum /etc/creel/ssh_host_ed25519_key")
        pids = stock.root.sh("systemctl show -P MainPID ssh.service creel-sshd.service")
        done = provision(stock)
        assert done.rc == 0, done.out[-3000:] + done.err[-3000:]
        assert stock.root.sh("sha256sum /etc/creel/ssh_host_ed25519_key") == before, "the host key stays"
        assert stock.root.sh(state) == "", "no file was written"
        assert stock.root.sh("systemctl show -P MainPID ssh.service creel-sshd.service") == pids, "nothing was restarted"

    def test_a_list_that_cannot_be_written_is_a_failure(self, stock):
        """What was installed must be known the next time; a list that does not differ is no failure (above)."""
        place = "/var/lib/creel"
        stock.root.sh(f"echo 0 /nonexistent/file >> {place}/installed && chattr +i {place}")
        try:
            done = provision(stock)
        finally:
            stock.root.sh(f"chattr -i {place}")
        assert done.rc == 1 and f"{place}/installed cannot be written" in done.errors
        assert provision(stock).rc == 0
        assert stock.root("grep nonexistent /var/lib/creel/installed").rc == 1

    def test_an_agent_can_be_added_and_logs_in(self, stock, tmp_path):
        key = tmp_path / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        stock.root.sh("creelctl agent add agent --key -", stdin=key.with_suffix(".pub").read_bytes(), timeout=120)
        line = stock.root.sh("cat /etc/creel/ssh_host_ed25519_key.pub")
        known = tmp_path / "known"
        known.write_text("creel-front " + " ".join(line.split()[:2]) + "\n")
        agent = Host(stock, "agent", [*stock.only(key), "-o", f"UserKnownHostsFile={known}"])
        assert wait_until(lambda: agent("id -un").text) == "agent"

    def test_it_survives_a_reboot(self, stock):
        boot = stock.root.sh("cat /proc/sys/kernel/random/boot_id")
        stock.root("systemctl reboot")
        stock.disconnect()

        def back():
            stock.disconnect()
            try:
                done = stock.operator_door("cat /proc/sys/kernel/random/boot_id", timeout=20)
            except subprocess.TimeoutExpired:
                return False
            return done.rc == 0 and done.text != boot

        stock.operator_door = Host(stock, "operator")
        wait_until(back, 240, "the VM is back", pause=2)
        assert stock.root.sh("systemctl is-active creel-sshd.socket").strip() == "active"
        assert stock.root.sh("systemctl --failed --plain --no-legend") == ""
