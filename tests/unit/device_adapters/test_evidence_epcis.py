"""`evidence check` on EPCIS files: signed and unsigned, right and wrong, one and several."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from device_adapters.evidence import check_file
from device_adapters.protocols.epcis.examples import EXAMPLES, PUBLIC_KEY
from device_adapters.protocols.epcis.examples_xml import XML_EXAMPLES, XML_PUBLIC_KEY
from orchestrator import cli
from tests.support.signing_scanner import SigningScanner, document, event, framed

SCANNER = SigningScanner()
KEY = SCANNER.key.der.hex()
SIGNED = [record for _, record, _ in EXAMPLES[:8]]


def codes(report, kind, index=0):
    return [reason["code"] for reason in report.as_json()["records"][index][f"{kind}_reasons"]]


def test_check__signed_document_with_its_key__says_yes_three_times():
    report = check_file(SCANNER.record(), KEY)
    (record,) = report.as_json()["records"]
    assert report.exit_code == 0
    assert [record[kind] for kind in ("genuine", "billable", "settleable")] == [True] * 3
    assert (record["device"], record["protocol"]) == (SCANNER.name, "epcis")
    assert record["subject"] == "sscc:040123451111111110"
    assert record["key"]["source"] == "given"
    (shown,) = record["events"]
    assert shown["hash"].startswith("ni:///sha-256;") and shown["step"] == "receiving"
    assert shown["time_utc"] == "2026-03-02T07:30:00.000Z"
    assert shown["identifiers"][0]["key"] == "sscc" and shown["identifiers"][0]["valid"]
    assert json.loads(json.dumps(report.as_json())) == report.as_json()


@pytest.mark.parametrize("record", SIGNED)
def test_check__every_example_without_its_signature__is_read_and_not_genuine(record):
    report = check_file(record.partition(b"\n")[2])
    assert report.exit_code == 1
    assert codes(report, "genuine") == ["signature_missing"]
    assert codes(report, "billable") == ["not_genuine"]
    assert report.as_json()["records"][0]["events"]


def test_check__examples_in_one_file__are_all_genuine():
    report = check_file(framed(*SIGNED), PUBLIC_KEY)
    assert (report.exit_code, report.summary["genuine"]) == (0, len(SIGNED))


def test_check__examples_in_xml__are_all_genuine():
    signed = [record for _, record, _ in XML_EXAMPLES[:3]]
    report = check_file(framed(*signed), XML_PUBLIC_KEY)
    assert (report.exit_code, report.summary["billable"]) == (0, len(signed))


def test_check__other_key_no_key_and_tampering__are_one_by_name():
    record = SCANNER.record()
    assert codes(check_file(record), "genuine") == ["no_key"]
    assert codes(check_file(record, SigningScanner().key.der.hex()), "genuine") == [
        "signature_forged"
    ]
    forged = record.replace(b"receiving", b"accepting")
    assert codes(check_file(forged, KEY), "genuine") == ["signature_forged"]
    other = SCANNER.record(event(), alg="ES384")
    assert codes(check_file(other, KEY), "genuine") == ["signature_algorithm_unknown"]


def test_check__several_errors__are_all_named_and_the_record_stays_genuine():
    wrong = event(
        bizStep="teleporting",
        disposition="lost",
        epcList=["https://id.gs1.org/00/040123451111111119"],
    )
    report = check_file(SCANNER.record(wrong), KEY)
    assert report.exit_code == 0
    assert codes(report, "billable") == ["code_malformed"] + ["vocabulary_unknown"] * 2
    assert codes(report, "settleable")[0] == "code_malformed"
    (shown,) = report.as_json()["records"][0]["events"]
    assert [code["valid"] for code in shown["identifiers"]] == [False]
    assert "check digit" in shown["identifiers"][0]["detail"]


def test_check__suspicious_fields__are_warnings_only():
    odd = event(
        eventID="ni:///sha-256;" + "0" * 64 + "?ver=CBV2.0",
        readPoint={"id": "gate 7"},
        sensorElementList=[{"sensorReport": [{"type": "Mood", "value": 1}]}],
    )
    record = check_file(SCANNER.record(odd), KEY).as_json()["records"][0]
    assert record["settleable"]
    assert {w["code"] for w in record["warnings"]} == {
        "event_id_differs",
        "not_a_uri",
        "measure_unknown",
    }


def test_check__error_declaration__is_in_the_report():
    declared = {
        "declarationTime": "2026-03-03T00:00:00Z",
        "reason": "did_not_occur",
        "correctiveEventIDs": ["urn:uuid:1"],
    }
    report = check_file(SCANNER.record(event(errorDeclaration=declared)), KEY)
    (shown,) = report.as_json()["records"][0]["events"]
    assert shown["error"] and shown["error_declaration"] == {
        "declaration_time": "2026-03-03T00:00:00Z",
        "reason": "did_not_occur",
        "corrective_event_ids": ["urn:uuid:1"],
    }


def test_check__sensor_reports__are_in_the_report_as_written():
    reports = [
        {"type": "Temperature", "value": 70, "uom": "FAH"},
        {"type": "example:Code", "hexBinaryValue": "F0A0", "component": "x"},
        {"exception": "ALARM_CONDITION", "booleanValue": True},
    ]
    measured = event(sensorElementList=[{"sensorReport": reports}])
    (record,) = check_file(SCANNER.record(document(measured)), KEY).records
    [rows] = [rows for title, _, rows in record.tables() if title == "sensors"]
    assert [row[2] for row in rows] == [
        "value 70, uom FAH",
        "hexBinaryValue F0A0, component x",
        "booleanValue True, exception ALARM_CONDITION",
    ]


def test_check__draft_syntax__is_read_with_a_warning():
    body = json.dumps(document(event(isA="ObjectEvent", type=None))).replace(
        '"type": "EPCISDocument"', '"isA": "EPCISDocument"'
    )
    report = check_file(body.encode())
    assert report.exit_code == 1
    assert "draft_syntax" in {w["code"] for w in report.as_json()["records"][0]["warnings"]}


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (b'{"type": "EPCISDocument", "epcisBody": {"eventList": []}}', "event_missing"),
        (b'{"type": "EPCISDocument", "epcisBody": {"eve', "truncated"),
        (b'{"@context": [], "type": "ObjectEvent", "type": "x"}', "duplicate_key"),
        (b'\xef\xbb\xbf{"type": "EPCISDocument", "epcisBody": 1}', "event_missing"),
    ],
)
def test_check__nothing_to_judge__is_two_by_name(file, code):
    report = check_file(file)
    assert report.exit_code == 2
    assert report.as_json()["error"]["code"] == code


def test_check__one_broken_among_good_ones__is_one_and_keeps_the_good():
    broken = SCANNER.jws(b"{").encode() + b"\n{"
    report = check_file(framed(SCANNER.record(), broken, SCANNER.record()), KEY)
    assert report.exit_code == 1
    assert [record["genuine"] for record in report.as_json()["records"]] == [True, False, True]
    assert report.summary["unreadable"] == 1


def test_command__signed_file__shows_events_and_identifiers(tmp_path):
    path = tmp_path / "captured.epcis"
    path.write_bytes(SCANNER.record())
    result = CliRunner().invoke(cli.app, ["evidence", "check", str(path), "--key", KEY])
    assert result.exit_code == 0
    assert "receiving" in result.stdout
    assert "https://id.gs1.org/00/040123451111111110" in result.stdout
    assert "ni:///sha-256;" in result.stdout


_XML = XML_EXAMPLES[0][1]
_BASES = [framed(*SIGNED[:2]), SIGNED[3], SIGNED[5][260:], framed(_XML), _XML.partition(b"\n")[2]]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(st.binary(max_size=60), st.data())
def test_check__mutated_files__always_end_in_a_report(junk, data):
    base = data.draw(st.sampled_from(_BASES))
    start = data.draw(st.integers(0, len(base)))
    end = min(len(base), start + data.draw(st.integers(0, 20)))
    report = check_file(base[:start] + junk + base[end:], PUBLIC_KEY)
    assert report.exit_code in (0, 1, 2)
    json.dumps(report.as_json())
