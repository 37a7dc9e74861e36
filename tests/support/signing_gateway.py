"""A gateway for tests: seals contents and reports with a new key, in either form."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from device_adapters.keys import PublicKey
from device_adapters.protocols.sealed.write import (
    SealClaims,
    content_claims,
    write_cose,
    write_jws,
)
from device_adapters.types import Curve

NOW = 1_772_348_460
FORMS = {"COSE": write_cose, "JWS": write_jws}


class SigningGateway:
    """A device or gateway of this name with a new key on P-256 or secp256k1."""

    def __init__(self, name: str = "GW-7", curve: Curve = Curve.SECP256R1) -> None:
        self.name, self.curve = name, curve
        kind = ec.SECP256R1() if curve is Curve.SECP256R1 else ec.SECP256K1()
        private = ec.generate_private_key(kind)
        self.pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        numbers = private.public_key().public_numbers()
        self.key = PublicKey(curve, numbers.x, numbers.y)

    def seal(
        self,
        sub: str,
        counter: int,
        sealed: dict[str, Any] | bytes,
        protocol: str = "senml",
        form: str = "COSE",
        at: int = NOW,
    ) -> bytes:
        """Return a record about `sub`; `sealed`: claims, or the bytes of a foreign protocol."""
        claims = sealed if isinstance(sealed, dict) else content_claims(protocol, sealed)
        return FORMS[form](SealClaims(self.name, sub, counter, at), claims, self.pem)
