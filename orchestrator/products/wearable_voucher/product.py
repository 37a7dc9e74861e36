"""Wearable vouchers: each voucher is one claim; it pays its total less what its payee was paid.

The contract `WearableVoucher` checks the signature itself and decides how much it pays.
This module drops, with a reason, a voucher that the contract would refuse in any case: one for
another chain or contract, or for a merchant class or a price that the payer never agreed to.
What depends on other vouchers (what was paid under any agreement of the wearable, its last time of
signing, a day's limit, the cap, the offline bounds) only the chain can know: it pays up to those
limits, and the agreement continues.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from device_adapters.keys import normalise_low_s
from device_adapters.types import Curve, Event, Signed
from oracles.attest import checksummed
from oracles.types import ClaimReason
from orchestrator.products.wearable_voucher.abi import (
    VoucherFacts,
    VoucherTerms,
    decode_facts,
    decode_terms,
    encode_facts,
    encode_terms,
)
from orchestrator.products.wearable_voucher.card import make_card
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
    "case_event",
    "complete",
    "decode_facts",
    "decode_terms",
    "derive",
    "encode_facts",
    "encode_terms",
    "format_facts",
    "format_terms",
    "make_card",
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
REFUSALS = {  # as in WearableVoucher.refusalName
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
    """Return b"": an agreement covers everything that its wearable signs."""
    return b""


def admit(
    terms: bytes, previous: Event | None, event: Event, earlier: Sequence[Event] = ()
) -> tuple[ClaimReason, str] | None:
    """Return why the contract could never pay this voucher, or None if it can.

    Earlier vouchers make no difference.
    """
    if event.kind != KIND:
        return ClaimReason.KIND_NOT_PRICED, f"{event.kind} is not a voucher"
    agreed, facts = decode_terms(terms), event.facts
    chain_id, contract = _domain(event)
    if (chain_id, contract) != (agreed.chain_id, agreed.contract.lower()):
        return ClaimReason.FOREIGN_DOMAIN, f"signed for {contract} on chain {chain_id}"
    if agreed.classes and facts["merchant_class"] not in agreed.classes:
        return ClaimReason.CLASS_NOT_AGREED, f"merchant class {facts['merchant_class']:04}"
    if facts["total"] > agreed.per_tap * facts["taps"]:
        detail = f"{facts['total']} for {facts['taps']} taps, at most {agreed.per_tap} each"
        return ClaimReason.ABOVE_TAP_LIMIT, detail
    return None


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """Return 1: each voucher is a claim of its own, since the next may pay another merchant."""
    return min(len(events), 1)


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """Return the ABI-encoded voucher as signed, late or not: the contract counts per payee."""
    facts = events[-1].facts
    r, s = int(facts["r"], 16), int(facts["s"], 16)
    r, s = normalise_low_s(r, s, Curve.SECP256R1)
    signature = f"0x{r:064x}", f"0x{s:064x}"
    return encode_facts(VoucherFacts(*(facts[name] for name in _STRUCT), *signature))


def payee(facts: bytes) -> str | None:
    """Return the payee that the voucher names (checksummed address)."""
    return decode_facts(facts).payee


def proof_of_conflict(
    agreement: bytes, first: Event, second: Event
) -> tuple[str, tuple[Any, ...]] | None:
    """Return the call that proves double spending and freezes the wearable on chain.

    Returns:
        (contract function, arguments), or None where the two events prove nothing on chain: not
        two different vouchers with one counter, or not for the same contract.
    """
    if first.kind != KIND or second.kind != KIND or first.event_id != second.event_id:
        return None
    same_domain = _domain(first) == _domain(second)
    if not same_domain or first.signed.content == second.signed.content:
        return None
    domain = checksummed(bytes.fromhex(first.facts["contract"][2:]))
    return "reportDoubleSpend", (domain, *_signed_voucher(first), *_signed_voucher(second))


def _domain(event: Event) -> tuple[int, str]:
    return event.facts["chain"], event.facts["contract"]


def _signed_voucher(event: Event) -> tuple[tuple[Any, ...], bytes]:
    facts = event.facts
    r, s = bytes.fromhex(facts["r"][2:]), bytes.fromhex(facts["s"][2:])
    payee_address = decode_facts(derive(b"", None, [event], {})).payee  # checksummed for web3
    return (event.device_id, payee_address, *(facts[name] for name in _STRUCT[1:])), r + s


def case_event(record: Mapping[str, Any]) -> Event:
    """Return a record of cases.json (facts as in `protocols/voucher`) as an unsigned event."""
    evidence = json.dumps(record).encode()
    facts = {"r": f"0x{1:064x}", "s": f"0x{1:064x}"} | dict(record)
    signed = Signed(evidence, b"", Curve.SECP256R1, "keccak256")
    at = facts["signed_at"] * 1000
    kind = facts.pop("kind", KIND)
    return Event("BAND-1", facts["counter"], at, kind, facts, evidence, signed, "voucher")
