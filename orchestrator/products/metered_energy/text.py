"""Text form of metered energy's terms and facts: euro, watts, kilowatt-hours.

Decimal numbers are read and written digit by digit, so nothing is ever rounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from device_adapters import registers
from device_adapters.types import Assurance, Rejected
from oracles.types import ClaimReason
from orchestrator.products.metered_energy.abi import (
    DatedPrice,
    EnergyTerms,
    ReadingKind,
    TariffBand,
    decode_facts,
    decode_terms,
    encode_terms,
)
from orchestrator.products.metered_energy.register import total_of

TERMS = (
    (
        "price",
        'euro per kWh, such as 0.30; "0.30, 0.34 from 2027-01-01T00:00+01:00" where it changes; '
        '"1: 0.34; 2: 0.28" for tariff registers',
    ),
    ("fuse", "the fuse rating in watts, such as 22000: energy above it is never charged"),
    ("continuous", "yes: every step of the register is charged; no (or left out): only sessions"),
    (
        "start",
        'the register in kWh where charging begins; left out: at the first record; "1: 12.5; 2: 8" '
        "for tariff registers",
    ),
    ("started", "when the start register was read, such as 2026-12-31T23:00Z"),
    ("rollover", "the kWh at which the register begins at zero again; left out: never"),
    ("export", "yes: energy fed into the grid is charged; no (or left out): energy taken from it"),
    ("assurance", "the least that is taken: device (or left out), gateway or file"),
)
_MICRO = 6  # digits: euro to minor units, and kWh to mWh
_NUMBER = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,6}))?")
_BAND = re.compile(r"\s*([0-9]{1,3})\s*:\s*(.*)", re.DOTALL)
_MOST_PRICE = (1 << 32) - 1  # micro-euro, as the contract keeps it
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
    first, *more = _bands(words["price"], words.get("start"))
    return encode_terms(
        EnergyTerms(
            first.prices[0].price_per_kwh,
            int(words["fuse"]),
            _answer("continuous", words),
            first.start_register,
            _micro("rollover", words.get("rollover", "0")),
            _answer("export", words),
            _assurance(words.get("assurance", Assurance.DEVICE)),
            started_at=_time("started", words["started"]) if "started" in words else 0,
            later_prices=first.prices[1:],
            band=first.number,
            more_bands=tuple(more),
        )
    )


def format_terms(raw: bytes) -> dict[str, str]:
    """Return the terms as text with units, by label."""
    terms = decode_terms(raw)
    bands = terms.by_band()
    view = {
        "price": "; ".join(_of_band(band, _format_prices(band.prices)) for band in bands),
        "fuse": f"{terms.fuse_watts} W",
        "continuous": "yes" if terms.continuous else "no",
        "export": "yes" if terms.export else "no",
        "assurance": terms.least_assurance.value,
    }
    if any(band.start_register for band in bands):
        view["start"] = "; ".join(
            _of_band(band, f"{_plain(band.start_register)} kWh") for band in bands
        )
    if terms.started_at:
        view["started"] = _moment(terms.started_at)
    if terms.rollover_at:
        view["rollover"] = f"{_plain(terms.rollover_at)} kWh"
    return view


def format_facts(raw: bytes) -> dict[str, str]:
    """Return the facts as text with units, by label."""
    facts = decode_facts(raw)
    steps = facts.steps
    obis = {"obis": "; ".join(_obis(step.register) for step in steps)} if facts.register else {}
    return {
        "register": "; ".join(
            f"{_plain(step.from_register)} -> {_plain(step.to_register)} kWh" for step in steps
        ),
        "energy": "; ".join(f"{_plain(step.energy)} kWh" for step in steps),
        "from": _moment(facts.from_time),
        "to": _moment(facts.to_time),
        "reading": ReadingKind(facts.kind).name.lower(),
        **obis,
    }


def format_price(terms: bytes, facts: bytes) -> str:
    """Return the price that a claim counts at, of each band: that of the claim's begin."""
    begin = decode_facts(facts).from_time
    return "; ".join(
        _of_band(band, f"{_plain(band.price_at(begin))} EUR/kWh")
        for band in decode_terms(terms).by_band()
    )


def _obis(number: int) -> str:
    register = registers.of_number(number)
    return f"{register.text} ({total_of(register).direction})"


def _of_band(terms: EnergyTerms, text: str) -> str:
    return f"{terms.band}: {text}" if terms.band else text


def _format_prices(prices: Sequence[DatedPrice]) -> str:
    return ", ".join(
        f"{_plain(price.price_per_kwh)} EUR/kWh"
        + (f" from {_moment(price.since)}" if price.since else "")
        for price in prices
    )


def _bands(prices: str, starts: str | None) -> list[TariffBand]:
    """Return the tariff bands of what was typed for `price` and `start`, in order."""
    start_texts = _by_band("start", starts) if starts is not None else []
    registers_kwh = {number: _micro("start", text) for number, text in start_texts}
    bands = [
        TariffBand(number, registers_kwh.pop(number, 0), tuple(map(_dated_price, text.split(","))))
        for number, text in _by_band("price", prices)
    ]
    if registers_kwh:
        raise _malformed(f"start names band {min(registers_kwh)}, which has no price")
    if any(band.prices[0].since for band in bands):
        raise _malformed("the first price holds from the beginning: leave out its date")
    if len({band.number for band in bands}) < len(bands):
        raise _malformed("price names a band twice")
    return sorted(bands)


def _by_band(name: str, text: str) -> list[tuple[int, str]]:
    parts = [part for part in text.split(";") if part.strip()]
    rows = [match.groups() if (match := _BAND.fullmatch(part)) else ("0", part) for part in parts]
    if not rows or any(int(number) > 255 for number, _ in rows):
        raise _malformed(f"{name} is {text!r}, not a number, nor numbers such as 1: 0.34; 2: 0.28")
    return [(int(number), rest.strip()) for number, rest in rows]


def _dated_price(text: str) -> DatedPrice:
    amount, dated, since = text.strip().partition(" from ")
    price = DatedPrice(_time("price", since) if dated else 0, _micro("price", amount.strip()))
    if price.price_per_kwh > _MOST_PRICE:
        raise _malformed(f"price is {amount!r}, and at most {_plain(_MOST_PRICE)} EUR/kWh fit")
    return price


def _time(name: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _malformed(
            f"{name} has {text.strip()!r}, not a time such as 2027-01-01T00:00+01:00"
        ) from None
    if moment.tzinfo is None:
        raise _malformed(f"{name} has {text.strip()!r}, a time without its zone (Z, or +01:00)")
    return int(moment.timestamp())


def _answer(name: str, words: Mapping[str, str]) -> bool:
    answer = _ANSWERS.get(words.get(name, "no"))
    if answer is None:
        raise _malformed(f"{name} is {words[name]!r}, not yes or no")
    return answer


def _assurance(word: str) -> int:
    if word not in tuple(Assurance):
        raise _malformed(f"assurance is {word!r}, not {', '.join(Assurance)}")
    return Assurance(word).number


def _micro(name: str, text: str) -> int:
    """Return millionths of the number typed."""
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
