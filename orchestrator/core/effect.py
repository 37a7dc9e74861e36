"""Effects: what happens outside once a payment is final, each delivered at least once.

An effect's message is a pure function of final chain data, so a rebuild makes the same bytes. Its
id is one per payment and effect: a receiver drops what it has had. A refund later is a second
effect, `NAME.refunded`, and retracts nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Protocol

from device_adapters.types import Rejected
from orchestrator.errors import Halt

MAX_DAYS = 995  # OpenPAYGO: 996 to 999 have other meanings
MAX_BYTES = 64 * 1024  # of a message
REFUNDED = ".refunded"  # ends the name of the effect of a refund
_DOMAIN = b"proofrail/effect/v1"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DEVICE = re.compile(r"0x[0-9a-f]{64}")


class EffectKind(StrEnum):
    """What an effect asks its receiver to do."""

    UNLOCK_TOKEN = "unlock_token"  # give these digits to the customer of a locked device
    WEBHOOK = "webhook"  # take note
    WORK_ORDER = "work_order"  # send a person to do a job
    CASH_ORDER = "cash_order"  # bring cash to a machine


class UnlockMode(StrEnum):
    """What a token does to the days that are left on a device."""

    ADD_TIME = "add_time"
    SET_TIME = "set_time"


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect that a product asks for.

    Attributes:
        name: Distinguishes the effects of one payment.
        kind: Which targets get it.
        content: JSON without fractions. That of an unlock token has `device` (its id, 0x-hex),
            `mode` and `days`.
    """

    name: str
    kind: EffectKind
    content: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FinalPayment:
    """What the chain says about a payment whose block is final.

    Attributes:
        device: Id of the agreement's device, 0x-hex.
        payer, payee: Their addresses, in lower case, as ids are.
        amount_micro: Micro-euro; below zero: its payee owes it.
        settled_at: Time of the block, Unix seconds.
        transaction: Hash of the settlement.
    """

    payment_id: str
    agreement_id: str
    sequence: int
    device: str
    payer: str
    payee: str
    amount_micro: int
    settled_at: int
    transaction: str


@dataclass(frozen=True, slots=True)
class EffectRecord:
    """A row of the outbox.

    Attributes:
        message: The JSON that is delivered; that of an unlock token gets its digits on the way.
        at: Time of the block, Unix seconds.
        unlock_device: Id of the device whose next token this is; "" for any other effect.
    """

    effect_id: str
    payment_id: str
    agreement_id: str
    name: str
    kind: str
    message: str
    at: int
    unlock_device: str = ""


class StoredEffect(Protocol):
    """What the effect of a refund needs of the effect before it; records and rows have it."""

    effect_id: str
    payment_id: str
    agreement_id: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class EffectScope:
    """Where ids of effects are unique: one rail on one chain."""

    chain_id: int
    rail: str  # address, lower case


def effect_id(scope: EffectScope, payment: str, name: str) -> str:
    """Return SHA-256 of domain, chain id, rail, payment id and name, as 0x-hex."""
    words = scope.chain_id.to_bytes(32, "big"), _raw(scope.rail), _raw(payment)
    return "0x" + sha256(b"".join((_DOMAIN, *words, name.encode()))).hexdigest()


# terms, facts and the payment -> the effects that a product asks for (ProductRules.effects)
AskEffects = Callable[[bytes, bytes, FinalPayment], Sequence[Effect]]


def asked_effects(
    scope: EffectScope, ask: AskEffects | None, terms: bytes, facts: bytes, payment: FinalPayment
) -> list[EffectRecord]:
    """Return the outbox rows that a product asks for; none where it cannot read terms or facts.

    Raises:
        Halt: Its effects break the rules above.
    """
    try:
        return records_of(scope, payment, ask(terms, facts, payment)) if ask else []
    except Rejected:
        return []


def records_of(
    scope: EffectScope, payment: FinalPayment, effects: Sequence[Effect]
) -> list[EffectRecord]:
    """Return the outbox rows of a final payment.

    Raises:
        Halt: A product's effects break the rules above.
    """
    names = [effect.name for effect in effects]
    if len(set(names)) != len(names):
        raise _broken(payment.payment_id, f"two effects have one name ({', '.join(names)})")
    return [_record(scope, payment, effect) for effect in effects]


def refund_of(
    scope: EffectScope, effect: StoredEffect, amount_micro: int, kept_micro: int, at: int
) -> EffectRecord:
    """Return the outbox row that reports the refund of an effect's payment.

    Args:
        scope: Rail and chain.
        effect: The effect that was delivered, or will be.
        amount_micro: What was disputed.
        kept_micro: The part of it that stays with the payee.
        at: Time of the block, Unix seconds.
    """
    name = effect.name + REFUNDED
    data = {
        "payment": effect.payment_id,
        "agreement": effect.agreement_id,
        "refunds": effect.effect_id,
        "refunded_micro": amount_micro - kept_micro,
        "kept_micro": kept_micro,
    }
    identity = effect_id(scope, effect.payment_id, name)
    return EffectRecord(
        identity,
        effect.payment_id,
        effect.agreement_id,
        name,
        effect.kind,
        _message(identity, effect.kind + REFUNDED, at, data),
        at,
    )


def canonical(value: Any) -> str:
    """Return JSON that is the same text for the same content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def with_token(message: str, digits: str, count: int) -> str:
    """Return the message of an unlock token with its digits and the device's count."""
    content = json.loads(message)
    content["data"]["token"] = {"digits": digits, "count": count}
    return canonical(content)


def unlock_terms(message: str) -> tuple[UnlockMode, int]:
    """Return (mode, days) of the message of an unlock token."""
    content = json.loads(message)["data"]["content"]
    return UnlockMode(content["mode"]), content["days"]


def _record(scope: EffectScope, payment: FinalPayment, effect: Effect) -> EffectRecord:
    if not _NAME.fullmatch(effect.name):
        raise _broken(payment.payment_id, f"{effect.name!r} is not a name of an effect")
    kind = EffectKind(effect.kind)
    if trouble := _trouble(effect.content) or _unlock_trouble(kind, effect.content):
        raise _broken(payment.payment_id, f"the effect {effect.name} {trouble}")
    identity = effect_id(scope, payment.payment_id, effect.name)
    data = {
        "effect": effect.name,
        "payment": payment.payment_id,
        "agreement": payment.agreement_id,
        "sequence": payment.sequence,
        "device": payment.device,
        "payer": payment.payer,
        "payee": payment.payee,
        "amount_micro": payment.amount_micro,
        "transaction": payment.transaction,
        "content": dict(effect.content),
    }
    message = _message(identity, kind, payment.settled_at, data)
    if len(message) > MAX_BYTES:
        raise _broken(payment.payment_id, f"the effect {effect.name} is above {MAX_BYTES} bytes")
    return EffectRecord(
        identity,
        payment.payment_id,
        payment.agreement_id,
        effect.name,
        kind,
        message,
        payment.settled_at,
        effect.content["device"] if kind is EffectKind.UNLOCK_TOKEN else "",
    )


def _message(identity: str, kind: str, at: int, data: Mapping[str, Any]) -> str:
    """Return the payload in the form of Standard Webhooks: type, timestamp, data."""
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return canonical({"id": identity, "type": kind, "timestamp": stamp, "data": data})


def _trouble(value: Any) -> str:
    """Return why a value is no content of an effect; "" if it is."""
    if value is None or isinstance(value, str | bool | int):
        return ""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            return "has a key that is no text"
        return next((text for item in value.values() if (text := _trouble(item))), "")
    if isinstance(value, list | tuple):
        return next((text for item in value if (text := _trouble(item))), "")
    return f"holds a {type(value).__name__}, which is no JSON without fractions"


def _unlock_trouble(kind: EffectKind, content: Mapping[str, Any]) -> str:
    if kind is not EffectKind.UNLOCK_TOKEN:
        return ""
    days, device = content.get("days"), content.get("device")
    if type(days) is not int or not 1 <= days <= MAX_DAYS:
        return f"is for {days!r} days, and a token holds 1 to {MAX_DAYS}"
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        return "names no device by its id"
    if content.get("mode") not in tuple(UnlockMode):
        return f"has the mode {content.get('mode')!r}"
    return ""


def _broken(payment: str, why: str) -> Halt:
    return Halt(
        f"the product of payment {payment} asks for an impossible effect: {why}. Nothing of its "
        "block was posted. Next: correct the product's `effects`, which has to follow from terms "
        "that it checks; then resume."
    )


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
