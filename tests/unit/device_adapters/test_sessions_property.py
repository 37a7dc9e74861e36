"""What `evidence check` calls billable is what metered energy pays, with the same energy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from device_adapters.evidence import check_file
from device_adapters.protocols import ocmf
from device_adapters.registers import Direction
from device_adapters.types import Event, Rejected
from oracles import rules
from orchestrator.products.metered_energy import product
from tests.support.meter_streams import agreement
from tests.support.signing_meter import PAYLOAD, SigningMeter

METER = SigningMeter()
KEY = METER.key.der.hex()
FUSE = 2**32 - 1  # whether the energy is plausible is no question here
TOTAL, CAR, SESSION, EXPORT = "1-0:1.8.0", "01-00:B1.08.00", "01-00:B2.08.00", "01-00:C0.08.00"
SHOWN = (  # the registers that a record shows
    *([name] for name in (TOTAL, TOTAL, TOTAL, CAR, SESSION, SESSION, EXPORT)),
    *([TOTAL, CAR], [CAR, TOTAL, SESSION], [TOTAL, EXPORT], [TOTAL, "1-1:1.8.0*255"]),
)
CHANGES: tuple[dict[str, Any], ...] = (
    *({"TX": mark} for mark in "BCEXLTS"),
    *({"EF": flags} for flags in ("E", "t", "Et")),
    *({"ST": state} for state in ("M", "S", "")),
    {"TX": "X", "EF": "E"},
    {"TX": "X", "EF": "E", "RV": None},
    {"TX": "X", "EF": "t"},
    {"TX": "X", "RV": None, "RI": None, "RU": None},
    {"RV": None},
    {"RV": 0},
    {"RV": "5.0000001"},
    {"RU": "Wh", "RV": 70_000_000},
    {"RU": "kW"},
    *({"clock": clock} for clock in "RU"),
    {"hour": "07"},  # no two readings have one time: what a fuse allows is no question here
    {"RI": "1-0:2.8.0"},
    {"RI": "01-00:B1.08.00"},
    {"RI": "1-0:16.7.0"},
)
PAGES = (*({},) * 12, {"IL": "INVALID"}, {"GS": "GW-2"}, {"GS": None}, {"MV": "other"})


def _reading(mark: str, moment: int, register: str, clock: str) -> dict[str, Any]:
    return {
        "TM": f"2026-03-01T08:{moment:02}:00,000+0100 {clock}",
        "TX": mark,
        "RV": 10 + moment,
        "RI": register,
        "RU": "kWh",
        "EF": "",
        "ST": "G",
    }


@st.composite
def _sessions(draw: st.DrawFn) -> list[str]:
    """Draw the payloads of one session: its moments over some records, and up to two faults."""
    count = draw(st.integers(1, 5))
    marks = ["B", *"C" * (count - 2), "E"] if count > 1 else [draw(st.sampled_from("BCE"))]
    registers = draw(st.sampled_from(SHOWN))
    clocks = draw(st.sampled_from(["S", "R", "I"]))
    cuts = draw(st.sets(st.integers(1, 4), max_size=3))
    pages: list[list[list[dict[str, Any]]]] = [[]]
    for moment, mark in enumerate(marks):
        if moment in cuts:
            pages.append([])
        pages[-1].append([_reading(mark, moment * 5, name, clocks) for name in registers])
    records = []
    for page in pages:  # a record lists one register after another, as in the specification
        records.append([readings[n] for n in range(len(registers)) for readings in page])
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        number = draw(st.integers(0, len(records) - 1))
        place = draw(st.integers(0, len(records[number]) - 1))
        if draw(st.integers(0, 5)):
            _change(records[number][place], draw(st.sampled_from(CHANGES)))
        elif len(records[number]) > 1:
            del records[number][place]
    return [_payload(page, draw(st.sampled_from(PAGES)), n) for n, page in enumerate(records, 1)]


def _change(reading: dict[str, Any], changes: dict[str, Any]) -> None:
    """Put a fault into a reading."""
    time, fields = reading["TM"], dict(changes)
    hour, clock = fields.pop("hour", time[11:13]), fields.pop("clock", time[-1])
    reading |= fields | {"TM": f"{time[:11]}{hour}{time[13:-1]}{clock}"}


def _payload(readings: list[dict[str, Any]], fields: dict[str, Any], number: int) -> str:
    full = [{key: value for key, value in item.items() if value is not None} for item in readings]
    merged = PAYLOAD | {"FV": "1.4", "PG": f"T{number}", "RD": full} | fields
    return json.dumps({key: value for key, value in merged.items() if value is not None})


def _paid(records: list[bytes], direction: Direction) -> list[int]:
    """Return the energy of each claim that the rail makes of these records."""
    terms = product.EnergyTerms(300_000, FUSE, export=direction is Direction.EXPORT)
    deal, claimed, anchor = agreement(terms=product.encode_terms(terms)), 0, None
    events = [decoded for record in records if (decoded := _decoded(record))]
    claims = []
    while (found := rules.runs(deal, product, claimed, anchor, events, rules.EVERYTHING)).run:
        claim = rules.derive_claim(deal, product, len(claims) + 1, anchor, found.run)
        claims.append(product.decode_facts(claim.facts).energy)
        anchor = found.run[-1]
        claimed = anchor.counter
    return claims


def _decoded(record: bytes) -> Event | None:
    try:
        return ocmf.decode(record)
    except Rejected:
        return None


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(_sessions(), st.sampled_from([*[Direction.IMPORT] * 5, Direction.EXPORT]))
def test_check__any_session__is_billable_exactly_where_it_is_paid(
    payloads: list[str], direction: Direction
) -> None:
    records = [METER.record(content) for content in payloads]
    view = check_file(b"\n".join(records), KEY, "ocmf", direction).as_json()
    billed = [item["energy"] for item in view["transactions"] if item["billable"]]
    event("billable" if billed else "not billable")
    for transaction in view["transactions"]:
        codes = [reason["code"] for reason in transaction["billable_reasons"]]
        event(", ".join(codes[:1]))
    assert billed == _paid(records, direction), view["transactions"]


B, C, E = (_reading(mark, moment, TOTAL, "S") for mark, moment in (("B", 0), ("C", 10), ("E", 20)))
X = C | {"TX": "X"}
TEN, TWENTY = 10_000_000, 20_000_000  # mWh from B to C, and from B to E


def _at(code: str, *readings: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    return [reading | {"RI": code} | changes for reading in readings]


KINDS: dict[str, tuple[list[list[dict[str, Any]]], int | str]] = {
    "one register": ([[B, E]], TWENTY),
    "in three records": ([[B], [C], [E]], TWENTY),
    "finer than a mWh": ([[B | {"RV": "10.0000019"}, E | {"RV": "30.0000019"}]], TWENTY),
    "registers of Figure 1": (
        [[B, E | {"RV": 40}, *_at(CAR, B, E), *_at("01-00:B3.08.00", B | {"RV": 0}, E)]],
        TWENTY,
    ),
    "total and session": ([[*_at(SESSION, B | {"RV": 0}, E | {"RV": 20}), B, E]], TWENTY),
    "two channels": ([[B, E, *_at("1-1:1.8.0", B, E)]], "registers_mixed"),
    "export alone": ([_at(EXPORT, B, E)], "export_register"),
    "X with EF=E, then E": ([[B, X | {"EF": "E"}, E]], "energy_error_flag"),
    "X without EF, then E": ([[B, X, E]], "energy_error_flag"),
    "X without a value": ([[B, X | {"RV": None, "EF": "E"}, E]], "energy_error_flag"),
    "X without anything": ([[B, {"TM": X["TM"], "TX": "X", "ST": "T"}, E]], "energy_error_flag"),
    "X without a value at the end of a record": (
        [[B, C, X | {"RV": None, "EF": "E"}], [E | {"RV": 99}]],
        TEN,
    ),
    "letters of a register that is not billed": (
        [[B | {"TX": "E"}, *_at(CAR, B)], [E, *_at(CAR, E)]],
        TWENTY,
    ),
    "EF=E at the end": ([[B, E | {"EF": "E"}]], "energy_error_flag"),
    "EF=E at the begin": ([[B | {"EF": "E"}, E]], "energy_error_flag"),
    "a good reading, then X": ([[B, C, X | {"RV": 99}, E]], TEN),
    "a good reading, then X, in records": ([[B], [C], [X | {"RV": 99}], [E]], TEN),
    "a good reading, then EF=E at the end": ([[B, C, E | {"EF": "E", "RV": 99}]], TEN),
    "an error of another register": (
        [[*_at(CAR, B, C, E), *_at(TOTAL, B, E | {"EF": "E"})]],
        TEN,
    ),
    "an error of time alone": ([[B, X | {"EF": "t"}, E | {"EF": "t"}]], TWENTY),
    "pair on two registers": ([[B], _at(CAR, E)], "register_mismatch"),
    "pair on two fillings of one code": ([[B], _at("01-00:01.08.00*FF", E)], TWENTY),
    "relative, then unknown": (
        [[B | {"TM": B["TM"][:-1] + "R"}], [E | {"TM": E["TM"][:-1] + "U"}]],
        "clock_inconsistent",
    ),
    "relative to the end": (
        [[B | {"TM": B["TM"][:-1] + "R"}], [E | {"TM": E["TM"][:-1] + "R"}]],
        TWENTY,
    ),
    "a lone begin": ([[B]], "end_missing"),
    "a lone end": ([[E]], "begin_missing"),
    "a lone reading between": ([[C]], "begin_missing"),
    "power": ([[B | {"RU": "kW"}, E | {"RU": "kW"}]], "unit_unknown"),
    "two units": ([[B], [E | {"RU": "Wh", "RV": 30_000}]], "unit_mismatch"),
    "register backwards": ([[B], [E | {"RV": 9}]], "register_backwards"),
    "register backwards between": ([[B], [C | {"RV": 99}], [E]], "register_backwards"),
    "time backwards": ([[B], [E | {"TM": "2026-03-01T07:00:00,000+0100 S"}]], "time_backwards"),
    "status of the end": ([[B], [E | {"ST": "M"}]], "meter_status_not_ok"),
    "status between": ([[B], [C | {"ST": "M"}], [E]], "meter_status_not_ok"),
    "two begins": ([[B, C | {"TX": "B"}, E]], "several_begins"),
    "two ends": ([[B, C | {"TX": "E"}, E]], "several_ends"),
    "a reading after the end": ([[B, C | {"TX": "E"}, E | {"TX": "C"}]], "readings_out_of_order"),
    "a record of power within": ([[B], [C | {"RI": "1-0:16.7.0"}], [E]], "no_billing_register"),
    "the begin again with the end": ([[B], [B, E]], TWENTY),
}


@pytest.mark.parametrize("kind", KINDS)
def test_check__each_kind_of_session__is_billed_or_named_and_paid_alike(kind: str) -> None:
    pages, expected = KINDS[kind]
    records = [METER.record(_payload(page, {}, n)) for n, page in enumerate(pages, start=1)]
    view = check_file(b"\n".join(records), KEY).as_json()
    if isinstance(expected, int):
        assert [item["energy"] for item in view["transactions"]] == [expected]
        assert (view["exit_code"], view["summary"]["billable"]) == (0, len(records))
        assert _paid(records, Direction.IMPORT) == [expected]
    else:
        codes = {reason["code"] for item in view["records"] for reason in item["billable_reasons"]}
        assert expected in codes
        assert view["exit_code"] == (expected in ("begin_missing", "end_missing"))
        assert view["summary"]["billable"] == 0
        assert _paid(records, Direction.IMPORT) == []


def test_check__export_alone__is_billed_where_the_caller_asks_for_export() -> None:
    record = METER.record(_payload(_at(EXPORT, B, E), {}, 1))
    view = check_file(record, KEY, direction=Direction.EXPORT).as_json()
    assert [item["energy"] for item in view["transactions"]] == [TWENTY]
    assert view["records"][0]["register"] == "01-00:C0.08.00*FF"
    assert _paid([record], Direction.EXPORT) == [TWENTY]
    consumption = METER.record(_payload([B, E], {}, 1))
    view = check_file(consumption, KEY, direction=Direction.EXPORT).as_json()
    codes = [reason["code"] for reason in view["records"][0]["billable_reasons"]]
    assert codes == ["import_register"] and _paid([consumption], Direction.EXPORT) == []
