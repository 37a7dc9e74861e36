"""The JSON messages to and from an oracle; both sides read them here, strictly.

Integers are JSON integers, hashes and bytes are hex with 0x, records are base64 (they may be any
bytes). A message with an unknown, missing, repeated or wrongly typed field is refused: Rejected,
MALFORMED.
"""

from __future__ import annotations

import json
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from device_adapters import strict_json
from device_adapters.types import Message, Reason, Rejected

from .rulings import Ruling, SignedRuling
from .types import Claim, ClaimReason

RULING_FORMAT = 1  # of the document of a signed ruling
MAX_BODY_BYTES = 32 * 1024 * 1024  # 20,000 records of a fleet, each of about 1,000 bytes
MAX_CLAIMS = 1_000


@dataclass(frozen=True, slots=True)
class Request:
    """A batch to attest: one product's claims in strictly ascending agreement order.

    anchors: agreement id -> last counter that the caller regards as claimed; optional, and only
    compared. evidence: records that the oracle may lack; it verifies them like all others. Their
    `device` is "": no broker has authenticated the sender.
    """

    product: str
    claims: tuple[Claim, ...]
    anchors: Mapping[bytes, int] = field(default_factory=dict)
    evidence: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimRefusal:
    """Why the claim at `index` is not attested."""

    index: int
    reason: ClaimReason
    detail: str


@dataclass(frozen=True, slots=True)
class OracleAnswer:
    """A signature over the whole batch, or the refusals that prevent it; never both."""

    oracle: str
    signature: bytes | None
    refusals: tuple[ClaimRefusal, ...] = ()


def write_request(request: Request) -> bytes:
    """Return the JSON of a request."""
    return _dumps(
        {
            "product": request.product,
            "claims": [claim_to_json(claim) for claim in request.claims],
            "anchors": {_hex(key): counter for key, counter in request.anchors.items()},
            "evidence": [_message_out(message) for message in request.evidence],
        }
    )


def read_request(body: bytes) -> Request:
    """Read a request. Raises Rejected (MALFORMED, NOT_UTF8)."""
    fields = _fields(_loads(body), product=str, claims=list, anchors=dict, evidence=list)
    if len(fields["claims"]) > MAX_CLAIMS:
        raise _bad(f"a request has at most {MAX_CLAIMS} claims")
    return Request(
        product=fields["product"],
        claims=tuple(claim_from_json(item) for item in fields["claims"]),
        anchors={_bytes(key, 32): _uint(counter, 40) for key, counter in fields["anchors"].items()},
        evidence=tuple(_message_in(item) for item in fields["evidence"]),
    )


def write_answer(answer: OracleAnswer) -> bytes:
    """Return the JSON of an answer."""
    return _dumps(
        {
            "oracle": answer.oracle,
            "signature": _hex(answer.signature) if answer.signature else None,
            "refusals": [
                {"index": refusal.index, "reason": refusal.reason, "detail": refusal.detail}
                for refusal in answer.refusals
            ],
        }
    )


def read_answer(body: bytes) -> OracleAnswer:
    """Read an answer. Raises Rejected (MALFORMED, NOT_UTF8)."""
    fields = _fields(_loads(body), oracle=str, signature=(str, type(None)), refusals=list)
    signature = fields["signature"]
    return OracleAnswer(
        oracle=fields["oracle"],
        signature=None if signature is None else _bytes(signature, 65),
        refusals=tuple(_refusal_in(item) for item in fields["refusals"]),
    )


def claim_to_json(claim: Claim) -> dict[str, Any]:
    """Return the JSON view of a claim."""
    return {
        "agreement": _hex(claim.agreement),
        "sequence": claim.sequence,
        "first_counter": claim.first_counter,
        "last_counter": claim.last_counter,
        "evidence": _hex(claim.evidence),
        "facts": _hex(claim.facts),
    }


def claim_from_json(item: Any) -> Claim:
    """Read the JSON view of a claim. Raises Rejected (MALFORMED)."""
    fields = _fields(
        item,
        agreement=str,
        sequence=int,
        first_counter=int,
        last_counter=int,
        evidence=str,
        facts=str,
    )
    return Claim(
        agreement=_bytes(fields["agreement"], 32),
        sequence=_uint(fields["sequence"], 32),
        first_counter=_uint(fields["first_counter"], 40),
        last_counter=_uint(fields["last_counter"], 40),
        evidence=_bytes(fields["evidence"], 32),
        facts=_bytes(fields["facts"]),
    )


def write_rulings(rulings: Sequence[SignedRuling]) -> bytes:
    """Return the JSON of an oracle's signed rulings."""
    return _dumps({"rulings": [ruling_to_json(signed) for signed in rulings]})


def read_rulings(body: bytes) -> tuple[SignedRuling, ...]:
    """Read an oracle's signed rulings. Raises Rejected (MALFORMED, NOT_UTF8)."""
    fields = _fields(_loads(body), rulings=list)
    return tuple(ruling_from_json(item) for item in fields["rulings"])


def ruling_to_json(signed: SignedRuling) -> dict[str, Any]:
    """Return the document of a signed ruling: what `proofrail-oracle ruling sign` prints."""
    return {
        "version": RULING_FORMAT,
        "rail": signed.ruling.rail,
        "payment": _hex(signed.ruling.payment),
        "decision": signed.ruling.decision,
        "oracle": signed.oracle,
        "signature": _hex(signed.signature),
        "decided_by": signed.decided_by,
        "reason": signed.reason,
        "decided_at": signed.decided_at,
    }


def read_ruling(body: bytes) -> SignedRuling:
    """Read the document of one signed ruling. Raises Rejected (MALFORMED, NOT_UTF8)."""
    return ruling_from_json(_loads(body))


def ruling_from_json(item: Any) -> SignedRuling:
    """Read the JSON view of a signed ruling. Raises Rejected (MALFORMED)."""
    fields = _fields(
        item,
        version=int,
        rail=str,
        payment=str,
        decision=str,
        oracle=str,
        signature=str,
        decided_by=str,
        reason=str,
        decided_at=int,
    )
    if fields["version"] != RULING_FORMAT:
        raise _bad(f"the version of a ruling is {RULING_FORMAT}")
    if fields["decision"] not in ("refund", "stand"):
        raise _bad("a decision is refund or stand")
    _bytes(fields["rail"], 20)
    ruling = Ruling(fields["rail"], _bytes(fields["payment"], 32), fields["decision"] == "refund")
    return SignedRuling(
        ruling,
        fields["oracle"],
        _bytes(fields["signature"], 65),
        fields["decided_by"],
        fields["reason"],
        _uint(fields["decided_at"], 40),
    )


def _message_out(message: Message) -> dict[str, str]:
    record = b64encode(message.body).decode()
    return {"device": message.device, "protocol": message.protocol, "record": record}


def _message_in(item: Any) -> Message:
    fields = _fields(item, device=str, protocol=str, record=str)
    try:
        body = a2b_base64(fields["record"], strict_mode=True)
    except (Base64Error, ValueError):
        raise _bad("a record is not base64") from None
    return Message(fields["protocol"], fields["device"], body, source="http")


def _refusal_in(item: Any) -> ClaimRefusal:
    fields = _fields(item, index=int, reason=str, detail=str)
    try:
        return ClaimRefusal(
            _uint(fields["index"], 16), ClaimReason(fields["reason"]), fields["detail"]
        )
    except ValueError:
        raise _bad(f"unknown reason: {fields['reason'][:60]}") from None


def _fields(item: Any, **types: Any) -> dict[str, Any]:
    """Check that an object has exactly these fields, each of its type (a bool is no int)."""
    if not isinstance(item, dict) or item.keys() != types.keys():
        raise _bad(f"an object with exactly these fields is expected: {', '.join(types)}")
    for name, kind in types.items():
        if not isinstance(item[name], kind) or isinstance(item[name], bool):
            raise _bad(f"{name} has the wrong type")
    return item


def _bytes(text: Any, size: int | None = None) -> bytes:
    try:
        value = bytes.fromhex(text[2:]) if text.startswith("0x") and " " not in text else None
    except ValueError:
        value = None
    if value is None or (size is not None and len(value) != size):
        raise _bad(f"0x and {'hex' if size is None else f'{size} bytes in hex'} are expected")
    return value


def _uint(value: Any, bits: int) -> int:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise _bad(f"a uint{bits} is expected")
    return value


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _loads(body: bytes) -> Any:
    try:
        return strict_json.decode(body.decode())
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the body is not UTF-8") from None


def _bad(detail: str) -> Rejected:
    return Rejected(Reason.MALFORMED, detail)
