# SPDX-License-Identifier: MIT
"""What of the record an agent may ask its keeper for; what is in it, tests/vm/test_audit.py asks."""
import pytest
import runs


@pytest.mark.parametrize("kind, session, what", [
    ("nix", "", "there are login, logout, "), ("log", "", "no kind of record"), ("-", "", "no kind of record"), ("a b", "", "no kind of record"),
    ("", "-", "no id of a session"), ("login", "../x", "no id of a session"), ("", "0" * 33, "no id of a session")])
def test_words_that_are_none_are_refused(client, kind, session, what):
    with pytest.raises(runs.Refused) as why:
        client.call("History", "bttss", [False, 0, 50, kind, session])
    assert what in why.value.args[1]
