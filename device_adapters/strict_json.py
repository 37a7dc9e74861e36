"""Strict JSON decoder for untrusted text: exact numbers and one type of error.

Numbers become int or Decimal, never float. Duplicate keys, NaN, numbers beyond 2^63, deep
nesting and lone surrogates are rejected, each with its reason. Line breaks inside strings are
accepted, since some vendors wrap long lines.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from device_adapters.types import Reason, Rejected

RECORD_SEPARATOR = b"\x1e"  # RFC 7464: before each of several texts, and never inside one
MAX_DEPTH = 16
MAX_NUMBER = 2**63
_MAX_TOKEN = 40  # characters of one number
_SPACE = " \t\r\n"


def decode(text: str) -> Any:
    """Return the JSON value in `text`; Rejected where it is not exactly one value."""
    value, end = scan(text, 0)
    if text[end:].strip(_SPACE):
        raise Rejected(Reason.MALFORMED, "something follows the JSON value")
    return value


def scan(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON value at `start` (after white space) and the index after it."""
    while text[start : start + 1] in _SPACE and start < len(text):
        start += 1
    value, end = _scan(_EXACT, text, start)
    openings = text.count("{", start, end) + text.count("[", start, end)
    if openings > MAX_DEPTH or text.find("\\u", start, end) >= 0:
        _audit(value)
    return value, end


def as_written(text: str) -> Any:
    """Return the value with every number as the string in the text (to display, not to compute)."""
    start = len(text) - len(text.lstrip(_SPACE))
    return _scan(_WRITTEN, text, start)[0]


def exact_int(token: str) -> int:
    """Return an integer between -2^63 and 2^63; Rejected (NUMBER_OUT_OF_RANGE) otherwise."""
    if len(token) > _MAX_TOKEN or not -MAX_NUMBER < (value := int(token)) < MAX_NUMBER:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"{token[:_MAX_TOKEN]} is beyond 2^63")
    return value


def exact_decimal(token: str) -> Decimal:
    """Return a decimal number within 2^63 and 40 characters; Rejected otherwise."""
    try:
        value = Decimal(token) if len(token) <= _MAX_TOKEN else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite():
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"{token[:_MAX_TOKEN]} is not a usable number")
    if not -_MAX_TOKEN < value.adjusted() < 19 or abs(value) >= MAX_NUMBER:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"{token[:_MAX_TOKEN]} is not a usable number")
    return value


def _constant(token: str) -> Any:
    raise Rejected(Reason.MALFORMED, f"{token} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Rejected(Reason.DUPLICATE_KEY, f"{twice[:40]!r} is twice in one object")
    return value


def _scan(decoder: json.JSONDecoder, text: str, start: int) -> tuple[Any, int]:
    try:
        return decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        rest = text[error.pos : error.pos + 1]  # the decoder stops where the text ends
        cut = not rest or "Unterminated" in error.msg
        reason = Reason.TRUNCATED if cut else Reason.MALFORMED
        raise Rejected(reason, f"no JSON at character {error.pos}: {error.msg}") from None
    except RecursionError:
        raise Rejected(Reason.TOO_DEEP, f"nested deeper than {MAX_DEPTH}") from None


def _audit(value: Any) -> None:
    """Reject deep nesting and lone surrogates; called only where the text may have them."""
    level = [value]
    for _ in range(MAX_DEPTH):
        children: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                children.extend(item)
                children.extend(item.values())
            elif isinstance(item, list):
                children.extend(item)
            elif isinstance(item, str) and any("\ud800" <= char <= "\udfff" for char in item):
                raise Rejected(Reason.NOT_UTF8, "a lone surrogate is not a character")
        if not children:
            return
        level = children
    raise Rejected(Reason.TOO_DEEP, f"nested deeper than {MAX_DEPTH}")


_EXACT = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=exact_decimal,
    parse_int=exact_int,
    parse_constant=_constant,
    strict=False,
)
_WRITTEN = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str, strict=False)
