# SPDX-License-Identifier: MIT
"""Where an agent cannot be stopped, a package that goes leaves what the kernel holds against it: provision/steps/packaged.sh."""

import pathlib
import subprocess

import pytest

STEPS = pathlib.Path(__file__).resolve().parent.parent.parent / "provision" / "steps"
STUBS = """
set -eu
offline='' packaged_here='' here=''
for name in say note; do eval "$name() { echo $name \\"\\$@\\"; }"; done
for name in systemctl nft rm switches_back; do eval "$name() { echo $name \\"\\$@\\"; }"; done
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
