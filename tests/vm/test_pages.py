# SPDX-License-Identifier: MIT
"""docs/openclaw.md and docs/mcp.md, done to the letter: their commands by a shell, their configuration by the clients it is for.

`~` is a folder of the test's, and `vm.example.org` is the VM, port by port, as a filter between both would have it.
"""

import json
import os
import subprocess
import sys
import types
import uuid

import pytest

from harness import BUILD, ROOT, Host, wait_until
from machine import forwarded
from pages import DOCS, blocks, seen
from test_openclaw import HERE, RENAME, STAGE, command

sys.path.append(str(ROOT / "tests" / "tools"))

import mcpsdk  # noqa: E402

PATIENCE = 240  # seconds, of an emulated VM
CONNECT = """import array, socket, sys
there = socket.create_connection(("127.0.0.1", {"22": %s, "2222": %s}[sys.argv[1]]))
socket.socket(fileno=1).sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [there.fileno()]))])
"""


class Reader:
    """Somebody with a home, who is root on the VM and trusts what that login says."""

    def __init__(self, vm, home):
        self.home, self.page = home, []
        (home / ".ssh").mkdir(mode=0o700)
        (home / "bin").mkdir()
        (home / "connect").write_text(CONNECT % (forwarded(vm, 22), forwarded(vm, 2222)))
        (home / "known").write_text("".join(
            line.replace("creel-operator", "[vm.example.org]:2222", 1)
            for line in (vm.config.parent / "known_hosts").read_text().splitlines(True) if line.startswith("creel-operator ")))
        (home / "config").write_text(
            f"Host *\n\tIdentityAgent none\n\tGlobalKnownHostsFile {home}/known\n\tUserKnownHostsFile {home}/.ssh/known_hosts\n"
            f"\tStrictHostKeyChecking yes\n\tProxyCommand {sys.executable} {home}/connect %p\n\tProxyUseFdpass yes\n"
            f"Match originalhost vm.example.org user root\n\tIdentityFile {vm.root.key()}\n\tIdentitiesOnly yes\n"
            f"Match all\nInclude {home}/.ssh/config\n")
        self.program("ssh", f'exec /usr/bin/ssh -F {home}/config "$@"')

    def program(self, name, line):
        path = self.home / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def here(self, text):
        return text.replace("~/", f"{self.home}/")

    def environment(self):
        return {**os.environ, "PATH": f"{self.home}/bin:{os.environ['PATH']}", "HOME": str(self.home)}

    def types(self, line):
        done = subprocess.run(["/bin/sh", "-c", self.here(line)], capture_output=True, text=True, check=False, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, env=self.environment())
        assert done.returncode == 0, f"{line}: {done}"
        return done.stdout

    def opens(self, name):
        self.page = blocks((DOCS / name).read_text())

    def follows(self, until=None):
        """Types what the page says, up to a block of that language, which is returned."""
        output = None
        while self.page:
            block = self.page.pop(0)
            if block.language == until:
                return self.here(block.text)
            if block.language == "text":
                assert output is not None and seen(block.text, output), f"{block.text!r} is promised: {output!r}"
            else:
                assert block.language == "sh", block
                output = self.types(block.text)
        assert until is None, f"no {until}"
        return output


@pytest.fixture
def reader(vm, tmp_path):
    yield Reader(vm, tmp_path)
    for name in ("claw", "helper"):
        vm.root.sh(f"! getent passwd {name} || creelctl agent remove {name}", timeout=PATIENCE)


def openclaw(reader, settings):
    """The client as its settings make it: the very lines that it gives to ssh."""
    ssh = settings["agents"]["defaults"]["sandbox"]["ssh"]
    user, _, address = ssh["target"].partition("@")
    host, _, port = address.partition(":")
    lines = {"HostName": host, "Port": port, "User": user, "BatchMode": "yes", "ConnectTimeout": "5", "ServerAliveInterval": "15",
             "ServerAliveCountMax": "3", "StrictHostKeyChecking": "yes" if ssh["strictHostKeyChecking"] else "no",
             "UpdateHostKeys": "yes" if ssh["updateHostKeys"] else "no", "IdentityFile": ssh["identityFile"],
             "IdentitiesOnly": "yes", "UserKnownHostsFile": ssh["knownHostsFile"],
             "ProxyCommand": f"{sys.executable} {reader.home}/connect %p", "ProxyUseFdpass": "yes"}
    config = reader.home / "openclaw-config"
    config.write_text("Host openclaw-sandbox\n" + "".join(f"\t{key} {value}\n" for key, value in lines.items()))
    return Host(types.SimpleNamespace(config=config), "openclaw-sandbox", ["-T", "-o", "RequestTTY=no"]), ssh["workspaceRoot"]


def test_openclaw(vm, reader, tmp_path):
    since = vm.now()
    reader.opens("openclaw.md")
    claw, root = openclaw(reader, json.loads(reader.follows("json")))

    # first use: the workspace is staged, filled and renamed into its place
    place = f"{root}/{uuid.uuid4()}"
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "note").write_text("from the gateway\n")
    assert claw(command("/bin/sh", "-c", 'test -d "$1"', "openclaw-sandbox-check", place)).rc == 1
    claw.sh(command("/bin/sh", "-c", 'mkdir -p -- "$1.staging"', "openclaw-sandbox-mkdir", place))
    tar = subprocess.run(["tar", "-C", str(tmp_path / "workspace"), "-cf", "-", "."], capture_output=True, check=True).stdout
    claw(command("/bin/sh", "-c", 'tar -xf - -C "$1"', "openclaw-sandbox-upload", place + ".staging"), tar).ok()
    claw.sh(command("python3", "-c", RENAME, place + ".staging", place))
    # a file tool, and a tool that executes
    assert claw(command("/bin/sh", "-c", HERE % "", "openclaw-sandbox-fs", place, "file"), b"written").ok().out == b"written"
    stage = f"/tmp/openclaw-sandbox-exec-{uuid.uuid4()}"
    claw(command("/bin/sh", "-c", STAGE, "openclaw-sandbox-exec-stage", stage), f"cd {place} && id -un && cat note file\n").ok()
    assert claw.sh(command("/bin/sh", stage + "/exec.sh")) == "claw\nfrom the gateway\nwritten"
    claw.sh(command("rm", "-rf", "--", stage))
    # what the page says of its policy
    assert vm.root.sh("creelctl policy show claw | grep -c '^network.mode = none '") == "1"
    wait_until(lambda: vm.records(since, "command", "claw"), 60, "it is on record")

    listed = reader.types(reader.page[0].text)
    assert "claw" in listed and "openclaw-sandbox-exec-stage" in listed, listed
    reader.follows()
    assert vm.root("getent passwd claw").rc == 2, "the page's end"


def test_mcp(vm, reader):
    reader.opens("mcp.md")
    named = reader.follows("ssh-config")
    (reader.home / ".ssh" / "config").write_text(named)
    # provision.sh writes it into creel.conf; the VM of the tests has its Node.js without that
    vm.root.sh("creelctl agent set helper javascript.interpreter=/opt/node/bin/node", timeout=PATIENCE)
    asked, answer = reader.page[:2]
    server = json.loads(reader.follows("json"))["mcpServers"]["agent-vm"]
    folder = mcpsdk.install(BUILD)

    mcpsdk.check(mcpsdk.session(folder, "1", [server["command"], *server["args"]], env=reader.environment(), timeout=250), "1")
    record, restricted = reader.page[:2]
    assert "run-start" in reader.types(record.text)
    assert reader.types("ssh agent-vm id -un") == "helper\n", "the key opens a shell"
    reader.types(restricted.text)
    done = subprocess.run([reader.home / "bin" / "ssh", "agent-vm", "id", "-un"], capture_output=True, check=False,
                          timeout=PATIENCE, stdin=subprocess.DEVNULL, env=reader.environment())
    assert b"helper" not in done.stdout, "no shell any more"
    assert seen(answer.text, reader.types(asked.text)), "the server all the same"
    del reader.page[:2]
    reader.follows()
    assert vm.root("getent passwd helper").rc == 2
