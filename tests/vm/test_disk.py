# SPDX-License-Identifier: MIT
"""What an agent may write: on disk, by the kernel's quota; in memory, within its slice. And what it is told."""

import re

import pytest

from harness import limits, one_more_agent, policy, python, wait_until

LIMIT = "[limits]\ndisk = 64M\nfile_size = 60M\n"

FILL = """import errno, os, sys
total, number = 0, 0
try:
    while total < int(sys.argv[2]):
        number += 1
        with open(f"{sys.argv[1]}/fill-{number}", "wb", 0) as file:
            for _ in range(16):
                total += file.write(bytes(1 << 20))
        print(total, flush=True)
except OSError as problem:
    print(total, errno.errorcode[problem.errno])
"""

INODES = """import errno, os, sys
os.makedirs(sys.argv[1], exist_ok=True)
try:
    for number in range(int(sys.argv[2])):
        os.close(os.open(f"{sys.argv[1]}/{number}", os.O_CREAT | os.O_WRONLY))
    print("all")
except OSError as problem:
    print(number, errno.errorcode[problem.errno])
"""


@pytest.fixture(scope="class")
def limited(vm):
    with policy(vm, LIMIT):
        yield


@pytest.fixture
def emptied(vm, limited):
    """Afterwards nothing is left of what filled the disk."""
    yield
    vm.root.sh("rm -rf /home/agent/fill* /tmp/fill* /var/tmp/fill*")


def used(vm):
    return limits(vm.agent.sh("creel limits --json"))["disk"]["used"]


@pytest.mark.usefixtures("emptied")
class TestLimited:
    def test_writing_stops_at_the_limit(self, vm):
        total, error = vm.agent.sh(python(FILL, ".", str(256 << 20)), timeout=120).splitlines()[-1].split()
        assert error == "EDQUOT" and 32 << 20 < int(total) <= 64 << 20
        done = vm.agent("echo more > more; echo text > fill-new")
        assert done.rc != 0 and "Disk quota exceeded" in done.errors
        # others go on, and so does the agent once it cleans up
        assert vm.bob.sh("echo text > fill-bob && cat fill-bob && rm fill-bob") == "text"
        assert vm.agent.sh("rm -f fill-* more && echo text > fill-new && cat fill-new") == "text"

    @pytest.mark.parametrize("folder", ["/tmp", "/var/tmp"])
    def test_shared_folders_count(self, vm, folder):
        """On the root file system, or in memory: either way it stops."""
        kind = vm.root.sh(f"stat -f -c %T {folder}")
        assert kind == "ext2/ext3", "this image has them on its disk"
        error = vm.agent.sh(python(FILL, folder, str(256 << 20)), timeout=120).splitlines()[-1].split()[1]
        assert error == "EDQUOT"
        assert vm.agent("echo x > ~/fill-x").rc != 0, "it is one limit for all of them"
        vm.agent.sh(f"rm -f {folder}/fill-*")

    def test_files_count(self, vm):
        number, error = vm.agent.sh(python(INODES, "fill", "20000"), timeout=240).split()
        assert error == "EDQUOT" and int(number) < 8192
        assert limits(vm.agent.sh("creel limits --json"))["files"]["limit"] == 8192
        vm.agent.sh("rm -rf fill", timeout=120)

    def test_limits_show_it(self, vm):
        before = limits(vm.agent.sh("creel limits --json"))["disk"]
        assert before["limit"] == 64 << 20
        vm.agent.sh("head -c 10M /dev/zero > fill && sync -f fill")
        assert 10 << 20 <= used(vm) - before["used"] < 11 << 20
        assert re.search(r"^disk +\S+M +64M", vm.agent.sh("creel limits"), re.M)
        vm.agent.sh("rm fill")
        wait_until(lambda: used(vm) < before["used"] + (1 << 20))

    def test_one_file_has_its_own_limit(self, vm):
        done = vm.agent("head -c 62M /dev/zero > fill; echo rc=$?; stat -c %s fill")
        assert f"{60 << 20}" in done.text and "rc=0" not in done.text

    def test_the_owner_cannot_change_whom_it_counts_for(self, vm):
        vm.agent.sh("head -c 20M /dev/zero > fill && sync -f fill")
        before = used(vm)
        assert vm.agent("chown bob fill").rc != 0 and vm.agent("chgrp root fill").rc != 0
        vm.agent("chattr -p 1234 fill; chattr +i fill")
        assert used(vm) == before
        # a hard link is no second file, and another's file in the agent's folder is the other's
        assert vm.agent("ln fill fill2").rc == 0 and used(vm) - before < 1 << 16

    def test_agents_cannot_change_quotas(self, vm):
        assert vm.agent("/usr/sbin/setquota -u agent 0 0 0 0 /; /usr/sbin/quotaoff -u /").rc != 0
        assert limits(vm.agent.sh("creel limits --json"))["disk"]["limit"] == 64 << 20
        assert vm.agent("cat /aquota.user").rc != 0

    def test_limits_come_back_at_boot(self, vm):
        """What creel-quota.service and creel-enforce do at boot, from a file system without quotas."""
        vm.root.sh("quotaoff -u / && systemctl stop creel-quota.service")
        try:
            assert vm.agent("true").rc == 0, "nobody has looked yet"
            vm.root("systemctl reload creel-enforce.service", timeout=120)
            assert vm.agent("true").rc != 0, "without quotas nobody with a limit logs in"
            assert "user quota" in vm.root.sh(f"cat /run/creel/enforced/{vm.uid()}")
        finally:
            vm.root.sh("systemctl start creel-quota.service && systemctl reload creel-enforce.service", timeout=240)
        assert limits(vm.agent.sh("creel limits --json"))["disk"]["limit"] == 64 << 20
        total, error = vm.agent.sh(python(FILL, ".", str(256 << 20)), timeout=120).splitlines()[-1].split()
        assert error == "EDQUOT"


def test_a_smaller_disk_is_told(vm):
    """This machine's disk is smaller than the default of 40G."""
    row = limits(vm.agent.sh("creel limits --json"))["disk"]
    size = int(vm.root.sh("stat -f -c '%b * %S' / | xargs -I@ sh -c 'echo $((@))'"))
    assert row["limit"] < size < 40 << 30
    assert "this disk has no more" in row["origin"]


def test_an_unlimited_agent_has_no_quota(vm):
    with policy(vm, "[limits]\ndisk = max\n"):
        row = limits(vm.agent.sh("creel limits --json"))
        assert row["disk"]["limit"] is None and row["files"]["limit"] is None


def test_a_file_system_without_quotas_is_told(vm):
    """One that agents can reach: they could write there without end."""
    vm.root.sh("truncate -s 32M /root/plain.img && mkfs.ext4 -q -F -O ^quota /root/plain.img && mkdir -p /srv/plain && "
               "mount -o loop /root/plain.img /srv/plain && chmod 1777 /srv/plain")
    try:
        vm.root("systemctl reload creel-enforce.service", timeout=120)
        assert vm.agent("true").rc != 0
        assert "/srv/plain (ext4)" in vm.root.sh(f"cat /run/creel/enforced/{vm.uid()}")
        vm.root.sh("systemctl restart creel-quota.service && systemctl reload creel-enforce.service", timeout=240)
        assert vm.agent("true").rc == 0
        assert "EDQUOT" in vm.root.sh("setpriv --reuid agent --regid agent --clear-groups " + python(FILL, "/srv/plain", str(64 << 20)))
        vm.root.sh("quotaoff -u /srv/plain; chmod 0700 /srv/plain; systemctl reload creel-enforce.service", timeout=120)
        assert vm.agent("true").rc == 0, "nobody gets there"
    finally:
        vm.root.sh("umount /srv/plain; rm -r /srv/plain /root/plain.img; systemctl reload creel-enforce.service", timeout=120)


def test_every_place_where_an_agent_can_write_is_known(vm):
    """Folders that others may write to are on a file system with quotas, or in memory, and the list of these is short."""
    may = "-perm -o+w -o -user agent -o -group agent -o -group creel-agents"
    folders = vm.root.sh(f"find / -xdev -type d '(' {may} ')'", timeout=240)
    found = vm.agent.sh("while read -r folder; do test -w \"$folder\" && stat -f -c %T \"$folder\"; done | sort -u; "
                        "for m in $(findmnt -rn -o TARGET); do test -w $m && stat -f -c \"%T $m\" $m; done; true",
                        folders + "\n", timeout=240).splitlines()
    assert found[0] == "ext2/ext3"
    for line in found[1:]:
        kind, _, where = line.partition(" ")
        assert kind in ("ext2/ext3", "tmpfs") or (kind, where) == ("mqueue", "/dev/mqueue"), line


def test_memory_that_looks_like_disk_is_bounded_by_the_slice(vm):
    """Also when the process that wrote it is gone: the pages stay charged below the slice, and the rescue leaf's (64M)."""
    with policy(vm, "[limits]\nmemory = 192M\n"):
        for folder in ("/dev/shm", f"/run/user/{vm.uid()}"):
            for name in ("a", "b"):  # the second one in the rescue leaf
                vm.agent(f"for n in 1 2 3 4; do head -c 48M /dev/zero > {folder}/fill-{name}$n; done", timeout=240)
            kept = int(vm.root.sh(f"du -cb {folder}/fill-* | tail -1").split()[0])
            assert 96 << 20 < kept <= (192 + 64) << 20, (folder, kept)
            current = int(vm.root.sh(f"cat /sys/fs/cgroup/user.slice/user-{vm.uid()}.slice/memory.current"))
            assert current <= 192 << 20
            vm.root.sh(f"rm -f {folder}/fill-*")
            # the user manager may have ended for want of memory, and comes back
            wait_until(lambda: vm.root(f"systemctl is-active user@{vm.uid()}.service").text == "active", 60)
    assert vm.agent.sh("echo in") == "in"


def test_the_quota_of_a_removed_agent_goes(vm):
    with one_more_agent(vm) as uid:
        assert vm.root.sh(f"quota -u {uid} -w -p | tail -1").split()[3] != "0"
        vm.root.sh("creelctl agent remove carol", timeout=240)
        said = vm.root(f"quota -u {uid} -w -p").text
        assert "none" in said or not said
