# SPDX-License-Identifier: MIT
"""pip and npm: what they install for an agent whose policy says no, yes, or an allowlist, in whatever way they are called."""

import shlex

import pytest

from harness import PROBE_DIR, marker, policy, wait_until

URL = "http://127.0.0.1:4873"
PATH = "export PATH=/opt/node/bin:$PATH"
NODE = "interpreter = /opt/node/bin/node\n"
NO = f"[network]\nmode = none\n[python]\npip_install = no\n[javascript]\nnpm_install = no\n{NODE}"
YES = f"[javascript]\n{NODE}"
LISTS = f"[network]\nmode = none\n[python]\npip_install = allowlist\npackages = {{0}}\n" \
        f"[javascript]\nnpm_install = allowlist\npackages = {{1}}\n{NODE}"
ALLOWLIST = LISTS.format("tiny >=1 <2", "left@^1")
SHELF = "/var/lib/creel/packages/agent"
NPM = "npm install --no-audit --no-fund --loglevel=error"


@pytest.fixture(scope="module", autouse=True)
def registry(vm):
    """The machine's own configuration of pip and npm names it, as an operator's mirror."""
    vm.root.sh(f"systemd-run --quiet --unit=registry /usr/bin/python3 {PROBE_DIR}/registry.py && mkdir -p /opt/node/etc && "
               f"echo 'registry={URL}/' >/opt/node/etc/npmrc && printf '[global]\\nindex-url = {URL}/simple/\\n' >/etc/pip.conf")
    try:
        wait_until(lambda: vm.root(f"curl -sf {URL}/left").rc == 0, 120, "the registry answers", 1)
        yield
    finally:
        vm.root.sh("systemctl stop registry; rm -f /opt/node/etc/npmrc /etc/pip.conf; rmdir /opt/node/etc; "
                   "rm -rf /home/agent/pack-*", timeout=120)


@pytest.fixture(scope="module")
def place(vm):
    """A folder of the agent's with a virtual environment and an empty project."""
    where = f"/home/agent/pack-{marker()}"
    vm.agent.sh(f"mkdir -p {where}/p && cd {where} && echo '{{}}' >p/package.json && python3 -m venv v", timeout=400)
    return where


def said(vm, place, *commands, timeout=400):
    """Each command's exit status and what it said, of one login."""
    script = f"cd {place}; {PATH}; " + "".join(
        f"sh -c {shlex.quote(command)} >out 2>&1; echo \"$?\"; tr '\\n' ' ' <out; echo; " for command in commands)
    lines = vm.agent.sh(script, timeout=timeout).split("\n")
    return [(int(lines[i]), lines[i + 1] if i + 1 < len(lines) else "") for i in range(0, 2 * len(commands), 2)]


def test_no_says_why(vm, place):
    with policy(vm, NO):
        done = said(vm, place, "pip install tiny", "v/bin/pip install tiny", f"cd p && {NPM} left", "pip list")
    for rc, text in done[:2]:
        assert rc and "The policy of this agent says so, by its key pip_install" in text
    assert done[2][0] and "npm_install-is-no-in-the-policy" in done[2][1]
    assert done[3][0] == 0


def test_no_holds_in_whatever_way_it_is_asked(vm, place):
    bare = "env -i HOME=$HOME PATH=$PATH "
    pip = f"install --isolated --retries 0 --timeout 5 --index-url {URL}/simple/ tiny"
    fetch = f"import urllib.request as u; u.urlopen('{URL}/simple/tiny/', timeout=5)"
    with policy(vm, NO):
        done = said(vm, place, f"{bare} v/bin/python -m pip {pip}",
                    "mkdir own && cp -r v/lib/python3*/site-packages/pip own/ && " + f"{bare} v/bin/python own/pip {pip}",
                    f"cd p && {bare} {NPM} --fetch-retries=0 --offline=false --registry={URL}/ left",
                    f"curl -sf --max-time 5 {URL}/files/tiny-1.5-py3-none-any.whl -o tiny.whl",
                    "python3 -c " + shlex.quote(fetch), "ls v/lib/python3*/site-packages p", timeout=500)
    assert all(rc for rc, _ in done[:5]), done
    assert "tiny" not in done[5][1] and "node_modules" not in done[5][1]


def test_yes(vm, place):
    with policy(vm, YES):
        done = said(vm, place, "pip install --user tiny==1.0 && python3 -c 'import tiny; print(tiny.version)'",
                    "v/bin/pip install big && v/bin/python -c 'import tiny; print(tiny.version)'",
                    f"cd p && {NPM} left@1.1.0 && node -p 'require(`left`) + require(`right`)'",
                    "pip uninstall -y tiny; v/bin/pip uninstall -y big tiny; rm -rf p/node_modules p/package-lock.json ~/.npm; "
                    "echo '{}' >p/package.json", timeout=600)
    assert [rc for rc, _ in done] == [0] * 4, done
    assert done[0][1].split()[-1] == "1.0" and done[1][1].split()[-1] == "2.0" and done[2][1].split()[-1] == "1.1.02.1.0"


@pytest.fixture(scope="class")
def listed(vm, place):
    """The policy with the allowlist, and its shelf filled; what changes that policy for more tests."""
    with policy(vm, ALLOWLIST) as change:
        assert said(vm, place, "pip install --user tiny")[0][0]  # nobody filled the shelf
        vm.root.sh("creelctl packages fetch agent", timeout=400)
        yield change
    said(vm, place, "pip uninstall -y tiny; v/bin/pip uninstall -y tiny; rm -rf p/node_modules ~/.npm")


@pytest.mark.usefixtures("listed")
class TestAllowlist:
    """In their order: the last ones change the list."""

    def test_pip(self, vm, place):
        done = said(vm, place, "pip install --user tiny && python3 -c 'import tiny; print(tiny.version)'",
                    "v/bin/pip install tiny && v/bin/python -c 'import tiny; print(tiny.version)'", "v/bin/pip install tiny==2.0",
                    "v/bin/pip install big")
        assert done[0][1].split()[-1] == "1.5" and done[1][1].split()[-1] == "1.5"
        assert done[2][0] and "No matching distribution found for tiny==2.0" in done[2][1]
        assert done[3][0] and "No matching distribution found for big" in done[3][1]

    def test_npm(self, vm, place):
        done = said(vm, place, f"cd p && {NPM} left@^1 && node -p 'require(`left`) + require(`right`)'", f"cd p && {NPM} left@2.0.0")
        assert done[0][1].split()[-1] == "1.1.02.1.0"
        assert done[1][0] and "ENOTCACHED" in done[1][1]

    def test_the_shelf_is_roots(self, vm, place):
        (tried,) = said(vm, place, f"ls {SHELF}/python-*; touch {SHELF}/python-*/x")
        assert tried[0] and "tiny-1.5-py3-none-any.whl" in tried[1]
        assert vm.bob(f"ls {SHELF}").rc and vm.agent("ls /var/lib/creel/packages").text == "agent"
        assert vm.root.sh(f"find {SHELF} ! -user root -o ! -group agent -o -perm /027 -o -type l") == ""

    def test_what_cannot_be_had_changes_nothing(self, vm, listed):
        listed(LISTS.format("tiny >=1 <2", "nosuch@1"))
        before = vm.root.sh(f"ls -R {SHELF}")
        failed = vm.root("creelctl packages fetch agent", timeout=400)
        assert failed.rc == 1 and "nothing was changed" in failed.errors and "nosuch" in failed.errors
        assert "tiny-1.5" in before and "npm-" not in before and vm.root.sh(f"ls -R {SHELF}") == before
        assert vm.root.sh("ls -A /var/lib/creel/packages") == "agent"

    def test_another_list_has_no_shelf_until_it_is_filled(self, vm, place, listed):
        listed(LISTS.format("tiny==2.0", "right"))
        done = said(vm, place, "v/bin/pip install tiny", "v/bin/pip install --force-reinstall tiny")
        assert done[0][0] == 0 and done[1][0]  # the first is installed
        assert vm.root.sh(f"ls {SHELF}") == ""


def test_services_are_told_as_well(vm, place):
    with policy(vm, NO, manager=True):
        done = vm.agent("systemd-run --user -q --wait --pipe pip install tiny", timeout=300)
        assert done.rc and "The policy of this agent says so" in done.errors


REFUSED = {
    "[python]\npip_install = no\n": "cannot hold while [network] mode = full",
    "[agent]\nprofile = openclaw\n[network]\nmode = restricted\nallowed_hosts = files.pythonhosted.org\n":
        "packages can be had from `files.pythonhosted.org`",
    "[network]\nmode = restricted\nallowed_hosts = 0.0.0.0/0\n[javascript]\nnpm_install = no\n": "packages can be had from `0.0.0.0/0`",
    "[network]\nmode = none\n[python]\npip_install = allowlist\npackages = git+https://example.org/x\n": "is not a package of pip's",
}


def test_policies_that_cannot_hold_are_refused(vm):
    for text, why in REFUSED.items():
        done = vm.root("cat >/tmp/x.conf; creelctl policy check /tmp/x.conf; rc=$?; rm /tmp/x.conf; exit $rc", text)
        assert done.rc == 1 and why in done.errors + done.text, text


def test_only_agents_with_a_list_have_a_shelf(vm):
    done = vm.root("creelctl packages fetch bob")
    assert done.rc == 1 and "no allowlist" in done.errors
    assert vm.root("creelctl packages fetch").rc == 2
    assert vm.root("creelctl packages fetch ../bob").rc == 1
    assert vm.agent("/usr/sbin/creelctl packages fetch agent").rc == 1
