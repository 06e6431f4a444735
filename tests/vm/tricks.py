# SPDX-License-Identifier: MIT
"""Tricks by which a program might be executed. Each is tried with one that may be, and with its twin that may not.

Both make the file that they are given, so what counts is whether the file is there. In a trick {p} is the program's
path, {n} its name, {f} the file that it would make; {{ and }} are braces.
"""

import contextlib
import re
import shlex

PERMITTED, FORBIDDEN = "/usr/local/bin/permitted", "/usr/local/bin/forbidden"
SCRATCH = "/tmp/creel-commands"


@contextlib.contextmanager
def twins(vm):
    """Two programs with the same content, which are not each other's links, and a folder for what they make."""
    vm.root.sh(f"cp /usr/bin/touch {PERMITTED} && cp /usr/bin/touch {FORBIDDEN}")
    vm.agent.sh(f"rm -rf {SCRATCH}; mkdir -m 1777 {SCRATCH}")
    try:
        yield
    finally:
        vm.root.sh(f"rm -rf {PERMITTED} {FORBIDDEN} {SCRATCH}")


def attempt(trick, path, file, before=""):
    """A command that tries it and says at last whether the file is there; what else it says does not matter."""
    for key, value in (("{p}", path), ("{n}", path.rsplit("/", 1)[1]), ("{f}", file), ("{{", "{"), ("}}", "}")):
        trick = trick.replace(key, value)
    return f"{before}bash -c {shlex.quote(trick)} </dev/null 2>&1 | cat; test -e {file} && echo -made || echo -not"


def batch(host, attempts, timeout=280):
    """Runs commands in one login; what was said to each, by its name."""
    script = "".join(f"echo; echo 'trick {number}'\n{attempts[name]}\n" for number, name in enumerate(attempts))
    said = re.split(r"^trick \d+$", host.sh("bash -s", stdin=script, timeout=timeout), flags=re.M)
    return dict(zip(attempts, said[1:], strict=True))


def made(said):
    return re.findall(r"^.*-(made|not)$", said, re.M)
