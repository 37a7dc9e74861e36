"""Checks of files without signatures, of sealed files, and of files whose protocol is named."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from device_adapters import evidence
from device_adapters.evidence import check_file
from device_adapters.protocols.ocmf.examples import PUBLIC_KEY, SESSION
from device_adapters.protocols.sealed.examples import BY_GATEWAY, REPORT
from device_adapters.protocols.sealed.examples import PUBLIC_KEY as SEALED_KEY
from device_adapters.protocols.senml.examples import METER, METER_CBOR
from device_adapters.registers import Direction
from tests.support.signing_gateway import SigningGateway
from tests.support.signing_scanner import document, event

NAME = "urn:dev:mac:0024befffe804ff1"
IMPORT, EXPORT = "01-00:01.08.00*FF", "01-00:02.08.00*FF"
GATEWAY = SigningGateway()
KEY = GATEWAY.key.der.hex()


@pytest.mark.parametrize("content", [METER, METER_CBOR], ids=["JSON", "CBOR"])
@pytest.mark.parametrize("protocol", ["", "senml"])
def test_check_file__protocol_without_signatures__lists_readings_and_is_0(
    content: bytes, protocol: str
) -> None:
    view = check_file(content, protocol=protocol).as_json()
    (record,) = view["records"]
    assert (view["exit_code"], view["protocol"], record["genuine"]) == (0, "senml", None)
    assert view["summary"]["unsigned"] == 1 and view["summary"]["genuine"] == 0
    assert record["readings"][0] == {
        "device": NAME,
        "at": "2026-03-01T07:00:00.000Z",
        "register": IMPORT,
        "value": "1234.567",
        "unit": "kWh",
        "usable": True,
    }
    assert [reason["code"] for reason in record["billable_reasons"]] == ["unsigned"]
    assert json.loads(json.dumps(view)) == view


@pytest.mark.parametrize(
    ("direction", "billed"), [(Direction.IMPORT, IMPORT), (Direction.EXPORT, EXPORT)]
)
def test_check_file__direction__names_the_register_that_is_billed(
    direction: Direction, billed: str
) -> None:
    for content in (METER, BY_GATEWAY):
        (record,) = check_file(content, SEALED_KEY, direction=direction).as_json()["records"]
        expected = {"device": NAME, "direction": direction.value, "billed": billed}
        assert record["registers"] == [expected]


def test_check_file__several_unsigned_protocols__are_listed_as_candidates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twin = SimpleNamespace(UNSIGNED=True, recognise=lambda data: True)
    readers = evidence._readers() | {"twin": twin}
    monkeypatch.setattr(evidence, "_readers", lambda: readers)
    view = check_file(METER).as_json()
    assert (view["exit_code"], view["records"]) == (2, [])
    assert view["error"]["code"] == "protocol_ambiguous"
    assert view["candidates"] == ["senml", "twin"]
    assert check_file(METER, protocol="senml").exit_code == 0
    signed = check_file(SESSION, PUBLIC_KEY)  # a signature is recognised before all else
    assert (signed.protocol, signed.exit_code) == ("ocmf", 0)


def test_check_file__unknown_protocol__is_2_and_names_those_there_are() -> None:
    error = check_file(METER, protocol="sml2").as_json()["error"]
    assert error["code"] == "unknown_protocol"
    assert all(name in error["detail"] for name in ("ocmf", "epcis", "voucher", "sealed", "senml"))


def test_check_file__named_protocol_of_another_file__is_2() -> None:
    for protocol in ("senml", "sealed", "ocmf"):
        report = check_file(b"hello", protocol=protocol)
        assert (report.exit_code, report.error is not None) == (2, True), protocol


def test_check_file__sealed_by_a_gateway__shows_who_signed_and_what_is_in_it() -> None:
    view = check_file(BY_GATEWAY, SEALED_KEY).as_json()
    (record,) = view["records"]
    assert (view["exit_code"], view["protocol"]) == (0, "sealed")
    assert (record["genuine"], record["billable"], record["settleable"]) == (True, True, True)
    names = ("form", "assurance", "iss", "sub", "inner_protocol", "kind")
    assert [record[name] for name in names] == [
        *("COSE", "gateway", "GW-7", NAME, "senml", "meter.reading")
    ]
    assert [reading["register"] for reading in record["readings"]][:2] == [IMPORT, EXPORT]


def test_check_file__sealed_report__shows_its_members_and_the_device_stands_for_it() -> None:
    (record,) = check_file(REPORT, SEALED_KEY).as_json()["records"]
    assert (record["assurance"], record["iss"], record["sub"]) == ("device", "CAR-1", "CAR-1")
    assert record["report"]["metrics"] == {"Vehicle.TraveledDistance": 1240000, "night_share": 1200}
    assert record["inner_protocol"] is None and record["genuine"] is True


def test_check_file__sealed_epcis__shows_the_events() -> None:
    content = json.dumps(document(event())).encode()
    (record,) = check_file(GATEWAY.seal("S-1", 1, content, "epcis"), KEY).as_json()["records"]
    assert record["events"][0]["step"] == "receiving"
    assert record["settleable"] is True


def test_check_file__sealed_without_or_with_another_key__is_1() -> None:
    for key, code in ((None, "no_key"), (KEY, "signature_forged"), ("x", "key_malformed")):
        report = check_file(BY_GATEWAY, key)
        (record,) = report.as_json()["records"]
        assert report.exit_code == 1
        assert [reason["code"] for reason in record["genuine_reasons"]] == [code]


def test_check_file__sealed_with_a_bad_content__is_genuine_and_not_billable() -> None:
    for content, code in (
        (b"[{", "truncated"),
        (b'[{"n":"1-0:1.8.0","u":"kW","v":1}]', "unit_unknown"),
        (b'[{"n":"1-0:2.8.0","u":"Wh","v":1}]', "register_missing"),
    ):
        report = check_file(GATEWAY.seal("M-1", 1, content), KEY)
        (record,) = report.as_json()["records"]
        assert report.exit_code == 0
        assert [reason["code"] for reason in record["billable_reasons"]] == [code]
        assert record["settleable"] is False


def test_check_file__sealed_in_the_future__is_not_settleable() -> None:
    record = GATEWAY.seal("M-1", 1, b'[{"n":"1-0:1.8.0","u":"Wh","v":1}]', at=2**36)
    (view,) = check_file(record, KEY).as_json()["records"]
    assert [reason["code"] for reason in view["settleable_reasons"]] == ["time_in_future"]


def test_check_file__nothing_but_a_broken_envelope__is_2() -> None:
    assert check_file(BY_GATEWAY[:40]).exit_code == 2
    assert check_file(b"eyJhbGciOiJFUzI1NiJ9.e30.AAAA", protocol="sealed").exit_code == 2
