"""OCPP messages, built with the library ocpp: their signed records are evidence, one by one."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ocpp.charge_point import remove_nones, serialize_as_dict, snake_to_camel_case
from ocpp.messages import Call
from ocpp.v16 import call as call16
from ocpp.v16 import datatypes as types16
from ocpp.v16 import enums as enums16
from ocpp.v21 import call as call21
from ocpp.v21 import datatypes as types21
from ocpp.v201 import call as call201
from ocpp.v201 import datatypes as types201

from device_adapters.evidence import check_file
from device_adapters.protocols.ocmf.examples import BEGIN, SESSION
from device_adapters.protocols.ocpp import decode, examples, split
from device_adapters.protocols.sealed.examples import BY_GATEWAY
from device_adapters.protocols.sealed.examples import PUBLIC_KEY as SEALED_KEY
from device_adapters.registry import read
from device_adapters.types import Event, Message, Reason, Rejected
from tests.support.signing_meter import SigningMeter, payload

AT = "2026-03-01T07:30:00Z"
METER = SigningMeter()
END = {"TM": "2026-03-01T08:30:00,000+0100 S", "TX": "E", "RV": 2947.101}
RECORDS = [METER.record(), METER.record(payload(END, PG="T42"))]


def frame(action: str, message: Any) -> bytes:
    """Return a call as it goes over the wire."""
    fields = snake_to_camel_case(remove_nones(serialize_as_dict(message)))
    return Call("19223201", action, fields).to_json().encode()


def _signed16(record: bytes) -> types16.MeterValue:
    value = types16.SampledValue(record.decode(), format=enums16.ValueFormat.signed_data)
    return types16.MeterValue(AT, [types16.SampledValue("2947.1"), value])


def meter_values_16(*records: bytes, key: str = "") -> bytes:
    values = [_signed16(record) for record in records]
    return frame("MeterValues", call16.MeterValues(1, values, transaction_id=7))


def stop_transaction_16(*records: bytes, key: str = "") -> bytes:
    values = [_signed16(record) for record in records]
    message = call16.StopTransaction(2_947_101, AT, 7, transaction_data=values)
    return frame("StopTransaction", message)


def application_note_16(*records: bytes, key: str = "") -> bytes:
    """The signed value of OCA's application note: JSON within the value."""
    wrapped = [
        json.dumps(
            {
                "signedMeterData": base64.b64encode(record).decode(),
                "encodingMethod": "OCMF",
                "signingMethod": "ECDSA-secp256r1-SHA256",
                "publicKey": key,
            }
        ).encode()
        for record in records
    ]
    return meter_values_16(*wrapped)


def _transaction(call: Any, types: Any, records: tuple[bytes, ...], key: str) -> bytes:
    values = [
        types.MeterValueType(
            timestamp=AT,
            sampled_value=[
                types.SampledValueType(
                    value=2_947_101,
                    signed_meter_value=types.SignedMeterValueType(
                        signed_meter_data=base64.b64encode(record).decode(),
                        signing_method="",
                        encoding_method="OCMF",
                        public_key=key,
                    ),
                )
            ],
        )
        for record in records
    ]
    info = types.TransactionType("T-1")
    event = call.TransactionEvent("Ended", AT, "EVDeparted", 3, info, meter_value=values)
    return frame("TransactionEvent", event)


def transaction_event_201(*records: bytes, key: str = "") -> bytes:
    return _transaction(call201, types201, records, key)


def transaction_event_21(*records: bytes, key: str = "") -> bytes:
    return _transaction(call21, types21, records, key)


BUILDERS = [
    meter_values_16,
    stop_transaction_16,
    application_note_16,
    transaction_event_201,
    transaction_event_21,
]


@pytest.mark.parametrize("build", BUILDERS)
def test_read__a_message__gives_the_event_of_each_signed_record(build: Any) -> None:
    answers = read(Message("ocpp", "", build(*RECORDS), source="http"))
    assert [type(answer) for answer in answers] == [Event, Event]
    assert [(a.device, a.counter, a.protocol) for a in answers] == [
        ("EV-0001", 41, "ocmf"),
        ("EV-0001", 42, "ocmf"),
    ]
    assert decode(split(build(*RECORDS))[0]).signed == answers[0].signed


@pytest.mark.parametrize("build", BUILDERS)
def test_check__a_message__is_checked_as_ocmf_is_with_the_key_given(build: Any) -> None:
    report = check_file(build(*RECORDS), METER.key.der.hex(), "ocpp")
    plain = check_file(b"\n".join(RECORDS), METER.key.der.hex())
    assert (report.exit_code, report.protocol) == (plain.exit_code, "ocpp") == (0, "ocpp")
    for ours, theirs in zip(report.as_json()["records"], plain.as_json()["records"], strict=True):
        for verdict in ("genuine", "billable", "settleable"):
            assert ours[verdict] is theirs[verdict] is True
    forged = check_file(build(*RECORDS), SigningMeter().key.der.hex(), "ocpp")
    assert forged.exit_code == 1


@pytest.mark.parametrize("build", BUILDERS[2:])
@pytest.mark.parametrize(
    "form",
    [
        METER.key.der.hex(),
        base64.b64encode(METER.key.der).decode(),
        METER.key.point.hex(),
        "oca:base16:asn1:" + METER.key.der.hex(),
        base64.b64encode(b"oca:base16:asn1:" + METER.key.der.hex().encode()).decode(),
    ],
)
def test_check__key_of_the_message__is_read_in_every_form(build: Any, form: str) -> None:
    report = check_file(build(*RECORDS, key=form), None, "ocpp")
    assert [record.key_source for record in report.records] == ["container", "container"]
    assert report.exit_code == 0


@pytest.mark.parametrize("build", BUILDERS)
def test_check__empty_key_of_the_message__is_no_key(build: Any) -> None:
    report = check_file(build(*RECORDS), None, "ocpp")
    codes = [[code.value for code, _ in record.genuine_reasons] for record in report.records]
    assert (report.exit_code, codes) == (1, [["no_key"], ["no_key"]])


def test_check__example_of_two_values__is_genuine_with_its_key() -> None:
    report = check_file(examples.METER_VALUES, examples.KEY, "ocpp")
    assert [record.record for record in report.records] == [BEGIN, SESSION]
    assert not any(record.genuine_reasons for record in report.records)


def test_read__a_format_that_is_not_read__is_refused_and_the_next_is_taken() -> None:
    body = meter_values_16(b"AP;0;3;AJ2J7LYMGCIWT4AHUJPPFIIVB3FGRV2JQ2HVZG2I", RECORDS[0])
    refusal, event = read(Message("ocpp", "", body, source="http"))
    assert isinstance(refusal, Rejected) and refusal.reason is Reason.MALFORMED
    assert refusal.raw.startswith(b"AP;") and isinstance(event, Event)


@pytest.mark.parametrize("build", [meter_values_16, transaction_event_201])
def test_read__a_sealed_record_in_a_message__is_an_event_and_genuine(build: Any) -> None:
    wrapped = base64.b64encode(BY_GATEWAY) if build is meter_values_16 else BY_GATEWAY
    body = build(wrapped, RECORDS[0])
    sealed, event = read(Message("ocpp", "", body, source="http"))
    assert (sealed.protocol, sealed.evidence, event.protocol) == ("sealed", BY_GATEWAY, "ocmf")
    report = check_file(body, SEALED_KEY, "ocpp")
    verdicts = {record.event.protocol: record.is_genuine for record in report.records}
    assert verdicts == {"ocmf": False, "sealed": True}
    assert [record.index for record in report.records] == [0, 1]


def test_read__messages_in_a_row__are_all_read() -> None:
    body = meter_values_16(RECORDS[0]) + b"\n" + transaction_event_201(RECORDS[1])
    assert [event.counter for event in read(Message("ocpp", "", body, source="http"))] == [41, 42]


def test_read__a_message_on_the_topic_of_another_meter__is_refused() -> None:
    (refusal,) = read(Message("ocpp", "EV-0002", meter_values_16(RECORDS[0])))
    assert refusal.reason is Reason.DEVICE_NOT_OF_TOPIC


def test_check__sealed_record_with_its_key_in_the_message__is_genuine() -> None:
    report = check_file(transaction_event_201(BY_GATEWAY, key=SEALED_KEY), None, "ocpp")
    assert [(r.is_genuine, r.key_source) for r in report.records] == [(True, "container")]
    assert report.exit_code == 0
