# SPDX-License-Identifier: MIT
"""systemd --user as an agent uses it: services, timers, logs, within the slice."""

import pytest

from harness import marker, wait_until

UNITS = ".config/systemd/user"


@pytest.fixture
def unit(vm):
    """Writes a unit of the agent's and takes it away again."""
    written = []

    def write(name, text):
        vm.agent.sh(f"mkdir -p {UNITS} && cat > {UNITS}/{name}", text)
        vm.agent.sh("systemctl --user daemon-reload")
        written.append(name)

    yield write
    for name in written:
        vm.agent(f"systemctl --user disable --now {name}; rm -f {UNITS}/{name}")
    vm.agent("systemctl --user daemon-reload; systemctl --user reset-failed")


def show(vm, name, field):
    return vm.agent.sh(f"systemctl --user show -P {field} {name}")


def test_user_manager_is_up(vm):
    assert vm.agent("systemctl --user is-system-running").text in ("running", "degraded", "starting")
    assert vm.root.sh("loginctl show-user agent -P Linger") == "yes"


def test_service_lives_on_after_the_login(vm, unit):
    seconds = marker()
    unit("web.service", f"[Service]\nExecStart=sleep {seconds}\n[Install]\nWantedBy=default.target\n")
    vm.agent.sh("systemctl --user enable --now web.service")
    assert vm.agent("systemctl --user status web.service").rc == 0
    pid = wait_until(lambda: vm.alive(f"sleep {seconds}"))[0]
    assert vm.cgroup(pid).startswith(f"/user.slice/user-{vm.uid()}.slice/user@{vm.uid()}.service/app.slice/web.service")
    vm.agent.sh("systemctl --user stop web.service")
    assert not vm.alive(f"sleep {seconds}")


def test_restart_on_failure(vm, unit):
    seconds = marker()
    unit("again.service", f"[Service]\nExecStart=sleep {seconds}\nRestart=on-failure\nRestartSec=0\n")
    vm.agent.sh("systemctl --user start again.service")
    first = wait_until(lambda: vm.alive(f"sleep {seconds}"))
    vm.agent.sh(f"kill -SEGV {first[0]}")
    wait_until(lambda: vm.alive(f"sleep {seconds}") not in ([], first))
    assert show(vm, "again.service", "NRestarts") == "1"


def test_timer_fires(vm, unit):
    unit("tick.service", "[Service]\nType=oneshot\nExecStart=touch %h/ticked\n")
    unit("tick.timer", "[Timer]\nOnActiveSec=1\nAccuracySec=100ms\n")
    vm.agent.sh("systemctl --user start tick.timer")
    wait_until(lambda: vm.agent("test -e ticked").rc == 0)
    vm.agent.sh("rm ticked")


def test_systemd_run_returns_output_and_status(vm):
    done = vm.agent("systemd-run --user --quiet --wait --pipe sh -c 'echo from a unit; exit 3'")
    assert (done.rc, done.text) == (3, "from a unit")


def test_own_logs_and_only_those(vm):
    number = marker()
    vm.agent.sh(f"systemd-run --user --quiet --wait --unit=say{number} echo said {number}")
    wait_until(lambda: number in vm.agent(f"journalctl --user -u say{number}.service --no-pager").text)
    assert "CREEL" not in vm.agent("journalctl --namespace=creel -o json").text
    assert vm.agent("journalctl -u creel-sshd.service -q --no-pager").text == ""


def test_neighbours_manager_is_out_of_reach(vm):
    bob = vm.uid("bob")
    assert vm.agent(f"XDG_RUNTIME_DIR=/run/user/{bob} DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{bob}/bus "
                    "timeout 20 systemctl --user list-units").rc != 0
    assert vm.agent(f"ls /run/user/{bob}").rc != 0
