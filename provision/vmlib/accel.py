# SPDX-License-Identifier: MIT
"""Which accelerator runs a VM here: kvm where it really does, else tcg (emulation)."""

import fcntl
import os
import select
import subprocess
import time

from vmlib.paths import IMAGE

KVM_CREATE_VM = 0xAE01
PATIENCE = 8  # seconds; a working KVM needs well under one


def kvm_opens():
    """Whether this process may make a VM at all: the device node may exist where the kernel refuses it."""
    try:
        with open("/dev/kvm", "rb", buffering=0) as kvm:
            os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
    except OSError:
        return False
    return True


def kvm_runs(kernel):
    """Whether a kernel gets as far as its first line under KVM. There are machines where every ioctl succeeds and
    the guest then stands still, seen inside other virtual machines."""
    qemu = subprocess.Popen(["qemu-system-x86_64", "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "256",
                             "-display", "none", "-vga", "none", "-no-user-config", "-nodefaults", "-no-reboot",
                             "-serial", "stdio", "-kernel", str(kernel),
                             "-append", "console=ttyS0 earlyprintk=serial,ttyS0 panic=-1"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seen, end = b"", time.monotonic() + PATIENCE
    try:
        while b"Linux version" not in seen:
            if not select.select([qemu.stdout], [], [], max(0, end - time.monotonic()))[0]:
                return False
            chunk = os.read(qemu.stdout.fileno(), 4096)
            if not chunk:
                return False
            seen += chunk
        return True
    finally:
        qemu.kill()
        qemu.wait()


def accel_choose(kernel):
    """kvm or tcg, tried with that kernel. The answer of the trial is kept until this machine boots again. ACCEL=tcg skips it."""
    if os.environ.get("ACCEL"):
        return os.environ["ACCEL"]
    if not kvm_opens():
        return "tcg"
    with open("/proc/sys/kernel/random/boot_id") as boot:
        boot_id = boot.read().strip()
    kept = IMAGE / "accel"
    try:
        boot_kept, accel = kept.read_text().split()
        if boot_kept == boot_id:
            return accel
    except (OSError, ValueError):
        pass
    accel = "kvm" if kvm_runs(kernel) else "tcg"
    kept.write_text(f"{boot_id} {accel}\n")
    return accel
