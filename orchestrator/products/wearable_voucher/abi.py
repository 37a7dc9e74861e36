"""Terms and facts of wearable vouchers as the contract `WearableVoucher` encodes them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from device_adapters.types import Rejected
from oracles.attest import checksummed
from oracles.types import ClaimReason
from orchestrator.products.struct_codec import StructCodec


class VoucherStart(NamedTuple):
    """What a payee was paid for a wearable's taps by a contract that the present one cannot ask.

    payee: checksummed address. paid: token minor units, above zero. taps: for how many taps.
    """

    payee: str
    paid: int
    taps: int


class VoucherTerms(NamedTuple):
    """Terms of an agreement: amounts in token minor units (6 decimals), times in seconds.

    contract: checksummed address that the wearable signs for. per_day 0: no limit per day.
    classes: up to four ISO 18245 codes (`uint16[4]`, zeros last); none: any class. starts: only
    for a wearable's first agreement, in rising order of payees.
    """

    chain_id: int
    contract: str
    per_tap: int
    per_day: int
    classes: tuple[int, ...]
    cool_off: int
    offline_taps: int
    offline_amount: int
    max_age: int
    starts: tuple[VoucherStart, ...] = ()


class VoucherFacts(NamedTuple):
    """Facts of a claim: the voucher that the wearable signed, with its signature.

    payee: checksummed address. signed_at, expiry: Unix seconds. r, s: 0x-prefixed hex of 32 bytes,
    with the low s.
    """

    payee: str
    total: int
    counter: int
    taps: int
    merchant_class: int
    cap: int
    signed_at: int
    expiry: int
    r: str
    s: str


MAX_CLASSES = 4
_ADDRESS = "uint160"  # the same word as an address, without a checksum for each decoding
_TERMS = StructCodec(
    {
        "chain_id": "uint256",
        "contract": _ADDRESS,
        "per_tap": "uint40",
        "per_day": "uint48",
        "class_1": "uint16",
        "class_2": "uint16",
        "class_3": "uint16",
        "class_4": "uint16",
        "cool_off": "uint24",
        "offline_taps": "uint16",
        "offline_amount": "uint40",
        "max_age": "uint24",
    }
)
_START = StructCodec({"payee": _ADDRESS, "paid": "uint48", "taps": "uint32"})
_TERMS_BYTES, _START_BYTES = 12 * 32, 3 * 32
_FACTS = StructCodec(
    {
        "payee": _ADDRESS,
        "total": "uint48",
        "counter": "uint40",
        "taps": "uint32",
        "merchant_class": "uint16",
        "cap": "uint48",
        "signed_at": "uint40",
        "expiry": "uint40",
        "r": "uint256",
        "s": "uint256",
    }
)
_END_OF_CHAIN_ID = 1 << 255
_END_OF_TOTAL = 1 << 47  # the contract pays an amount as an int48


def encode_terms(terms: VoucherTerms) -> bytes:
    """Return the ABI encoding of terms; Rejected (FACTS_MALFORMED) where a value does not fit."""
    classes = tuple(terms.classes)
    if len(classes) > MAX_CLASSES:
        raise _malformed(f"{len(classes)} merchant classes, at most four")
    slots = classes + (0,) * (MAX_CLASSES - len(classes))
    head = (terms.chain_id, int(terms.contract, 16), terms.per_tap, terms.per_day)
    _check_bound("chain_id", terms.chain_id, _END_OF_CHAIN_ID)
    _check_starts(terms.starts)
    starts = (_START.encode((int(start.payee, 16), *start[1:])) for start in terms.starts)
    return _TERMS.encode((*head, *slots, *terms[5:-1])) + b"".join(starts)


@lru_cache(maxsize=4096)
def decode_terms(raw: bytes) -> VoucherTerms:
    """Return the terms; Rejected (FACTS_MALFORMED) where the contract would not accept them."""
    values, starts = _TERMS.decode(raw[:_TERMS_BYTES]), _decode_starts(raw[_TERMS_BYTES:])
    contract, classes = _address(values[1]), tuple(filter(None, values[4:8]))
    terms = VoucherTerms(values[0], contract, *values[2:4], classes, *values[8:], starts)
    _check_bound("chain_id", terms.chain_id, _END_OF_CHAIN_ID, raw)
    bounds = terms.per_tap, terms.offline_taps, terms.offline_amount, terms.max_age
    if not all(bounds):
        raise _malformed("per_tap, offline_taps, offline_amount and max_age are above zero", raw)
    _check_starts(starts, raw)
    return terms


def _decode_starts(raw: bytes) -> tuple[VoucherStart, ...]:
    rows = (raw[at : at + _START_BYTES] for at in range(0, len(raw), _START_BYTES))
    values = map(_START.decode, rows)
    return tuple(VoucherStart(_address(payee), paid, taps) for payee, paid, taps in values)


def _check_starts(starts: Sequence[VoucherStart], raw: bytes = b"") -> None:
    previous = 0
    for start in starts:
        payee = int(start.payee, 16)
        if payee <= previous or not start.paid:
            raise _malformed("the payees of starts rise, and each was paid something", raw)
        _check_bound("paid", start.paid, _END_OF_TOTAL, raw)
        previous = payee


def encode_facts(facts: VoucherFacts) -> bytes:
    """Return the ABI encoding of facts; Rejected (FACTS_MALFORMED) where a value does not fit."""
    _check_bound("total", facts.total, _END_OF_TOTAL)
    return _FACTS.encode(
        (int(facts.payee, 16), *facts[1:8], int(facts.r, 16), int(facts.s, 16)),
    )


def decode_facts(raw: bytes) -> VoucherFacts:
    """Return the facts of a claim; Rejected (FACTS_MALFORMED) where the bytes are not facts."""
    payee, *numbers, r, s = _FACTS.decode(raw)
    facts = VoucherFacts(_address(payee), *numbers, f"0x{r:064x}", f"0x{s:064x}")
    _check_bound("total", facts.total, _END_OF_TOTAL, raw)
    return facts


def _address(number: int) -> str:
    return checksummed(number.to_bytes(20, "big"))


def _check_bound(name: str, value: int, end: int, raw: bytes = b"") -> None:
    if value >= end:
        raise _malformed(f"{name} is {value}, not below {end}", raw)


def _malformed(detail: str, raw: bytes = b"") -> Rejected:
    return Rejected(ClaimReason.FACTS_MALFORMED, detail, raw)
