# SPDX-License-Identifier: MIT
"""provision/cloud-init: what it writes for a rented VM, and what it refuses. tests/releases has it executed."""

import base64
import hashlib
import os
import pathlib
import subprocess

import pytest
import yaml

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", TOP / "build")).resolve()
URL = "https://files.example.org/creel.tar.gz"
SUM = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cloud")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "it's", "-f", folder / "key"], check=True)
    (folder / "agent.conf").write_text("[limits]\nmemory = 1G\n")
    (folder / "bad.conf").write_text("[limits]\nmemory = much\n")
    (folder / "creel.conf").write_text("[front]\noperator_port = 2200\n")
    (folder / "options.pub").write_text('command="id" ' + (folder / "key.pub").read_text())
    (folder / "empty.pub").write_text("# none\n")
    (folder / "creel.tar.gz").write_bytes(b"a release")
    return folder


def generate(folder, *words, creelctl=False):
    """It, in that folder."""
    env = {"PATH": "/usr/bin:/bin", "CREELCTL": str(BUILD / "creelctl") if creelctl else "/nonexistent"}
    return subprocess.run([TOP / "provision/cloud-init", *words], cwd=folder, env=env, capture_output=True, text=True)


def files(text):
    """Path: (mode, content)."""
    assert text.startswith("#cloud-config\n")
    return {file["path"]: (file["permissions"], base64.b64decode(file["content"]).decode())
            for file in yaml.safe_load(text)["write_files"]}


def test_what_it_writes(folder):
    done = generate(folder, "--release", URL, "--sha256", SUM, "--agent", "agent=key.pub", "--agent", "second=key.pub",
                    "--policy", "agent=agent.conf", "--operator-port", "2022")
    assert done.returncode == 0, done.stderr
    have, key = files(done.stdout), (folder / "key.pub").read_text()
    state = "/var/lib/creel/first-boot"
    assert have[f"{state}/agent.keys"] == have[f"{state}/second.keys"] == ("0600", key)
    assert have[f"{state}/agent.conf"] == ("0600", "[limits]\nmemory = 1G\n") and f"{state}/second.conf" not in have
    mode, script = have[f"{state}.sh"]
    assert mode == "0700" and f"release={URL}\nsum={SUM}\noperator_port=2022\nagents=(agent second)\n" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert yaml.safe_load(done.stdout)["runcmd"] == [["/bin/bash", f"{state}.sh"]]
    assert "PRIVATE" not in done.stdout


def test_the_operator_and_the_machines_defaults(folder):
    done = generate(folder, "--release", URL, "--tarball", "creel.tar.gz", "--operator-key", "key.pub", "--defaults", "creel.conf")
    assert done.returncode == 0, done.stderr
    told = yaml.safe_load(done.stdout)
    assert told["users"][1] == {"name": "root", "ssh_authorized_keys": [(folder / "key.pub").read_text().strip()]}
    assert told["disable_root"] is False
    have = files(done.stdout)
    assert have["/etc/creel/creel.conf"] == ("0644", "[front]\noperator_port = 2200\n")
    script = have["/var/lib/creel/first-boot.sh"][1]
    assert hashlib.sha256(b"a release").hexdigest() in script and "agents=()" in script


GOOD = ("--release", URL, "--sha256", SUM)
REFUSED = {
    ("--release", "x; reboot", "--sha256", SUM): "--release",
    ("--release", "https://h/'$(reboot)'", "--sha256", SUM): "--release",
    ("--release", URL): "--sha256",
    ("--release", URL, "--sha256", SUM[1:]): "--sha256",
    ("--release", URL, "--sha256", SUM, "--tarball", "creel.tar.gz"): "is not what --sha256 says",
    (*GOOD, "--tarball", "nosuch"): "nosuch: no such file",
    (*GOOD, "--agent", "agent"): "NAME=FILE is needed",
    (*GOOD, "--agent", "Agent=key.pub"): "`Agent` cannot name an agent",
    (*GOOD, "--agent", "a;b=key.pub"): "`a;b` cannot name an agent",
    (*GOOD, "--agent", "a/../b=key.pub"): "cannot name an agent",
    (*GOOD, "--agent", "agent=nosuch"): "nosuch: no such file",
    (*GOOD, "--agent", "agent=key"): "no file of public keys",
    (*GOOD, "--agent", "agent=options.pub"): "no file of public keys, or has options",
    (*GOOD, "--agent", "agent=empty.pub"): "holds no public key",
    (*GOOD, "--agent", "agent=key.pub", "--agent", "agent=key.pub"): "agent is there twice",
    (*GOOD, "--policy", "agent=agent.conf"): "there is no --agent agent",
    (*GOOD, "--operator-key", "key"): "no file of public keys",
    (*GOOD, "--operator-port", "22"): "--operator-port",
    (*GOOD, "--operator-port", "0x16"): "--operator-port",
    (*GOOD, "--operator-port", "70000"): "--operator-port",
    (*GOOD, "--operator-port", "2022", "--defaults", "creel.conf"): "--defaults says it",
}


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: " ".join(words[-2:])[:40])
def test_what_it_refuses(folder, words):
    done = generate(folder, *words)
    assert done.returncode == 1 and done.stdout == "" and REFUSED[words] in done.stderr and done.stderr.count("\n") == 1, done


def test_unknown_words_are_answered_by_the_known_ones(folder):
    for words in (("--nosuch", "x"), ("--help",), ("--release",)):
        done = generate(folder, *words)
        assert done.returncode == 2 and "--agent NAME=KEYS" in done.stderr and done.stdout == ""


def test_a_bad_policy_never_leaves(folder):
    good = generate(folder, *GOOD, "--agent", "agent=key.pub", "--policy", "agent=agent.conf", creelctl=True)
    assert good.returncode == 0, good.stderr
    done = generate(folder, *GOOD, "--agent", "agent=key.pub", "--policy", "agent=bad.conf", creelctl=True)
    assert done.returncode == 1 and done.stdout == "" and "[limits] memory" in done.stderr
