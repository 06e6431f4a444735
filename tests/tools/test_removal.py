# SPDX-License-Identifier: MIT
"""Nothing that an operator can enable, and no folder with what agents did, is forgotten where creel is removed. tests/releases does it."""

import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
STEPS = TOP / "provision" / "steps"


def function(path, name):
    return re.search(rf"^{name}\(\)\n\{{\n(.*?)^\}}", path.read_text(), re.M | re.S).group(1)


def can_be_enabled():
    units = {path.name.removesuffix(".in") for path in (TOP / "units").glob("*.in") if "\n[Install]\n" in path.read_text()}
    assert len(units) >= 7
    return units


@pytest.mark.parametrize("unit", sorted(can_be_enabled()))
def test_it_is_disabled(unit):
    assert re.search(rf"[ (\t]{re.escape(unit)}[ )\n]", function(STEPS / "remove.sh", "remove_units"))
    wanted = re.search(r"^packaged_wanted='(.*?)'", (STEPS / "packaged.sh").read_text(), re.M).group(1)
    disabled = re.search(r"systemctl disable (.*)", function(STEPS / "packaged.sh", "packaged_unconfigure")).group(1)
    assert unit in (wanted + " " + disabled).split()


def kept():
    """Folders that come with the system, and have something in them that is not of this boot."""
    folders = re.findall(r"^d (/(?:etc|var)/\S+)", (TOP / "units/tmpfiles.conf.in").read_text(), re.M)
    states = [f"/var/lib/private/{name}" for path in (TOP / "units").glob("*.in")
              for name in re.findall(r"^StateDirectory=(\S+)", path.read_text(), re.M) if "\nDynamicUser=yes\n" in path.read_text()]
    assert "/var/log/creel" in folders and states == ["/var/lib/private/creel-upload"]
    return folders + states


@pytest.mark.parametrize("folder", kept())
def test_it_is_purged(folder):
    for text in (function(STEPS / "remove.sh", "remove_state"), (TOP / "provision/debian/creel.postrm").read_text()):
        gone = [word for line in re.findall(r"(?:for folder in|rm -rf) (/.*)", text) for word in line.removesuffix("; do").split()]
        assert any(folder == word or folder.startswith(word + "/") for word in gone), (folder, gone)


STUBS = """
set -eu
offline='' packaged_here='' here=''
for name in say note; do eval "$name() { echo $name \\"\\$@\\"; }"; done
for name in systemctl nft rm; do eval "$name() { echo $name \\"\\$@\\"; }"; done
getent() { echo "agent-$2:x:$2:"; }
function /usr/sbin/creelctl { [ "$3" != agent-1002 ]; }
. "$1"
packaged_marks=$2 packaged_before=$2.removed
left=''
packaged_agents_stop || left=1
packaged_kernel "$left"
"""


@pytest.mark.parametrize("uids", [(1001,), (1001, 1002, 1003)])
def test_the_kernels_part_stays_for_what_could_not_be_ended(tmp_path, uids):
    marks = tmp_path / "marks"
    marks.mkdir()
    for uid in uids:
        (marks / str(uid)).touch()
    done = subprocess.run(["bash", "-c", STUBS, "removal", STEPS / "packaged.sh", marks], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    left = 1002 in uids
    assert ("note agent agent-1002: not all that it runs could be ended" in lines) == left
    # the others are stopped all the same
    assert [line.split()[2] for line in lines if "is stopped" in line] == [f"agent-{uid}" for uid in uids if uid != 1002]
    assert ("rm -rf /sys/fs/bpf/creel" in lines) != left and ("nft delete table inet creel" in lines) != left
    assert any("stay until the next boot" in line for line in lines) == left
