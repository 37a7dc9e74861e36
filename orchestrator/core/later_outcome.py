"""Later outcomes: what became of a record after its receipt said `accepted`.

A receipt answers what the record says by itself. Rules that need other records, the oracles and the
contract decide later; each of their refusals becomes a later outcome, which the device
acknowledges. The rail signs outcomes with its receipt key. The header's `typ` keeps receipts and
outcomes apart: neither can be read as the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Protocol

from joserfc.jwk import ECKey

from device_adapters import strict_json
from device_adapters.types import Reason, Rejected
from orchestrator.core.payment import STOPPING, Stage
from orchestrator.core.receipt import ACCEPTED, ReceiptReason, Receipts, read_signed

VERSION = 1
TYPE = "proofrail-outcomes"
MAX_BYTES = 64 * 1024  # of one message before its signature: small devices have to read it
MAX_DETAIL = 400  # characters of the sentence that a message has; the store keeps all of it
MAX_IDS = 1_000  # of one acknowledgement
FIRST_PAUSE_S, LAST_PAUSE_S = 30, 6 * 3_600
# ends of a payment that leave its records unpaid
UNPAID = (*STOPPING, Stage.REFUNDED, Stage.SKIPPED)
_ID = re.compile(r"[0-9a-f]{64}")
_FIELDS = {"id", "device", "evidence", "event", "counter", "outcome", "detail", "payment", "at"}


class OutcomeReason(StrEnum):
    """Why an acknowledgement is refused."""

    VERSION_UNKNOWN = "acknowledgement_version_unknown"


class SentOutcome(Protocol):
    """What a message says of one outcome; a row of the store has this shape.

    Attributes:
        outcome_id: SHA-256, hex: the same outcome always has the same id.
        about: Name of the device that the record is about; the message's own device may be its
            gateway.
        evidence_hash: SHA-256 of the record's bytes, hex.
        outcome: A reason, "payment_" with the stage where its payment ended, or "accepted" again.
        at: Unix seconds.
    """

    outcome_id: str
    about: str
    evidence_hash: str
    event_id: str
    counter: int
    outcome: str
    detail: str
    payment_id: str | None
    at: int


@dataclass(frozen=True, slots=True)
class PaymentEnd:
    """What the end of a payment, or its going on, means for its records."""

    outcome: str
    detail: str


def outcome_id(evidence_hash: str, outcome: str, cause: str = "") -> str:
    """Return the id of an outcome: a store that was restored gives the same outcome the same id.

    Args:
        evidence_hash: SHA-256 of the record's bytes, hex.
        outcome: Its code.
        cause: What it follows from, where one outcome can befall a record more than once.
    """
    parts = ["proofrail/outcome", VERSION, evidence_hash, outcome, cause]
    return sha256(json.dumps(parts).encode()).hexdigest()


def end_of_payment(before: Stage, after: Stage, detail: str) -> PaymentEnd | None:
    """Return what a payment's move means for its records; None where it is no news to a device."""
    if after in UNPAID:
        return PaymentEnd(f"payment_{after.value}", detail)
    if before in UNPAID:
        return PaymentEnd(ACCEPTED, f"its payment goes on: {after.value}")
    return None


def pause_after(sent: int) -> int:
    """Return how long to wait after `sent` messages that were not acknowledged, in seconds."""
    return min(FIRST_PAUSE_S << min(max(sent, 1) - 1, 20), LAST_PAUSE_S)


def sign_outcomes(
    receipts: Receipts, device: str, outcomes: Sequence[SentOutcome], at: int
) -> tuple[bytes, int]:
    """Return one signed message and how many of the outcomes it has: the first ones that fit.

    Args:
        receipts: What signs.
        device: Who gets it.
        outcomes: At least one, in order.
        at: Unix seconds.
    """
    views: list[dict[str, Any]] = []
    size = 0
    for outcome in outcomes:
        view = _view(outcome)
        size += len(json.dumps(view))
        if views and size > MAX_BYTES:
            break
        views.append(view)
    payload = {"version": VERSION, "device": device, "at": at, "outcomes": views}
    return receipts.sign_payload(payload, TYPE), len(views)


def sign_all_outcomes(
    receipts: Receipts, device: str, outcomes: Sequence[SentOutcome], at: int
) -> list[bytes]:
    """Return as many signed messages as all these outcomes need."""
    messages: list[bytes] = []
    while outcomes:
        message, count = sign_outcomes(receipts, device, outcomes, at)
        messages.append(message)
        outcomes = outcomes[count:]
    return messages


def read_outcomes(message: bytes, public_key: ECKey) -> dict[str, Any]:
    """Return the payload of a genuine message with later outcomes (docs/reference/wire.md).

    Raises:
        Rejected: receipt_malformed, receipt_algorithm, receipt_other_key or receipt_forged.
    """
    payload = read_signed(message, public_key, TYPE)
    is_whole = payload.keys() == {"version", "device", "at", "outcomes"}
    outcomes = payload["outcomes"] if is_whole and payload["version"] == VERSION else None
    if not isinstance(outcomes, list) or not all(
        isinstance(outcome, dict) and outcome.keys() >= _FIELDS for outcome in outcomes
    ):
        raise Rejected(ReceiptReason.MALFORMED, "not outcomes of a known version", message)
    return payload


def acknowledgement(ids: Sequence[str]) -> bytes:
    """Return the bytes of an acknowledgement; without ids it asks for what is not acknowledged."""
    return json.dumps({"version": VERSION, "ids": list(ids)}, separators=(",", ":")).encode()


def read_acknowledgement(body: bytes) -> list[str]:
    """Return the ids of an acknowledgement, in its order.

    Raises:
        Rejected: It is not one: malformed, too_large, acknowledgement_version_unknown, ...
    """
    try:
        content = strict_json.decode(body.decode())
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "an acknowledgement is JSON in UTF-8", body) from None
    except Rejected as error:
        raise Rejected(error.reason, f"not an acknowledgement: {error.detail}", body) from None
    if not isinstance(content, dict) or content.keys() != {"version", "ids"}:
        raise Rejected(Reason.MALFORMED, "an acknowledgement has a version and ids", body)
    if content["version"] != VERSION:
        raise Rejected(OutcomeReason.VERSION_UNKNOWN, f"version {VERSION} is read", body)
    ids = content["ids"]
    if not isinstance(ids, list) or not all(isinstance(i, str) and _ID.fullmatch(i) for i in ids):
        raise Rejected(Reason.MALFORMED, "an id of an outcome is 64 lower case hex digits", body)
    if len(ids) > MAX_IDS:
        raise Rejected(Reason.TOO_LARGE, f"{len(ids)} ids, at most {MAX_IDS} in a message", body)
    return ids


def _view(outcome: SentOutcome) -> dict[str, Any]:
    return {
        "id": outcome.outcome_id,
        "device": outcome.about,
        "evidence": outcome.evidence_hash,
        "event": outcome.event_id,
        "counter": outcome.counter,
        "outcome": outcome.outcome,
        "detail": outcome.detail[:MAX_DETAIL],
        "payment": outcome.payment_id or "",
        "at": outcome.at,
    }
