# SPDX-License-Identifier: MIT
"""One change of a policy reaches all machines, and the third has their numbers and their records."""

import json
import os
import re
import subprocess

import pytest


from harness import ROOT, limits, marker, wait_until
from machine import forwarded

HERE = "10.0.2.2"  # this machine, as VMs see it: their ports are forwarded here
TEXTFILES, RECEIVED = "/var/lib/prometheus/node-exporter", "/var/log/journal/remote"
PLAYBOOK = ROOT / "provision" / "fleet" / "playbook.yml"


@pytest.fixture(scope="module")
def agents(fleet):
    return fleet[:2]


@pytest.fixture(scope="module")
def collector(fleet):
    """It takes journals on a port that agents may have, and so the firewall lets in."""
    vm = fleet[2]
    vm.root.sh(f"mkdir -p {RECEIVED} && systemd-run --unit=receiver /usr/lib/systemd/systemd-journal-remote --listen-http=0.0.0.0:3002 "
               f"--output={RECEIVED} --split-mode=host")
    wait_until(lambda: "3002" in vm.root.sh("ss -Hltn 'sport = :3002'"), 120, "the receiver")
    return vm


@pytest.fixture(scope="module")
def files(tmp_path_factory, agents, collector):
    """What the operator has: policies, and where records go."""
    folder = tmp_path_factory.mktemp("operator") / "files"
    (folder / "agents").mkdir(parents=True)
    for name in ("agent", "bob"):
        (folder / "agents" / f"{name}.conf").write_text(agents[0].root.sh(f"cat /etc/creel/agents/{name}.conf") + "\n")
        (folder / "agents" / f"{name}.pub").write_text(agents[0].root.sh(f"cat /home/{name}/.ssh/authorized_keys") + "\n")
    (folder / "journal-upload.conf").write_text(f"[Upload]\nURL=http://{HERE}:{forwarded(collector, 3002)}\n")
    return folder


@pytest.fixture(scope="module")
def roll_out(files, agents):
    """The playbook, for all machines with agents; how many tasks changed something, by machine."""
    inventory = {"all": {"hosts": {vm.name: {"ansible_host": "root", "ansible_python_interpreter": "/usr/bin/python3",
                                             "ansible_ssh_common_args": f"-F {ROOT / vm.config}"} for vm in agents}}}
    path = files.parent / "inventory.json"
    path.write_text(json.dumps(inventory))

    def run(ok=True):
        done = subprocess.run(
            ["ansible-playbook", "-i", path, PLAYBOOK, "-e", f"creel_files={files}"], capture_output=True, text=True, timeout=1200,
            check=False, env={**os.environ, "HOME": str(files.parent), "ANSIBLE_TIMEOUT": "120", "ANSIBLE_PIPELINING": "1"})
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return {host: int(n) for host, n in re.findall(r"^(fleet-\d) .*changed=(\d+)", done.stdout, re.M)}

    return run


def processes(vm):
    return limits(vm.agent.sh("creel limits --json"))["processes"]["limit"]


def test_one_change_for_all(agents, collector, files, roll_out):
    policy = files / "agents" / "agent.conf"
    before = processes(collector)
    text = re.sub(r"^processes *=.*\n", "", policy.read_text(), flags=re.M)
    text = text.replace("[limits]\n", "[limits]\nprocesses = 77\n") if "[limits]" in text else text + "\n[limits]\nprocesses = 77\n"
    policy.write_text(text)
    assert all(roll_out().values())
    assert [processes(vm) for vm in agents] == [77, 77] and processes(collector) == before != 77
    assert set(roll_out().values()) == {0}, "a second time changes nothing"
    policy.write_text(text.replace("= 77", "= many"))
    roll_out(ok=False)
    assert [processes(vm) for vm in agents] == [77, 77], "what is wrong is not written"
    policy.write_text(text)
    assert set(roll_out().values()) == {0}
    assert [row["state"] for vm in agents for row in json.loads(vm.root.sh("creelctl agent list --json"))] == ["ok"] * 4


def test_numbers_on_the_third(agents, collector, roll_out):
    roll_out()
    for vm in agents:
        vm.root.sh("systemctl start creel-metrics.service", timeout=180)
        vm.root.sh(f"systemd-run --unit=exporter python3 -m http.server 3001 --directory {TEXTFILES}")
    for vm in agents:
        def fetched(vm=vm):
            return collector.root(f"curl -sf http://{HERE}:{forwarded(vm, 3001)}/creel.prom", timeout=120).text
        text = wait_until(lambda: fetched(), 120, "its numbers")
        assert 'creel_processes_limit{agent="agent"} 77' in text and 'creel_keeper_up{agent="bob"} 1' in text
        vm.root.sh("systemctl stop exporter")


def test_records_on_the_third(agents, collector, roll_out):
    roll_out()
    numbers = {vm.name: marker() for vm in agents}
    for vm in agents:
        vm.agent.sh(f"true {numbers[vm.name]}")

    def arrived():
        lines = collector.root.sh(f"journalctl -D {RECEIVED} -o json --quiet CREEL_KIND=command", timeout=180).splitlines()
        return {entry["_HOSTNAME"]: entry["CREEL_COMMAND"] for entry in map(json.loads, lines)
                if any(number in entry["CREEL_COMMAND"] for number in numbers.values())}
    found = wait_until(lambda: len(arrived()) == 2 and arrived(), 240, "a command of each")
    assert found == {name: f"true {number}" for name, number in numbers.items()}
