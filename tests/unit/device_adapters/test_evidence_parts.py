"""Files that hold parts of sessions, several outlets, repeated records or one key for a session."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from device_adapters.evidence import check_file
from tests.support.signing_meter import SigningMeter, payload

GATEWAY = SigningMeter()
KEY = GATEWAY.key.der.hex()
END = {"TM": "2026-03-01T08:30:00,000+0100 S", "TX": "E", "RV": 2947.101}
BEGIN, ENDING = GATEWAY.record(), GATEWAY.record(payload(END, PG="T42"))
WHOLE = GATEWAY.record(payload({}, END, PG="T43"))


def _view(*records: bytes, key: str | None = KEY) -> dict[str, Any]:
    return check_file(b"\n".join(records), key).as_json()


def _codes(record: dict[str, Any], kind: str = "billable_reasons") -> list[str]:
    return [reason["code"] for reason in record[kind]]


def _outlet(meter: str, page: int, *readings: dict[str, Any]) -> bytes:
    return GATEWAY.record(payload(*readings, MS=meter, GS="GW-9", PG=f"T{page}"))


def test_check__a_gateway_with_two_outlets_and_one_pagination__bills_both_sessions() -> None:
    view = _view(
        _outlet("EV-1", 1, {"RV": 100}),
        _outlet("EV-2", 2, {"RV": 500}),
        _outlet("EV-1", 3, END | {"RV": 110}),
        _outlet("EV-2", 4, END | {"RV": 505}),
    )
    sessions = [(item["records"], item["energy"]) for item in view["transactions"]]
    assert sessions == [([0, 2], 10_000_000), ([1, 3], 5_000_000)]
    assert (view["exit_code"], view["summary"]["settleable"]) == (0, 4)


def test_check__pages_out_of_file_order__are_taken_in_the_order_of_the_meter() -> None:
    view = _view(ENDING, BEGIN)
    assert [(item["records"], item["billable"]) for item in view["transactions"]] == [
        ([0, 1], True)
    ]
    swapped = _view(GATEWAY.record(payload(PG="T43")), ENDING)
    assert [_codes(item) for item in swapped["transactions"]] == [
        ["end_missing"],
        ["begin_missing"],
    ]


@pytest.mark.parametrize(("part", "reason"), [(BEGIN, "end_missing"), (ENDING, "begin_missing")])
def test_check__a_part_of_a_session__is_named_and_the_rest_is_judged(
    part: bytes, reason: str
) -> None:
    other = GATEWAY.record(payload({}, END, MS="EV-0002"))
    view = _view(part, other)
    assert view["exit_code"] == 1
    assert [_codes(record) for record in view["records"]] == [[reason], []]
    assert [record["genuine"] for record in view["records"]] == [True, True]
    assert view["summary"]["billable"] == 1


def test_check__a_record_twice__counts_once_in_whichever_wrapping() -> None:
    for again in (BEGIN, BEGIN.hex().encode(), base64.b64encode(BEGIN)):
        view = _view(BEGIN, ENDING, again)
        assert [item["records"] for item in view["transactions"]] == [[0, 1]]
        assert view["exit_code"] == 0
        assert _codes(view["records"][2], "warnings") == ["record_repeated"]
    lone = _view(BEGIN, BEGIN)
    assert [_codes(record) for record in lone["records"]] == [["end_missing"]] * 2


def test_check__a_begin_that_the_whole_session_repeats__is_no_lone_begin() -> None:
    view = _view(BEGIN, WHOLE)
    assert [(item["records"], item["billable"]) for item in view["transactions"]] == [
        ([0, 1], True)
    ]
    assert (view["exit_code"], _codes(view["records"][0], "warnings")) == (0, ["record_repeated"])
    other = _view(GATEWAY.record(payload({"RV": 2935.5})), WHOLE)
    assert [_codes(item) for item in other["transactions"]] == [["end_missing"], []]


def test_check__a_record_of_a_session_that_is_not_billable__takes_the_others_with_it() -> None:
    failed = GATEWAY.record(payload(END, PG="T42", IL="INVALID"))
    view = _view(BEGIN, failed)
    assert [_codes(record) for record in view["records"]] == [["identification_level_invalid"]] * 2


def _ocpp(record: bytes, transaction: str, key: str = "") -> dict[str, Any]:
    signed = {"signedMeterData": base64.b64encode(record).decode(), "publicKey": key}
    sampled = [{"value": 1, "signedMeterValue": signed}]
    return {
        "transactionInfo": {"transactionId": transaction},
        "meterValue": [{"sampledValue": sampled}],
    }


@pytest.mark.parametrize("form", ["ocpp", "xml"])
def test_check__a_key_given_once_per_transaction__proves_its_other_records(form: str) -> None:
    stranger = SigningMeter()
    foreign = stranger.record(payload({}, END, MS="EV-0002"))
    if form == "ocpp":
        calls = [_ocpp(BEGIN, "7", KEY), _ocpp(ENDING, "7"), _ocpp(foreign, "8")]
        file = json.dumps(calls).encode()
    else:
        values = ((BEGIN, "7", KEY), (ENDING, "7", ""), (foreign, "8", ""))
        file = f"<values>{''.join(_value(*value) for value in values)}</values>".encode()
    view = check_file(file).as_json()
    assert [record["genuine"] for record in view["records"]] == [True, True, False]
    assert [record["transaction_id"] for record in view["records"]] == ["7", "7", "8"]
    assert _codes(view["records"][2], "genuine_reasons") == ["no_key"]
    assert [record["key"] and record["key"]["source"] for record in view["records"]] == [
        "container",
        "container",
        None,
    ]


def _value(record: bytes, transaction: str, key: str) -> str:
    public = f"<publicKey>{key}</publicKey>" if key else ""
    data = f"<signedData>{record.hex()}</signedData>"
    return f'<value transactionId="{transaction}">{data}{public}</value>'


def test_check__two_keys_in_one_transaction__prove_their_own_records_only() -> None:
    other = SigningMeter()
    between = {"TM": "2026-03-01T08:10:00,000+0100 S", "TX": "C", "RV": 2940}
    middle = GATEWAY.record(payload(between, PG="T42"))
    calls = [
        _ocpp(BEGIN, "7", KEY),
        _ocpp(middle, "7"),
        _ocpp(other.record(payload(END, PG="T43")), "7", other.key.der.hex()),
    ]
    view = check_file(json.dumps(calls).encode()).as_json()
    assert [record["genuine"] for record in view["records"]] == [True, False, True]


def test_check__a_container_that_names_a_begin_without_letters__is_no_whole_session() -> None:
    bare = GATEWAY.record(payload({"TX": None}))
    signed = {"signedMeterData": base64.b64encode(bare).decode(), "publicKey": KEY}
    named = {"transactionId": "7", "context": "Transaction.Begin", "signedMeterValue": signed}
    view = check_file(json.dumps(named).encode()).as_json()
    assert _codes(view["records"][0]) == ["begin_missing", "end_missing"]
    assert view["exit_code"] == 1


def test_check__a_charge_point_as_the_only_name__bills_a_session() -> None:
    names = {"MS": None, "GS": None, "CT": "EVSEID", "CI": "DE*ABC*E1*1"}
    view = _view(GATEWAY.record(payload({}, END, **names)))
    assert view["records"][0]["device"] == "EVSEID:DE*ABC*E1*1"
    assert (view["exit_code"], view["summary"]["settleable"]) == (0, 1)
