"""Strict CBOR decoder for untrusted bytes: one form of each value and one type of error.

RFC 8949 with the limits of `strict_json`: definite lengths, shortest heads (section 4.2.1), no key
twice in a map, at most 16 levels, integers within 2^63, tags only where the caller names them. The
order of a map's keys is free. `_skip` checks this; the library cbor2 then builds the values.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Any

import cbor2

from device_adapters.strict_json import MAX_DEPTH, MAX_NUMBER, exact_decimal
from device_adapters.types import Reason, Rejected

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)
_CONSTANTS = {20, 21, 22}  # false, true, null
_FLOATS = {25: 2, 26: 4, 27: 8}  # additional information -> bytes
_DECIMAL_FRACTION = 4  # the one tag that cbor2 itself turns into a value here


def decode(data: bytes, tags: Collection[int] = (), floats: bool = False) -> Any:
    """Return the CBOR value in `data`; Rejected where it is not exactly one value.

    Args:
        tags: numbers of the tags that may occur; such a value is a `cbor2.CBORTag`, but for tag 4
            (decimal fraction), which is a Decimal.
        floats: whether floating-point numbers may occur.
    """
    end = skip(data, 0, tags, floats)
    if end != len(data):
        raise Rejected(Reason.MALFORMED, f"{len(data) - end} bytes follow the CBOR value")
    try:
        return cbor2.loads(data)
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "a CBOR text is not UTF-8") from None
    except (cbor2.CBORDecodeError, InvalidOperation, ValueError, TypeError, OverflowError) as error:
        if isinstance(error.__cause__, UnicodeDecodeError):
            raise Rejected(Reason.NOT_UTF8, "a CBOR text is not UTF-8") from None
        raise Rejected(Reason.MALFORMED, f"broken CBOR: {error}"[:200]) from None


def skip(data: bytes, start: int, tags: Collection[int] = (), floats: bool = False) -> int:
    """Return the index after the value at `start`; Rejected where it breaks a rule."""
    return _skip(data, start, MAX_DEPTH, tags, floats)


def _skip(data: bytes, at: int, levels: int, tags: Collection[int], floats: bool) -> int:
    kind, number, after = _head(data, at, floats)
    if kind in (_UNSIGNED, _NEGATIVE):
        if number + kind >= MAX_NUMBER:  # kind 1 is -1 - number
            raise Rejected(Reason.NUMBER_OUT_OF_RANGE, "an integer is beyond 2^63")
        return after
    if kind in (_BYTES, _TEXT):
        return _within(data, after + number)
    if kind == _SIMPLE:
        return after
    if not levels:
        raise Rejected(Reason.TOO_DEEP, f"nested deeper than {MAX_DEPTH}")
    if kind == _TAG:
        if number not in tags:
            raise Rejected(Reason.MALFORMED, f"tag {number} may not stand here")
        if number == _DECIMAL_FRACTION:
            return _decimal_fraction(data, after, levels - 1)
        return _skip(data, after, levels - 1, tags, floats)
    _within(data, after + number)  # an item has at least one byte
    if kind == _LIST:
        for _ in range(number):
            after = _skip(data, after, levels - 1, tags, floats)
        return after
    keys: set[bytes] = set()
    for _ in range(number):
        end = _skip(data, after, levels - 1, tags, floats)
        if data[after:end] in keys:
            raise Rejected(Reason.DUPLICATE_KEY, f"key {data[after:end].hex()[:40]} is twice")
        keys.add(data[after:end])
        if data[after] >> 5 not in (_UNSIGNED, _NEGATIVE, _TEXT):
            raise Rejected(Reason.WRONG_TYPE, "a key of a map is neither an integer nor a text")
        after = _skip(data, end, levels - 1, tags, floats)
    return after


def _head(data: bytes, at: int, floats: bool) -> tuple[int, int, int]:
    """Return (major type, argument, index after the head)."""
    _within(data, at + 1)
    kind, short = data[at] >> 5, data[at] & 31
    if kind == _SIMPLE:
        if short in _CONSTANTS:
            return kind, short, at + 1
        if floats and short in _FLOATS:
            return kind, short, _within(data, at + 1 + _FLOATS[short])
        raise Rejected(Reason.WRONG_TYPE, f"no value of CBOR type 7/{short} may stand here")
    if short < 24:
        return kind, short, at + 1
    if short > 27:
        raise Rejected(Reason.MALFORMED, "a length is indefinite or reserved")
    size = 1 << (short - 24)
    after = _within(data, at + 1 + size)
    number = int.from_bytes(data[at + 1 : after], "big")
    if number < (24 if size == 1 else 1 << (4 * size)):
        raise Rejected(Reason.MALFORMED, "a number or length is not in its shortest form")
    return kind, number, after


def _decimal_fraction(data: bytes, at: int, levels: int) -> int:
    """Check the [exponent, mantissa] of a decimal fraction, so that building it is cheap."""
    end = _skip(data, at, levels, (), False)
    pair = cbor2.loads(data[at:end])
    if not isinstance(pair, list) or len(pair) != 2 or not all(type(n) is int for n in pair):
        raise Rejected(Reason.WRONG_TYPE, "a decimal fraction is not two integers")
    if abs(pair[0]) > 40:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"a decimal exponent of {pair[0]}")
    exact_decimal(str(Decimal(pair[1]).scaleb(pair[0])))
    return end


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise Rejected(Reason.TRUNCATED, "the CBOR ends within a value")
    return end
