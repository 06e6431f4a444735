# SPDX-License-Identifier: MIT
"""Nothing that an operator can enable, and no folder with what agents did, is forgotten where creel is removed. tests/releases does it."""

import pathlib
import re

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
