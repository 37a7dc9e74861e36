"""Text form of a metered fleet's terms and facts: euro, watts, kilowatt-hours, a table of members.

Decimal numbers are read and written digit by digit. A register counts in whole watt-hours: what a
reading has beyond them is left out, as it is left out of every later one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from device_adapters.registers import Direction, of_number, parse
from device_adapters.types import Assurance, Rejected, device_id, is_device_name
from oracles.types import ClaimReason
from orchestrator.products.metered_fleet.abi import (
    MOST_AGE,
    FleetKind,
    FleetMember,
    FleetTerms,
    decode_facts,
    decode_terms,
    encode_terms,
    minutes_between,
)

TERMS = (
    (
        "members",
        "a line for each meter: device, counter, register in kWh, perhaps when it was read",
    ),
    ("price", "euro per kWh, such as 0.30"),
    ("fuse", "the fuse rating of each meter in watts, such as 22000: more is never charged"),
    ("period", "the least time from claim to claim, such as 1 hour or 1 day"),
    ("started", "when the start registers were read, such as 2026-12-31T23:00Z"),
    ("register", "the OBIS code that counts; left out: 1-0:1.8.0, energy taken from the grid"),
    ("assurance", "the least that is taken: device (or left out), gateway or file"),
)
_OPTIONAL = ("register", "assurance")
_SILENT = 0  # counters of a step
_MICRO, _MILLI = 6, 3  # digits: euro to minor units, and kWh to Wh
_NUMBER = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")
_COUNTER = re.compile(r"[0-9]{1,10}")
_PERIOD = re.compile(r"([0-9]{1,5}) (second|minute|hour|day)s?")
_ID = re.compile(r"0x[0-9a-f]{64}")
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_MOST_WORD = (1 << 32) - 1
_IMPORT = "1-0:1.8.0"
_HEADING = "device"


def parse_terms(words: Mapping[str, str]) -> bytes:
    """Return the encoded terms for what a person typed.

    Args:
        words: text by the name of the term (see TERMS). members: rows of a CSV file, or rows
            separated by semicolons; a device by its name, or by its id (0x and 64 digits).

    Raises:
        Rejected: FACTS_MALFORMED; the detail names the term that is wrong.
    """
    help_texts = dict(TERMS)
    for name in words:
        if name not in help_texts:
            names = ", ".join(help_texts)
            raise _malformed(f"{name} is not a term of a metered fleet. Use: {names}")
    for name in help_texts:
        if name not in words and name not in _OPTIONAL:
            raise _malformed(f"{name} is missing: {help_texts[name]}")
    started = _time("started", words["started"])
    return encode_terms(
        FleetTerms(
            _word("price", _micro("price", words["price"])),
            _word("fuse", _whole("fuse", words["fuse"])),
            _period(words["period"]),
            started,
            _register(words.get("register", _IMPORT)),
            _assurance(words.get("assurance", Assurance.DEVICE)),
            _members(words["members"], started),
        )
    )


def format_terms(raw: bytes) -> dict[str, str]:
    """Return the terms as text with units, by label; the members are counted, not listed."""
    terms = decode_terms(raw)
    start = sum(member.register for member in terms.members)
    return {
        "price": f"{_plain(terms.price_per_kwh)} EUR/kWh",
        "meters": f"{len(terms.members)}, together {_plain(start, _MILLI)} kWh at the start",
        "started": _moment(terms.started),
        "fuse": f"{terms.fuse_watts} W",
        "period": f"at least {_format_period(terms.period)}",
        "register": of_number(terms.register).text,
        "assurance": terms.least_assurance.value,
    }


def format_facts(raw: bytes) -> dict[str, str]:
    """Return the facts as text with units, by label; the members are summed up, not listed."""
    facts = decode_facts(raw)
    silent = sum(step.counters == _SILENT for step in facts.steps)
    charged = "" if facts.kind == FleetKind.CHARGED else ", not charged: a claim was passed over"
    return {
        "energy": f"{_plain(facts.energy, _MILLI)} kWh{charged}",
        "meters": f"{len(facts.steps) - silent} read, {silent} silent",
        "from": _moment(facts.from_time),
        "to": _moment(facts.to_time),
    }


def format_price(terms: bytes, facts: bytes) -> str:
    """Return the price that a claim counts at."""
    return f"{_plain(decode_terms(terms).price_per_kwh)} EUR/kWh"


def _members(text: str, started: int) -> tuple[FleetMember, ...]:
    """Return the members in order of their ids."""
    rows = [row.strip() for row in re.split("[\n;]", text) if row.strip()]
    if rows and rows[0].split(",")[0].strip() == _HEADING:
        rows = rows[1:]
    members: dict[bytes, FleetMember] = {}
    for row in rows:
        member = _member(row, started)
        if member.device in members:
            raise _malformed(f"members names {row.split(',')[0]!r:.70} twice")
        members[member.device] = member
    return tuple(members[device] for device in sorted(members))


def _member(row: str, started: int) -> FleetMember:
    name, *columns = (column.strip() for column in row.split(","))
    if len(columns) not in (2, 3):
        raise _malformed(f"members has the row {row!r:.70}, not device, counter, register in kWh")
    is_id = _ID.fullmatch(name)
    if not is_id and not is_device_name(name):
        raise _malformed(f"members has {name!r:.70}, not the name or id of a device")
    counter, register, *times = columns
    age = minutes_between(_time("members", times[0]), started) if times else 0
    if not 0 <= age <= MOST_AGE:
        raise _malformed(f"members has {times[0]}, not within {MOST_AGE} minutes before started")
    device = bytes.fromhex(name[2:]) if is_id else device_id(name)
    watt_hours = _micro("members", register) // 10 ** (_MICRO - _MILLI)
    return FleetMember(device, _whole("members", counter), watt_hours, age)


def _word(name: str, value: int) -> int:
    if value > _MOST_WORD:
        raise _malformed(f"{name} has a number that is too large: at most {_MOST_WORD}")
    return value


def _whole(name: str, text: str) -> int:
    if not _COUNTER.fullmatch(text):
        raise _malformed(f"{name} has {text!r:.40}, not a whole number")
    return int(text)


def _period(text: str) -> int:
    match = _PERIOD.fullmatch(text.strip())
    if match is None:
        raise _malformed(f"period is {text!r:.40}, not a length such as 15 minutes or 1 day")
    return _word("period", int(match[1]) * _SECONDS[match[2]])


def _format_period(seconds: int) -> str:
    unit = next(
        unit for unit in ("day", "hour", "minute", "second") if seconds % _SECONDS[unit] == 0
    )
    count = seconds // _SECONDS[unit]
    return f"{count} {unit}{'s' if count > 1 else ''}"


def _register(text: str) -> int:
    register = parse(text)
    if register is None or register.direction is Direction.OTHER or register.per_session:
        raise _malformed(f"register is {text!r:.40}, not one of total energy that runs on")
    return register.number


def _assurance(word: str) -> int:
    if word not in tuple(Assurance):
        raise _malformed(f"assurance is {word!r:.40}, not {', '.join(Assurance)}")
    return Assurance(word).number


def _time(name: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _malformed(f"{name} has {text!r:.40}, not a time such as 2026-12-31T23:00Z") from None
    if moment.tzinfo is None:
        raise _malformed(f"{name} has {text!r:.40}, a time without its zone (Z, or +01:00)")
    return _word(name, max(int(moment.timestamp()), 0))


def _micro(name: str, text: str) -> int:
    """Return millionths of the number typed."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise _malformed(f"{name} has {text!r:.40}, not a number with at most {_MICRO} decimals")
    return int(match[1] + (match[2] or "").ljust(_MICRO, "0"))


def _plain(value: int, digits: int = _MICRO) -> str:
    """Return a number of millionths, or of other parts, as a decimal without trailing zeros."""
    whole, rest = divmod(value, 10**digits)
    decimals = f"{rest:0{digits}}".rstrip("0")
    return f"{whole}.{decimals}" if decimals else str(whole)


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _malformed(detail: str) -> Rejected:
    return Rejected(ClaimReason.FACTS_MALFORMED, detail)
