# SPDX-License-Identifier: MIT
"""Security keys (sk-...), made in software: the device's part is played by the cryptography package."""

import base64
import hashlib
import socket
import struct

import paramiko
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

TOUCHED, VERIFIED = 1, 4


def packed(data):
    return struct.pack(">I", len(data)) + data


def mpint(number):
    return packed(number.to_bytes(number.bit_length() // 8 + 1, "big"))


class SecurityKey(paramiko.PKey):
    """What the agent of a client does with a FIDO device (PROTOCOL.u2f of OpenSSH)."""

    def __init__(self, kind, flags=TOUCHED, application=b"ssh:"):
        self.ecdsa = kind == "ecdsa"
        self.flags = flags
        self.application = application
        self.name = "sk-ecdsa-sha2-nistp256@openssh.com" if self.ecdsa else "sk-ssh-ed25519@openssh.com"
        self.private = ec.generate_private_key(ec.SECP256R1()) if self.ecdsa else ed25519.Ed25519PrivateKey.generate()
        self.signed_application = application
        self.signed_flags = None
        self.public_blob = None

    def get_name(self):
        return self.name

    def can_sign(self):
        return True

    def asbytes(self):
        public = self.private.public_key()
        if self.ecdsa:
            point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
            key = packed(b"nistp256") + packed(point)
        else:
            key = packed(public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))
        return packed(self.name.encode()) + key + packed(self.application)

    def line(self):
        return f"{self.name} {base64.b64encode(self.asbytes()).decode()} test\n"

    def sign_ssh_data(self, data, algorithm=None):
        flags = self.flags if self.signed_flags is None else self.signed_flags
        counter = struct.pack(">I", 7)
        signed = hashlib.sha256(self.signed_application).digest() + bytes([flags]) + counter + hashlib.sha256(data).digest()
        if self.ecdsa:
            r, s = utils.decode_dss_signature(self.private.sign(signed, ec.ECDSA(hashes.SHA256())))
            signature = mpint(r) + mpint(s)
        else:
            signature = self.private.sign(signed)
        return paramiko.Message(packed(self.name.encode()) + packed(signature) + bytes([self.flags]) + counter)


def login(front, key):
    """Returns whether a command runs."""
    with paramiko.Transport(socket.create_connection(("127.0.0.1", front.port), 20)) as transport:
        transport.start_client(timeout=20)
        try:
            transport.auth_publickey(front.user.pw_name, key)
        except paramiko.AuthenticationException:
            return False
        channel = transport.open_session()
        channel.exec_command("echo in")
        return channel.makefile().read() == b"in\n"


@pytest.fixture
def allow(front):
    path = front.folder / "keys"
    before = path.read_text()
    yield lambda key: path.write_text(before + key.line())
    path.write_text(before)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_touched(front, allow, kind):
    key = SecurityKey(kind)
    assert not login(front, key)
    allow(key)
    assert login(front, key)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_not_touched(front, allow, kind):
    key = SecurityKey(kind, flags=0)
    allow(key)
    assert not login(front, key)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_flags_that_were_not_signed(front, allow, kind):
    """The client says `touched`, the device signed that it was not."""
    key = SecurityKey(kind, flags=TOUCHED)
    key.signed_flags = 0
    allow(key)
    assert not login(front, key)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_made_for_another_application(front, allow, kind):
    key = SecurityKey(kind)
    key.signed_application = b"https://example.org"
    allow(key)
    assert not login(front, key)
