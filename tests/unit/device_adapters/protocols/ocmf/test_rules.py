"""Whether an OCMF record by itself may be billed, and its warnings."""

from __future__ import annotations

import pytest

from device_adapters.protocols import ocmf
from device_adapters.types import Event, Place
from tests.support.signing_meter import SigningMeter, payload

METER = SigningMeter()
END = {"TM": "2026-03-01T08:30:00,000+0100 S", "TX": "E", "RV": 2947.101}


def _event(*readings: dict, **fields) -> Event:
    return ocmf.decode(METER.record(payload(*readings, **fields)))


@pytest.mark.parametrize("state", [*"NTDRMXIOSEF", "?", "", None])
def test_not_billable__meter_status_other_than_good__is_named(state: str | None) -> None:
    assert _event({"ST": state}).not_billable == ("meter_status_not_ok",)


@pytest.mark.parametrize(("flags", "refusals"), [("E", 1), ("Et", 1), ("t", 0), ("", 0), (None, 0)])
def test_not_billable__energy_error_flag__is_named_but_the_time_flag_cautions(
    flags: str | None, refusals: int
) -> None:
    event = _event({"EF": flags})
    assert event.not_billable == ("energy_error_flag",) * refusals
    assert ("time_error_flag" in event.facts["cautions"]) == ("t" in (flags or ""))


@pytest.mark.parametrize("level", ["MISMATCH", "INVALID", "OUTDATED", "UNKNOWN", " INVALID "])
def test_not_billable__failed_identification__is_named_for_halves_and_whole_sessions(
    level: str,
) -> None:
    assert _event(IL=level).not_billable == ("identification_level_invalid",)
    assert _event({}, END, IL=level).not_billable == ("identification_level_invalid",)


@pytest.mark.parametrize("level", ["NONE", "HEARSAY", "TRUSTED", "VERIFIED", "CERTIFIED", "SECURE"])
def test_not_billable__other_identification__is_billable(level: str) -> None:
    assert _event(IL=level).not_billable == ()


@pytest.mark.parametrize(
    ("clock", "caution"),
    [("S", []), ("I", ["clock_informative"]), ("R", ["clock_relative"]), ("U", ["clock_unknown"])],
)
def test_not_billable__clock_states__caution_and_stop_no_energy_bill(
    clock: str, caution: list[str]
) -> None:
    event = _event({"TM": f"2026-03-01T08:00:00,000+0100 {clock}"})
    assert event.not_billable == ()
    assert event.facts["cautions"] == caution


def test_not_billable__relative_time_at_the_begin_only__is_named() -> None:
    relative = {"TM": "2026-03-01T08:00:00,000+0100 R"}
    assert _event(relative, END).not_billable == ("clock_inconsistent",)
    informative = {"TM": "2026-03-01T08:00:00,000+0100 I"}
    end = END | {"TM": "2026-03-01T08:30:00,000+0100 R"}
    assert _event(informative, end).not_billable == ()


@pytest.mark.parametrize(
    ("register", "billable"),
    [
        ("1-b:1.8.0", True),
        ("1-0:1.8.0*255", True),
        ("01-00:98.08.00.FF", True),
        ("01-00:C1.08.00", True),
        ("1-0:2.8.0", True),  # the terms say whether energy fed back is billed
        ("1-0:1.8.1", False),
        ("1-0:1.8.0*198", False),
        ("1-0:16.7.0", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_not_billable__register__must_be_one_that_bills(register: str, billable: bool) -> None:
    event = _event({"RI": register})
    assert event.not_billable == (() if billable else ("no_billing_register",))
    assert bool(event.facts["readings"]) == billable


def test_readings__every_register_of_total_energy__is_there_in_canonical_form() -> None:
    duration = {"RI": "01-00:00.08.06.FF", "RU": "sec", "RV": 19}
    export = {"RI": "1-0:2.8.0", "RV": 4.405}
    event = _event({"RI": "1-0:1.8.0"}, export, duration)
    codes = ["01-00:01.08.00*FF", "01-00:02.08.00*FF"]
    assert [reading["obis"] for reading in event.facts["readings"]] == codes
    assert event.not_billable == ()


def test_not_billable__registers_of_which_one_is_chosen__are_billable() -> None:
    mains, car = {"RI": "1-0:1.8.0"}, {"RI": "01-00:B3.08.00", "RV": 1}
    event = _event(mains, car, mains | END, car | END)
    assert [reading["register"] // 10**6 for reading in event.facts["readings"]] == [
        *(2935, 1, 2947, 2947)
    ]
    assert event.not_billable == ()


def test_not_billable__two_channels_of_one_kind__are_ambiguous() -> None:
    channels = {"RI": "01-00:B0.08.00"}, {"RI": "01-01:B0.08.00"}
    assert _event(*channels).not_billable == ("registers_mixed",)
    assert _event(*channels, {"RI": "01-00:B1.08.00"}).not_billable == ()
    export = {"RI": "01-00:C0.08.00"}
    assert _event(*channels, export).not_billable == ()  # where the terms say export, C0 is billed


@pytest.mark.parametrize(
    ("begin", "end", "reason"),
    [
        ({}, {"RV": 1}, "register_backwards"),
        ({}, {"TM": "2026-03-01T07:59:59,999+0100 S"}, "time_backwards"),
        ({}, {"TX": "B"}, "several_begins"),
        ({"TX": "E"}, {"TX": "E"}, "several_ends"),
        ({"TX": "E"}, {"TX": "B"}, "readings_out_of_order"),
        ({}, {"TX": ""}, "readings_out_of_order"),
        ({}, {"RU": "Wh", "RV": 2_947_101}, "unit_mismatch"),
        ({}, {"ST": "M"}, "meter_status_not_ok"),
        ({}, {"EF": "E"}, "energy_error_flag"),
    ],
)
def test_not_billable__whole_session_that_is_inconsistent__is_named(
    begin: dict, end: dict, reason: str | None
) -> None:
    assert _event(begin, END | end).not_billable == ((reason,) if reason else ())


def test_not_billable__several_begins_or_ends_in_a_session__are_named() -> None:
    assert _event({}, {}, END).not_billable == ("several_begins",)
    assert _event({}, END, END).not_billable == ("several_ends",)


def test_cautions__exception_and_deviation__are_in_the_facts() -> None:
    event = _event({}, {"TX": "C"}, {"TX": "X"}, IF=["RFID_WRONG"])
    assert event.facts["cautions"] == ["charging_exception", "outside_specification"]
    assert event.not_billable == ()  # billed up to the reading before


LATER = {"TM": "2026-03-01T08:30:00,000+0100 S", "RV": 2936.0}
PLAIN_TX = {"TX": None}


@pytest.mark.parametrize("state", ["S", "X"])
def test_not_billable__a_fiscal_substitute_or_exchange__is_left_to_the_product(state: str) -> None:
    """By law it is not billable; the terms of a product decide whether it settles."""
    readings = (PLAIN_TX, PLAIN_TX | LATER | {"ST": state})
    event = _event(*readings, PG="F7")
    assert event.not_billable == ()
    assert [reading["status"] for reading in event.facts["readings"]] == ["G", state]
    assert _event(*readings, PG="T7").not_billable == ("meter_status_not_ok",)


@pytest.mark.parametrize("state", ["S", "X"])
def test_check__a_fiscal_substitute_or_exchange__says_not_billable(state: str) -> None:
    record = METER.record(payload(PLAIN_TX | {"ST": state}, PG="F7"))
    (result,) = ocmf.check(record, None).records
    assert "meter_status_not_ok" in [code for code, _ in result.billable_reasons]


def test_not_billable__a_manipulated_meter_with_a_substitute__stays_so() -> None:
    readings = (PLAIN_TX | {"ST": "M"}, PLAIN_TX | LATER | {"ST": "S"})
    assert _event(*readings, PG="F7").not_billable == ("meter_status_not_ok",)


def test_place__a_meter_at_a_charge_point__has_it_as_place_and_a_gateway_has_none() -> None:
    assert _event(CT="EVSEID", CI="DE*ABC*E1").place == Place("EVSEID:DE*ABC*E1")
    assert _event(CT="EVSEID", CI="DE*ABC*E1", MS=None).place is None
    assert _event().place is None
