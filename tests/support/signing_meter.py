"""A meter for tests: signs OCMF payloads with a new key on any curve, in the form of any vendor."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import ecdsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from ecdsa.util import sigencode_der
from pyocmf.crypto import fallback

from device_adapters.keys import PublicKey, read_der
from device_adapters.types import Curve

CURVES = {
    Curve.SECP256R1: ec.SECP256R1,
    Curve.SECP256K1: ec.SECP256K1,
    Curve.SECP192R1: ec.SECP192R1,
    Curve.SECP384R1: ec.SECP384R1,
    Curve.SECP521R1: ec.SECP521R1,
    Curve.BRAINPOOLP256R1: ec.BrainpoolP256R1,
    Curve.BRAINPOOLP384R1: ec.BrainpoolP384R1,
}
READING = {
    "TM": "2026-03-01T08:00:00,000+0100 S",
    "TX": "B",
    "RV": 2935.6,
    "RI": "01-00:B0.08.00",
    "RU": "kWh",
    "RT": "AC",
    "EF": "",
    "ST": "G",
}
PAYLOAD: dict[str, Any] = {
    "FV": "1.0",
    "GI": "Meter for tests",
    "GS": "GW-1",
    "PG": "T41",
    "MS": "EV-0001",
    "IS": True,
    "IL": "VERIFIED",
    "IF": ["RFID_RELATED"],
    "IT": "ISO14443",
    "ID": "1F2D3A4F5506C7",
    "RD": [READING],
}


def payload(*readings: dict[str, Any], **fields: Any) -> str:
    """Return a payload as JSON with some fields replaced; None removes a field."""
    merged = PAYLOAD | fields
    if readings:
        merged["RD"] = [READING | changes for changes in readings]
        merged["RD"] = [
            {key: value for key, value in reading.items() if value is not None}
            for reading in merged["RD"]
        ]
    return json.dumps({key: value for key, value in merged.items() if value is not None})


class SigningMeter:
    """A meter with a new key on `curve`."""

    def __init__(self, curve: Curve = Curve.SECP256R1) -> None:
        self.curve = curve
        if curve is Curve.SECP192K1:
            self._own = ecdsa.SigningKey.generate(fallback._secp192k1())
            point = self._own.get_verifying_key().pubkey.point
            self.key = PublicKey(curve, int(point.x()), int(point.y()))
        else:
            self._private = ec.generate_private_key(CURVES[curve]())
            numbers = self._private.public_key().public_numbers()
            self.key = PublicKey(curve, numbers.x, numbers.y)

    def sign(self, content: str, digest: str = "SHA256") -> bytes:
        """Return a DER signature over the text."""
        if self.curve is Curve.SECP192K1:
            name = getattr(hashlib, digest.lower())
            return self._own.sign(content.encode(), hashfunc=name, sigencode=sigencode_der)
        return self._private.sign(content.encode(), ec.ECDSA(getattr(hashes, digest)()))

    def record(self, content: str | None = None, encoding: str = "", **seal: Any) -> bytes:
        """Return OCMF|payload|signature; `seal` replaces fields of the signature section."""
        content = payload() if content is None else content
        der = self.sign(content)
        data = base64.b64encode(der).decode() if encoding == "base64" else der.hex()
        section: dict[str, Any] = {"SD": data}
        if self.curve is not Curve.SECP256R1:
            section["SA"] = f"ECDSA-{self.curve}-SHA256"
        if encoding:
            section["SE"] = encoding
        return f"OCMF|{content}|{json.dumps(section | seal)}".encode()


def raw_of(der: bytes, size: int = 32) -> str:
    """Return the r||s form of a DER signature, in hex."""
    r, s = read_der(der)
    return (r.to_bytes(size, "big") + s.to_bytes(size, "big")).hex()
