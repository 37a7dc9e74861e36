"""The terms and facts of wearable vouchers as ABI words, each within its type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from device_adapters.types import Rejected
from oracles.attest import checksummed
from oracles.types import ClaimReason


class VoucherTerms(NamedTuple):
    """abi.encode(uint256 chainId, address voucherContract, uint40 perTap, uint48 perDay,
    uint16[4] classes, uint24 coolOff, uint16 offlineTaps, uint40 offlineAmount, uint24 maxAge).

    Amounts in token minor units (6 decimals), times in seconds. per_day 0: no limit per day.
    classes: up to four ISO 18245 codes; none: any. contract: checksummed address.
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


class VoucherFacts(NamedTuple):
    """abi.encode(address payee, uint48 total, uint40 counter, uint32 taps, uint16 merchantClass,
    uint48 cap, uint40 signedAt, uint40 expiry, bytes32 r, bytes32 s): what the wearable signed.

    payee: checksummed address. r, s: 0x-prefixed hex of 32 bytes, s low.
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
_TERMS_BITS = (255, 160, 40, 48, 16, 16, 16, 16, 24, 16, 40, 24)
_FACTS_BITS = (160, 47, 40, 32, 16, 48, 40, 40, 256, 256)  # an amount is paid as an int48


def encode_terms(terms: VoucherTerms) -> bytes:
    classes = tuple(terms.classes)
    if len(classes) > MAX_CLASSES:
        raise Rejected(
            ClaimReason.FACTS_MALFORMED, f"{len(classes)} merchant classes, at most four"
        )
    slots = classes + (0,) * (MAX_CLASSES - len(classes))
    head = (terms.chain_id, int(terms.contract, 16), terms.per_tap, terms.per_day)
    return _pack((*head, *slots, *terms[5:]), _TERMS_BITS)


@lru_cache(maxsize=4096)
def decode_terms(raw: bytes) -> VoucherTerms:
    """Rejected (FACTS_MALFORMED) where the contract would not open an agreement on them."""
    values = _unpack(raw, _TERMS_BITS)
    contract, classes = _address(values[1]), tuple(filter(None, values[4:8]))
    terms = VoucherTerms(values[0], contract, *values[2:4], classes, *values[8:])
    bounds = terms.per_tap, terms.offline_taps, terms.offline_amount, terms.max_age
    if not all(bounds):
        detail = "per_tap, offline_taps, offline_amount and max_age are more than nothing"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail, raw)
    return terms


def encode_facts(facts: VoucherFacts) -> bytes:
    words = (int(facts.payee, 16), *facts[1:8], int(facts.r, 16), int(facts.s, 16))
    return _pack(words, _FACTS_BITS)


def decode_facts(raw: bytes) -> VoucherFacts:
    payee, *numbers, r, s = _unpack(raw, _FACTS_BITS)
    return VoucherFacts(_address(payee), *numbers, f"0x{r:064x}", f"0x{s:064x}")


def _address(number: int) -> str:
    return checksummed(number.to_bytes(20, "big"))


def _pack(values: Iterable[int], bits: Sequence[int]) -> bytes:
    numbers = tuple(values)
    if any(not 0 <= value < 1 << width for value, width in zip(numbers, bits, strict=True)):
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"{numbers} does not fit {tuple(bits)} bits")
    return b"".join(value.to_bytes(32, "big") for value in numbers)


def _unpack(raw: bytes, bits: Sequence[int]) -> tuple[int, ...]:
    if len(raw) != 32 * len(bits):
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"{len(raw)} bytes, not {32 * len(bits)}", raw)
    values = tuple(int.from_bytes(raw[i : i + 32], "big") for i in range(0, len(raw), 32))
    if any(value >> width for value, width in zip(values, bits, strict=True)):
        raise Rejected(
            ClaimReason.FACTS_MALFORMED, f"{values} does not fit {tuple(bits)} bits", raw
        )
    return values
