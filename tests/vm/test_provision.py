# SPDX-License-Identifier: MIT
"""provision.sh on a stock Debian VM over its SSH: twice, without losing that connection; and its refusals."""

import contextlib
import json
import subprocess

import pytest

import machine
from harness import BUILD, ROOT, Host, Machine, wait_until

NAME = "stock"
PLACE = "/root/creel"
SWITCHES = {"kernel.dmesg_restrict": "1", "kernel.kptr_restrict": "1", "kernel.unprivileged_bpf_disabled": "2",
            "dev.tty.ldisc_autoload": "0", "net.netfilter.nf_conntrack_max": "262144"}
PAM = "/etc/pam.d/common-session-noninteractive"


@pytest.fixture(scope="module")
def stock():
    """A stock Debian 12 as a provider rents it out, with our sources and build copied to it."""
    machine.vm_command(NAME, "up", "--stock", "--fresh", *(["--one-thread"] if machine.WORKER else []))
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


@pytest.fixture(scope="module")
def agent(stock, tmp_path_factory):
    """The agent, as soon as there is one."""
    folder = tmp_path_factory.mktemp("agent")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    stock.root.sh("creelctl agent add agent --key -", stdin=(folder / "key.pub").read_bytes(), timeout=120)
    line = stock.root.sh("cat /etc/creel/ssh_host_ed25519_key.pub")
    (folder / "known").write_text("creel-front " + " ".join(line.split()[:2]) + "\n")
    return Host(stock, "agent", [*stock.only(folder / "key"), "-o", f"UserKnownHostsFile={folder / 'known'}"])


def provision(vm, arguments="--without-node", timeout=900, source="dest"):
    """Node.js and its libraries are a matter of tests/releases: they take minutes of an emulated machine."""
    return vm.root(f"cd {PLACE} && provision/provision.sh --from {PLACE}/{source} {arguments}", timeout=timeout)


def changes(done):
    """What it changed, and that it came to its end."""
    assert done.rc == 0, done.out[-3000:] + done.err[-3000:]
    return [line.split(None, 1)[1] for line in done.text.splitlines() if line.split()[:1] == ["changed"]]


def assert_nothing_to_change(done):
    assert changes(done) == [] and done.text.splitlines()[-1] == "provision: nothing to change"


@contextlib.contextmanager
def running(vm, port):
    """A service of the operator's that listens there."""
    vm.root.sh(f"systemd-run -q --unit=listens-{port} /usr/bin/python3 -m http.server {port}")
    try:
        wait_until(lambda: vm.root.sh(f"ss -Hltn 'sport = :{port}'"))
        yield
    finally:
        vm.root.sh(f"systemctl stop listens-{port}")


def switches(vm):
    return dict(zip(SWITCHES, vm.root("sysctl -n " + " ".join(SWITCHES)).text.split()))


def examine(vm):
    """Rows of creelctl doctor that are not well; this machine has nobody to ask the time."""
    rows = json.loads(vm.root("creelctl doctor --json", timeout=120).text)["checks"]
    return {(row["id"], row["agent"], row["state"]) for row in rows if row["state"] != "OK" and row["id"] != "doors.clock"}


def reboot(vm):
    boot = vm.root.sh("cat /proc/sys/kernel/random/boot_id")
    vm.root("systemctl reboot")
    vm.disconnect()
    door = Host(vm, "operator")

    def back():
        vm.disconnect()
        try:
            done = door("cat /proc/sys/kernel/random/boot_id", timeout=20)
        except subprocess.TimeoutExpired:
            return False
        return done.rc == 0 and done.text != boot

    wait_until(back, 240, "the VM is back", pause=2)


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
        for words in ("--no-such-option", "--purge", "--agents", "--remove --without-node", "--remove --homes"):
            assert provision(stock, words).rc == 2, words

    def test_it_refuses_a_release_without_nodejs(self, stock):
        done = provision(stock, "")
        assert done.rc == 1 and "Node.js 22" in done.errors and "--without-node" in done.errors
        assert stock.root("ls /etc/apt/preferences.d/creel || id creel-sshd").rc, "nothing was changed"

    def test_there_is_nothing_to_remove(self, stock):
        assert stock.root(f"{PLACE}/provision/provision.sh --remove", timeout=120).ok().text.splitlines()[-1] == "provision: nothing to remove"

    def test_a_dry_run_says_what_would_change_and_changes_nothing(self, stock):
        state = ("ls -A /etc/creel /var/lib/creel /usr/libexec/creel 2>&1; getent passwd creel-sshd; ss -Hltn | sort; "
                 "sha256sum /etc/ssh/sshd_config /etc/ssh/sshd_config.d/* 2>&1; dpkg-query -W | sha256sum; "
                 "find /etc/pam.d /var/lib/pam /etc/shells /etc/group /var/cache/debconf -type f -exec sha256sum {} + | sort; "
                 "nft list ruleset 2>&1; lsmod | grep nf_; sysctl -n kernel.dmesg_restrict kernel.kptr_restrict kernel.pty.max; "
                 "systemctl list-unit-files --no-legend 'creel*'; systemctl show -P MainPID ssh.service")
        with running(stock, 8080):
            before = stock.root.sh(state)
            done = provision(stock, "--dry-run --without-node")
            after = stock.root.sh(state)
        assert done.rc == 0, done.out[-3000:] + done.err[-3000:]
        lines = done.text.splitlines()
        for thing in ("files:", "host key:", "configuration:", "OpenSSH: to port 2222", "creel-sshd"):
            assert any(line.split()[:2] == ["would", "do"] and thing in line for line in lines), (thing, lines)
        assert not any(line.split()[:1] == ["changed"] for line in lines)
        assert lines[-1].endswith("to be changed")
        assert after == before
        closed = [line for line in lines if line.split()[:1] == ["note"] and "tcp/8080 (listens-8080.service)" in line]
        assert closed and "tcp/22" not in closed[0], "who will not be answered from outside is named"

    def test_files_of_pam_that_were_edited_are_found_before_anything_is_done(self, stock):
        stock.root.sh(f"cp -a {PAM} /root/pam && sed -i '/\"Additional\" block/a session optional pam_echo.so' {PAM}")
        try:
            for arguments in ("--dry-run --without-node", "--without-node"):
                done = provision(stock, arguments)
                assert done.rc == 1 and "/etc/pam.d/common-session" in done.errors and "pam_creel.so" in done.errors
        finally:
            stock.root.sh(f"mv /root/pam {PAM}")
        assert stock.root("ls /usr/libexec/creel || id creel-sshd").rc != 0, "nothing was changed"

    def test_a_port_that_is_held_is_found(self, stock):
        with running(stock, 2222):
            done = provision(stock, "--dry-run --without-node")
        assert done.rc == 1 and "2222" in done.errors and "--operator-port" in done.errors

    def test_a_run_that_fails_halfway(self, stock):
        """Files are there, and nothing has taken effect; OpenSSH is where it was."""
        stock.root.sh("mkdir -p /etc/creel /etc/sysctl.d && printf '[front]\noperator_port = 22\n' > /etc/creel/creel.conf")
        stock.root.sh("echo kernel.pty.max = 5000 > /etc/sysctl.d/90-operator.conf")
        done = provision(stock)
        assert done.rc == 1 and "operator_port" in done.errors
        stock.root.sh("rm /etc/creel/creel.conf")
        assert switches(stock) != SWITCHES
        assert stock.operator.sh("ss -Hltn 'sport = :22' && id -un").endswith("root")

    def test_live_without_losing_the_connection(self, stock):
        """The script runs over the very sshd that it moves to another port; another login stands open beside it."""
        with stock.operator.start("echo open; cat") as witness:
            assert witness.stdout.readline() == b"open\n"
            done = provision(stock)
            told = changes(done)
            witness.stdin.write(b"alive\n")
            witness.stdin.flush()
            assert witness.stdout.readline() == b"alive\n"
        for thing in ("kernel switches", "service manager", "creel-enforce:", "system bus", "PAM", "agents get what creel-sshd gives",
                      "OpenSSH: to port 2222", "creel-sshd: on port 22"):
            assert any(thing in line for line in told), (thing, told)
        # the run before this one had installed the files
        assert "unchanged  files:" in done.text and stock.root("test -e /var/lib/creel/pending").rc == 1

    def test_both_doors_answer_afterwards(self, stock):
        stock.disconnect()
        operator = Host(stock, "operator", ["-o", "StrictHostKeyChecking=yes"])
        assert operator.sh("id -un") == "root"
        stock.root = Host(stock, "operator", stock.root.options)
        assert stock.root.sh("systemctl is-active creel-sshd.socket ssh.service").split() == ["active", "active"]
        listening = stock.root.sh("ss -Hltn | awk '{ print $4 }'").split()
        assert any(place.endswith(":22") for place in listening) and any(place.endswith(":2222") for place in listening)

    def test_what_the_failed_run_left_undone_is_in_force(self, stock):
        assert switches(stock) == SWITCHES
        assert stock.root.sh("sysctl -n kernel.pty.max") == "5000", "the operator's own file comes later"
        assert sorted(stock.root.sh("nft list tables").splitlines()) == ["table inet creel", "table inet creel_network"]
        assert stock.root.sh(f"grep -h pam_creel /etc/pam.d/common-session {PAM} | wc -l") == "2"
        assert stock.root.sh("systemctl is-active creel-enforce creel-quota creel-count.timer").split() == ["active"] * 3

    def test_again_changes_nothing(self, stock):
        state = ("find /etc /usr /var/lib/creel* -xdev -type f -newer /root/mark ! -name '*.cache' 2>/dev/null | "
                 "grep -v -e /etc/.pwd.lock -e ld.so.cache -e '^/var/lib/creel-pool'; true")
        stock.root.sh("touch /root/mark")
        before = stock.root.sh("sha256sum /etc/creel/ssh_host_ed25519_key")
        pids = stock.root.sh("systemctl show -P MainPID ssh.service creel-sshd.service")
        assert_nothing_to_change(provision(stock))
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

    def test_an_agent_can_be_added_and_logs_in(self, stock, agent):
        assert wait_until(lambda: agent("id -un").text) == "agent"

    def test_an_agent_of_an_earlier_version(self, stock, agent):
        """It had a shell of its own, and no group."""
        stock.root.sh("usermod --shell /bin/bash --groups '' agent")
        told = changes(provision(stock))
        assert [line.split(":")[0] for line in told] == [f"agent agent (uid {stock.uid()})", "keepers"]
        assert stock.root.sh("getent passwd agent").endswith(":/usr/libexec/creel/creel-shell")
        assert "creel-agents" in agent.sh("id -Gn").split(), "the keeper that was restarted gives it"
        assert_nothing_to_change(provision(stock))

    def test_what_a_newer_build_brings_takes_effect(self, stock):
        newer = f"{PLACE}/newer"
        stock.root.sh(f"""cp -r {PLACE}/dest {newer} && cd {newer}/usr
            sed -i s/default=bad/default=die/ share/pam-configs/creel
            sed -i s/nr_inodes=4k/nr_inodes=5k/ lib/systemd/system/run-screen.mount
            for file in libexec/creel/quota-on lib/systemd/system/creel-count.timer; do echo '# newer' >> $file; done""")
        before = stock.root.sh("systemctl show -P MainPID creel-sshd.service")
        told = changes(provision(stock, source="newer"))
        for thing in ("PAM", "run-screen.mount", "creel-quota.service", "creel-enforce", "creel-count.timer"):
            assert any(line.startswith(thing) for line in told), (thing, told)
        assert stock.root.sh(f"grep -h default=die.*pam_creel /etc/pam.d/common-session {PAM} | wc -l") == "2"
        assert "nr_inodes=5" in stock.root.sh("findmnt -no OPTIONS /run/screen")
        assert "is on" in stock.root("quotaon -pu /").text
        assert stock.root.sh("systemctl show -P MainPID creel-sshd.service") == before, "what did not change goes on"
        changes(provision(stock))
        assert stock.root("grep -h default=die.*pam_creel /etc/pam.d/*").rc == 1
        stock.root.sh(f"rm -r {newer}")

    def test_a_machine_that_cannot_enforce_is_asked_again_and_nothing_changes(self, stock):
        stock.root.sh("mount --bind /bin/false /usr/sbin/nft; systemctl stop creel-count.timer")
        assert stock.root("systemctl reload creel-enforce.service", timeout=120).rc != 0
        try:
            done = provision(stock)
        finally:
            stock.root.sh("umount /usr/sbin/nft")
        assert changes(done) == ["creel-count.timer: applied"]
        assert "note       creel-enforce: not everything is in force" in done.text
        assert_nothing_to_change(provision(stock))
        assert "creel-enforce: in force" in provision(stock).text

    def test_quotas_of_a_disk_whose_root_folder_is_somebody_elses(self, stock):
        on, place = "/usr/libexec/creel/quota-on", "'/mnt/odd disk'"
        stock.root.sh(f"truncate -s 16M /root/odd && mkfs.ext4 -q /root/odd && mkdir {place} && mount -o loop /root/odd {place} && "
                      f"chown nobody {place}")
        try:
            done = stock.root(on)
            assert done.rc == 1 and "/mnt/odd disk: its root folder is not root's alone" in done.errors
            assert "is on" not in stock.root(f"quotaon -pu {place}").text
            stock.root.sh(f"chown root {place}")
            assert stock.root(on).ok().errors == ""
            assert "is on" in stock.root(f"quotaon -pu {place}").text
        finally:
            stock.root.sh(f"umount {place}; rm -r {place} /root/odd")

    def test_it_survives_a_reboot(self, stock, agent):
        ill, quota_file = examine(stock), stock.root.sh("stat -c %i /aquota.user")
        reboot(stock)
        assert stock.root.sh("systemctl is-active creel-sshd.socket").strip() == "active"
        assert stock.root.sh("systemctl --failed --plain --no-legend") == ""
        assert wait_until(lambda: agent("id -un").text) == "agent"
        assert switches(stock) == SWITCHES and stock.root.sh("sysctl -n kernel.pty.max") == "5000"
        assert sorted(stock.root.sh("nft list tables").splitlines()) == ["table inet creel", "table inet creel_network"]
        assert "failed" not in stock.root.sh(f"cat /run/creel/enforced/{stock.uid()}")
        assert stock.root.sh("stat -c %i /aquota.user") != quota_file, "it was made while others could write"
        assert examine(stock) <= ill
        assert_nothing_to_change(provision(stock))

    def test_quotas_that_were_on_are_on_after_the_next_one_and_no_disk_is_read(self, stock, agent):
        agent.sh("head -c 5M /dev/zero > kept; sync -f kept")
        state = "stat -c %i /aquota.user; quota -wu agent | awk 'END { print $2 + 0 }'"
        file, kilobytes = map(int, stock.root.sh(state).split())
        assert kilobytes >= 5 << 10
        reboot(stock)
        seen = list(map(int, stock.root.sh(state).split()))
        assert seen[0] == file and abs(seen[1] - kilobytes) < 64
        assert "is on" in stock.root("quotaon -pu /").text
