"""Registers: canonical codes, directions, and the one rule that chooses among several."""

from __future__ import annotations

import pytest

from device_adapters.registers import Direction, Register, choose, of_number, parse

IMPORT, EXPORT, OTHER = Direction


@pytest.mark.parametrize(
    ("text", "canonical", "direction", "per_session"),
    [
        ("1-b:1.8.0", "01-0B:01.08.00*FF", IMPORT, False),
        ("01-00:B2.08.00*FF", "01-00:B2.08.00*FF", IMPORT, True),
        ("1-0:1.8.0*255", "01-00:01.08.00*FF", IMPORT, False),
        ("1.8.0", "01-00:01.08.00*FF", IMPORT, False),
        ("1-0:2.8.0", "01-00:02.08.00*FF", EXPORT, False),
        ("01-00:C3.08.00*FF", "01-00:C3.08.00*FF", EXPORT, True),
        ("1-0:1.8.1", "01-00:01.08.01*FF", OTHER, False),  # one tariff of several
        ("1-0:1.8.0*01", "01-00:01.08.00*01", OTHER, False),  # the value of a month ago
        ("1-0:1.7.0", "01-00:01.07.00*FF", OTHER, False),  # power
        ("6-0:1.8.0", "06-00:01.08.00*FF", OTHER, False),  # heat
    ],
)
def test_code__read__then_canonical_with_direction(
    text: str, canonical: str, direction: Direction, per_session: bool
) -> None:
    register = parse(text)
    assert register is not None
    assert (register.text, register.direction, register.per_session) == (
        canonical,
        direction,
        per_session,
    )
    assert of_number(register.number) == register
    assert parse(canonical) == register


@pytest.mark.parametrize("text", ["", "x", "1-0:1.8", "1-0:1.8.0.0.0", "1-0:FFF.8.0", "1-0:1.8.0*"])
def test_code__malformed__then_none(text: str) -> None:
    assert parse(text) is None


def test_code__decimal__then_groups_are_decimal() -> None:
    assert parse("1-0:16.7.0*255", decimal=True) == Register(bytes([1, 0, 16, 7, 0, 255]))
    assert parse("1-0:B1.8.0", decimal=True) is None


@pytest.mark.parametrize(
    ("codes", "direction", "chosen"),
    [
        (["01-0B:01.08.00*FF", "01-0B:B1.08.00*FF", "01-0B:B3.08.00*FF"], IMPORT, "B1"),
        (["01-00:B0.08.00*FF", "01-00:B2.08.00*FF"], IMPORT, "B0"),
        (["01-00:B0.08.00*FF", "01-00:C0.08.00*FF"], IMPORT, "B0"),
        (["01-00:B0.08.00*FF", "01-00:C0.08.00*FF"], EXPORT, "C0"),
        (["01-00:C0.08.00*FF"], IMPORT, None),
        (["01-00:01.08.00*FF", "01-01:01.08.00*FF"], IMPORT, None),  # two channels
        ([], IMPORT, None),
    ],
)
def test_several_registers__choose__then_one_rule(
    codes: list[str], direction: Direction, chosen: str | None
) -> None:
    register = choose([parse(code) for code in codes], direction)  # type: ignore[misc]
    assert (register and register.text[6:8]) == chosen
