"""Signs and checks receipts: compact JWS, one for each device, about many records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import ECKey

from device_adapters.types import Rejected

ACCEPTED = "accepted"
MAX_RECEIPT_BYTES = 1024 * 1024
RECORDS_PER_RECEIPT = 250  # about 70 kB: small devices have to read it
_REGISTRY = jws.JWSRegistry(algorithms=["ES256"])
_REGISTRY.max_payload_length = MAX_RECEIPT_BYTES  # the library's 128 kB are too little for a batch
_RECORD_FIELDS = {"evidence", "counter", "outcome", "event"}


class ReceiptReason(StrEnum):
    """Why a receipt is refused."""

    MALFORMED = "receipt_malformed"
    ALGORITHM = "receipt_algorithm"
    OTHER_KEY = "receipt_other_key"
    FORGED = "receipt_forged"


class Answered(Protocol):
    """The answer to one record; `orchestrator.ingest.intake.RecordOutcome` has this shape.

    Attributes:
        evidence: SHA-256 of the record's bytes, hex.
        counter: Its counter; None where it could not be read.
        outcome: "accepted" or the code of a reason.
        event_id: Hex; None where there is no event.
    """

    @property
    def evidence(self) -> str: ...
    @property
    def counter(self) -> int | None: ...
    @property
    def outcome(self) -> str: ...
    @property
    def event_id(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class ReceiptRecord:
    """The plain form of `Answered`."""

    evidence: str
    counter: int | None = None
    outcome: str = ACCEPTED
    event_id: str | None = None


class Receipts:
    """Signs receipts with the rail's receipt key (P-256, PEM, PKCS#8 without password)."""

    def __init__(self, private_key_pem: bytes, former: Sequence[bytes] = ()) -> None:
        """Take the key to sign with, and the public keys (PEM) that signed before it."""
        self._key = _p256(private_key_pem)
        self._former = [_p256(pem) for pem in former]
        if not self._key.is_private:
            raise Rejected(ReceiptReason.ALGORITHM, "signing takes the private key")
        self._header = {"alg": "ES256", "kid": self._key.kid}

    @property
    def public_pem(self) -> bytes:
        """Return what devices need to check receipts (SubjectPublicKeyInfo, PEM)."""
        return self._key.as_pem(private=False)

    @property
    def jwks(self) -> dict[str, Any]:
        """Return the public keys of all receipts as a JWK Set (RFC 7517), the current one first."""
        keys = (self._key, *self._former)
        return {
            "keys": [
                key.as_dict(private=False) | {"kid": key.kid, "use": "sig", "alg": "ES256"}
                for key in keys
            ]
        }

    def sign(self, device: str, answers: Sequence[Answered], at: int) -> bytes:
        """Return one receipt for all answers to one device.

        Args:
            device: The device's name.
            answers: One for each record.
            at: When the records were committed, in Unix seconds.
        """
        records = [
            {
                "evidence": answer.evidence,
                "counter": answer.counter,
                "outcome": str(answer.outcome),
                "event": answer.event_id or "",
            }
            for answer in answers
        ]
        return self.sign_payload({"device": device, "at": at, "records": records})

    def sign_all(self, device: str, answers: Sequence[Answered], at: int) -> list[bytes]:
        """Return receipts for all answers to one device; a large answer comes in several parts."""
        parts = range(0, len(answers), RECORDS_PER_RECEIPT)
        return [self.sign(device, answers[n : n + RECORDS_PER_RECEIPT], at) for n in parts]

    def sign_payload(self, payload: Mapping[str, Any], kind: str = "") -> bytes:
        """Return a compact JWS of a payload; `kind` is the header's `typ`, "" for a receipt."""
        header = self._header | ({"typ": kind} if kind else {})
        content = json.dumps(payload, separators=(",", ":")).encode()
        return jws.serialize_compact(header, content, self._key).encode()


def read_receipt(receipt: bytes, public_key: ECKey) -> dict[str, Any]:
    """Return the payload of a genuine receipt (shape: docs/ARCHITECTURE.md, Wire).

    Args:
        receipt: The compact JWS.
        public_key: The rail's key, from `public_key_of`.

    Raises:
        Rejected: receipt_malformed, receipt_algorithm, receipt_other_key or receipt_forged.
    """
    payload = read_signed(receipt, public_key)
    records = payload["records"] if payload.keys() == {"device", "at", "records"} else None
    if not isinstance(records, list) or not all(
        isinstance(record, dict) and record.keys() == _RECORD_FIELDS for record in records
    ):
        raise Rejected(ReceiptReason.MALFORMED, "the payload lacks members", receipt)
    return payload


def read_signed(message: bytes, public_key: ECKey, kind: str = "") -> dict[str, Any]:
    """Return the payload of a message that the rail signed, of this kind alone.

    Raises:
        Rejected: receipt_malformed, receipt_algorithm, receipt_other_key or receipt_forged.
    """
    if len(message) > MAX_RECEIPT_BYTES:
        raise Rejected(ReceiptReason.MALFORMED, f"{len(message)} bytes are no receipt", message)
    try:
        token = jws.extract_compact(message, registry=_REGISTRY)
        _check_header(token.headers(), public_key, message, kind)
        jws.deserialize_compact(message, public_key, registry=_REGISTRY)
    except BadSignatureError:
        raise Rejected(ReceiptReason.FORGED, "the signature does not hold", message) from None
    except (JoseError, ValueError, RecursionError) as error:
        raise Rejected(ReceiptReason.MALFORMED, f"not a receipt: {error}", message) from None
    return _object_in(token.payload, message)


def public_key_of(pem: bytes) -> ECKey:
    """Return the rail's public receipt key.

    Raises:
        Rejected: The PEM holds no P-256 key (receipt_algorithm).
    """
    key = _p256(pem)
    return _p256(key.as_pem(private=False)) if key.is_private else key


def _p256(pem: bytes) -> ECKey:
    """Return a P-256 key whose kid is its thumbprint (RFC 7638)."""
    try:
        key = ECKey.import_key(pem)
    except (JoseError, ValueError, TypeError) as error:
        raise Rejected(ReceiptReason.ALGORITHM, f"not a PEM key: {error}") from None
    if key.curve_name != "P-256":
        raise Rejected(ReceiptReason.ALGORITHM, "the receipt key must be P-256 (ES256)")
    key.ensure_kid()
    return key


def _check_header(header: dict, key: ECKey, raw: bytes, kind: str) -> None:
    """Refuse every header but ES256 with our key: a header never chooses how it is checked."""
    if header.get("alg") != "ES256":
        raise Rejected(ReceiptReason.ALGORITHM, "the algorithm must be ES256", raw)
    if header.keys() != {"alg", "kid"} | ({"typ"} if kind else set()):
        raise Rejected(ReceiptReason.MALFORMED, "the header has other members", raw)
    if header.get("typ", "") != kind:
        raise Rejected(ReceiptReason.MALFORMED, "the message is of another kind", raw)
    if header["kid"] != key.kid:
        raise Rejected(ReceiptReason.OTHER_KEY, "signed under another key", raw)


def _object_in(content: bytes, raw: bytes) -> dict[str, Any]:
    """Return the payload; a wrong shape is our own bug, but the device must not fail on it."""
    try:
        payload = json.loads(content)
    except (ValueError, RecursionError):
        raise Rejected(ReceiptReason.MALFORMED, "not JSON", raw) from None
    if not isinstance(payload, dict):
        raise Rejected(ReceiptReason.MALFORMED, "the payload lacks members", raw)
    return payload
