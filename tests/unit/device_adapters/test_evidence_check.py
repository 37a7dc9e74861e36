"""Checks of OCMF files: genuine, billable, settleable, each with its reasons."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_adapters.evidence import Report, check_file
from device_adapters.types import Curve
from tests.support.signing_meter import SigningMeter, payload, raw_of

METER = SigningMeter()
KEY = METER.key.der.hex()
END = {"TM": "2026-03-01T08:30:00,000+0100 S", "TX": "E", "RV": 2947.101}
RECORD = METER.record(payload({}, END))  # a whole session
BEGINNING, ENDING = METER.record(), METER.record(payload(END, PG="T42"))


def _codes(report: Report, kind: str, index: int = 0) -> list[str]:
    return [reason["code"] for reason in report.as_json()["records"][index][f"{kind}_reasons"]]


def test_check_file__genuine_record_with_its_key__says_yes_three_times() -> None:
    report = check_file(RECORD, KEY)
    (record,) = report.as_json()["records"]
    assert report.exit_code == 0
    assert [record[kind] for kind in ("genuine", "billable", "settleable")] == [True] * 3
    assert record["key"] == {
        "source": "given",
        "curve": "secp256r1",
        "fingerprint": METER.key.fingerprint,
    }
    assert (record["device"], record["counter"], record["pagination"]) == ("EV-0001", 41, "T41")
    assert record["fields"]["RD"][0]["RV"] == "2935.6"
    assert record["readings"][0]["register"] == 2_935_600_000
    assert json.loads(json.dumps(report.as_json())) == report.as_json()


@pytest.mark.parametrize("curve", list(Curve))
def test_check_file__every_curve__is_genuine_but_only_two_settle(curve: Curve) -> None:
    meter = SigningMeter(curve)
    for key in (meter.key.der.hex(), meter.key.point.hex()):
        report = check_file(meter.record(payload({}, END)), key)
        assert report.exit_code == 0
        assert report.summary["billable"] == 1
        expected = [] if curve.settles else ["curve_not_settled"]
        assert _codes(report, "settleable") == expected


def test_check_file__without_any_key__is_one_with_its_reason() -> None:
    report = check_file(RECORD)
    assert report.exit_code == 1
    assert _codes(report, "genuine") == ["no_key"]
    assert _codes(report, "billable") == ["not_genuine"]
    assert _codes(report, "settleable") == ["not_billable"]
    assert report.as_json()["records"][0]["key"] is None


def test_check_file__wrong_key_curve_or_broken_key__is_one_by_name() -> None:
    assert _codes(check_file(RECORD, SigningMeter().key.der.hex()), "genuine") == [
        "signature_forged"
    ]
    other = SigningMeter(Curve.SECP384R1).key.der.hex()
    assert _codes(check_file(RECORD, other), "genuine") == ["key_curve_mismatch"]
    assert _codes(check_file(RECORD, "nonsense"), "genuine") == ["key_malformed"]


def test_check_file__any_byte_of_the_payload_changed__is_never_genuine() -> None:
    pipe = RECORD.index(b"|{", 5)
    for position in range(5, pipe):
        for bit in (1, 32):
            tampered = bytearray(RECORD)
            tampered[position] ^= bit
            report = check_file(bytes(tampered), KEY)
            assert report.exit_code in (1, 2), position
            assert report.summary["genuine"] == report.summary["billable"] == 0


def test_check_file__any_digit_of_the_signature_changed__is_never_genuine() -> None:
    start = RECORD.index(b'"SD": "') + 7
    for position in range(start, RECORD.index(b'"', start)):
        tampered = bytearray(RECORD)
        tampered[position] = ord("0" if tampered[position] != ord("0") else "1")
        assert check_file(bytes(tampered), KEY).exit_code == 1, position


def test_check_file__white_space_added_to_the_payload__is_not_genuine() -> None:
    assert check_file(RECORD.replace(b"OCMF|", b"OCMF| "), KEY).exit_code == 1
    assert check_file(RECORD + b"\r\n", KEY).exit_code == 0


def test_check_file__key_appended_to_the_record__is_used_and_named() -> None:
    report = check_file(RECORD + b"|" + KEY.encode())
    assert report.exit_code == 0
    assert report.as_json()["records"][0]["key"]["source"] == "record"


def test_check_file__given_key__has_precedence_over_the_records_own() -> None:
    forged = SigningMeter()
    report = check_file(forged.record(payload({}, END)) + b"|" + forged.key.der.hex().encode(), KEY)
    assert report.exit_code == 1
    assert report.as_json()["records"][0]["key"]["source"] == "given"


def test_check_file__no_file_or_no_ocmf__is_two(tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for source in (tmp_path / "missing", str(tmp_path), "a\0b", empty, b"hello", b"\xff" * 50):
        report = check_file(source, KEY)
        assert report.exit_code == 2
        assert report.as_json()["error"]["code"]
    assert check_file(tmp_path / "missing").as_json()["error"]["code"] == "file_unreadable"


def test_check_file__one_broken_record_among_good_ones__is_one_and_keeps_the_good() -> None:
    report = check_file(RECORD + b"\n" + RECORD[:100] + b"\n" + ENDING, KEY)
    assert report.exit_code == 1
    assert [record["genuine"] for record in report.as_json()["records"]] == [True, False, True]
    assert _codes(report, "genuine", 1) == ["truncated"]
    assert report.summary["unreadable"] == 1


def test_check_file__nothing_but_broken_records__is_two_and_bills_nothing() -> None:
    report = check_file(RECORD[:100], KEY)
    assert report.exit_code == 2
    assert report.summary["billable"] == report.summary["settleable"] == 0
    assert report.as_json()["error"]["code"] == "truncated"


def test_check_file__complete_record_whose_json_was_tampered_with__is_one_and_not_genuine() -> None:
    tampered = RECORD.replace(b'"FV":', b'"FV";', 1)
    report = check_file(tampered, KEY)
    assert tampered != RECORD and report.exit_code == 1 and report.summary["genuine"] == 0
    assert (
        check_file(RECORD[: len(RECORD) // 2], KEY).exit_code == 2
    )  # half a record is not a record


def test_check_file__record_the_rail_cannot_settle__is_still_genuine() -> None:
    no_page = check_file(METER.record(payload({}, END, PG=None)), KEY)
    assert no_page.exit_code == 0
    assert no_page.summary["billable"] == 1
    assert _codes(no_page, "settleable") == ["counter_missing"]
    zoneless = check_file(METER.record(payload({"TM": "2026-03-01T08:00:00,000 S"})), KEY)
    assert zoneless.exit_code == 0
    assert _codes(zoneless, "billable") == ["time_without_zone"]


def test_check_file__unbillable_but_genuine__keeps_the_two_apart() -> None:
    report = check_file(METER.record(payload({"ST": "M"}, END)), KEY)
    assert report.exit_code == 0
    assert report.summary["genuine"] == 1
    assert _codes(report, "billable") == ["meter_status_not_ok"]
    assert _codes(report, "settleable") == ["not_billable"]


def test_check_file__raw_signature__is_genuine_and_named() -> None:
    content = payload()
    report = check_file(METER.record(content, SD=raw_of(METER.sign(content))), KEY)
    record = report.as_json()["records"][0]
    assert record["genuine"]
    assert record["signature"]["form"] == "raw"
    assert "signature_not_der" in [warning["code"] for warning in record["warnings"]]


def test_check_file__high_s__is_reported() -> None:
    seen = {
        check_file(METER.record(), KEY).as_json()["records"][0]["signature"]["high_s"]
        for _ in range(40)
    }
    assert seen == {True, False}


def _json_of(report: Report) -> list[str]:
    return [
        reason["code"] for t in report.as_json()["transactions"] for reason in t["billable_reasons"]
    ]


def test_check_file__begin_and_end_in_one_file__are_judged_as_a_pair() -> None:
    good = check_file(BEGINNING + ENDING, KEY).as_json()
    (transaction,) = good["transactions"]
    assert transaction["records"] == [0, 1] and transaction["billable"]
    assert (transaction["register"], transaction["energy"]) == ("01-00:B0.08.00*FF", 11_501_000)
    backwards = METER.record(payload(END | {"RV": 1}, PG="T42"))
    assert _json_of(check_file(BEGINNING + backwards, KEY)) == ["register_backwards"]
    assert _codes(check_file(BEGINNING + backwards, KEY), "billable", 1) == ["register_backwards"]
    fiscal = METER.record(payload(END, PG="F42"))
    assert _json_of(check_file(BEGINNING + fiscal, KEY)) == ["pagination_inconsistent"]


def test_check_file__begin_and_end_of_two_meters__are_two_parts_of_sessions() -> None:
    other = METER.record(payload(END, PG="T42", MS="EV-0002", GS=None))
    report = check_file(BEGINNING + other, KEY)
    assert _json_of(report) == ["end_missing", "begin_missing"]
    assert report.exit_code == 1


def test_check_file__pair_with_a_forged_half__bills_no_transaction() -> None:
    report = check_file(BEGINNING + SigningMeter().record(payload(END, PG="T42")), KEY)
    assert _json_of(report) == ["not_genuine"]
    assert [record["genuine"] for record in report.as_json()["records"]] == [True, False]


def test_check_file__whole_file_in_base64_with_line_breaks__is_read() -> None:
    wrapped = base64.encodebytes(RECORD)
    assert check_file(wrapped, KEY).exit_code == 0


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(str.encode)), st.data())
def test_check_file__random_and_mutated_files__always_end_in_a_report(junk, data) -> None:
    base = data.draw(st.sampled_from([b"", RECORD, BEGINNING + ENDING, RECORD.hex().encode()]))
    start = data.draw(st.integers(0, len(base)))
    end = min(len(base), start + data.draw(st.integers(0, 20)))
    report = check_file(base[:start] + junk + base[end:], data.draw(st.sampled_from([None, KEY])))
    assert report.exit_code in (0, 1, 2)
    json.dumps(report.as_json())
