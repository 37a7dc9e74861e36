"""Facts of a sealed content: whole milliwatt-hours, plausible times, and what counts as energy."""

from __future__ import annotations

import pytest

from device_adapters.content import Content, Reading
from device_adapters.protocols.sealed.meter import facts_of, register_mwh
from device_adapters.registers import parse
from device_adapters.types import Reason, Rejected

IMPORT, TARIFF, POWER = (parse(code, decimal=True) for code in ("1.8.0", "1.8.1", "16.7.0"))


def reading(obis=IMPORT, value: str = "5", unit: str = "kWh", at_ms: int | None = 7, **rest):
    return Reading("M-1", at_ms, obis.text, value, unit, obis=obis, **rest)


@pytest.mark.parametrize(
    ("value", "unit", "mwh"),
    [
        ("1.5", "Wh", 1_500),
        ("1.0000009", "kWh", 1_000_000),
        ("0.000000001", "MWh", 1),
        ("3600", "J", 1_000),
        ("7.19", "J", 1),
        ("9223372036854.775807", "kWh", 2**63 - 1),
    ],
)
def test_register__any_unit_of_energy__is_rounded_down(value: str, unit: str, mwh: int) -> None:
    assert register_mwh(value, unit) == mwh


@pytest.mark.parametrize(
    ("value", "unit", "reason"),
    [
        ("1", "mWh", Reason.UNIT_UNKNOWN),
        ("1", "kW", Reason.UNIT_UNKNOWN),
        ("1", "", Reason.UNIT_UNKNOWN),
        ("-0.1", "Wh", Reason.NUMBER_OUT_OF_RANGE),
        ("9223372036854.775808", "kWh", Reason.NUMBER_OUT_OF_RANGE),
        ("NaN", "kWh", Reason.NUMBER_OUT_OF_RANGE),
        ("many", "kWh", Reason.NUMBER_OUT_OF_RANGE),
    ],
)
def test_register__what_cannot_be_counted__is_refused_by_name(
    value: str, unit: str, reason: Reason
) -> None:
    with pytest.raises(Rejected) as caught:
        register_mwh(value, unit)
    assert caught.value.reason is reason


@pytest.mark.parametrize("at_ms", [-1, 1 << 63])
@pytest.mark.parametrize("obis", [IMPORT, POWER])
def test_facts__a_time_that_cannot_be__is_refused(at_ms: int, obis) -> None:
    with pytest.raises(Rejected) as caught:
        facts_of(Content((reading(obis, at_ms=at_ms),)), "M-1", 9)
    assert caught.value.reason is Reason.TIME_MALFORMED


def test_facts__tariffs_and_power__are_shown_and_do_not_count() -> None:
    content = Content((reading(TARIFF), reading(POWER, unit="W"), reading()))
    kind, facts, last_ms = facts_of(content, "M-1", 9)
    assert (kind, last_ms, len(facts["readings"]), len(facts["others"])) == (
        "meter.reading",
        7,
        1,
        2,
    )
    kind, facts, last_ms = facts_of(Content((reading(POWER, at_ms=None),)), "M-1", 9)
    assert (kind, last_ms, facts["others"]) == ("sensor.reading", 9, [])


def test_facts__unusable_value__has_the_status_of_a_substitute() -> None:
    _, facts, _ = facts_of(Content((reading(usable=False), reading(at_ms=8))), "M-1", 9)
    assert [fact["status"] for fact in facts["readings"]] == ["S", "G"]
