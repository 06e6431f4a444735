# SPDX-License-Identifier: MIT
"""What creel-sshd does beside a libssh that does not allow split keys: it says so, and serves nobody."""

import shutil
import socket
import subprocess

import pytest

from conftest import BUILD, SLOW, free_port


@pytest.mark.parametrize("function", ["EVP_DigestSign", "EVP_DigestVerify"])
def test_without_split_keys_nothing_is_served(front, function):
    """Built so that libssh's calls of the function reach OpenSSL, as those of a libssh that calls another one would."""
    program = shutil.copy2(BUILD / f"tests/creel-sshd-without-{function}", front.folder)
    port = free_port()
    done = subprocess.run([program, "-k", front.folder / "host", "-K", front.keepers, "-l", str(port)], cwd="/", check=False,
                          capture_output=True, timeout=60 * SLOW, env=front.environment, **front.identity)
    said = done.stderr.decode()
    assert done.returncode == 1, said
    assert "this libssh does not keep to what split keys need; refusing to serve" in said
    assert "serving\n" not in said.replace("refusing to serve\n", "")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_the_same_program_with_them_serves(front):
    """So that the test above cannot pass for another reason: the same objects, host key and folders."""
    assert front("echo in").stdout == b"in\n"
