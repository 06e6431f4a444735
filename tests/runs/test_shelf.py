# SPDX-License-Identifier: MIT
"""creelctl packages fetch on this machine: users, /etc/creel and /var/lib/creel of a mount namespace, systemd's part by two scripts."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import textwrap

import pytest

from conftest import BUILD, ROOT

URL = "http://127.0.0.1:4873"
FETCHER, AGENT = 61001, 1990
TOOLS = ["/usr/bin/python3 -m pip --version", "/usr/bin/npm --version"]
POLICY = "[network]\nmode = none\n[python]\npip_install = allowlist\npackages = {}\n[javascript]\nnpm_install = allowlist\npackages = {}\n"
SHELF = "/var/lib/creel/packages/zed"

# what systemd would start: the unit, as its user; a command, as the agent
SYSTEMCTL = f"""\
    #!/bin/sh
    name=${{2#creel-packages@}}
    exec setpriv --reuid {FETCHER} --regid {FETCHER} --clear-groups env -i PATH=/usr/bin:/bin PIP_INDEX_URL={URL}/simple/ \\
        npm_config_registry={URL}/ ./packages-fetch /var/lib/creel/packages/.fetch-${{name%.service}}
"""
SYSTEMD_RUN = f"""\
    #!/bin/sh
    while [ "$1" != /bin/sh ]; do shift; done
    exec setpriv --reuid {AGENT} --regid {AGENT} --clear-groups env -i PATH=/usr/bin:/bin HOME="$PWD/home" "$@"
"""
# the agent's pip and npm, told what shell/policy/package.c tells them
AGENTS = f"setpriv --reuid {AGENT} --regid {AGENT} --clear-groups env -i PATH=/usr/bin:/bin HOME=$PWD/home PIP_NO_INDEX=1 " \
         f"PIP_FIND_LINKS=$(echo {SHELF}/python-*) npm_config_offline=true npm_config_registry={URL}/ npm_config_update_notifier=false "
BEGIN = f"""\
    set -e
    mount --make-rprivate /
    for file in passwd group; do cp /etc/$file .; done
    echo 'creel-packages:x:{FETCHER}:{FETCHER}::/:/usr/sbin/nologin' >>passwd
    echo "zed:x:{AGENT}:{AGENT}::$PWD/home:/bin/sh" >>passwd
    echo 'zed:x:{AGENT}:' >>group
    for file in passwd group; do mount --bind $file /etc/$file; done
    for program in systemctl systemd-run; do mount --bind $program /usr/bin/$program; done
    mount -t tmpfs tmpfs /etc/creel && mkdir /etc/creel/agents /etc/creel/provisioned
    mount -t tmpfs tmpfs /var/lib/creel
    creelctl={BUILD}/creelctl
    allow() {{ cat >/etc/creel/agents/zed.conf; }}
    set +e
"""


@pytest.fixture(scope="module")
def folder():
    if os.getuid():
        pytest.skip("needs root")
    for tool in TOOLS:
        if subprocess.run(tool.split(), capture_output=True, check=False).returncode:
            pytest.skip(f"this machine has no {tool}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="creel-shelf-", dir="/srv"))
    folder.chmod(0o755)
    for name, text in (("systemctl", SYSTEMCTL), ("systemd-run", SYSTEMD_RUN)):
        (folder / name).write_text(textwrap.dedent(text))
        (folder / name).chmod(0o755)
    shutil.copy(ROOT / "units" / "packages-fetch", folder)
    made = [path for path in ("/etc/creel", "/var/lib/creel") if not os.path.exists(path)]
    for path in made:
        os.mkdir(path)
    registry = subprocess.Popen(["/usr/bin/python3", "-B", ROOT / "tests/vm/probes/registry.py"], stdout=subprocess.PIPE)
    assert registry.stdout.readline() == b"ready\n"
    yield folder
    registry.kill()
    registry.wait()
    for path in made:
        os.rmdir(path)
    shutil.rmtree(folder)


@pytest.fixture
def shell(folder):
    """Runs a script behind BEGIN, as root; gives what it wrote."""
    home = folder / "home"
    home.mkdir()
    os.chown(home, AGENT, AGENT)

    def run(script):
        done = subprocess.run(["unshare", "-m", "bash", "-c", textwrap.dedent(BEGIN) + script], cwd=folder, capture_output=True,
                              text=True, timeout=300, check=False)
        # there is no record here, and creelctl says so
        return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if "could not be recorded" not in line)
    yield run
    shutil.rmtree(home)


def test_a_shelf_is_filled_and_used(shell):
    policy = POLICY.format("tiny >=1 <2", "left@^1")
    said = shell(f"""allow <<'END'\n{policy}END
        $creelctl packages fetch zed && ls {SHELF}/python-*
        find /var/lib/creel/packages/* ! -user root -o ! -group zed -o -perm /027 -o -type l; ls -A /var/lib/creel/packages
        {AGENTS} python3 -m pip install -q --target home/t tiny && cat home/t/tiny.py
        {AGENTS} python3 -m pip install -q --target home/u tiny==2.0 2>&1 | tail -n 1
        mkdir home/p && chown zed home/p && cd home/p && echo '{{}}' >package.json
        {AGENTS.replace("$PWD/home", "$PWD/..")} npm install --no-audit --no-fund left@^1 >/dev/null 2>&1
        node -p 'require("left") + " " + require("right")'
        {AGENTS.replace("$PWD/home", "$PWD/..")} npm install --no-audit --no-fund left@2.0.0 2>&1 | grep -c ENOTCACHED
        {AGENTS} touch {SHELF}/x 2>&1 | grep -c denied
        setpriv --reuid 1991 --regid 1991 --clear-groups ls {SHELF} 2>&1 | grep -c denied""")
    assert said.splitlines() == [
        "agent zed: its shelf is filled", "tiny-1.5-py3-none-any.whl", "zed", "version = '1.5'",
        "ERROR: No matching distribution found for tiny==2.0", "1.1.0 2.1.0", "1", "1", "1"]


def test_what_cannot_be_had_changes_nothing(shell):
    good, bad = POLICY.format("tiny", "left"), POLICY.format("tiny==9", "left")
    said = shell(f"""allow <<'END'\n{good}END
        $creelctl packages fetch zed; before=$(ls -R {SHELF}); allow <<'END'\n{bad}END
        $creelctl packages fetch --all || echo failed; test "$before" = "$(ls -R {SHELF})" && ls -A /var/lib/creel/packages""")
    assert said.splitlines() == [
        "agent zed: its shelf is filled", "failed", "zed",
        "creelctl: agent zed: nothing was changed: ERROR: No matching distribution found for tiny==9"]
    said = shell(f"""allow <<'END'\n{POLICY.format("tiny", "nosuch")}END
        $creelctl packages fetch zed; ls -A /var/lib/creel/packages""")
    assert "nothing was changed: npm" in said and "nosuch" in said


def test_agents_without_a_list(shell):
    said = shell("""echo >/etc/creel/agents/zed.conf
        $creelctl packages fetch zed; $creelctl packages fetch --all && echo nothing; $creelctl packages fetch ../zed
        $creelctl packages fetch ned; $creelctl packages fetch zed --all >/dev/null 2>&1; echo $?""")
    assert "its policy has no allowlist" in said and "nothing\n2\n" in said
    assert "is not a name for an agent" in said and "there is no such agent" in said
