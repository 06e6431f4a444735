# SPDX-License-Identifier: MIT
"""provision/image/names.sh: what systemd-networkd writes of each link becomes a resolv.conf(5)."""

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "provision/image/names.sh"


@pytest.fixture
def names(tmp_path):
    """Runs it over links: number -> lines. Returns the lines of the file behind the first."""
    (tmp_path / "links").mkdir()
    file = tmp_path / "resolv.conf"

    def write(links):
        for path in (tmp_path / "links").iterdir():
            path.unlink()
        for number, lines in links.items():
            (tmp_path / "links" / str(number)).write_text("# This is private data. Do not parse.\nADMIN_STATE=configured\n" + lines)
        subprocess.run([SCRIPT, file], env={**os.environ, "CREEL_LINKS": str(tmp_path / "links")}, check=True)
        return file.read_text().splitlines()[1:] if file.exists() else None
    write.file = file
    return write


def test_what_links_were_told(names):
    assert names({1: "", 10: "DNS=192.0.2.1 2001:db8::1\nDOMAINS=c\n", 2: "DNS=192.0.2.3 192.0.2.1\nDOMAINS=a.example b\n"}) == [
        "nameserver 192.0.2.3", "nameserver 192.0.2.1", "nameserver 2001:db8::1", "search a.example b c"]


def test_what_resolv_conf_has_no_word_for(names):
    assert names({1: "DNS=192.0.2.1:53 192.0.2.2:5353 [2001:db8::1]:53#x [2001:db8::2]:99 192.0.2.9#dns.example fe80::1 fe80::2%1\n",
                  999999: "DNS=fe80::3\n"}) == [
        "nameserver 192.0.2.1", "nameserver 2001:db8::1", "nameserver 192.0.2.9", "nameserver fe80::1%lo", "nameserver fe80::2%lo"]


def test_what_stays(names):
    assert names({2: ""}) is None
    there = names({2: "DNS=192.0.2.1\n"})
    assert there == ["nameserver 192.0.2.1"] and names.file.stat().st_mode & 0o777 == 0o644
    # no name server at the moment
    assert names({2: ""}) == there
    assert names({2: "DNS=192.0.2.2\n"}) == ["nameserver 192.0.2.2"]
    for own in ("nameserver 192.0.2.7\n", "# mine\n"):
        names.file.write_text(own)
        names({2: "DNS=192.0.2.1\n"})
        assert names.file.read_text() == own
    names.file.unlink()
    names.file.symlink_to("elsewhere")
    names({2: "DNS=192.0.2.1\n"})
    assert os.readlink(names.file) == "elsewhere" and not names.file.exists()
