# SPDX-License-Identifier: MIT
"""What a fleet asks of one machine: lines for known_hosts, and certificates of a CA at OpenSSH's door, with the shipped configuration."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

from conftest import BUILD, PATIENCE, ROOT, agents_of_our_own, wait_until

CREELCTL, SSHD = BUILD / "creelctl", "/usr/sbin/sshd"
ETC = pathlib.Path("/etc/creel")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Users, /etc/creel and OpenSSH of this process's mount namespace."""
    folder = tmp_path_factory.mktemp("fleet")
    with agents_of_our_own(folder):
        for name in ("ca", "peoples-ca", "host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name], check=True)
        shutil.copy(folder / "host", ETC / "ssh_host_ed25519_key")
        shutil.copy(folder / "host.pub", ETC / "ssh_host_ed25519_key.pub")
        yield folder


def sign(machine, principals, *options, ca="ca"):
    subprocess.run(["ssh-keygen", "-q", "-s", machine / ca, "-I", "a test", "-n", principals, *options, machine / "key.pub"], check=True)


@pytest.fixture(scope="module")
def door(machine):
    """sshd with a CA for people, before it the file that creel installs."""
    shutil.copy(BUILD / "units" / "sshd-agents.conf", machine / "agents.conf")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    (machine / "sshd_config").write_text(
        f"Include {machine}/agents.conf\nListenAddress 127.0.0.1:{port}\nHostKey {machine}/host\nPidFile none\nStrictModes no\n"
        f"TrustedUserCAKeys {machine}/peoples-ca.pub\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nAuthorizedKeysFile none\n")
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", machine / "sshd_config"], stderr=(machine / "log").open("wb"))
    wait_until(lambda: b"Server listening" in (machine / "log").read_bytes(), "sshd")

    def login(user):
        done = subprocess.run(
            ["ssh", "-F", "none", "-p", str(port), "-i", machine / "key", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", f"{user}@127.0.0.1", "id -un"],
            capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        assert done.returncode == 0 or b"Permission denied" in done.stderr, done
        return done.stdout.decode().strip() or None

    yield login
    server.terminate()
    server.wait(PATIENCE)


@pytest.fixture
def trusted(machine):
    """The CA, and whom it may let in; gone afterwards."""
    shutil.copy(machine / "ca.pub", ETC / "agents-ca.pub")
    principals = ETC / "agents" / "zed.principals"
    principals.write_text("fleet-7\nzed@vm1\n")
    yield principals
    for path in (ETC / "agents-ca.pub", principals):
        path.unlink(missing_ok=True)


def test_certificates_of_agents(machine, door, trusted):
    sign(machine, "zed@vm1", "-V", "+1h")
    assert door("zed") == "zed"
    assert door("may") is None and door("root") is None, "others are no agents, and the CA is none of theirs"
    for words in (["zed"], ["zed@vm2"], ["zed@vm1", "-V", "-2h:-1h"], ["zed@vm1", "-O", "source-address=192.0.2.0/24"]):
        sign(machine, *words)
        assert door("zed") is None, words
    sign(machine, "zed@vm2,fleet-7", "-O", "force-command=echo forced")
    assert door("zed") == "forced"
    trusted.unlink()
    assert door("zed") is None, "nobody said whom the CA may let in"


def test_without_a_ca_of_agents(machine, door):
    (ETC / "agents" / "zed.principals").write_text("zed\n")
    for ca in ("ca", "peoples-ca"):
        sign(machine, "zed,may", ca=ca)
        assert door("zed") is None
    assert door("may") == "may", "people's is as it was"
    (ETC / "agents" / "zed.principals").unlink()


def hostkeys(*words):
    return subprocess.run([CREELCTL, "hostkeys", *words], capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_lines_for_known_hosts(machine):
    key = (ETC / "ssh_host_ed25519_key.pub").read_text().split()[:2]
    done = hostkeys()
    assert done.returncode == 0 and done.stdout.splitlines()[0].split() == [os.uname().nodename, *key]
    done = hostkeys("--host", "vm1.example", "--host", "2001:db8::1")
    assert {line.split()[0] for line in done.stdout.splitlines()} >= {"vm1.example", "2001:db8::1"}
    (machine / "known").write_text(done.stdout)
    for host in ("vm1.example", "2001:db8::1"):
        found = subprocess.run(["ssh-keygen", "-F", host, "-f", machine / "known"], capture_output=True, text=True, check=True)
        assert key[1] in found.stdout
    rows = json.loads(hostkeys("--json", "--host", "vm1.example").stdout)
    assert [row["known_hosts"] for row in rows] == [line for line in done.stdout.splitlines() if "vm1.example" in line]
    assert rows[0] == {"host": "vm1.example", "port": 22, "type": key[0], "key": key[1],
                       "known_hosts": " ".join(["vm1.example", *key])}
    assert all(row["port"] == 2222 for row in rows[1:])


@pytest.mark.parametrize("host", ["", "a b", "a,b", "-x", "[a]", "a\nb", "*", "x" * 256])
def test_hosts_that_are_none(machine, host):
    done = hostkeys("--host", host)
    assert done.returncode == 1 and not done.stdout and done.stderr.count("\n") == 1 and "is no name" in done.stderr, done


def test_no_key_no_line(machine):
    path = ETC / "ssh_host_ed25519_key.pub"
    text = path.read_text()
    for broken in ("", "ssh-ed25519\n"):
        path.write_text(broken)
        done = hostkeys("--json")
        assert done.returncode == 1 and not done.stdout and "no public key" in done.stderr
    path.unlink()
    assert "No such file" in hostkeys().stderr
    path.write_text(text)


# ---- docs/fleet.md ------------------------------------------------------------------------------------------------------
def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "docs" / "fleet.md").read_text(), re.M | re.S)


def test_the_playbook_is_one(machine):
    done = subprocess.run(["ansible-playbook", "--syntax-check", "-i", "localhost,", ROOT / "provision" / "fleet" / "playbook.yml"],
                          capture_output=True, text=True, timeout=PATIENCE, check=False, env={**os.environ, "HOME": str(machine)})
    assert done.returncode == 0, done


def test_what_the_playbook_does(machine):
    """By ansible on this machine itself: agents that are there already; what takes effect is counted."""
    files, bin_folder = machine / "files", machine / "bin"
    (files / "agents").mkdir(parents=True)
    bin_folder.mkdir()
    (bin_folder / "creelctl").write_text(f'#!/bin/sh\n[ "$1 $2" != "policy apply" ] || exec sh -c "echo applied >>{machine}/applied"\n'
                                         f'exec {CREELCTL} "$@"\n')
    (bin_folder / "creelctl").chmod(0o755)
    (machine / "hosts").write_text("here ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n")
    installed = ETC / "agents" / "zed.conf"
    installed.write_text("[limits]\nprocesses = 50\n")

    def play(ok=True):
        done = subprocess.run(
            ["ansible-playbook", "-i", machine / "hosts", ROOT / "provision" / "fleet" / "playbook.yml", "-e", "creel_metrics=false"],
            capture_output=True, text=True, timeout=300, check=False,
            env={**os.environ, "HOME": str(machine), "PATH": f"{bin_folder}:{os.environ['PATH']}"})
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return int(re.search(r"changed=(\d+)", done.stdout)[1]), done.stdout + done.stderr

    def applied():
        return (machine / "applied").read_text().count("applied") if (machine / "applied").exists() else 0

    policy = files / "agents" / "zed.conf"
    policy.write_text("[limits]\nprocesses = 77\n")
    (files / "creel.conf").write_text("[front]\ngrace = 30s\n")
    (files / "agents-ca.pub").write_text("a key\n")
    (files / "agents" / "zed.principals").write_text("zed@here\n")
    assert play()[0] == 5 and applied() == 1 and installed.read_text() == policy.read_text()
    assert (ETC / "creel.conf").read_text() == "[front]\ngrace = 30s\n" and (ETC / "agents" / "zed.principals").read_text() == "zed@here\n"
    assert play()[0] == 0 and applied() == 1
    policy.write_text("[limits]\nprocesses = many\n")
    assert "`many` is not a number" in play(ok=False)[1] and "77" in installed.read_text() and applied() == 1
    policy.write_text("[limits]\nprocesses = 77\n")
    (files / "creel.conf").write_text("[front]\ngrace = soon\n")
    assert "[front] grace" in play(ok=False)[1] and "30s" in (ETC / "creel.conf").read_text() and applied() == 1
    for path in (installed, ETC / "creel.conf", ETC / "agents-ca.pub", ETC / "agents" / "zed.principals"):
        path.unlink()


def test_examples_are_what_they_say(machine):
    inventory, rules = blocks("yaml")
    (machine / "inventory.yml").write_text(inventory)
    done = subprocess.run(["ansible-inventory", "-i", machine / "inventory.yml", "--list"], capture_output=True, text=True,
                          timeout=PATIENCE, check=True, env={**os.environ, "HOME": str(machine)})
    assert json.loads(done.stdout)["_meta"]["hostvars"]["agents-2"]["ansible_port"] == 2222
    known = set(re.findall(r'"(creel_\w+)"', (ROOT / "shell" / "operator" / "metrics-record.c").read_text()))
    named = {re.sub("_bucket$", "", name) for name in re.findall(r"\bcreel_\w+", rules)}
    assert named and named <= known, named - known
    if promtool := shutil.which("promtool"):
        (machine / "rules.yml").write_text(rules)
        subprocess.run([promtool, "check", "rules", machine / "rules.yml"], check=True, capture_output=True)


def test_the_manual_has_all_metrics_and_there_are_no_others():
    sources = [(ROOT / "shell" / "operator" / name).read_text() for name in ("metrics-record.c", "metrics.c")]
    families = set(re.findall(r'"(creel_\w+)",\s+"', sources[0]))
    assert {name for text in sources for name in re.findall(r'"(creel_[a-z_]+)', text)} == families
    assert set(re.findall(r"^\.It (creel_\w+)", (ROOT / "docs" / "man" / "creelctl.8").read_text(), re.M)) == families
