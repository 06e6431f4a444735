# SPDX-License-Identifier: MIT
"""The output folder: what a run puts there is listed with its digest, and fetched by scp and sftp; strange files are told and never
opened; a list of programs, as [commands] allow gives it, does not keep files from being listed."""

import hashlib
import json
import subprocess

import pytest

from harness import PROBE_DIR, policy, wait_until

UNKNOWN = 2**64 - 1
TIMEOUT = 90_000_000  # of a run, where it is not what is asked
FOLDER = "workspace/output"


def collect(vm, *orders):
    """Runs, with their files; each is (language, code) or (language, code, options)."""
    rows = [
        {"language": language, "code": code, "options": {"collect": True, "timeout": TIMEOUT, **dict(*options)}}
        for language, code, *options in orders
    ]
    socket = f"/run/creel/{vm.uid()}/keeper.sock"
    text = vm.agent.sh(f"python3 {PROBE_DIR}/runs.py {socket}", json.dumps(rows), timeout=240)
    return json.loads(text)


def files(answer):
    return {name: (status, size, digest) for name, size, digest, status in answer.get("files", [])}


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module", autouse=True)
def probes(vm):
    vm.push_probes()


@pytest.fixture(autouse=True)
def empty(vm):
    vm.agent.sh(f"rm -rf {FOLDER}")


def test_files_are_listed_and_fetched(vm, tmp_path):
    code = f"""
import os
os.makedirs("output/sub")
open("output/data.bin", "wb").write(bytes(range(256)) * 9000)
open("output/sub/with space.csv", "w").write("a,b\\n1,2\\n")
"""
    first, second = collect(vm, ("python", code), ("bash", "sleep 0.1; cat output/data.bin >/dev/null"))
    expected = {"data.bin": bytes(range(256)) * 9000, "sub/with space.csv": b"a,b\n1,2\n"}
    assert files(first) == {name: ("ok", len(data), digest(data)) for name, data in expected.items()}
    assert first["reason"] == "ok" and "files_left_out" not in first
    assert files(second) == {}  # read, and as it was
    for number, (name, data) in enumerate(expected.items()):
        there, by_scp, by_sftp = f"{FOLDER}/{name}", tmp_path / f"scp{number}", tmp_path / f"sftp{number}"
        vm.agent.sftp(f'get "{there}" {by_sftp}\n').ok()
        scp = ["scp", "-F", str(vm.config), "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", f"agent:{there}", str(by_scp)]
        subprocess.run(scp, check=True, timeout=120)
        assert by_scp.read_bytes() == by_sftp.read_bytes() == data


def test_kinds_sizes_and_strange_files(vm):
    code = r"""
import os, socket
os.chdir("output")
for name, size in (("a.png", 10), ("b.csv", 2048), ("c.sh", 1)):
    open(name, "wb").write(bytes(size))
os.symlink("/etc/shadow", "link.png")
os.mkfifo("fifo.png")
socket.socket(socket.AF_UNIX).bind("socket.png")
open(b"\xff\n.png", "w")
"""
    with policy(vm, "[output]\ntypes = *.png, *.csv\nmax_file_size = 1K\n"):
        (answer,) = collect(vm, ("python", code))
    assert files(answer) == {
        "a.png": ("ok", 10, digest(bytes(10))),
        "b.csv": ("too-large", 2048, ""),
        "c.sh": ("type", 1, ""),
        "link.png": ("special", 0, ""),
        "fifo.png": ("special", 0, ""),
        "socket.png": ("special", 0, ""),
        "\\xff\n.png": ("ok", 0, digest(b"")),
    }
    assert vm.agent.sh(f"stat -c %s {FOLDER}/b.csv") == "2048"  # left where it is


def test_many_files_are_counted(vm):
    # what the keeper answers meanwhile says that nothing holds it up
    (answer,) = collect(vm, ("python", "for i in range(5000): open(f'output/{i}', 'w').close()"))
    assert len(files(answer)) == 1000 and answer["files_left_out"] == 4000


def test_a_list_of_programs_lists_files_all_the_same(vm):
    with policy(vm, "[commands]\nallow = bash, python3, cat, rm, stat, sleep\n"):
        # programs may make no memfd then: the code comes in one of the keeper's, and stays with nobody who could execute it
        code = "echo x >output/x; for there in /proc/$$/fd/*; do [ -f $there ] && echo $there; done; true"
        answer = json.loads(vm.agent.sh("creel run --json --lang bash -", code, timeout=120))
        assert [(file["name"], file["sha256"]) for file in answer["files"]] == [("x", digest(b"x\n"))], answer
        assert (answer["stdout"], answer["stderr"], answer["reason"]) == ("", "", "ok"), answer
        # and it gives nobody more than the agent has
        refused = vm.agent("/usr/libexec/creel/creel-collect /root 1 1 '*' </dev/null")
        assert refused.out[:1] == b"X", refused  # it tells why, as a listing


def test_figures_are_saved(vm):
    """By a run of its own, independent or not, and by a session's call; matplotlib is the real one."""
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.figure(); plt.bar([1], [2])"
    rows = [{"figures": True, **more} for more in ({}, {"independent": True}, {"session": "plots"})]
    answers = collect(vm, *(("python", code, row) for row in rows))
    for answer in answers:
        names = sorted(files(answer))
        assert len(names) == 2 and all(name.endswith(".png") for name in names), answer
        assert vm.agent.sh(f"head -c 4 {FOLDER}/{names[0]} | tail -c 3") == "PNG"
    vm.agent.sh("creel sessions reset python plots")


def test_matplotlib_knows_the_fonts(vm):
    """From before the run, which could not keep what it finds out."""
    code = """
import os, time
begun = time.time()
import matplotlib, matplotlib.font_manager as fonts
known = os.path.join(matplotlib.get_cachedir(), f"fontlist-v{fonts.FontManager.__version__}.json")
print(os.path.getmtime(known) < begun, fonts.findfont("DejaVu Sans"))
"""
    (answer,) = collect(vm, ("python", code, {"independent": True}))
    assert answer["stdout"].startswith("True /"), answer


def test_somebody_elses_folder(vm):
    vm.root.sh("mkdir -p /srv/results && chmod 0777 /srv/results && echo x >/srv/results/x")
    with policy(vm, "[output]\ndir = /srv/results\n"):
        (answer,) = collect(vm, ("bash", "true"))
    vm.root.sh("rm -r /srv/results")
    assert answer["reason"] == "ok" and files(answer) == {} and answer["files_left_out"] == UNKNOWN


def test_nothing_is_left(vm):
    collect(vm, *[("bash", "echo x >output/x")] * 5)
    wait_until(lambda: not vm.root.sh("ls -d /sys/fs/cgroup/user.slice/user-*.slice/creel-leaves@*/outputs-* 2>/dev/null || true"))
    assert not vm.root("pgrep -x creel-collect").text
