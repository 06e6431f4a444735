# SPDX-License-Identifier: MIT
"""provision.sh --remove takes away all that `make install`, provision.sh and the programs put on a machine: on a copy of this one's files,
with a systemctl that starts nothing. What must go is found in the sources, so that nobody has to remember a new unit, folder or file."""

import os
import pathlib
import re
import subprocess

import pytest

from conftest import BUILD, ROOT, WHY_NOT

PLACES = ("etc", "usr", "var", "run", "opt", "srv", "sys/fs/bpf")
# what Debian's own programs keep of a change and of its undoing
KEPT = re.compile(r"/etc/(passwd|group|shadow|gshadow)-$|/etc/\.pwd\.lock$|/var/lib/pam/|/var/cache/|/run/(lock|sudo)|/etc/subuid-$|/etc/subgid-$")
SYSTEMCTL = """#!/bin/bash
# asks and changes links, as the real one; starts and stops nothing
echo "$*" >>/asked
words=()
for word; do
	case $word in
	-q | --now | --no-block) ;;
	*) words+=("$word") ;;
	esac
done
case ${words[0]} in
stop) printf '%s\\n' "${words[@]}" | grep -vxFf - /running >/still; mv /still /running ;;
is-active) grep -qsxF "${words[1]}" /running ;;
is-enabled | enable | disable) exec /usr/bin/systemctl --root=/ "${words[@]}" ;;
esac
"""
POLICY = "[front]\noperator_port = 2222\n[metrics]\ntextfile = /srv/exporter\n[audit]\nretention = 60d\n"
NAMED = re.compile(r"""(?:/etc|/run|/var|/sys/fs/bpf)/[^\s"'`#;:,)<>%*\\$|]*creel[^\s"'`#;:,)<>%*\\$|]*""")


def sources():
    for pattern in ("shell/**/*.[ch]", "sshd-sub/*.[ch]", "units/*"):
        yield from ROOT.glob(pattern)
    yield from (ROOT / "provision" / "config").iterdir()
    for script in (ROOT / "provision" / "steps").glob("*.sh"):
        # how OpenSSH moves and comes back takes a machine that runs: tests/releases
        if script.name not in ("remove.sh", "made.sh", "operator.sh", "operator-back.sh", "front.sh"):
            yield script


def named():
    """Paths with creel's name that programs, units and scripts make or use."""
    found = set()
    for source in sources():
        text = source.read_text()
        text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#include", "# ", "#\t", "*", "/*")))
        found |= {path.rstrip("/.") for path in NAMED.findall(text)}
        if source.parent.name == "units" and "DynamicUser=yes" in text:
            found |= {f"/var/lib/private/{name}" for name in re.findall(r"^StateDirectory=(\S+)", text, re.M)}
        found |= {f"/var/lib/{name}" for name in re.findall(r"^StateDirectory=(\S+)", text, re.M)}
    return found


def settings():
    """The file that creelctl makes in a folder which the operator may have files in, too."""
    text = (ROOT / "shell/operator/retention.h").read_text()
    return tuple(re.search(rf'#define RETENTION_{word} "(.*)"', text)[1] for word in ("FOLDER", "NAME"))


class Copy:
    """The machine's files, and a place for changes of them."""

    def __init__(self, folder):
        self.top = folder / "top"
        mount = ["mount", "-t"]
        subprocess.run([*mount, "tmpfs", "creel", folder], check=True)
        for name in ("top", "upper", "work"):
            (folder / name).mkdir()
        subprocess.run([*mount, "overlay", "-o", f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work", "creel", self.top], check=True)
        for name in ("run", "sys/fs/bpf", "srv"):
            (self.top / name).mkdir(parents=True, exist_ok=True)
            subprocess.run([*mount, "tmpfs", "creel", self.top / name], check=True)
        subprocess.run([*mount, "proc", "proc", self.top / "proc"], check=True)
        subprocess.run(["mount", "--rbind", "/dev", self.top / "dev"], check=True)
        (self.top / "run/systemd/system").mkdir(parents=True)
        program = self.top / "usr/local/sbin/systemctl"
        program.write_text(SYSTEMCTL)
        program.chmod(0o755)
        # what it asks of the kernel and of process 1 is no matter of files
        script = self.path(ROOT / "provision/provision.sh")
        script.write_text(script.read_text().replace("\ncheck_machine\n", "\n"))

    def path(self, path):
        return self.top / str(path).lstrip("/")

    def run(self, *argv, check=True, **how):
        """Where it is alone: no network of the machine's, whose firewall it looks at."""
        done = subprocess.run(["unshare", "--net", "chroot", self.top, *map(str, argv)], capture_output=True, text=True, check=False, **how,
                              env={"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})
        assert not check or done.returncode == 0, f"{argv}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done

    def put(self, path, text="x\n"):
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def listing(self):
        found = self.run("find", *(f"/{place}" for place in PLACES), "-xdev").stdout.splitlines()
        return {path for path in found if not KEPT.search(path)}

    def state(self):
        accounts = {name: sorted(self.path(f"/etc/{name}").read_text().splitlines()) for name in ("passwd", "group", "shells")}
        return accounts | {name: self.path(f"/etc/pam.d/{name}").read_text() for name in ("common-session", "common-session-noninteractive")}

    def remove(self, *words):
        done = self.run(ROOT / "provision/provision.sh", "--remove", *words, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def asked(self):
        return self.path("/asked").read_text().splitlines()


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """An agent VM without agents. Its listing and its accounts as they were before."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    folder, dest = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dest")
    subprocess.run(["make", "-s", "-C", ROOT, "install", f"BUILD={BUILD}", f"DESTDIR={dest}"], check=True)
    copy = Copy(folder)
    try:
        # what other tests left on this machine
        copy.run("sh", "-c", "rm -rf /etc/creel /usr/libexec/creel /usr/share/creel /var/lib/creel /var/log/creel")
        copy.stock = copy.listing(), copy.state()
        copy.installed = sorted(str(path.relative_to(dest)) for path in dest.rglob("*") if path.is_symlink() or not path.is_dir())
        subprocess.run(["cp", "-a", f"{dest}/.", copy.top], check=True)
        copy.put("/var/lib/creel/installed", "".join(f"0 /{name}\n" for name in copy.installed))
        copy.run("systemd-sysusers", "/usr/lib/sysusers.d/creel.conf")
        copy.run("systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/creel.conf")
        copy.run("pam-auth-update", "--package", "--enable", "creel")
        copy.run("add-shell", "/usr/libexec/creel/creel-shell")
        copy.put("/etc/creel/creel.conf", POLICY)
        copy.put("/".join(settings()))
        copy.put("/srv/exporter/creel.prom")
        copy.put("/srv/exporter/other.prom")
        copy.put("/var/log/journal/0123.creel/system.journal")
        for path in sorted(named(), reverse=True):
            if not copy.path(path).exists():
                copy.put(path)
        copy.units = sorted(name.rpartition("/")[2] for name in copy.installed
                            if re.fullmatch(r"usr/lib/systemd/system/[^/]+\.(service|socket|timer|mount|slice)", name))
        copy.enabled = [unit for unit in copy.units if "[Install]" in copy.path(f"/usr/lib/systemd/system/{unit}").read_text()]
        copy.run("systemctl", "enable", *copy.enabled)
        copy.put("/running", "creel-sshd.socket\ncreel-sshd.service\ncreel-enforce.service\n")
        copy.put("/asked", "")
        yield copy
    finally:
        subprocess.run(["umount", "-R", "--lazy", folder], check=False)


def test_the_sources_say_what_is_made():
    """Else the rest of this file proves nothing."""
    assert {"/run/creel", "/var/log/creel/terminals", "/sys/fs/bpf/creel", settings()[0], "/var/lib/creel/metrics", "/var/lib/private/creel-upload",
            "/run/creel-quota.words", "/etc/apt/preferences.d/creel", "/var/log/creel-provision.log"} <= named()


def test_a_dry_run_changes_nothing(machine):
    before = machine.listing()
    assert "to be changed" in machine.remove("--dry-run", "--purge")
    assert machine.listing() == before and not any(line.startswith(("disable", "stop", "-q stop")) for line in machine.asked())


def test_given_back_but_for_the_record_and_policies(machine):
    machine.remove()
    left = machine.listing() - machine.stock[0]
    kept = ("/etc/creel", "/var/lib/creel", "/var/lib/private/creel-upload", "/var/log/creel", "/var/log/journal", "/srv/exporter")
    assert {path for path in left if not path.startswith(kept)} == set()
    for path in ("/etc/creel/creel.conf", "/var/log/creel/terminals", "/var/log/journal/0123.creel/system.journal", "/srv/exporter/other.prom"):
        assert path in left, path
    assert "/srv/exporter/creel.prom" not in left, "no numbers of a machine that has no agents"
    assert machine.state() == machine.stock[1]


def test_each_unit_was_ended(machine):
    """Instances by their template. That none is enabled any more, the listing shows."""
    asked = machine.asked()
    for unit in machine.units:
        name = unit.replace("@.", "@*.")
        assert any("stop" in line.split() and name in line.split() or line.startswith("disable") and name in line.split() for line in asked), unit


def test_purged_nothing_is_left(machine):
    told = machine.remove("--purge")
    for folder in ("/etc/creel", "/var/lib/creel", "/var/log/creel"):
        assert f"{folder}: gone" in told
    left = {path for path in machine.listing() - machine.stock[0] if not path.startswith(("/srv/exporter", "/var/log/journal"))}
    assert left == set() and not machine.path("/var/log/journal/0123.creel").exists()
    assert machine.stock[0] - machine.listing() == set()
    assert "nothing to remove" in machine.remove("--purge")


def test_settings_of_the_operators_stay(machine):
    folder, name = settings()
    machine.put(f"{folder}/{name}")
    machine.put(f"{folder}/mine.conf")
    machine.remove()
    assert os.listdir(machine.path(folder)) == ["mine.conf"]


def test_the_package_forgets_the_same():
    """Its postrm has the paths from the same list, and the accounts."""
    script = (ROOT / "provision/debian/creel.postrm").read_text()
    rules = (ROOT / "provision/debian/rules").read_text()
    assert "#MADE#" in script and "steps/made.txt" in rules
    accounts = re.findall(r"^[ug] (\S+)", (ROOT / "units/sysusers.conf.in").read_text(), re.M)
    assert accounts and all(re.search(rf"\b{name}\b", script) for name in accounts)


def test_where_the_package_is_apt_removes(machine):
    """Neither a release nor the package's own script takes away what dpkg brought."""
    machine.put("/usr/local/sbin/dpkg-query", "#!/bin/sh\necho installed\n")
    machine.path("/usr/local/sbin/dpkg-query").chmod(0o755)
    packaged = pathlib.Path("/usr/share/creel/provision")
    machine.run("mkdir", "-p", packaged.parent)
    machine.run("cp", "-r", ROOT / "provision", packaged)
    before = machine.listing()
    for script in (ROOT / "provision/provision.sh", packaged / "provision.sh"):
        for words in (["--remove"], ["--remove", "--agents", "--purge"], ["--remove", "--dry-run"]):
            done = machine.run(script, *words, check=False)
            assert done.returncode == 1 and "`apt purge creel`" in done.stderr, (script, words, done)
    done = machine.run(ROOT / "provision/provision.sh", check=False)
    assert done.returncode == 1 and f"{packaged}/provision.sh" in done.stderr and "`apt purge creel`" in done.stderr, done
    # its own: as far as Node.js, which a package does not bring
    machine.run("rm", "-f", "/usr/bin/node")
    machine.run("rm", "-rf", "/opt/node")
    done = machine.run(packaged / "provision.sh", check=False, cwd=ROOT)
    assert done.returncode == 1 and "Debian package brings none" in done.stderr and "--without-node" in done.stderr, done
    assert machine.listing() | {"/usr/bin/node"} >= before
