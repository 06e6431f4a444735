# SPDX-License-Identifier: MIT
"""An image of `make image` starts by itself, from a BIOS and from EFI, and lets the operator in whom cloud-init knows. `make test-image`."""

import contextlib
import os
import subprocess
import sys

import pytest

import machine  # noqa: F401  paths of tests/vm
from conftest import seed_drive
from harness import BUILD, ROOT, wait_until

sys.path.insert(0, str(ROOT / "provision"))
from vmlib.ports import port_pick  # noqa: E402

RELEASE = os.environ.get("RELEASE", "bookworm")
IMAGE = BUILD / "image" / f"creel-{RELEASE}.qcow2"
FIRMWARE = {"bios": [], "efi": ["-bios", "/usr/share/ovmf/OVMF.fd"]}
BOOT = 900  # seconds, emulated


class Started:
    """The image, on a larger disk than its own, of which nothing is kept."""

    def __init__(self, folder, firmware):
        self.folder = folder
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
        key = (folder / "key.pub").read_text().strip()
        seed_drive(folder, f"#cloud-config\ndisable_root: false\nusers:\n  - name: root\n    ssh_authorized_keys:\n      - {key}\n")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", IMAGE, folder / "disk", "12G"], check=True)
        self.ports = {}
        for guest in (22, 2222):
            self.ports[guest] = port_pick(None, self.ports.values())
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for guest, host in self.ports.items())
        # by one thread: with two, a processor may stand still for ever at an instruction that the other has changed (see provision/vm)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "q35", "-accel", os.environ.get("ACCEL", "tcg,thread=single"), "-cpu", "Westmere", "-smp", "2",
             "-m", "1536", "-display", "none", "-nodefaults", "-no-user-config", *firmware, "-serial", f"file:{folder}/console",
             "-drive", f"file={folder}/disk,if=virtio,format=qcow2,cache=unsafe",
             "-drive", f"file={folder}/seed.iso,if=virtio,format=raw,readonly=on",
             "-netdev", f"user,id=net{forwards}", "-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"],
            stdin=subprocess.DEVNULL)

    def console(self):
        with contextlib.suppress(OSError):
            return (self.folder / "console").read_text(errors="replace")[-1500:]
        return ""

    def ssh(self, port, user, command, stdin=b"", timeout=120):
        """The host is new, and so is its key: nobody is between this machine and its own loopback."""
        argv = ["ssh", "-F", "none", "-p", str(self.ports[port]), "-i", str(self.folder / "key"), "-o", "IdentitiesOnly=yes",
                "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=30", f"{user}@127.0.0.1", command]
        try:
            return subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as late:
            return subprocess.CompletedProcess(argv, 255, late.stdout or b"", b"late")

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module", params=FIRMWARE)
def started(request, tmp_path_factory):
    image = Started(tmp_path_factory.mktemp(request.param), FIRMWARE[request.param])
    try:
        wait_until(lambda: image.process.poll() is not None or image.ssh(2222, "root", "true").returncode == 0, BOOT,
                   "the operator logs in", pause=5)
        assert image.process.poll() is None and image.ssh(2222, "root", "true").returncode == 0, image.console()
        yield image
    except AssertionError:
        print(image.console())
        raise
    finally:
        image.end()


def test_it_starts_and_is_an_agent_vm(started):
    done = started.ssh(2222, "root", "cloud-init status --wait; systemctl is-active creel-sshd.socket creel-enforce ssh; "
                                     "df --output=size -BG / | tail -n 1; ls /etc/creel/ssh_host_ed25519_key; systemctl --failed --no-legend; "
                                     "creelctl doctor --brief", timeout=600)
    text = done.stdout.decode()
    lines = text.splitlines()
    # creel-enforce looks again where name servers became others
    assert lines.count("active") + lines.count("reloading") == 3, text
    grown = next(int(line.strip()[:-1]) for line in lines if line.strip().endswith("G"))
    assert grown >= 10 and "/etc/creel/ssh_host_ed25519_key" in lines and not any(".service" in line and "failed" in line for line in lines), text
    # there is no clock to go by behind this VM's network
    assert {line.split()[1] for line in lines if line.startswith(("MISSING", "DEGRADED"))} <= {"doors.clock:"}, text
    key = (started.folder / "key.pub").read_bytes()
    assert started.ssh(2222, "root", "creelctl agent add agent --key -", key, timeout=300).returncode == 0
    wait_until(lambda: started.ssh(22, "agent", "id -un; node --version").stdout.decode().split("\n")[0] == "agent", 180, "a login")


def test_its_network(started):
    """An address and a name server by DHCP, without systemd-resolved; the file follows the network, unless it is somebody's own."""
    assert "nameserver 10.0.2.3\n" in started.ssh(2222, "root", "cat /etc/resolv.conf").stdout.decode()
    assert b"inactive" in started.ssh(2222, "root", "systemctl is-active systemd-resolved").stdout
    link = "$(ip -o route show default | grep -o 'dev [^ ]*' | cut -c5- | head -n 1)"
    told = started.ssh(2222, "root", f"rm /etc/resolv.conf; networkctl reconfigure {link} && timeout 150 sh -c "
                                     "'until grep -q ^nameserver /etc/resolv.conf; do sleep 0.5; done'; cat /etc/resolv.conf", timeout=180)
    assert b"nameserver 10.0.2.3\n" in told.stdout, told
    own = started.ssh(2222, "root", "echo nameserver 192.0.2.1 > /etc/resolv.conf; systemctl start creel-names; cat /etc/resolv.conf")
    assert own.stdout == b"nameserver 192.0.2.1\n"
