"""Reads a SenML pack, in JSON or CBOR, and resolves its records (RFC 8428, section 4.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal
from typing import Any

from device_adapters import strict_cbor, strict_json
from device_adapters.content import Content, Reading
from device_adapters.protocols.senml.units import REGISTERED
from device_adapters.registers import parse
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import Finding, Unproven

LABELS = {  # RFC 8428, section 6
    -1: "bver",
    -2: "bn",
    -3: "bt",
    -4: "bu",
    -5: "bv",
    -6: "bs",
    0: "n",
    1: "u",
    2: "v",
    3: "vs",
    4: "vb",
    5: "s",
    6: "t",
    7: "ut",
    8: "vd",
}
NAMES = frozenset(LABELS.values())
VERSION = 10
RELATIVE = 1 << 28  # seconds; a time below is relative to the moment of reading (section 4.5.3)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]*")
_SEPARATORS = ":/._-"
_NUMBERS, _TEXTS = ("bt", "bv", "bs", "v", "s", "t", "ut"), ("bn", "bu", "n", "u", "vs", "vd")
_VALUES = ("v", "vs", "vb", "vd")
_CBOR_LIST, _TAGS = range(0x81, 0x9C), (1, 4)  # epoch time, decimal fraction
_EXACT = Context(prec=120)
_LAST_SECOND = 1 << 48
_MARK = re.compile(rb'"(?:bn|n)"\s*:\s*"')


@dataclass
class _Base:
    """The base fields that hold for a record, from itself and the records before it."""

    fields: dict[str, Any] = field(default_factory=dict)

    def number(self, name: str) -> Decimal:
        return Decimal(self.fields.get(name, 0))


def recognise(data: bytes) -> bool:
    """Return whether bytes are a list of maps with SenML's short names, in JSON or CBOR."""
    text = data.lstrip()
    if text[:1] == b"[":
        return _MARK.search(text[:4_000]) is not None
    if not text or data[0] not in _CBOR_LIST or data[1:2] < b"\xa0":
        return False
    try:
        records = strict_cbor.decode(data, _TAGS, floats=True)
    except Rejected:
        return False
    return all(isinstance(record, dict) and set(record) & {-2, 0} for record in records[:1])


def read(content: bytes) -> Content:
    """Return the readings of a pack, in its order.

    A reading's device is the base name without its last separator ("" without base name), its
    register the name after it: an OBIS code with decimal groups ("1-0:1.8.0") names a register.

    Raises:
        Rejected: it is no pack, of another version, or has a field that must be understood.
    """
    cautions: list[Finding] = []
    shown: dict[str, Any] = {}
    readings = [
        reading
        for record, base in _resolved(_records(content))
        for reading in _readings(record, base, cautions, shown)
    ]
    if not readings and not set(shown) & {"texts", "sums"}:
        unread = ", ".join(shown.get("fields_not_read", [])) or "none"
        detail = f"no record of the pack has a value; fields that are not read: {unread[:100]}"
        raise Rejected(Reason.READING_MISSING, detail)
    return Content(tuple(readings), tuple(dict.fromkeys(cautions)), shown)


def _records(content: bytes) -> list[dict[str, Any]]:
    if content.lstrip()[:1] in (b"[", b"{"):
        try:
            pack = strict_json.decode(content.decode())
        except UnicodeDecodeError:
            raise Rejected(Reason.NOT_UTF8, "the pack is not UTF-8") from None
    else:
        pack = strict_cbor.decode(content, _TAGS, floats=True)
    if not isinstance(pack, list) or not all(isinstance(record, dict) for record in pack):
        raise Rejected(Reason.WRONG_TYPE, "a SenML pack is a list of records")
    if not pack:
        raise Rejected(Reason.EMPTY, "the pack has no record")
    return [{LABELS.get(key, key): value for key, value in record.items()} for record in pack]


def _resolved(records: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], _Base]]:
    base = _Base()
    for record in records:
        checked = {name: _checked(name, value) for name, value in record.items()}
        names = [name for name in checked if name in ("bn", "bt", "bu", "bv", "bs", "bver")]
        base = _Base(base.fields | {name: checked[name] for name in names})
        if base.fields.get("bver", VERSION) != VERSION:
            detail = f"SenML version {base.fields['bver']}; this reader knows {VERSION}"
            raise Rejected(Reason.MALFORMED, detail)
        yield checked, base


def _checked(name: Any, value: Any) -> Any:
    """Return a field's value, a number as Decimal; Rejected where its type is another."""
    if name not in NAMES:
        if isinstance(name, str) and name.endswith("_"):
            detail = f"the pack needs a reader that understands the field {name[:40]!r}"
            raise Rejected(Reason.MALFORMED, detail)
        return value
    if name in _NUMBERS or name == "bver":
        return _number(name, value)
    kind = bool if name == "vb" else str
    if name == "vd" and isinstance(value, bytes):
        return value.hex()
    if not isinstance(value, kind):
        raise Rejected(Reason.WRONG_TYPE, f"the field {name} is not a {kind.__name__}")
    return value


def _number(name: str, value: Any) -> Decimal:
    if isinstance(value, datetime) and name in ("bt", "t", "ut"):  # tag 1, as LwM2M devices send
        return Decimal(value.timestamp())
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Rejected(Reason.WRONG_TYPE, f"the field {name} is not a number")
    if isinstance(value, float):  # CBOR only: the shortest decimal that gives the same double
        return strict_json.exact_decimal(repr(value))
    return Decimal(value)


def _readings(
    record: dict[str, Any], base: _Base, cautions: list[Finding], shown: dict[str, Any]
) -> Iterator[Reading]:
    given = [name for name in _VALUES if name in record]
    if unknown := sorted(str(name)[:40] for name in record if name not in NAMES):
        shown.setdefault("fields_not_read", []).extend(unknown)
    if len(given) > 1:
        raise Rejected(Reason.MALFORMED, f"a record has two values: {given[0]} and {given[1]}")
    if not given and "s" not in record:
        if set(record) & {"n", "u", "t"}:
            name = record.get("n", "")
            raise Rejected(Reason.READING_MISSING, f"the record {name!r:.60} has no value")
        return
    device, register = _named(base.fields.get("bn", ""), record.get("n", ""))
    at_ms = _time(base, record)
    unit = record.get("u", base.fields.get("bu", ""))
    if unit and unit not in REGISTERED:
        detail = f"{unit[:40]!r} is not one of IANA's units for SenML"
        cautions.append((Unproven.UNIT_UNREGISTERED, detail))
    if "v" in record:
        value = _EXACT.add(record["v"], base.number("bv"))
        obis = parse(register, decimal=True)
        name = obis.text if obis else register
        yield Reading(device, at_ms, name, _plain(value), unit, obis=obis)
    elif given:
        texts = shown.setdefault("texts", [])
        texts.append({"device": device, "register": register, "value": str(record[given[0]])})
    if "s" in record:
        total = _EXACT.add(record["s"], base.number("bs"))
        sums = shown.setdefault("sums", [])
        sums.append({"device": device, "register": register, "value": _plain(total), "unit": unit})


def _named(base: str, name: str) -> tuple[str, str]:
    whole = base + name
    if not _NAME.fullmatch(whole) or len(whole) > 200:
        raise Rejected(Reason.DEVICE_MISSING, f"{whole[:60]!r} is not a SenML name")
    return base.rstrip(_SEPARATORS), name or "value"


def _time(base: _Base, record: dict[str, Any]) -> int | None:
    """Return Unix milliseconds; None for a time relative to when the pack was read."""
    seconds = _EXACT.add(base.number("bt"), record.get("t", Decimal(0)))
    if seconds < RELATIVE:
        return None
    if seconds >= _LAST_SECOND:
        raise Rejected(Reason.TIME_MALFORMED, "a time is beyond what a calendar holds")
    return int(seconds * 1000)


def _plain(value: Decimal) -> str:
    return format(value, "f")
