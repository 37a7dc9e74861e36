"""Text form of metered energy's terms and facts: euro, watts, kilowatt-hours.

Decimal numbers are read and written digit by digit, so nothing is ever rounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from device_adapters import registers
from device_adapters.types import Assurance, Rejected
from oracles.types import ClaimReason
from orchestrator.products.metered_energy.abi import (
    EnergyTerms,
    ReadingKind,
    decode_facts,
    decode_terms,
    encode_terms,
)

TERMS = (
    ("price", "euro per kWh, such as 0.30"),
    ("fuse", "the fuse rating in watts, such as 22000: energy above it is never charged"),
    ("continuous", "yes: every step of the register is charged; no (or left out): only sessions"),
    ("start", "the register in kWh where charging begins; left out: at the first record"),
    ("rollover", "the kWh at which the register begins at zero again; left out: never"),
    ("export", "yes: energy fed into the grid is charged; no (or left out): energy taken from it"),
    ("assurance", "the least that is taken: device (or left out), gateway or file"),
)
_MICRO = 6  # digits: euro to minor units, and kWh to mWh
_NUMBER = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,6}))?")
_ANSWERS = {"yes": True, "no": False}


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
            raise _malformed(f"{name} is not a term of metered energy. Use: {names}")
    for name in ("price", "fuse"):
        if name not in words:
            raise _malformed(f"{name} is missing: {help_texts[name]}")
    if not re.fullmatch("[0-9]{1,10}", words["fuse"]):
        raise _malformed(f"fuse is {words['fuse']!r}, not whole watts")
    price, start, rollover = (_micro(name, words) for name in ("price", "start", "rollover"))
    return encode_terms(
        EnergyTerms(
            price,
            int(words["fuse"]),
            _answer("continuous", words),
            start,
            rollover,
            _answer("export", words),
            _assurance(words.get("assurance", Assurance.DEVICE)),
        )
    )


def format_terms(raw: bytes) -> dict[str, str]:
    """Return the terms as text with units, by label."""
    terms = decode_terms(raw)
    view = {
        "price": f"{_plain(terms.price_per_kwh)} EUR/kWh",
        "fuse": f"{terms.fuse_watts} W",
        "continuous": "yes" if terms.continuous else "no",
        "export": "yes" if terms.export else "no",
        "assurance": terms.least_assurance.value,
    }
    if terms.start_register:
        view["start"] = f"{_plain(terms.start_register)} kWh"
    if terms.rollover_at:
        view["rollover"] = f"{_plain(terms.rollover_at)} kWh"
    return view


def format_facts(raw: bytes) -> dict[str, str]:
    """Return the facts as text with units, by label."""
    facts = decode_facts(raw)
    named = registers.of_number(facts.register)
    obis = {"obis": f"{named.text} ({named.direction})"} if facts.register else {}
    return {
        "register": f"{_plain(facts.from_register)} -> {_plain(facts.to_register)} kWh",
        "energy": f"{_plain(facts.energy)} kWh",
        "from": _moment(facts.from_time),
        "to": _moment(facts.to_time),
        "reading": ReadingKind(facts.kind).name.lower(),
        **obis,
    }


def _answer(name: str, words: Mapping[str, str]) -> bool:
    answer = _ANSWERS.get(words.get(name, "no"))
    if answer is None:
        raise _malformed(f"{name} is {words[name]!r}, not yes or no")
    return answer


def _assurance(word: str) -> int:
    if word not in tuple(Assurance):
        raise _malformed(f"assurance is {word!r}, not {', '.join(Assurance)}")
    return Assurance(word).number


def _micro(name: str, words: Mapping[str, str]) -> int:
    """Return millionths of the number typed; 0 where the term was left out."""
    text = words.get(name, "0")
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise _malformed(f"{name} is {text!r}, not a number with at most {_MICRO} decimals")
    return int(match[1] + (match[2] or "").ljust(_MICRO, "0"))


def _plain(micro: int) -> str:
    """Return a number of millionths as a decimal without trailing zeros."""
    whole, rest = divmod(abs(micro), 10**_MICRO)
    decimals = f"{rest:0{_MICRO}}".rstrip("0")
    return ("-" if micro < 0 else "") + (f"{whole}.{decimals}" if decimals else str(whole))


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # a uint40 can be later than any date
        return f"{seconds} s after 1970"


def _malformed(detail: str) -> Rejected:
    return Rejected(ClaimReason.FACTS_MALFORMED, detail)
