"""Records and keys are read from every container of vendors; broken ones are refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_adapters.evidence import Report, check_file
from device_adapters.types import Curve
from tests.support.signing_meter import SigningMeter, payload

METER, OTHER = SigningMeter(), SigningMeter(Curve.SECP256K1)
KEY = METER.key.der.hex()
END = {"TM": "2026-03-01T08:30:00,000+0100 S", "TX": "E", "RV": 2947.101}
BEGIN, ENDING = METER.record(), METER.record(payload(END, PG="T42"))
WHOLE = METER.record(payload({}, END))


def _escaped(record: bytes) -> str:
    return record.decode().replace("&", "&amp;").replace("<", "&lt;")


def _value(record: str, key: str = KEY, context: str = "Begin", tag: str = "signedData") -> str:
    public = f'<publicKey encoding="hex">{key}</publicKey>' if key else ""
    return (
        f'<value transactionId="7" context="Transaction.{context}">'
        f'<{tag} format="OCMF" encoding="plain">\n  {record}\n</{tag}>{public}</value>'
    )


def _xml(*values: str, root: str = "<values>") -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>{root}{"".join(values)}</values>'.encode()


def _genuine(report: Report) -> list[bool]:
    return [record["genuine"] for record in report.as_json()["records"]]


def test_container__xml_with_begin_and_end__is_a_transaction_with_its_key() -> None:
    report = check_file(_xml(_value(_escaped(BEGIN)), _value(_escaped(ENDING), context="End")))
    assert report.exit_code == 0
    records = report.as_json()["records"]
    assert {record["key"]["source"] for record in records} == {"container"}
    assert [record["context"] for record in records] == ["Transaction.Begin", "Transaction.End"]
    (transaction,) = report.as_json()["transactions"]
    assert (transaction["transaction_id"], transaction["records"]) == ("7", [0, 1])
    assert transaction["billable"]


@pytest.mark.parametrize(
    "record",
    [
        _escaped(BEGIN),
        BEGIN.hex(),
        base64.b64encode(BEGIN).decode(),
        f"<![CDATA[{BEGIN.decode()}]]>",
    ],
    ids=["plain", "hex", "base64", "cdata"],
)
@pytest.mark.parametrize("tag", ["signedData", "encodedData"])
def test_container__xml_encodings__are_recognised(record: str, tag: str) -> None:
    assert _genuine(check_file(_xml(_value(record, tag=tag)))) == [True]


def test_container__xml_with_namespaces_and_utf16__is_read() -> None:
    root = '<values xmlns="urn:example">'
    assert _genuine(check_file(_xml(_value(_escaped(BEGIN)), root=root))) == [True]
    prefixed = _xml(_value(_escaped(BEGIN)), root='<x:values xmlns:x="urn:example">')
    prefixed = prefixed.replace(b"</values>", b"</x:values>")
    assert _genuine(check_file(prefixed)) == [True]
    wide = _xml(_value(_escaped(BEGIN))).decode().replace("UTF-8", "UTF-16").encode("utf-16")
    assert _genuine(check_file(wide)) == [True]
    assert _genuine(check_file(BEGIN.decode().encode("utf-16"), KEY)) == [True]


def test_container__several_records_with_keys_of_their_own__are_each_checked_with_theirs() -> None:
    other = OTHER.key.der.hex()
    good = _xml(_value(_escaped(BEGIN)), _value(_escaped(OTHER.record()), other, "End"))
    assert _genuine(check_file(good)) == [True, True]
    swapped = _xml(_value(_escaped(BEGIN), other), _value(_escaped(OTHER.record()), KEY, "End"))
    assert _genuine(check_file(swapped)) == [False, False]
    assert _genuine(check_file(good, KEY)) == [True, False]


def test_container__xml_without_key__asks_for_one() -> None:
    bare = _xml(_value(_escaped(WHOLE), key=""))
    assert check_file(bare).exit_code == 1
    assert check_file(bare, KEY).exit_code == 0


def test_container__transaction_without_its_end__is_named() -> None:
    again = METER.record(payload(PG="T42"))
    report = check_file(_xml(_value(_escaped(BEGIN)), _value(_escaped(again))))
    codes = [r["code"] for r in report.as_json()["transactions"][0]["billable_reasons"]]
    assert codes == ["end_missing", "several_begins"]
    assert (report.summary["billable"], report.exit_code) == (0, 1)


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE v [<!ENTITY a "b">]><values><value><signedData>&a;</signedData></value>',
        b'<!DOCTYPE v SYSTEM "file:///etc/passwd"><values/>',
        _xml(_value(_escaped(BEGIN)))[:-5],
        b"<values></values>",
        b"<" * 100,
        b'<?xml version="1.0" encoding="klingon"?><values/>',
        b"<a>" * 50_000,
        b"<a/>" * 200_000,
        b"<value>" * 20_000 + b"</value>" * 20_000,
        _xml("<value><signedData>EDL40</signedData></value>"),
    ],
    ids=[
        "entity",
        "doctype",
        "cut",
        "nothing in it",
        "junk",
        "encoding",
        "deep",
        "many",
        "nested",
        "no ocmf",
    ],
)
def test_container__broken_or_hostile_xml__is_two(xml: bytes) -> None:
    assert check_file(xml, KEY).exit_code == 2


def test_container__entity_bomb__is_refused_at_once() -> None:
    layers = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE v [<!ENTITY a0 "lol">{layers}]><values>&a11;</values>'
    report = check_file(bomb.encode())
    assert report.exit_code == 2
    assert "document type" in report.as_json()["error"]["detail"]


def _wrapped(record: bytes = WHOLE, **more: Any) -> dict[str, Any]:
    data = base64.b64encode(record).decode()
    return {"signedMeterData": data, "encodingMethod": "OCMF", "signingMethod": ""} | more


_OCPP_KEY = base64.b64encode(f"oca:base16:asn1:{KEY}".encode()).decode()
_JSON = {
    "object": _wrapped(publicKey=KEY),
    "plain text": {"signedMeterData": WHOLE.decode(), "publicKey": KEY},
    "list": [_wrapped(publicKey=KEY)],
    "ocpp 2": {
        "transactionInfo": {"transactionId": "7"},
        "meterValue": [{"sampledValue": [{"signedMeterValue": _wrapped(publicKey=_OCPP_KEY)}]}],
    },
    "ocpp 1.6": {
        "publicKey": KEY,
        "transactionData": [
            {"sampledValue": [{"value": WHOLE.decode(), "format": "SignedData"}]},
        ],
    },
    "json within json": {"value": json.dumps(_wrapped(publicKey=KEY)), "format": "SignedData"},
    "call": [2, "id", "TransactionEvent", {"values": [{"x": _wrapped(publicKey=KEY)}]}],
    "string": WHOLE.decode() + "|" + KEY,
}


@pytest.mark.parametrize("form", _JSON)
def test_container__json_wrappers__are_recognised_with_their_key(form: str) -> None:
    report = check_file(json.dumps(_JSON[form], indent=1).encode())
    assert report.exit_code == 0
    assert _genuine(report) == [True]


def test_container__json_list_and_json_lines__give_all_records_and_pairs() -> None:
    both = [_wrapped(r, publicKey=KEY, transactionId=7) for r in (BEGIN, ENDING)]
    for data in (json.dumps(both), "\n".join(map(json.dumps, both))):
        report = check_file(data.encode())
        assert _genuine(report) == [True, True]
        assert report.as_json()["transactions"][0]["transaction_id"] == "7"
        assert report.as_json()["transactions"][0]["billable"]


def test_container__json_with_one_broken_record__keeps_the_other() -> None:
    both = [_wrapped(publicKey=KEY), {"signedMeterData": "AAAA", "publicKey": KEY}]
    report = check_file(json.dumps(both).encode())
    assert report.exit_code == 1
    assert _genuine(report) == [True, False]


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b'{"a":1}',
        b'{"a":',
        b"[" * 50_000,
        b'{"a":1,"a":2}',
        b"[1e99999999999]",
        b'"x',
    ],
)
def test_container__broken_or_foreign_json__is_two(data: bytes) -> None:
    assert check_file(data, KEY).exit_code == 2


_FILES = [
    _xml(_value(_escaped(BEGIN)), _value(_escaped(ENDING), context="End")),
    *(json.dumps(document).encode() for document in _JSON.values()),
]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(st.data())
def test_container__mutated_files__always_end_in_a_report(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(_FILES))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(file)))
        end = min(len(file), start + data.draw(st.integers(0, 10)))
        file = file[:start] + data.draw(st.binary(max_size=6)) + file[end:]
    report = check_file(file)
    assert report.exit_code in (0, 1, 2)
    json.dumps(report.as_json())
