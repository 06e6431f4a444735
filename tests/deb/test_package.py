# SPDX-License-Identifier: MIT
"""The Debian package that `make deb` made: lintian finds nothing, and it holds what `make install` installs."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
MADE = ("usr/share/doc/", "usr/share/lintian/", "usr/share/creel/provision/")  # by the package alone


def output(*argv):
    return subprocess.run([str(word) for word in argv], check=True, capture_output=True, text=True).stdout


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


@pytest.fixture(scope="module")
def package():
    found = list((BUILD / "deb").glob("creel_*.deb"))
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def tree(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["make", "-s", "-C", ROOT, "install", f"BUILD={BUILD}", f"DESTDIR={folder}"], check=True)
    return folder


def field(package, name):
    return output("dpkg-deb", "-f", package, name).strip()


def test_lintian_finds_nothing(package):
    changes = next(package.parent.glob("*.changes"))
    done = subprocess.run(["lintian", "--profile", "debian", "--fail-on", "error,warning", changes], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_override_says_why():
    lines = (ROOT / "provision/debian/creel.lintian-overrides").read_text().splitlines()
    for before, line in zip(["", *lines], lines):
        assert line.startswith("#") or before.startswith("# "), line


def test_the_version_is_the_programs(package):
    version = field(package, "Version")
    assert f"VERSION := {version}\n" in (ROOT / "Makefile").read_text()
    assert version in output(BUILD / "creelctl", "--version")


def test_it_holds_what_make_install_installs(tree, installed):
    packed = {name.removesuffix(".gz") if "/man/" in name else name for name in files(tree) if not name.startswith("DEBIAN/")}
    wanted = files(installed)
    # made where the package is installed: nothing of a package lies there
    local = {name for name in wanted if name.startswith("usr/local/")}
    links = re.findall(r"(/usr/local/\S+) \S+", (ROOT / "provision/steps/packaged.sh").read_text())
    assert local == {link[1:] for link in links} and not any(name.startswith("usr/local") for name in packed)
    assert wanted - packed == local
    assert all(name.startswith(MADE) for name in packed - wanted), sorted(packed - wanted)


def test_what_an_operator_may_edit_stays_his(tree, installed):
    assert {f"/{name}" for name in files(installed) if name.startswith("etc/")} == \
        set((tree / "DEBIAN/conffiles").read_text().split())


def test_provisioning_comes_along_whole(tree):
    place = tree / "usr/share/creel/provision"
    assert subprocess.run([place / "provision.sh", "--help"], capture_output=True, check=False).returncode == 2
    for script in re.findall(r'\. "\$here/(steps/.*\.sh)"', (place / "provision.sh").read_text()):
        assert (place / script).is_file(), script


def test_all_is_roots_and_nothing_gains_rights(package):
    for line in output("dpkg-deb", "-c", package).splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root" and "s" not in mode.lower() and mode[8] in "-", line


def test_times_are_the_changelogs(package):
    epoch = output("dpkg-parsechangelog", "-l", ROOT / "provision/debian/changelog", "-S", "Timestamp").strip()
    newest = output("sh", "-c", f"dpkg-deb --fsys-tarfile {package} | tar --full-time -tvf - | awk '{{ print $4, $5 }}' | sort | tail -n 1")
    assert newest.strip() <= output("date", "-d", f"@{epoch}", "+%F %T").strip()


def test_it_depends_on_what_it_runs(package):
    depends = field(package, "Depends")
    for name in ("libssh-4 (>=", "libpam0g (>=", "libsystemd0 (>=", "openssh-server", "nftables", "quota", "libpam-runtime"):
        assert name in depends, depends
    assert "${" not in depends + field(package, "Recommends")


def test_maintainer_scripts_are_clean(tree):
    for name in ("postinst", "prerm", "postrm"):
        assert (tree / "DEBIAN" / name).stat().st_mode & 0o111
    output("shellcheck", "-s", "sh", *(ROOT / "provision/debian").glob("creel.p*"))
