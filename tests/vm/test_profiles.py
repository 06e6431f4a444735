# SPDX-License-Identifier: MIT
"""What the documents of the three profiles promise, sentence by sentence (quoted), by runs of code under each profile."""

import contextlib
import json

import pytest

from harness import PROBE_DIR, marker, policy, wait_until

URL = "http://127.0.0.1:4873"
NODE = "[javascript]\ninterpreter = /opt/node/bin/node\n"
KEYS = ["stdout", "stderr", "error", "exit_code", "signal", "reason", "duration_ms", "cpu_ms", "memory_peak", "truncated", "files",
        "state"]
SHARE = "/tmp/openclaw/code-output"


def run(host, code, *words, lang="python", timeout=400):
    """One run; its result as a dictionary."""
    done = host(f"creel run - --lang {lang} --json " + " ".join(words), code, timeout=timeout)
    result = json.loads(done.out)
    assert list(result) == KEYS
    return result


def out(host, code, *words, **named):
    """What it wrote to stdout; it ends well."""
    result = run(host, code, *words, **named)
    assert result["reason"] == "ok" and result["error"] is None and result["exit_code"] == 0, result
    return result["stdout"]


def settings(vm, *keys):
    """Effective values of the agent's policy."""
    rows = (line.partition(";")[0].partition(" = ") for line in vm.root.sh("creelctl policy show agent").splitlines())
    found = {key.strip(): value.strip() for key, _, value in rows}
    return [found[key] for key in keys]


@contextlib.contextmanager
def profile(vm, name, more="", agent="agent"):
    with policy(vm, f"[agent]\nprofile = {name}\n{more}{NODE}", agent=agent):
        yield


# ---- openclaw ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="class")
def openclaw(vm):
    with profile(vm, "openclaw"):
        yield vm.agent


@pytest.mark.usefixtures("openclaw")
class TestOpenclaw:
    def test_languages(self, vm):
        """ "languages: python, javascript, bash, typescript", "version: 3.11", "esModules: true" """
        assert out(vm.agent, "import sys; print(sys.version_info[:2])") == "(3, 11)\n"
        assert out(vm.agent, "import { sep } from 'node:path'; console.log(sep)", lang="javascript") == "/\n"
        assert out(vm.agent, "const n: number = 6; console.log(n * 7)", lang="typescript") == "42\n"
        assert out(vm.agent, "echo a b | awk '{ print $2 }' | sed s/b/c/ | grep c | cat; ls -d /usr", lang="bash") == "c\n/usr\n"

    def test_the_output_is_returned(self, vm):
        """ "The output (stdout, stderr, exit code) is returned to the agent" """
        result = run(vm.agent, "import sys; print(1); print(2, file=sys.stderr); sys.exit(3)")
        assert (result["stdout"], result["stderr"], result["exit_code"]) == ("1\n", "2\n", 3)

    def test_packages_are_there(self, vm):
        """ "preinstalledPackages: numpy, pandas, matplotlib, requests" """
        code = "import numpy, pandas, requests, matplotlib; print(pandas.DataFrame({'a': [1, 2, 3]}).a.mean())"
        assert out(vm.agent, code, "--timeout 120s") == "2.0\n"

    def test_no_package_is_installed(self, vm):
        """ "allowPipInstall: false", "allowNpmInstall: false" (what npm does then: test_packages; half an emulated processor is little) """
        code = "import subprocess, sys; print(subprocess.run([sys.executable, '-m', 'pip', 'install', 'x'], " \
               "capture_output=True, text=True).stderr)"
        assert "The policy of this agent says so, by its key pip_install" in out(vm.agent, code, "--timeout 120s")
        code = "console.log(process.env.npm_config_registry)"
        assert "npm_install-is-no-in-the-policy" in out(vm.agent, code, "--timeout 120s", lang="javascript")

    def test_commands_of_bash(self, vm):
        """ "allowedCommands: ls, cat, grep, awk, sed, curl", "deniedCommands: rm, dd, mkfs" """
        assert out(vm.agent, "curl --version | grep -c ^curl", lang="bash") == "1\n"
        for command in ("rm x", "dd if=/dev/zero of=x count=1", "/usr/sbin/mkfs --version", "python3 -c 1", "/usr/bin/env ls",
                        "cp /usr/bin/rm ./mine && ./mine x", "/lib64/ld-linux-x86-64.so.2 /usr/bin/rm x"):
            result = run(vm.agent, command, lang="bash")
            assert result["reason"] == "exit" and result["exit_code"] in (126, 127, 1), (command, result)

    def test_time_memory_and_processor(self, vm):
        """ "timeout: 30s", "memoryLimit: 256m", "cpuLimit: 0.5", "the container is forcibly terminated on timeout" """
        result = run(vm.agent, "import time; print('begun', flush=True); time.sleep(600)", "--timeout 8s")
        assert (result["reason"], result["error"], result["stdout"]) == ("timeout", "Error: timeout exceeded", "begun\n")
        result = run(vm.agent, "x = bytearray(400 << 20)")
        assert result["reason"] == "memory" and "256M" in result["error"]
        result = run(vm.agent, "import time\nend = time.monotonic() + 10\nwhile time.monotonic() < end: pass")
        assert result["reason"] == "ok" and result["cpu_ms"] < 0.75 * result["duration_ms"]
        for asked in ("--memory 512M", "--cpu 1", "--timeout 121s", "--net full"):
            assert run(vm.agent, "print(1)", asked)["reason"] == "refused", asked
        assert settings(vm, "exec.timeout", "exec.memory", "exec.cpu") == ["30s", "256M", "0.5"]

    def test_output_is_limited(self, vm):
        """ "maxOutputSize: 1MB", "preventing log bombs" """
        result = run(vm.agent, "import sys\nfor _ in range(3000): sys.stdout.write('x' * 1023 + '\\n')", "--timeout 120s")
        assert result["truncated"]["stdout"]["bytes"] == 3000 * 1024
        assert 1 << 19 < len(result["stdout"]) < (1 << 20) + 4096

    def test_nothing_stays(self, vm):
        """ "After the container is destroyed, all changes in the execution environment are cleared" """
        name = f"left-{marker()}"
        assert out(vm.agent, f"open('{name}', 'w').write('x'); open('/tmp/{name}', 'w').write('x'); import os; "
                             f"print(os.path.exists('{name}'))") == "True\n"
        assert vm.root(f"find /home/agent /tmp /var/tmp /dev/shm -name {name}").text == ""
        assert out(vm.agent, f"import os; print(os.path.exists('/tmp/{name}'))") == "False\n"
        # "Limits the total size of writable files"
        result = run(vm.agent, "with open('big', 'wb') as f:\n  for _ in range(100): f.write(bytes(1 << 20))")
        assert result["reason"] != "ok" and ("No space left" in result["stderr"] or result["reason"] in ("disk", "memory"))

    def test_no_network(self, vm):
        """ "By default, code execution containers have no network access" """
        code = "import socket\nfor where in (('127.0.0.1', 22), ('192.0.2.1', 80)):\n  try: socket.create_connection(where, 5)\n" \
               "  except OSError as problem: print('refused')\n  else: print('reached')"
        assert out(vm.agent, code) == "refused\nrefused\n"

    def test_system_calls(self, vm):
        """ "blocking dangerous operations such as fork bombs, direct device access" """
        code = "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n" \
               "print(libc.mount(b'x', b'/mnt', b'tmpfs', 0, None), libc.unshare(0x10000000), libc.reboot(0))\n" \
               "try: open('/dev/sda'); open('/dev/vda'); open('/dev/mem')\nexcept OSError: print('none')"
        assert out(vm.agent, code) == "-1 -1 -1\nnone\n"
        result = run(vm.agent, "import os, time\nfor _ in range(200):\n  if os.fork() == 0: time.sleep(600)")
        assert result["reason"] == "processes" or "Resource temporarily unavailable" in result["stderr"], result
        assert vm.processes().count < 20

    def test_sessions_keep_their_state(self, vm):
        """ "Variables and state are shared across multiple code executions", "maxDuration: 600s" """
        name = f"s{marker()}"
        assert run(vm.agent, "import math; x = 41", f"--session {name}")["reason"] == "ok"
        assert run(vm.agent, "print(math.floor(x + 1))", f"--session {name}")["stdout"] == "42\n"
        vm.agent.sh(f"creel sessions reset python {name}")
        assert settings(vm, "repl.max_duration") == ["10m"]

    def test_files_are_collected(self, vm):
        """ "outputDir", "allowedOutputTypes: *.png, *.csv, *.json, *.txt", "maxOutputFileSize: 5MB" """
        code = f"import os; os.chdir('{SHARE}')\nfor name in ('a.csv', 'b.json', 'c.txt', 'd.exe'): open(name, 'w').write(name)\n" \
               "open('big.txt', 'w').write('x' * (6 << 20))"
        found = {each["name"]: each for each in run(vm.agent, code)["files"]}
        assert {name: each["status"] for name, each in found.items()} == \
            {"a.csv": "ok", "b.json": "ok", "c.txt": "ok", "d.exe": "type", "big.txt": "too-large"}
        # "mapped back to the host system": where it can be fetched
        assert vm.agent.sh(f"cat {found['a.csv']['path']}") == "a.csv"

    def test_two_agents_have_a_folder_each(self, vm):
        """Both see it by the same name, and neither the other's files; a folder that somebody else made is not in the way."""
        vm.root.sh("mkdir -m 700 /tmp/openclaw")
        try:
            with profile(vm, "openclaw", agent="bob"):
                for host, name in ((vm.agent, "mine.txt"), (vm.bob, "theirs.txt")):
                    assert [each["name"] for each in run(host, f"open('{SHARE}/{name}', 'w').write('x')")["files"]] == [name]
                assert "theirs.txt" not in out(vm.agent, f"import os; print(os.listdir('{SHARE}'))")
        finally:
            vm.root.sh("rmdir /tmp/openclaw; rm -f /home/bob/workspace/output/theirs.txt")

    def test_runs_are_on_the_record(self, vm):
        """ "the submitted code, execution output, resource usage, and execution duration", "retentionDays: 30" """
        since, word = vm.now(), f"w{marker()}"
        run(vm.agent, f"print('{word}'[::-1])")
        begun = wait_until(lambda: vm.records(since, "run-start", agent="agent"), 60, "the run is on the record")
        ended = wait_until(lambda: vm.records(since, "run", agent="agent"), 60, "its end is on the record")
        assert word in begun[-1]["CREEL_CODE"] and word[::-1] in ended[-1]["CREEL_STDOUT"]
        assert int(ended[-1]["CREEL_DURATION_USEC"]) > 0 and int(ended[-1]["CREEL_CPU_USEC"]) > 0


def test_openclaws_restricted_network(vm):
    """ "you can explicitly enable restricted network mode": "allowedHosts", "maxBandwidth: 10MB" """
    text = "[agent]\nprofile = openclaw\n[network]\nmode = restricted\nallowed_hosts = {}\nmax_bandwidth = 10M\n"
    check = "cat >/tmp/x.conf; creelctl policy check /tmp/x.conf; rc=$?; rm /tmp/x.conf; exit $rc"
    vm.root(check, text.format("api.example.com")).ok()
    # with pypi.org, as in its example, the word about pip must be another one
    refused = vm.root(check, text.format("api.example.com, pypi.org"))
    assert refused.rc and "set pip_install = yes" in refused.errors + refused.text
    vm.root(check, text.format("api.example.com, pypi.org") + "[python]\npip_install = yes\n").ok()


# ---- clawcentral ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="class")
def clawcentral(vm):
    with profile(vm, "clawcentral"):
        vm.root.sh(f"systemd-run --quiet --unit=registry /usr/bin/python3 {PROBE_DIR}/registry.py")
        try:
            yield vm.agent
        finally:
            vm.root.sh("systemctl stop registry")


@pytest.mark.usefixtures("clawcentral")
class TestClawcentral:
    def test_python_keeps_its_state(self, vm):
        """ "Variables and imports survive across calls", "The Python environment includes common packages" """
        first = run(vm.agent, "import pandas as pd\ndf = pd.DataFrame({'a': [1,2,3]})\nprint(df.mean())", "--session repl",
                    "--timeout 120s")
        assert (first["stdout"], first["stderr"], first["error"]) == ("a    2.0\ndtype: float64\n", "", None)
        assert run(vm.agent, "print(len(df))", "--session repl")["stdout"] == "3\n"
        # "Reset the Python REPL session, clearing all variables and imports"
        vm.agent.sh("creel sessions reset python repl")
        assert "NameError" in run(vm.agent, "print(len(df))", "--session repl")["error"]
        vm.agent.sh("creel sessions reset python repl")

    def test_shell(self, vm):
        """ "Network access is available", "Use for curl, git, running scripts, etc." """
        wait_until(lambda: vm.root(f"curl -sf {URL}/left").rc == 0, 120, "the server answers", 1)
        assert '"left"' in out(vm.agent, f"curl -s {URL}/left", lang="bash")
        assert out(vm.agent, "git --version", lang="bash").startswith("git version")

    def test_node(self, vm):
        """ "State is not persisted between calls", "Standard Node.js APIs are available" """
        assert out(vm.agent, "const fs = require('fs');\nconsole.log(process.version); globalThis.kept = 1",
                   lang="javascript").startswith("v")
        assert out(vm.agent, "console.log(typeof kept)", lang="javascript") == "undefined\n"
        # "npm packages are not pre-installed": not beyond what the agent VM brings
        assert "Cannot find module" in run(vm.agent, "require('left-pad')", lang="javascript")["stderr"]

    def test_files_do_not_stay(self, vm):
        """ "Files created during execution do not persist" """
        assert out(vm.agent, "echo x > kept; cat kept", lang="bash") == "x\n"
        assert run(vm.agent, "cat kept", lang="bash")["exit_code"] == 1

    def test_timeout(self, vm):
        """ "default 30, max 120", "Returns partial output + timeout error if exceeded" """
        result = run(vm.agent, "echo partial output...; echo error details >&2; sleep 600", "--timeout 8s", lang="bash")
        assert [result[key] for key in KEYS[:3]] == ["partial output...\n", "error details\n", "Error: timeout exceeded"]
        assert run(vm.agent, "echo 1", "--timeout 120s", lang="bash")["reason"] == "ok"
        assert run(vm.agent, "echo 1", "--timeout 121s", lang="bash")["reason"] == "refused"


# ---- instaclaw -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="class")
def instaclaw(vm):
    with profile(vm, "instaclaw"):
        yield vm.agent


@pytest.mark.usefixtures("instaclaw")
class TestInstaclaw:
    def test_quick_script(self, vm):
        """ "Write to ~/workspace/scripts/<descriptive-name>.<ext>", "Capture stdout + stderr", "Timeout after 60 seconds" """
        name = f"quick-{marker()}"
        vm.agent.sh(f"cat > {name}.sh", "#!/bin/bash\necho done; echo oops >&2\n")
        done = vm.agent(f"creel run {name}.sh").ok()
        assert (done.text, done.errors) == ("done", "oops")
        assert vm.agent.sh(f"cat workspace/scripts/{name}.sh").endswith("oops >&2")
        vm.agent.sh(f"rm -f {name}.sh workspace/scripts/{name}.sh")

    def test_data_analysis(self, vm):
        """ "matplotlib.use('Agg') # Non-interactive backend", "plt.savefig('/home/agent/output/revenue-chart.png', dpi=150)" """
        code = "import pandas as pd, matplotlib, os\nimport matplotlib.pyplot as plt\nos.makedirs('/home/agent/output', exist_ok=True)\n" \
               "plt.bar(['a', 'b'], pd.Series([1, 2])); plt.savefig('/home/agent/output/chart.png')\nprint(matplotlib.get_backend())"
        assert out(vm.agent, code, "--timeout 120s").lower() == "agg\n"
        assert vm.agent.sh("head -c 4 output/chart.png | tail -c 3; rm -r output") == "PNG"

    def test_limits(self, vm):
        """ "RAM: ~2 GB", "Disk: ~40 GB", "Max processes: 50 concurrent", "Max file size: < 500 MB", "3000-9000 range open" """
        assert settings(vm, "limits.memory", "limits.disk", "limits.processes", "limits.file_size", "ports.listen") == \
            ["2G", "40G", "50", "500M", "3000-9000"]
        result = run(vm.agent, "import os, time\nfor _ in range(200):\n  if os.fork() == 0: time.sleep(600)")
        assert result["reason"] == "processes" or "Resource temporarily unavailable" in result["stderr"], result

    def test_no_root(self, vm):
        """ "No sudo / root access" """
        assert vm.agent("sudo -n true").rc and vm.agent("su -c true </dev/null").rc

    def test_files_stay(self, vm):
        """A machine of one's own: what a run writes is there for the next one, and for a login."""
        assert out(vm.agent, "open('/home/agent/kept', 'w').write('x')") == ""
        assert vm.agent.sh("cat kept; rm kept") == "x"
