# SPDX-License-Identifier: MIT
"""Three VMs at once: two with agents, which one playbook describes, and one that collects. As `make test-fleet`."""

import contextlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "vm"), str(ROOT / "tests")]

from machine import bring_up, seen, vm_command  # noqa: E402
from skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: E402, F401

NAMES = ("fleet-1", "fleet-2", "fleet-3")
SENDER = ("systemd-journal-remote", "libmicrohttpd12")


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """What sends and receives journals: Debian's packages, as this machine's apt has them."""
    folder = tmp_path_factory.mktemp("packages")
    folder.chmod(0o777)  # apt fetches as a user of its own
    subprocess.run(["apt-get", "download", "-q", *SENDER], cwd=folder, check=True, timeout=300)
    return sorted(folder.glob("*.deb"))


@pytest.fixture(scope="session")
def fleet(packages):
    with contextlib.ExitStack() as stack:
        def ends(name):
            stack.callback(vm_command, name, "down")
        bring_up(NAMES[0])
        ends(NAMES[0])
        for name in NAMES[1:]:
            vm_command(name, "clone", NAMES[0])
            ends(name)
        machines = [seen(name) for name in NAMES]
        for vm in machines:
            vm.root.sh(f"hostnamectl set-hostname {vm.name}", timeout=120)
            for package in packages:
                vm.root.sh(f"cat > /root/{package.name}", stdin=package.read_bytes(), timeout=300)
            vm.root.sh("dpkg -i /root/*.deb", timeout=600)
        yield machines
