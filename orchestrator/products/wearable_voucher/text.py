"""Text form of wearable vouchers' terms and facts: euro, taps, seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from device_adapters.types import Rejected
from oracles.types import ClaimReason
from orchestrator.products.wearable_voucher.abi import (
    MAX_CLASSES,
    VoucherStart,
    VoucherTerms,
    decode_facts,
    decode_terms,
    encode_terms,
)

TERMS = (
    ("chain", "the chain id, such as 31337: a voucher for another chain is not paid"),
    ("contract", "address of the WearableVoucher contract that vouchers are signed for"),
    ("per_tap", "euro, the most that one tap may cost, such as 25"),
    ("per_day", "euro, the most per UTC day of signing at all merchants; left out: no limit"),
    ("classes", "up to four merchant classes (ISO 18245), such as 5814,5411; left out: any"),
    ("cool_off", "seconds between two taps; left out: none"),
    ("offline_taps", "taps that one voucher may add at once, such as 5"),
    ("offline_amount", "euro that one voucher may add at once, such as 50"),
    ("max_age", "seconds from signing to settlement, such as 259200 (three days)"),
    ("starts", "PAYEE:EURO:TAPS,... paid by an earlier contract; left out: nothing"),
)
_NEEDED = ("chain", "contract", "per_tap", "offline_taps", "offline_amount", "max_age")
_MICRO = 6  # digits of a euro in minor units
_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_START = re.compile(rf"({_ADDRESS.pattern}):({_AMOUNT.pattern}):([0-9]{{1,10}})")


def parse_terms(words: Mapping[str, str]) -> bytes:
    """Return the encoded terms for what a person typed.

    Args:
        words: text by the name of the term (see TERMS).

    Raises:
        Rejected: FACTS_MALFORMED; the detail names the term that is wrong.
    """
    help_texts = dict(TERMS)
    for name in words:
        if name not in help_texts:
            names = ", ".join(help_texts)
            raise _malformed(f"{name} is not a term of wearable vouchers. Use: {names}")
    for name in _NEEDED:
        if name not in words:
            raise _malformed(f"{name} is missing: {help_texts[name]}")
    if not _ADDRESS.fullmatch(words["contract"]):
        raise _malformed(
            f"contract is {words['contract']!r}, not an address (0x and 40 hex digits)"
        )
    raw = encode_terms(
        VoucherTerms(
            chain_id=_whole("chain", words),
            contract=words["contract"],
            per_tap=_micro("per_tap", words),
            per_day=_micro("per_day", words),
            classes=_classes(words.get("classes", "")),
            cool_off=_whole("cool_off", words),
            offline_taps=_whole("offline_taps", words),
            offline_amount=_micro("offline_amount", words),
            max_age=_whole("max_age", words),
            starts=_starts(words.get("starts", "")),
        )
    )
    decode_terms(raw)
    return raw


def format_terms(raw: bytes) -> dict[str, str]:
    """Return the terms as text with units, by label."""
    terms = decode_terms(raw)
    view = {"per tap": _euro(terms.per_tap)}
    if terms.per_day:
        view["per day"] = _euro(terms.per_day)
    view["merchant classes"] = ", ".join(f"{code:04}" for code in terms.classes) or "any"
    if terms.cool_off:
        view["cool-off"] = f"{terms.cool_off} s"
    taps, amount = terms.offline_taps, _euro(terms.offline_amount)
    view["offline"] = f"at most {taps} taps, {amount}, {terms.max_age} s"
    view["contract"] = f"{terms.contract} on chain {terms.chain_id}"
    if terms.starts:
        rows = (f"{s.payee} {_euro(s.paid)} for {s.taps} taps" for s in terms.starts)
        view["paid before"] = ", ".join(rows)
    return view


def format_facts(raw: bytes) -> dict[str, str]:
    """Return the facts as text with units, by label."""
    facts = decode_facts(raw)
    return {
        "payee": facts.payee,
        "total": f"{_euro(facts.total)} for {facts.taps} tap{'s' * (facts.taps != 1)}",
        "merchant class": f"{facts.merchant_class:04}",
        "cap": _euro(facts.cap),
        "signed": _moment(facts.signed_at),
        "expires": _moment(facts.expiry),
    }


def _classes(text: str) -> tuple[int, ...]:
    codes = text.split(",") if text else []
    if len(codes) > MAX_CLASSES or not all(re.fullmatch("[0-9]{4}", code) for code in codes):
        raise _malformed(f"classes is {text!r}, not up to four codes of four digits, as 5814,5411")
    return tuple(int(code) for code in codes)


def _starts(text: str) -> tuple[VoucherStart, ...]:
    rows = [_START.fullmatch(row) for row in text.split(",")] if text else []
    if not all(rows):
        raise _malformed(f"starts is {text!r}, not PAYEE:EURO:TAPS,... such as 0x12...:7.50:3")
    starts = [VoucherStart(row[1], _parse_euro(row[2]), int(row[3])) for row in rows if row]
    return tuple(sorted(starts, key=lambda start: int(start.payee, 16)))


def _whole(name: str, words: Mapping[str, str]) -> int:
    text = words.get(name, "0")
    if not re.fullmatch("[0-9]{1,18}", text):
        raise _malformed(f"{name} is {text!r}, not a whole number")
    return int(text)


def _micro(name: str, words: Mapping[str, str]) -> int:
    text = words.get(name, "0")
    if not _AMOUNT.fullmatch(text):
        raise _malformed(f"{name} is {text!r}, not euro with at most {_MICRO} decimals")
    return _parse_euro(text)


def _parse_euro(text: str) -> int:
    whole, _, decimals = text.partition(".")
    return int(whole + decimals.ljust(_MICRO, "0"))


def _euro(micro: int) -> str:
    whole, rest = divmod(micro, 10**_MICRO)
    decimals = f"{rest:0{_MICRO}}".rstrip("0").ljust(2, "0")
    return f"{whole}.{decimals} EUR"


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # a uint40 can be later than any date
        return f"{seconds} s after 1970"


def _malformed(detail: str) -> Rejected:
    return Rejected(ClaimReason.FACTS_MALFORMED, detail)
