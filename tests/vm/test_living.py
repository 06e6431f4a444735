# SPDX-License-Identifier: MIT
"""What agents have learned to type, as it was written for them: processes that stay, servers, services, and what the machine has.

living/ has the longer pieces. Where a line here is not the document's, it says so.
"""

import json

import pytest

import machine
from harness import Terminal, manager_is_up, wait_until
from living_blocks import SLOW, answers, block, get, node, put, typed


LINE = "/home/agent/scripts/check-health.sh >> /home/agent/logs/health.log 2>&1"
CRONTAB = f"""(crontab -l 2>/dev/null; echo "PATH=/usr/local/bin:/usr/bin:/bin"; echo "*/30 * * * * {LINE}") | crontab -
(crontab -l; echo "* * * * * {LINE}") | crontab -
"""


@pytest.fixture(scope="module", autouse=True)
def project(vm):
    """`cd ~/project && npm init -y && npm install express`: literally, from npm's own cache."""
    with node(vm):
        put(vm, project="server.js")
        done = typed(vm, "cd ~/project && npm init -y && npm install express\n")
        vm.agent.sh("cat > ~/scripts/check-health.sh && chmod +x ~/scripts/check-health.sh", "#!/bin/bash\nset -euo pipefail\ndate\n")
        typed(vm, CRONTAB).ok()  # its first minute passes while other things are tried
        assert done.ok() and vm.agent("test -f ~/project/node_modules/express/package.json").rc == 0, done
        yield
        vm.agent("crontab -r")
        vm.agent("systemctl --user disable --now my-api; rm -rf ~/.config/systemd/user/my-api.service ~/project; "
                 "systemctl --user daemon-reload", timeout=SLOW)


def test_folders_are_there(vm):
    """Redirections into ~/logs and ~/pids work in a home that nobody prepared."""
    vm.agent.sh("test -d ~/logs && test -d ~/pids && test -d ~/scripts && test -d ~/data && test -d ~/output && test -d ~/workspace")


def test_nohup(vm):
    vm.agent.sh("cat > ~/scripts/long-task.py", "import time\nprint('begun', flush=True)\nwhile True:\n    time.sleep(1)\n")
    with Terminal(vm.agent.argv(options=["-tt"])) as shell:
        shell.line("nohup python3 ~/scripts/long-task.py > ~/logs/task.log 2>&1 &")
        shell.line("echo $! > ~/pids/task.pid")
        wait_until(lambda: vm.agent("test -s ~/pids/task.pid && cat ~/logs/task.log").text.endswith("begun"), SLOW, "it runs")
        shell.kill()
    wait_until(lambda: not vm.agent("tty=$(ps -o tty= -p $(cat ~/pids/task.pid)); test -e /dev/$tty").rc == 0, 60,
               "the terminal is gone")
    assert "python3" in vm.agent.sh("cat ~/pids/task.pid | xargs ps -p")
    vm.agent.sh("kill $(cat ~/pids/task.pid)")
    wait_until(lambda: vm.agent("cat ~/pids/task.pid | xargs ps -p").rc, 60, "it ended")


def test_screen(vm):
    typed(vm, "screen -dmS myserver bash -c 'cd ~/project && node server.js'\n").ok()
    wait_until(lambda: ".myserver" in vm.agent("screen -ls").text, 60, "it listens")
    assert json.loads(answers(vm, 3000, "/health"))["status"] == "ok"
    with Terminal(vm.agent.argv("screen -r myserver", options=["-tt"])) as screen:
        screen.expect("Server running on port 3000", SLOW)
        screen.send("\x01d")
        screen.expect("detached", SLOW)
        screen.finish(SLOW)
    assert json.loads(get(vm, 3000, "/api/data")[1])["items"] == [{"id": 1, "name": "example"}]
    vm.agent.sh("screen -S myserver -X quit")
    wait_until(lambda: "myserver" not in vm.agent("screen -ls").text and get(vm, 3000, "/health") is None, 60, "it ended")


def test_a_server_in_the_background(vm):
    """`node server.js &` of a session that ends then. The line with the PID is ours."""
    typed(vm, "cd ~/project\nnode server.js &\necho $! > ~/pids/server.pid\n").ok()
    wait_until(lambda: vm.agent("curl http://localhost:3000/health").rc == 0, SLOW, "it answers", 1)
    assert '"status":"ok"' in vm.agent.sh("curl http://localhost:3000/health")
    assert '"status":"ok"' in answers(vm, 3000, "/health")
    post = "curl -s -w ' %{http_code}' -H 'Content-Type: application/json' http://localhost:3000/api/data -d "
    assert vm.agent.sh(post + "'{\"name\": \"x\"}'").endswith(" 201")
    assert vm.agent.sh(post + "'{}'") == '{"error":"name is required"} 400'
    vm.agent.sh("kill $(cat ~/pids/server.pid)")
    wait_until(lambda: get(vm, 3000, "/health") is None, 60, "it ended")


def test_resources(vm):
    assert "Mem:" in vm.agent.sh("free -h")
    assert "/dev/" in vm.agent.sh("df -h")
    rows = vm.agent.sh("ps aux --sort=-%mem | head -20").splitlines()
    assert rows[0].split()[:4] == ["USER", "PID", "%CPU", "%MEM"] and len(rows) > 1
    assert vm.agent.sh("top -bn1 | head -5").startswith("top - ")


def test_service(vm):
    typed(vm, block("service.sh")).ok()
    assert '"status":"ok"' in answers(vm, 3000, "/health")
    status = vm.agent("systemctl --user status my-api")
    assert status.rc == 0 and "My API Server" in status.text and "active (running)" in status.text
    with vm.agent.start("journalctl --user -u my-api -f") as log:
        line = b""
        while b"Server running on port 3000" not in line:
            line = log.stdout.readline()
            assert line, "the log ended"
    vm.agent.sh("systemctl --user stop my-api", timeout=SLOW)
    wait_until(lambda: get(vm, 3000, "/health") is None, 60, "it ended")
    assert vm.agent("systemctl --user is-enabled my-api").text == "enabled"


def test_cron(vm):
    """The document's line as it is, and each minute, so that a test sees it run."""
    assert vm.agent.sh("crontab -l").splitlines() == ["PATH=/usr/local/bin:/usr/bin:/bin", f"*/30 * * * * {LINE}", f"* * * * * {LINE}"]
    wait_until(lambda: vm.agent("cat ~/logs/health.log").text, 240, "a minute begins", 2)


@pytest.fixture
def rebooted(vm):
    """Not within a test's time: powering off alone may take 90 seconds."""
    vm.agent.sh("rm -f ~/logs/health.log; sync")
    vm.disconnect()
    machine.vm_command(vm.name, "reboot")


def test_what_is_enabled_comes_back_with_the_machine(vm, rebooted):
    """The last of this module: lingering starts it, and nobody has logged in."""
    assert '"status":"ok"' in answers(vm, 3000, "/health")
    manager_is_up(vm)
    assert vm.agent.sh("systemctl --user is-active my-api") == "active"
    wait_until(lambda: vm.agent("cat ~/logs/health.log").text, 240, "a minute begins", 2)
