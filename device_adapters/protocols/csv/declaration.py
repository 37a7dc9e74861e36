"""The first line of a table: which column is what, the time zone and the decimal sign.

    #proofrail csv/1 at=Time;register=OBIS;value=Reading;unit="kWh";zone=UTC;decimal=,;separator=;

A word names a column, a word in double quotes is the value itself, for all rows. Nothing that is
not declared is guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from device_adapters.types import Reason, Rejected

START, VERSION = "#proofrail csv/", "1"
LINE = (
    "#proofrail csv/1 device=Meter;at=Time;register=OBIS;value=Value;unit=Unit;zone=Europe/Berlin;"
    "decimal=,;separator=;"
)
OFFSET = "offset"  # zone=offset: each time has its own
ISO = "YYYY-MM-DDThh:mm:ss"
_FIELDS = ("device", "at", "register", "value", "unit", "status")
_REQUIRED = ("at", "register", "value", "unit", "zone", "decimal", "separator")
_SINGLE = re.compile(r"(decimal|separator)=(tab|.)(?:;|$)")
_PAIR = re.compile(r"([a-z]+)=(\"[^\"]*\"|[^\";=]+)(?:;|$)")
_ZONE = re.compile(r"([+-])([0-9]{2}):([0-9]{2})", re.ASCII)
_TOKENS = {
    "YYYY": r"(?P<year>[0-9]{4})",
    "YY": r"(?P<short>[0-9]{2})",
    "MM": r"(?P<month>[0-9]{2})",
    "DD": r"(?P<day>[0-9]{2})",
    "hh": r"(?P<hour>[0-9]{2})",
    "mm": r"(?P<minute>[0-9]{2})",
    "ss": r"(?P<second>[0-9]{2})",
}
_TOKEN = re.compile("|".join(_TOKENS))
_OFFSET = r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a first line declares.

    Attributes:
        columns: Field -> name of its column.
        constants: Field -> its value in all rows.
        zone: None where each time has its own offset.
        time: The form of a time, as a compiled expression with named groups.
        good: Words of the status that mark a usable value; empty where no status is declared.
    """

    columns: dict[str, str]
    constants: dict[str, str]
    zone: tzinfo | None
    decimal: str
    separator: str
    time: re.Pattern[str]
    good: frozenset[str]


def parse_line(line: str) -> Declaration:
    """Return what the first line declares; Rejected where it is missing, incomplete or unknown."""
    if not line.startswith(START):
        detail = f"the table does not declare its columns. Put this before its header: {LINE}"
        raise Rejected(Reason.MALFORMED, detail)
    version, _, rest = line.removeprefix(START).partition(" ")
    if version != VERSION:
        raise Rejected(Reason.MALFORMED, f"declaration csv/{version[:10]}; csv/{VERSION} is read")
    values = _values(rest.strip())
    missing = [name for name in _REQUIRED if name not in values]
    if missing:
        detail = f"the declaration lacks {', '.join(missing)}. Complete is for example: {LINE}"
        raise Rejected(Reason.MALFORMED, detail)
    if ("status" in values) != ("good" in values):
        detail = "status=COLUMN and good=WORD|WORD belong together: which words mark a usable value"
        raise Rejected(Reason.MALFORMED, detail)
    fields = {name: values[name] for name in _FIELDS if name in values}
    is_offset = values["zone"] == OFFSET
    return Declaration(
        {name: text for name, text in fields.items() if not text.startswith('"')},
        {name: text[1:-1] for name, text in fields.items() if text.startswith('"')},
        None if is_offset else _zone(values["zone"]),
        _decimal(values),
        "\t" if values["separator"] == "tab" else values["separator"],
        _time(values.get("format", ISO), is_offset),
        frozenset(values.get("good", "").split("|")) - {""},
    )


def _values(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _SINGLE.match(text, place) or _PAIR.match(text, place)
        if not match or match[1] not in (*_FIELDS, *_REQUIRED, "format", "good"):
            detail = f"the declaration cannot be read from {text[place : place + 40]!r} on"
            raise Rejected(Reason.MALFORMED, detail)
        if match[1] in values:
            raise Rejected(Reason.DUPLICATE_KEY, f"the declaration gives {match[1]} twice")
        values[match[1]] = match[2].strip() or match[2]
        place = match.end()
    return values


def _decimal(values: dict[str, str]) -> str:
    decimal, separator = values["decimal"], values["separator"]
    if decimal not in (",", ".") or decimal == separator:
        detail = "decimal= is a comma or a point, and another sign than separator="
        raise Rejected(Reason.MALFORMED, detail)
    is_sign = len(separator) == 1 and not separator.isalnum() and separator not in "\"'-+#"
    if separator != "tab" and not is_sign:
        raise Rejected(Reason.MALFORMED, f"separator={separator} cannot separate values")
    return decimal


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if match := _ZONE.fullmatch(name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        if offset < timedelta(hours=24):
            return timezone(-offset if match[1] == "-" else offset)
    elif re.fullmatch(r"[A-Za-z]+(?:/[A-Za-z0-9_+-]+){1,2}", name, re.ASCII):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    detail = f"zone={name:.40}: give UTC, +hh:mm, offset, or a name as Europe/Berlin"
    raise Rejected(Reason.MALFORMED, detail)


def _time(form: str, has_offset: bool) -> re.Pattern[str]:
    """Return the expression of a form of time, such as DD.MM.YYYY hh:mm."""
    names = _TOKEN.findall(form)
    between = _TOKEN.sub("", form)
    needed = {"MM", "DD", "hh", "mm"} <= set(names) and ("YYYY" in names) != ("YY" in names)
    if not needed or len(names) != len(set(names)) or re.search(r"[^ T.:/_-]", between):
        detail = f"format={form:.40}: write YYYY (or YY), MM, DD, hh, mm and perhaps ss, each once"
        raise Rejected(Reason.MALFORMED, detail)
    parts, place = [], 0
    for token in _TOKEN.finditer(form):
        parts += [re.escape(form[place : token.start()]), _TOKENS[token[0]]]
        place = token.end()
    parts.append(re.escape(form[place:]))
    if form == ISO:  # seconds and their fraction may be missing, and a blank may stand for the T
        parts = [_TOKENS["YYYY"], "-", _TOKENS["MM"], "-", _TOKENS["DD"], "[T ]", _TOKENS["hh"]]
        parts += [":", _TOKENS["mm"], rf"(?::{_TOKENS['ss']}(?:\.(?P<fraction>[0-9]{{1,3}}))?)?"]
    return re.compile("".join(parts) + (_OFFSET if has_offset else ""), re.ASCII)
