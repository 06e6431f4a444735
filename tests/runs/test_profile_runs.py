# SPDX-License-Identifier: MIT
"""The shipped profiles' own text as the policy of runs; tests/vm/test_profiles.py has the whole of what their documents promise."""
import os
import subprocess

import pytest

import runs
from conftest import ROOT
from test_runs import run

SHARE = "/tmp/openclaw/code-output"
PIP = "import subprocess, sys\nprint(subprocess.run([sys.executable, '-m', 'pip', 'install', 'x'], capture_output=True, text=True).stderr)"


def profile(keeper, name):
    """Without limits of a run's memory and processor: the cgroup tree that is mounted here has no controllers."""
    text = (ROOT / "provision" / "profiles" / f"{name}.conf").read_text()
    keeper.policy("".join(line for line in text.splitlines(True) if line not in ("memory = 256M\n", "cpu = 0.5\n")))


@pytest.fixture
def openclaw(keeper, client):
    profile(keeper, "openclaw")
    return client


def test_openclaw_has_no_network_and_keeps_nothing(openclaw, keeper):
    code = "import socket\nopen('gone', 'w')\ntry: socket.create_connection(('192.0.2.1', 9), 5)\nexcept OSError as e: print(e.errno)"
    assert run(openclaw, "python", code)["stdout"] == b"101\n"
    assert not (keeper.home / "workspace" / "gone").exists()


def test_openclaws_output_folder_is_the_agents_own(openclaw, keeper):
    os.makedirs("/tmp/openclaw", 0o700)
    try:
        result = run(openclaw, "python", f"open('{SHARE}/a.csv', 'w').write('a')\nimport os\nprint(os.listdir('/tmp'))")
    finally:
        os.rmdir("/tmp/openclaw")  # nothing was put there
    assert result["stdout"] == b"['openclaw']\n", result
    assert (keeper.home / "workspace" / "output" / "a.csv").read_text() == "a"


def test_openclaws_commands(openclaw):
    assert run(openclaw, "bash", "echo a b | awk '{ print $2 }' | sed s/b/c/ | grep c | cat; ls -d /usr")["stdout"] == b"c\n/usr\n"
    for command in ("rm x", "dd if=/dev/zero of=x count=1", "/usr/sbin/mkfs --version", "python3 -c 1", "/usr/bin/env ls",
                    "cat /bin/rm > mine; chmod +x mine; ./mine x"):
        result = run(openclaw, "bash", command)
        assert (result["reason"], result["stdout"]) == ("exit", b""), (command, result)


def test_openclaw_is_as_strict_as_its_document(openclaw):
    for option, value in (("timeout", 121 * 10**6), ("output", (1 << 20) + 1), ("network", "restricted")):
        with pytest.raises(runs.Refused) as why:
            run(openclaw, "python", "", **{option: value})
        assert option in why.value.args[1]
    result = run(openclaw, "python", "import time; print(1, flush=True); time.sleep(600)", timeout=5 * 10**6)
    assert (result["reason"], result["error"], result["stdout"]) == ("timeout", "Error: timeout exceeded", b"1\n")


def test_pip_says_why_it_installs_nothing(openclaw, keeper):
    told = run(openclaw, "python", "import os\nprint(os.environ['PIP_CONSTRAINT'], os.environ['npm_config_offline'])")["stdout"]
    assert told.startswith(b"/usr/share/creel/packages/") and told.endswith(b"true\n")


@pytest.mark.skipif(subprocess.run(["/usr/bin/python3", "-m", "pip", "--version"], capture_output=True, check=False).returncode != 0,
                    reason="the system's Python has no pip here")
def test_pip_of_the_system_says_it(openclaw, keeper):
    name = "/usr/share/creel/packages/pip_install-no.txt"
    made = not os.path.exists(name)
    if made:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb") as file:
            file.write((ROOT / "provision" / "data" / "pip_install-no.txt").read_bytes())
    try:
        said = run(openclaw, "python", PIP, timeout=60 * 10**6)["stdout"].decode()
    finally:
        if made:
            os.unlink(name)
            os.rmdir(os.path.dirname(name))
    assert "by its key pip_install" in said, said


def test_clawcentral_may_install_and_keeps_nothing(keeper, client):
    profile(keeper, "clawcentral")
    code = "import os\nprint(os.environ['PIP_BREAK_SYSTEM_PACKAGES'], 'PIP_NO_INDEX' in os.environ)\nopen('gone', 'w')"
    assert run(client, "python", code)["stdout"] == b"1 False\n"
    assert not (keeper.home / "workspace" / "gone").exists()
    with pytest.raises(runs.Refused):
        run(client, "typescript", "")  # it has four tools


def test_instaclaw_is_a_machine_of_ones_own(keeper, client):
    profile(keeper, "instaclaw")
    run(client, "python", "open('kept', 'w').write('x')")
    assert run(client, "bash", "cat kept; rm kept")["stdout"] == b"x"
