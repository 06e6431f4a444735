# SPDX-License-Identifier: MIT
"""A VM of a provider's, one a release of Debian: cloud-init finds its user data on a second drive, and the release over HTTP."""

import contextlib
import functools
import http.server
import json
import pathlib
import subprocess
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "vm"), str(HERE.parent)]

import machine  # noqa: E402
from harness import BUILD, ROOT, Host, Machine  # noqa: E402
from skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: E402, F401

RELEASES = {"bookworm": "12", "trixie": "13"}
OUTSIDE = "10.0.2.2"  # this machine, for the VM
TARBALL = BUILD / "creel.tar.gz"
POLICY = """[limits]
memory = 900M
[ports]
listen = 3000-3005
"""


# the machine's own, as its first boot finds it and as it must be found when it is given back
STATE = {
    "packages": "dpkg-query -W -f '${db:Status-Status} ${Package}\\n' | grep ^installed | sort",
    "users": "cut -d: -f1 /etc/passwd | sort",
    "shells": "sort /etc/shells",
    "pam": "cat /etc/pam.d/common-session /etc/pam.d/common-session-noninteractive",
    "sshd": "mkdir -p /run/sshd; sshd -T | sort",
    "switches": "sysctl -n kernel.dmesg_restrict kernel.kptr_restrict kernel.pty.max fs.suid_dumpable",
    "programs": "ls /sys/fs/bpf",
    "enabled": "systemctl list-unit-files --state=enabled --no-legend | awk '{ print $1 }' | sort",
    # what creel or its packages could leave behind; the tests' own apart
    "traces": "find / -xdev \\( -path /proc -o -path /var/lib/creel-pool -o -path /root -o -path '/var/lib/cloud*' -o -path /tmp "
              "-o -path /var/lib/apt -o -path /home \\) -prune -o -iname '*creel*' -print | sort",
    "disk": "findmnt -no OPTIONS / | tr , '\\n' | grep -v ^jqfmt= | sort; ls -A /",
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@contextlib.contextmanager
def served(folder):
    """The folder over HTTP, on this machine's loopback. Yields the port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def seed_drive(folder, user_data, **others):
    """What a provider makes of user data: a drive named CIDATA."""
    seed = folder / "seed"
    seed.mkdir()
    for name, text in {"user-data": user_data, "meta-data": "instance-id: creel-1\nlocal-hostname: rented\n", **others}.items():
        (seed / name).write_text(text)
    subprocess.run(["xorriso", "-as", "genisoimage", "-quiet", "-volid", "CIDATA", "-joliet", "-rock", "-output",
                    folder / "seed.iso", seed], check=True, capture_output=True)
    return folder / "seed.iso"


def seed_make(folder, url):
    """An agent with a policy of its own. The VM's network stays as it is."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    (folder / "agent.conf").write_text(POLICY)
    written = subprocess.run(
        [ROOT / "provision/cloud-init", "--release", url, "--tarball", TARBALL, "--agent", f"agent={folder}/key.pub",
         "--policy", f"agent={folder}/agent.conf"], check=True, stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "CREELCTL": str(BUILD / "creelctl")}).stdout
    remember = "mkdir -p /root/stock\n" + "".join(f"({command}) >/root/stock/{name} 2>&1\n" for name, command in STATE.items())
    early = f"bootcmd:\n  - [ sh, -c, {json.dumps(remember)} ]\n"
    return seed_drive(folder, written.decode() + early, **{"network-config": "network: {config: disabled}\n"})


@pytest.fixture(scope="module", params=RELEASES, ids=lambda release: f"debian{RELEASES[release]}")
def rented(request, tmp_path_factory):
    """The VM while it boots for the first time. `root` is the operator on port 22, `operator` on the port of its own."""
    folder = tmp_path_factory.mktemp(request.param)
    with served(TARBALL.parent) as port:
        seed = seed_make(folder, f"http://{OUTSIDE}:{port}/{TARBALL.name}")
        name = f"release-{RELEASES[request.param]}"
        machine.vm_command(name, "up", "--cloud", "--release", request.param, "--fresh", "--seed", str(seed))
        vm = Machine(machine.folder(name) / "ssh_config")
        vm.name, vm.release, vm.port, vm.folder = name, request.param, port, folder
        vm.before = vm.root
        vm.after = Host(vm, "operator", vm.root.options)
        vm.agent.options = vm.only(folder / "key")
        yield vm
        vm.disconnect()
        machine.vm_command(name, "down")
