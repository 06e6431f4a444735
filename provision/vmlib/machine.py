# SPDX-License-Identifier: MIT
"""One VM: its folder, its qemu process, its snapshots.

The folder holds disk.qcow2, the kernel that fits it, state.json (ports, image), known_hosts, ssh_config, console.log,
and the sockets console.sock and qmp.sock. A VM is running when the process of qemu.pid is a qemu of this folder.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import time

from vmlib.accel import accel_choose
from vmlib.console import console_attach
from vmlib.image import base_folder, host_keys, image_build
from vmlib.paths import IMAGE, VM, Failure, quote_tail, run, say
from vmlib.ports import ports_allocate

MEMORY = "1536"
CPUS = "2"
SNAPSHOT = "booted"
RESERVED = ("image", "dest", "node")


class Machine:
    def __init__(self, name=""):
        if name and (name in RESERVED or not name.replace("-", "").isalnum()):
            raise Failure(f"`{name}` cannot name a VM: letters, digits and dashes, but not {' or '.join(RESERVED)}")
        self.name = name or "default"
        self.folder = VM / name if name else VM
        self.folder.mkdir(parents=True, exist_ok=True)

    # ---- state --------------------------------------------------------------------------------------------------
    def state(self):
        try:
            state = json.loads((self.folder / "state.json").read_text())
        except (OSError, ValueError):
            return {}
        state["ports"] = {int(guest): host for guest, host in state.get("ports", {}).items()}
        return state

    def state_update(self, **values):
        state = self.state() | values
        new = self.folder / "state.json.new"
        new.write_text(json.dumps(state, indent=1) + "\n")
        os.replace(new, self.folder / "state.json")
        return state

    def pid(self):
        """The running qemu's pid, or None. A pid file may outlive its process, and the number may be reused."""
        try:
            pid = int((self.folder / "qemu.pid").read_text())
            argv = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if str(self.folder / "qemu.pid").encode() in argv else None

    def require_running(self):
        if not self.pid():
            raise Failure(f"VM {self.name} is not running: use `make up`" + self.make_hint())

    def make_hint(self):
        return "" if self.folder == VM else f" VM={self.name}"

    # ---- disk ---------------------------------------------------------------------------------------------------
    def disk_prepare(self, kind, fresh):
        """A disk made of the current image. An older VM's disk is kept while the image it came from is current."""
        made_of = image_build(kind)
        disk = self.folder / "disk.qcow2"
        if disk.exists() and not fresh and self.state().get("image") == made_of and self.state().get("kind") == kind:
            return False
        disk.unlink(missing_ok=True)
        run(["cp", "--reflink=auto", "--sparse=always", IMAGE / f"{kind}.qcow2", disk])
        for name in ("vmlinuz", "initrd"):
            shutil.copyfile(base_folder(kind) / name, self.folder / name)
        self.state_update(image=made_of, kind=kind, snapshot=False, agents=[])
        self.known_hosts_write(host_keys(kind))
        return True

    def known_hosts_write(self, keys):
        """The host keys, read from the image or by the operator's login: never from the network unseen."""
        lines = [f"{alias} {' '.join(key.split()[:2])}\n" for alias, found in keys.items() for key in found]
        (self.folder / "known_hosts").write_text("".join(lines))

    # ---- process ------------------------------------------------------------------------------------------------
    def qemu_argv(self, ports, accel, load):
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for guest, host in ports.items())
        # Emulated, a processor of few features is the faster one: libraries choose no vectors that nothing here has. One
        # thread for both processors costs a third less where several VMs share the cores (tests/vm -n 3).
        thread = "single" if self.state().get("one_thread") else "multi"
        cpu = ["-accel", "kvm", "-cpu", "host"] if accel == "kvm" else \
            ["-accel", f"tcg,thread={thread},tb-size=512", "-cpu", "Westmere"]
        # What was translated is found again by its address: where each process has other ones, half of all time is translating.
        addresses = "" if accel == "kvm" else "norandmaps "
        append = ("root=/dev/vda rw rootfstype=ext4 console=ttyS0 quiet loglevel=3 net.ifnames=0 "
                  "systemd.show_status=0 mitigations=off random.trust_cpu=on tsc=reliable no_timer_check "
                  + addresses + self.state().get("append", ""))
        seed = self.state().get("seed", "")
        # Paths are relative to the VM's folder where a socket address would become too long.
        return ["qemu-system-x86_64", "-name", f"creel-{self.name}", "-machine", "q35", *cpu, "-smp", CPUS,
                "-m", MEMORY, "-display", "none", "-vga", "none", "-no-user-config", "-nodefaults",
                "-rtc", "base=utc,clock=host",
                "-chardev", "socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log",
                "-serial", "chardev:console", "-qmp", "unix:qmp.sock,server=on,wait=off",
                "-kernel", "vmlinuz", "-initrd", "initrd", "-append", append,
                "-drive", "file=disk.qcow2,if=virtio,format=qcow2,cache=unsafe",
                *(["-drive", f"file={seed},if=virtio,format=raw,readonly=on"] if seed else []),
                "-netdev", f"user,id=net,restrict=off{forwards}", "-device", "virtio-net-pci,netdev=net,romfile=",
                "-device", "virtio-rng-pci", "-pidfile", str(self.folder / "qemu.pid"), "-daemonize",
                *(["-loadvm", load] if load else [])]

    def start(self, load=None):
        """Starts qemu. Ports are kept from the last time where possible; a lost race for one is tried again."""
        for attempt in range(5):
            ports = ports_allocate(self.state().get("ports", {}))
            accel = accel_choose(self.folder / "vmlinuz")
            for stale in ("console.sock", "qmp.sock", "qemu.pid"):
                (self.folder / stale).unlink(missing_ok=True)
            log = self.folder / "qemu.log"
            with open(log, "wb") as out:
                try:
                    run(self.qemu_argv(ports, accel, load), cwd=self.folder, stdout=out, stderr=out)
                except Failure as failure:
                    if "forwarding rule" in quote_tail(log) and attempt < 4:
                        continue
                    raise Failure(f"{failure}:\n{quote_tail(log)}") from failure
            break
        return self.state_update(ports=ports, accel=accel)

    def stop(self, patience=90):
        """Clean power-off by the power button; the process is ended by its pid when that takes too long."""
        pid = self.pid()
        if not pid:
            return False
        with contextlib.suppress(OSError, Failure):
            self.monitor("system_powerdown")
        if not self.wait_gone(pid, patience):
            say(f"  KILL     VM {self.name} did not power off within {patience} s")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.wait_gone(pid, 10)
        return True

    def wait_gone(self, pid, patience):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.pid() != pid:
                return True
            time.sleep(0.1)
        return self.pid() != pid

    # ---- monitor ------------------------------------------------------------------------------------------------
    def connect(self, name):
        """A connection to one of the folder's sockets, whose full path may exceed what an address can hold."""
        sock = socket.socket(socket.AF_UNIX)
        fd = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        try:
            sock.connect(f"/proc/self/fd/{fd}/{name}")
        finally:
            os.close(fd)
        return sock

    def monitor(self, execute, **arguments):
        """One QMP command. Returns its result; an error of qemu's is a Failure."""
        with self.connect("qmp.sock") as sock:
            sock.settimeout(120)
            stream = sock.makefile("rw")
            stream.readline()
            for command in ({"execute": "qmp_capabilities"}, {"execute": execute, "arguments": arguments}):
                stream.write(json.dumps(command) + "\n")
                stream.flush()
                while True:
                    line = stream.readline()
                    if not line:
                        raise Failure(f"qemu closed its monitor during {execute}")
                    answer = json.loads(line)
                    if "error" in answer:
                        raise Failure(f"qemu refused {execute}: {answer['error']['desc']}")
                    if "return" in answer:
                        break
        return answer["return"]

    def monitor_line(self, line):
        """A command of qemu's human monitor, which answers with text only when something went wrong."""
        text = self.monitor("human-monitor-command", **{"command-line": line}).strip()
        if text:
            raise Failure(f"qemu refused `{line}`: {text}")

    def snapshot(self):
        self.monitor_line(f"savevm {SNAPSHOT}")
        self.state_update(snapshot=True, snapshot_build=self.state().get("build"))

    def restore(self):
        """Back to the snapshot, disk included, whether the VM runs or not."""
        if not self.state().get("snapshot"):
            raise Failure(f"VM {self.name} has no snapshot: use `make up`{self.make_hint()}")
        if self.pid():
            self.monitor_line(f"loadvm {SNAPSHOT}")
            self.monitor("cont")
        else:
            self.start(load=SNAPSHOT)
        self.state_update(build=self.state().get("snapshot_build"))

    def clone(self, other):
        """Becomes what the other one's snapshot is, with ports of its own. One that runs stands still for a second."""
        state = other.state()
        if not state.get("snapshot"):
            raise Failure(f"VM {other.name} has no snapshot: use `make up`{other.make_hint()}")
        self.stop(patience=0)
        runs = other.pid()
        if runs:
            other.monitor("stop")  # and writes what it holds back
        try:
            run(["cp", "--reflink=auto", "--sparse=always", other.folder / "disk.qcow2", self.folder / "disk.qcow2"])
        finally:
            if runs:
                other.monitor("cont")
        for name in ("vmlinuz", "initrd", "known_hosts"):
            shutil.copyfile(other.folder / name, self.folder / name)
        self.state_update(**{key: value for key, value in state.items() if key != "ports"})
        self.start(load=SNAPSHOT)

    def console(self):
        """The serial console on this terminal. Ends by Ctrl-]."""
        self.require_running()
        say("Serial console of the VM: Ctrl-] leaves it, Return shows a prompt.")
        console_attach(self.connect("console.sock"))
