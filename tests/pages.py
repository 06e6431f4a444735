# SPDX-License-Identifier: MIT
"""The fenced blocks of a page: what the tests do is what a reader is told to do. `sh` is typed, and `text` behind it is what is seen
then (`...` for what differs); `json` and `ssh-config` are files of the client."""

import collections
import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

Block = collections.namedtuple("Block", "language text")
FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.M | re.S)


def blocks(text):
    return [Block(found[2], textwrap.dedent(found[3])) for found in FENCE.finditer(text)]


def seen(expected, output):
    """Whether the output begins with what the page shows."""
    pattern = ".*?".join(map(re.escape, expected.strip().split("...")))
    return re.match(pattern, output.strip(), re.S) is not None
