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
GATEWAY = """import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        with open(self.path.rsplit("/", 1)[1], "wb") as file:
            file.write(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("", 3001), Handler).serve_forever()
"""
PLAYBOOK = ROOT / "provision" / "fleet" / "playbook.yml"


@pytest.fixture(scope="module")
def agents(fleet):
    return fleet[:2]


@pytest.fixture(scope="module")
def collector(fleet):
    """It is no machine of agents any more: creel's firewall would keep what comes from it. It takes journals, and numbers as a push gateway."""
    vm = fleet[2]
    vm.root.sh("systemctl mask --now creel-count.timer creel-count.service; nft delete table inet creel")  # which it would mend
    vm.root.sh(f"mkdir -p /root/numbers && cat > /root/gateway.py && cd /root/numbers && systemd-run --unit=gateway --working-directory=$PWD "
               "python3 /root/gateway.py", GATEWAY)
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
                                             "ansible_ssh_common_args": f"-F {ROOT / vm.config} -o ControlPath=none"} for vm in agents}}}
    path = files.parent / "inventory.json"
    path.write_text(json.dumps(inventory))

    def run(ok=True):
        done = subprocess.run(
            ["ansible-playbook", "-i", path, PLAYBOOK, "-e", f"creel_files={files}"], capture_output=True, text=True, timeout=1200,
            check=False, env={**os.environ, "HOME": str(files.parent), "ANSIBLE_TIMEOUT": "120", "ANSIBLE_PIPELINING": "1", "ANSIBLE_SSH_ARGS": ""})
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
        vm.root.sh(f"curl -sf -T {TEXTFILES}/creel.prom http://{HERE}:{forwarded(collector, 3001)}/metrics/job/creel/instance/{vm.name}",
                   timeout=120)
    for vm in agents:
        text = collector.root.sh(f"cat /root/numbers/{vm.name}")
        assert 'creel_processes_limit{agent="agent"} 77' in text and 'creel_keeper_up{agent="bob"} 1' in text


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
