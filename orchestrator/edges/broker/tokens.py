"""Opens and signs what the server and the callout exchange: JWTs of NATS, sealed for the server.

Formats: JWT version 2 of NATS with `ed25519-nkey` signatures; boxes "xkv1" (X25519, XSalsa20).
All keys live as long as the process: the server starts with it and trusts only these.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from typing import Any

import nkeys
from nacl.public import Box, PrivateKey, PublicKey

_CURVE = 23 << 3  # base32 of a curve key begins with X
_SEALED = b"xkv1"
_HEADER = b'{"typ":"JWT","alg":"ed25519-nkey"}'


def new_key(prefix: int) -> nkeys.KeyPair:
    """Return a new signing key; `prefix` is one of nkeys.PREFIX_BYTE_*."""
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), prefix))


def public_text(key: nkeys.KeyPair) -> str:
    """Return a public key as NATS writes it."""
    return key.public_key.decode()


class Issuer:
    """Signs rights for connections, and seals the answers for the server alone."""

    def __init__(self) -> None:
        self._account = new_key(nkeys.PREFIX_BYTE_ACCOUNT)
        self._curve = PrivateKey.generate()

    @property
    def account(self) -> str:
        """Return the public key that the server takes signatures of."""
        return public_text(self._account)

    @property
    def curve(self) -> str:
        """Return the public key that the server seals its requests for."""
        raw = bytes([_CURVE]) + bytes(self._curve.public_key)
        checksum = bytes(nkeys.crc16_checksum(bytearray(raw)))
        return base64.b32encode(raw + checksum).rstrip(b"=").decode()

    def open(self, sealed: bytes, server_curve: str) -> dict[str, Any]:
        """Return the claims of a request that only the server can have sealed.

        Raises:
            ValueError: it was not sealed for this process.
        """
        if not sealed.startswith(_SEALED):
            raise ValueError("the server's request is not sealed")
        token = self._box(server_curve).decrypt(sealed[len(_SEALED) :])
        body = token.split(b".")[1]
        return json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))

    def seal(self, token: str, server_curve: str) -> bytes:
        """Return a signed answer that only the server can open."""
        return _SEALED + bytes(self._box(server_curve).encrypt(token.encode()))

    def sign(self, kind: str, subject: str, audience: str, content: dict[str, Any]) -> str:
        """Return a signed JWT of a `kind` ("user" or "authorization_response")."""
        seconds = content.pop("seconds", None)
        now = int(time.time())
        claims = {"iss": self.account, "sub": subject, "aud": audience, "iat": now}
        claims |= {"name": content.pop("name", subject)}
        claims |= {"exp": now + seconds} if seconds else {}
        claims |= {"nats": content | {"type": kind, "version": 2}}
        claims |= {"jti": hashlib.sha256(json.dumps(claims).encode()).hexdigest()}
        signed = _encode(_HEADER) + b"." + _encode(json.dumps(claims).encode())
        return (signed + b"." + _encode(self._account.sign(signed))).decode()

    def _box(self, server_curve: str) -> Box:
        raw = base64.b32decode(server_curve + "=" * (-len(server_curve) % 8))
        return Box(self._curve, PublicKey(raw[1:33]))


def _encode(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")
