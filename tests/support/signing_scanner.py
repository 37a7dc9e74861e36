"""A scanner for tests: signs EPCIS documents as detached JWS, valid or not."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from device_adapters.keys import PublicKey
from device_adapters.types import Curve

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
SSCC = "urn:epc:id:sscc:4012345.0111111111"


def event(**fields: Any) -> dict[str, Any]:
    """Return an object event about one pallet; None removes a field."""
    values = {
        "@context": CONTEXT,
        "type": "ObjectEvent",
        "eventTime": "2026-03-02T07:30:00Z",
        "eventTimeZoneOffset": "+01:00",
        "action": "OBSERVE",
        "bizStep": "receiving",
        "epcList": [SSCC],
        **fields,
    }
    return {name: value for name, value in values.items() if value is not None}


def document(*events: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an EPCISDocument of these events."""
    return {
        "@context": CONTEXT,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-02T08:00:00Z",
        "epcisBody": {"eventList": list(events)},
        **fields,
    }


class SigningScanner:
    """A device with a P-256 key and an increasing counter."""

    def __init__(self, name: str = "scanner-1") -> None:
        self.name, self._key = name, ec.generate_private_key(ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        self.key = PublicKey(Curve.SECP256R1, numbers.x, numbers.y)
        self._counter = itertools.count(1)

    def jws(self, body: bytes, encoded: bool = True, **header: Any) -> str:
        """Return the detached JWS over these bytes."""
        fields = {"alg": "ES256", "kid": self.name, "ctr": next(self._counter)}
        if not encoded:
            fields |= {"b64": False, "crit": ["b64"]}
        head = _b64(json.dumps(fields | header).encode())
        content = head + b"." + (_b64(body) if encoded else body)
        r, s = decode_dss_signature(self._key.sign(content, ec.ECDSA(SHA256())))
        return (head + b".." + _b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()

    def record(self, content: dict[str, Any] | None = None, **header: Any) -> bytes:
        """Return the signed record of a document."""
        return self.signed(json.dumps(content or event()).encode(), **header)

    def signed(self, body: bytes, **header: Any) -> bytes:
        """Return the signed record of a document's bytes."""
        return self.jws(body, **header).encode() + b"\n" + body


def framed(*records: bytes) -> bytes:
    """Join several records into one message (RFC 7464)."""
    return b"".join(b"\x1e" + record + b"\n" for record in records)


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
