# SPDX-License-Identifier: MIT
"""What systemd-analyze blames in our units: no more than docs/SECURITY.md says, and each with its reason in the unit."""

import json
import re

import pytest

from harness import ROOT, wait_until

SECURITY = (ROOT / "docs/SECURITY.md").read_text()
SCORES = dict(re.findall(r"^\| (creel-\S+\.service) \| ([0-9.]+) \|", SECURITY, re.M))


def instance(vm, unit):
    return unit.replace("@.", f"@{vm.uid()}.")


def test_each_service_has_a_score():
    assert set(SCORES) == {path.name.removesuffix(".in") for path in (ROOT / "units").glob("*.service.in")}


@pytest.mark.parametrize("unit", sorted(SCORES))
def test_the_score(vm, unit):
    said = vm.root(f"systemd-analyze security --no-pager {instance(vm, unit)}").text
    found, = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert float(found) <= float(SCORES[unit]), said


@pytest.mark.parametrize("unit", sorted(SCORES))
def test_what_is_left_has_its_reason(vm, unit):
    rows = json.loads(vm.root(f"systemd-analyze security --no-pager --json=short {instance(vm, unit)}").text)
    left = {row["name"].split("=")[0] for row in rows if not row["set"] and row["exposure"] and float(row["exposure"])}
    assert left
    source = (ROOT / "units" / f"{unit}.in").read_text()
    # a setting that is there counts, too: its comment stands above it
    assert [name for name in sorted(left) if f"{name}=" not in source] == []


def test_what_confines_the_sleeping_processes_does_not_confine_the_agent(vm):
    """Their units hold the agents' cgroups: nothing of theirs may work by cgroup."""
    for unit in ("creel-leaves@.service", "creel-rescue@.service"):
        name = instance(vm, unit)
        assert vm.root.sh(f"systemctl show -P ActiveState {name}") == "active"
        assert vm.root.sh(f"systemctl show -P DevicePolicy {name}") == "auto"
        for setting in ("DeviceAllow", "IPAddressDeny", "IPAddressAllow"):
            assert vm.root.sh(f"systemctl show -P {setting} {name}") == "", (name, setting)
    assert vm.agent.sh("test -w /dev/null && test -r /dev/urandom && echo x > /dev/full || echo full") == "full"
    assert vm.agent.sh("python3 -c 'import socket; s = socket.create_server((\"127.0.0.1\", 3000)); "
                       "socket.create_connection((\"127.0.0.1\", 3000)); print(\"network\")'") == "network"
    assert vm.agent.sh("readlink /proc/self/ns/net") == vm.root.sh("readlink /proc/1/ns/net")


def test_the_front_answers_although_its_unit_may_send_nothing(vm):
    """Its sockets were made by the socket's unit; another one made in the unit's cgroup would be mute."""
    assert "0.0.0.0" in vm.root.sh("systemctl show -P IPAddressDeny creel-sshd.service")
    assert wait_until(lambda: vm.agent("echo in").text == "in")
