# SPDX-License-Identifier: MIT
"""creel's Debian package in a running agent VM: installed over what provision.sh put there, upgraded while an agent works, removed,
installed again, purged. The newer package is the same one with every program made another file."""

import shutil
import subprocess

import pytest

import machine
from harness import BUILD, ROOT, Host, Terminal, wait_until
from test_doctor import examine, sick
from test_keeper import main_pid, unit

HERE = "/root/packages"
PROGRAMS = ("usr/libexec/creel/creel-sshd", "usr/libexec/creel/creel-keeper", "usr/libexec/creel/creel-enforce",
            "usr/libexec/creel/creel-shell", "usr/libexec/creel/creel-confine", "usr/libexec/creel/creel-collect",
            "usr/bin/creel", "usr/sbin/creelctl")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The package of this tree, and a newer one."""
    found = list((BUILD / "deb").glob("creel_*.deb"))
    if not found or found[0].stat().st_mtime < (BUILD / "creel-keeper").stat().st_mtime:
        subprocess.run(["make", "-C", str(ROOT), "deb", f"BUILD={BUILD}"], check=True, capture_output=True, timeout=1200)
        found = list((BUILD / "deb").glob("creel_*.deb"))
    folder = tmp_path_factory.mktemp("packages")
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "-R", found[0], tree], check=True)
    for program in PROGRAMS:
        subprocess.run(["objcopy", "--add-section", f".newer={ROOT / 'LICENSE'}", tree / program], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text("".join(line.rstrip("\n") + "+newer\n" if line.startswith("Version:") else line
                               for line in control.read_text().splitlines(True)))
    shutil.copy(found[0], folder / "this.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, folder / "newer.deb"], check=True, capture_output=True)
    shutil.rmtree(tree)
    return folder


@pytest.fixture(scope="module", autouse=True)
def there(vm, packages):
    tar = subprocess.run(["tar", "-C", packages, "-cf", "-", "this.deb", "newer.deb"], check=True, capture_output=True)
    vm.root.sh(f"mkdir -p {HERE} && tar -C {HERE} -xf -", tar.stdout, timeout=240)
    yield
    vm.disconnect()
    # without the package: as the module found it
    machine.vm_command(vm.name, "restore")


def install(vm, name):
    done = vm.root(f"dpkg -i {HERE}/{name}.deb", timeout=280)
    assert done.rc == 0, done.out[-3000:] + done.err[-3000:]
    return done.text


def front(vm):
    return int(vm.root.sh("systemctl show -P MainPID creel-sshd.service"))


def is_installed_one(vm, pid):
    """It executes the file that is there now, under its name."""
    return vm.root(f"test /proc/{pid}/exe -ef \"$(readlink /proc/{pid}/exe)\"").rc == 0


def all_is_well(vm):
    wait_until(lambda: not sick(examine(vm)), 120, "doctor finds nothing", 1)


def test_over_what_provision_put_there(vm):
    """The same files by another way: dpkg knows them now, and the machine stays an agent VM."""
    config, key = "/etc/creel/creel.conf", "/etc/creel/ssh_host_ed25519_key"
    before = vm.root.sh(f"sha256sum {config} {key}")
    with vm.agent.start("echo ready; cat") as client:
        assert client.stdout.readline() == b"ready\n"
        install(vm, "this")
        client.stdin.write(b"on\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"on\n"
    assert vm.root.sh(f"sha256sum {config} {key}") == before
    assert vm.root.sh("dpkg -S /usr/libexec/creel/creel-sshd").startswith("creel:")
    # manual pages and documentation were left out of this machine
    assert vm.root("dpkg --verify creel | grep -v '^missing .*/usr/share/\\(doc\\|man\\)/'").text == ""
    assert vm.agent.sh("id -un") == "agent" and is_installed_one(vm, front(vm))
    assert vm.agent.sh("crontab -l 2>&1; readlink -f $(command -v crontab)").endswith("/usr/bin/creel")
    all_is_well(vm)


def test_an_upgrade_while_an_agent_works(vm):
    vm.agent.sh("mkfifo ~/go; creel job start long -- sh -c 'read word <~/go; echo $word'")
    vm.agent.sh("echo x = 41 | creel run - --lang python --session main", timeout=120)
    vm.bob.sh("true")
    pids = front(vm), main_pid(vm), main_pid(vm, "bob")
    with vm.agent.start("echo ready; cat; exit 7") as command, Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        assert command.stdout.readline() == b"ready\n"
        terminal.expect(r"\$ ")
        terminal.line("kept=value")
        report = install(vm, "newer")
        assert "creel-sshd: restarted" in report and "keepers: renewed" in report

        # new logins: by the new front; bob's keeper had nothing to lose
        assert vm.bob.sh("id -un") == "bob"
        assert front(vm) != pids[0] and is_installed_one(vm, front(vm))
        wait_until(lambda: main_pid(vm, "bob") not in (0, pids[2]), 120, "bob's keeper is renewed")
        assert is_installed_one(vm, main_pid(vm, "bob"))
        assert set(vm.front_workers()) and vm.agent.sh("echo in") == "in"

        # the agent's goes on, and doctor says so
        assert main_pid(vm) == pids[1] and not is_installed_one(vm, pids[1])
        row = examine(vm, "--agent agent")["agent.keeper", "agent"]
        assert row["state"] == "DEGRADED" and "older" in row["detail"]
        assert vm.agent.sh("echo 'print(x + 1)' | creel run - --lang python --session main", timeout=120) == "42"
        vm.agent.sh("echo over >~/go")
        assert vm.agent.sh("creel job wait long; creel job logs long", timeout=120).endswith("over")
        terminal.line("echo $kept''=kept")
        terminal.expect("value=kept")
        terminal.line("exit 3")
        assert terminal.finish() == 3
        assert command.communicate(b"through\n", timeout=60)[0] == b"through\n" and command.returncode == 7

    vm.agent.sh("creel sessions reset main; rm ~/go; creel job rm long")
    wait_until(lambda: main_pid(vm) not in (0, pids[1]), 120, "the agent's keeper is renewed")
    assert is_installed_one(vm, main_pid(vm)) and vm.agent.sh("echo 40 + 2 | creel run - --lang python", timeout=120) == ""
    all_is_well(vm)


def test_the_same_again_restarts_nothing(vm):
    state = f"systemctl show -P MainPID creel-sshd.service {unit(vm)} {unit(vm, 'bob')}; systemctl show -P ExecMainStartTimestamp creel-enforce"
    before = vm.root.sh(state)
    report = install(vm, "newer")
    assert "provision: nothing to change" in report
    assert vm.root.sh(state) == before


def test_what_only_the_package_calls_is_no_option_elsewhere(vm):
    vm.root.sh("cp -r /usr/share/creel/provision /root/p")
    for word in ("--configure", "--unconfigure"):
        assert vm.root(f"/root/p/provision.sh {word}; s=$?; exit $s").rc == 2
    assert vm.root("/usr/share/creel/provision/provision.sh --from /tmp").rc == 1
    # two owners of the same files
    for words in ("/root/p/provision.sh", "/root/p/provision.sh --remove --agents", "/usr/share/creel/provision/provision.sh --remove"):
        refused = vm.root(words)
        assert refused.rc == 1 and "`apt purge creel`" in refused.errors, words
    assert vm.agent.sh("echo in") == "in"


def test_removed_and_installed_again(vm):
    vm.root.sh("systemctl enable -q --now creel-metrics.timer")
    with vm.agent.start("echo ready; sleep 1000") as client:
        assert client.stdout.readline() == b"ready\n"
        done = vm.root("dpkg -r creel", timeout=280)
        assert done.rc == 0, done.out[-3000:] + done.err[-3000:]
        assert client.wait(60) != 0, "nothing of an agent's runs without its limits"
    assert vm.root("pgrep -u agent,bob").rc == 1 and vm.root("ls /var/lib/systemd/linger").text == ""
    assert vm.agent("true").rc == 255 and vm.openssh("true").rc != 0, "no door"
    assert vm.root.sh("nft list tables") == "" and vm.root("ls -A /sys/fs/bpf/creel").text == ""
    assert vm.root("grep -rl pam_creel /etc/pam.d; grep creel /etc/shells; ls /usr/local/bin/crontab").text == ""
    assert vm.root("ls -A /usr/libexec/creel /usr/share/creel; ls /etc/systemd/system/*.wants/creel*").text == ""
    install(vm, "this")
    assert vm.root("systemctl is-active creel-metrics.timer").text == "active", "who was enabled is again"
    assert wait_until(lambda: vm.agent("id -un").text, 120) == "agent"
    wait_until(lambda: vm.root("test -e /var/lib/systemd/linger/agent && systemctl is-active user@$(id -u agent)").text == "active", 120)
    all_is_well(vm)


def test_purged(vm):
    """OpenSSH has port 22 again, over a connection that stays; agents' accounts and homes stay, too."""
    done = vm.root("dpkg -P creel", timeout=280)
    assert done.rc == 0, done.out[-3000:] + done.err[-3000:]
    # the connection that is there already
    assert vm.root("ls -Ad /etc/creel /var/lib/creel /run/creel /var/log/creel /etc/apt/*/*creel /etc/systemd/system/*/creel*").text == ""
    assert vm.root("ls -d /var/log/journal/*.creel; ls /aquota.user; getent passwd creel-sshd; getent group creel-agents").text == ""
    assert vm.root.sh("stat -c %U /home/agent") == "agent"
    listening = vm.root.sh("ss -Hltn | awk '{ print $4 }'").split()
    assert any(place.endswith(":22") for place in listening) and not any(place.endswith(":2222") for place in listening)
    operator = Host(vm, "root", ["-p", str(machine.forwarded(vm, 22)), "-o", "ControlPath=none"])
    assert wait_until(lambda: operator("id -un").text, 60) == "root"
