"""Wearable vouchers: each voucher is one claim, paid by its difference to what its payee was paid.

The contract `WearableVoucher` checks the signature itself and decides what there is room for.
Here a voucher is named and dropped that the contract would refuse whatever else was settled: one
for another chain or contract, for a merchant class or a price that the payer never agreed to.
What depends on other vouchers (a day's limit, the cap, the offline bounds) only the chain can
know: it pays up to the room, and the agreement goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from device_adapters.keys import normalise_low_s
from device_adapters.types import Curve, Event, Signed
from oracles.types import ClaimReason
from orchestrator.products.wearable_voucher.abi import (
    VoucherFacts,
    VoucherTerms,
    decode_facts,
    decode_terms,
    encode_facts,
    encode_terms,
)
from orchestrator.products.wearable_voucher.card import card_of
from orchestrator.products.wearable_voucher.text import (
    TERMS,
    format_facts,
    format_terms,
    parse_terms,
)

__all__ = [
    "CONTRACT",
    "GAPLESS",
    "LATE",
    "NAME",
    "REFUSALS",
    "TERMS",
    "VoucherFacts",
    "VoucherTerms",
    "admit",
    "card_of",
    "case_event",
    "complete",
    "decode_facts",
    "decode_terms",
    "derive",
    "encode_facts",
    "encode_terms",
    "format_facts",
    "format_terms",
    "parse_terms",
    "payee",
    "proof_of_conflict",
    "subject",
]

NAME = "wearable_voucher"
CONTRACT = "WearableVoucher"
KIND = "voucher"
GAPLESS = False  # a voucher may sit in an offline terminal while later ones settle
LATE = True
REFUSALS = {  # as WearableVoucher.refusalName has them
    1: "OverLimit",
    2: "FactsMalformed",
    3: "SignatureInvalid",
    4: "DeviceNotActive",
    5: "ClassNotAgreed",
    6: "TapTooLarge",
}
_STRUCT = (
    "payee",
    "total",
    "counter",
    "taps",
    "merchant_class",
    "cap",
    "signed_at",
    "expiry",
)


def subject(terms: bytes) -> bytes:
    """b"": an agreement is about all that its wearable signs."""
    return b""


def admit(terms: bytes, previous: Event | None, event: Event) -> tuple[ClaimReason, str] | None:
    """Whether the contract can pay this voucher at all; what came before it makes no difference."""
    if event.kind != KIND:
        return ClaimReason.KIND_NOT_PRICED, f"{event.kind} is no voucher"
    agreed, facts = decode_terms(terms), event.facts
    where = facts["chain"], facts["contract"]
    if where != (agreed.chain_id, agreed.contract.lower()):
        return ClaimReason.FOREIGN_DOMAIN, f"signed for {where[1]} on chain {where[0]}"
    if agreed.classes and facts["merchant_class"] not in agreed.classes:
        return ClaimReason.CLASS_NOT_AGREED, f"merchant class {facts['merchant_class']:04}"
    if facts["total"] > agreed.per_tap * facts["taps"]:
        detail = f"{facts['total']} for {facts['taps']} taps, at most {agreed.per_tap} each"
        return ClaimReason.ABOVE_TAP_LIMIT, detail
    return None


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """Each voucher is a claim of its own: two of one batch may be two merchants'."""
    return min(len(events), 1)


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """The voucher as it was signed, late or not: the contract keeps account per payee."""
    facts = events[-1].facts
    r, s = int(facts["r"], 16), int(facts["s"], 16)
    r, s = normalise_low_s(r, s, Curve.SECP256R1)
    signature = f"0x{r:064x}", f"0x{s:064x}"
    return encode_facts(VoucherFacts(*(facts[name] for name in _STRUCT), *signature))


def payee(facts: bytes) -> str | None:
    """The voucher says who is paid."""
    return decode_facts(facts).payee


def proof_of_conflict(
    agreement: bytes, first: Event, second: Event
) -> tuple[str, tuple[Any, ...]] | None:
    """The call that shows two vouchers of one wearable and counter; freezes it on chain.

    None where they prove nothing there: not two vouchers, or not both for the same contract.
    """
    if first.kind != KIND or second.kind != KIND or first.event_id != second.event_id:
        return None
    same_domain = _domain(first) == _domain(second)
    if not same_domain or first.signed.content == second.signed.content:
        return None
    return "reportDoubleSpend", (*_testimony(first), *_testimony(second))


def _domain(event: Event) -> tuple[int, str]:
    return event.facts["chain"], event.facts["contract"]


def _testimony(event: Event) -> tuple[tuple[Any, ...], bytes]:
    facts = event.facts
    r, s = bytes.fromhex(facts["r"][2:]), bytes.fromhex(facts["s"][2:])
    to = decode_facts(derive(b"", None, [event], {})).payee  # checksummed, as callers want it
    return (event.device_id, to, *(facts[name] for name in _STRUCT[1:])), r + s


def case_event(record: Mapping[str, Any]) -> Event:
    """An event of a record in cases.json: the facts of `protocols/voucher.py`, unsigned."""
    evidence = json.dumps(record).encode()
    facts = {"r": f"0x{1:064x}", "s": f"0x{1:064x}"} | dict(record)
    signed = Signed(evidence, b"", Curve.SECP256R1, "keccak256")
    at = facts["signed_at"] * 1000
    kind = facts.pop("kind", KIND)
    return Event("BAND-1", facts["counter"], at, kind, facts, evidence, signed, "voucher")
