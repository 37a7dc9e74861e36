"""Decoding of a signed EPCIS document: seal, facts, subject, citations and place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.keys import genuine, load_public_key
from device_adapters.protocols import epcis
from device_adapters.protocols.epcis.codes import check_digit, read_code
from device_adapters.protocols.epcis.examples import PUBLIC_KEY, RECEIVING
from device_adapters.protocols.epcis.hash import event_hash
from device_adapters.protocols.epcis.times import in_utc, read_time
from device_adapters.registry import read
from device_adapters.types import (
    MAX_RECORD_BYTES,
    STREAM_BIT,
    Event,
    Message,
    Place,
    Reason,
    Rejected,
)
from tests.support.signing_scanner import SSCC, SigningScanner, document, event, framed

SCANNER = SigningScanner()
LINK = "https://id.gs1.org/00/040123451111111110"
OTHER = "urn:epc:id:sscc:4012345.0222222222"
PO = {"type": "po", "bizTransaction": "https://erp.example/po/1"}


def decoded(content, **header):
    return epcis.decode(SCANNER.record(content, **header))


def reason(content, **header):
    with pytest.raises(Rejected) as caught:
        decoded(content, **header)
    return caught.value.reason


# --- the seal


@pytest.mark.parametrize("encoded", [True, False])
def test_seal__detached_jws__is_genuine_over_the_exact_bytes(encoded):
    body = b"  " + json.dumps(event(), indent=1).encode() + b"\r\n\n"
    record = SCANNER.jws(body, encoded=encoded).encode() + b"\n" + body
    record_event = epcis.decode(record)
    assert record_event.device == SCANNER.name and record_event.evidence == record
    assert genuine(record_event.signed, SCANNER.key)
    assert not genuine(epcis.decode(record + b" ").signed, SCANNER.key)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(RECEIVING) - 1), st.integers(1, 255))
def test_seal__any_byte_changed__is_never_genuine(place, difference):
    changed = bytearray(RECEIVING)
    changed[place] ^= difference
    try:
        record_event = epcis.decode(bytes(changed))
    except Rejected:
        return
    assert not genuine(record_event.signed, load_public_key(PUBLIC_KEY))


def test_seal__counter__has_forty_bits():
    assert decoded(event(), ctr=2 ** (STREAM_BIT + 1) - 1).counter == 2**40 - 1
    for ctr in (2**40, -1, 1.0, True, "1", None):
        assert reason(event(), ctr=ctr) is Reason.COUNTER_MISSING


def test_split__framed_records__keep_every_byte():
    first, second = SCANNER.record(), SCANNER.record(document(event())) + b"\n\n"
    assert epcis.split(framed(first, second)) == [first, second]
    assert epcis.split(first + b"\n") == [first + b"\n"]
    assert epcis.split(b"") == epcis.split(b"\x1e\n") == []


def test_read__framed_message__is_judged_record_by_record():
    bad = SCANNER.record(event(action="LOOK"))
    outcomes = read(Message("epcis", SCANNER.name, framed(SCANNER.record(), bad, SCANNER.record())))
    assert [type(outcome) for outcome in outcomes] == [Event, Rejected, Event]
    assert outcomes[1].reason is Reason.VOCABULARY_UNKNOWN and outcomes[1].raw == bad


def test_read__another_devices_topic__is_refused():
    (result,) = read(Message("epcis", "scanner-2", SCANNER.record()))
    assert result.reason is Reason.DEVICE_NOT_OF_TOPIC


def test_read__document_of_many_sensor_reports__fits_in_a_record():
    reports = [{"type": "Temperature", "value": n, "uom": "CEL"} for n in range(1_000)]
    record = SCANNER.record(event(sensorElementList=[{"sensorReport": reports}]))
    assert MAX_RECORD_BYTES // 2 < len(record) < MAX_RECORD_BYTES
    (result,) = read(Message("epcis", "", record))
    assert len(result.facts["events"][0]["sensors"]) == 1_000


# --- subject, citations, place, time


@pytest.mark.parametrize(
    ("events", "subject"),
    [
        ([event()], "sscc:040123451111111110"),
        (
            [event(epcList=[LINK]), event(epcList=[SSCC, "urn:epc:id:sgtin:4012345.011111.9"])],
            "sscc:040123451111111110",
        ),
        (
            [event(type="AggregationEvent", epcList=None, parentID=SSCC, childEPCs=[OTHER])],
            "sscc:040123451111111110",
        ),
        (
            [event(type="AggregationEvent", epcList=None, childEPCs=[SSCC])],
            "sscc:040123451111111110",
        ),
        ([event(epcList=[SSCC, OTHER], bizTransactionList=[PO])], "po:https://erp.example/po/1"),
        (
            [event(epcList=None, bizTransactionList=[PO]), event(bizTransactionList=[PO])],
            "po:https://erp.example/po/1",
        ),
        ([event(bizTransactionList=[PO])], "sscc:040123451111111110"),
        ([event(epcList=None)], Reason.SUBJECT_MISSING),
        ([event(epcList=None, bizTransactionList=[{"type": "po"}])], Reason.SUBJECT_MISSING),
        ([event(), event(epcList=None)], Reason.SUBJECT_AMBIGUOUS),
        ([event(), event(epcList=[OTHER])], Reason.SUBJECT_AMBIGUOUS),
        ([event(epcList=[SSCC, OTHER])], Reason.SUBJECT_AMBIGUOUS),
        (
            [
                event(epcList=None, bizTransactionList=[PO | {"bizTransaction": f"urn:po:{n}"}])
                for n in (1, 2)
            ],
            Reason.SUBJECT_AMBIGUOUS,
        ),
    ],
)
def test_subject__by_its_rule__is_the_unit_or_the_order_or_rejected(events, subject):
    if isinstance(subject, Reason):
        assert reason(document(*events)) is subject
    else:
        assert decoded(document(*events)).subject == subject


@pytest.mark.parametrize(
    ("fields", "cites"),
    [
        ({"proofrail:confirms": "ni:1"}, ("ni:1",)),
        ({"proofrail:confirms": ["ni:2", "ni:1", "ni:2"]}, ("ni:2", "ni:1")),
        ({"@context": {"ours": "urn:proofrail:voc:"}, "ours:confirms": ["ni:1"]}, ("ni:1",)),
        ({"@context": {"proofrail": "urn:somebody:else:"}, "proofrail:confirms": ["ni:1"]}, ()),
        ({"acme:confirms": ["ni:1"]}, ()),
        (
            {
                "errorDeclaration": {
                    "declarationTime": "2026-03-03T00:00:00Z",
                    "correctiveEventIDs": ["ni:1"],
                }
            },
            (),
        ),
    ],
)
def test_cites__only_what_our_extension_confirms__in_order_and_once(fields, cites):
    assert decoded(event(**fields)).cites == cites


def test_cites__not_texts__are_refused():
    assert reason(event(**{"proofrail:confirms": [1]})) is Reason.WRONG_TYPE


def test_names__of_a_document__are_its_events_hashes():
    two = event(), event(action="ADD")
    assert decoded(document(*two)).names == tuple(event_hash(event, {}) for event in two)


@pytest.mark.parametrize(
    ("read_point", "place"),
    [
        ("urn:epc:id:sgln:4012345.00005.0", Place("https://id.gs1.org/414/4012345000054")),
        ("geo:52.52,13.405", Place("", 525_200_000, 134_050_000)),
        ("geo:-90,180,35;u=10", Place("", -900_000_000, 1_800_000_000)),
        ("geo:91,0", Place("geo:91,0")),
    ],
)
def test_place__read_point__is_a_name_or_degrees(read_point, place):
    assert decoded(event(readPoint={"id": read_point})).place == place


def test_place__position_among_the_sensors__is_degrees():
    reports = [
        {"type": "Angle", "component": "latitude", "value": 52.5},
        {"type": "Angle", "component": "longitude", "value": -0.1},
    ]
    record_event = decoded(event(sensorElementList=[{"sensorReport": reports}]))
    assert record_event.place == Place("", 525_000_000, -1_000_000)
    assert decoded(event()).place is None


def test_time__of_a_declared_error__is_that_of_the_declaration():
    declared = {"declarationTime": "2026-03-05T00:00:00Z", "reason": "incorrect_data"}
    record_event = decoded(event(errorDeclaration=declared))
    assert record_event.observed_at_ms == read_time("2026-03-05T00:00:00Z") // 1_000
    assert record_event.facts["from_ms"] == read_time("2026-03-02T07:30:00Z") // 1_000
    assert record_event.facts["events"][0]["error"] is True


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-01T09:00:00+01:00", "2026-03-01T08:00:00.000Z"),
        ("2026-12-31T23:59:59.9999Z", "2027-01-01T00:00:00.000Z"),
        ("2026-03-01T09:00:00.123456789-05:30", "2026-03-01T14:30:00.123Z"),
        ("2026-03-01T09:00:00.1234567890123456789Z", "2026-03-01T09:00:00.123Z"),
        ("2026-02-28T24:00:00Z", "2026-03-01T00:00:00.000Z"),
        ("2026-12-31T24:00:00.000+14:00", "2026-12-31T10:00:00.000Z"),
        ("2026-03-01T09:00:00-14:00", "2026-03-01T23:00:00.000Z"),
    ],
)
def test_time__with_zone__is_one_instant_in_milliseconds(text, utc):
    assert in_utc(text) == utc


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01",
        "2026-03-01T25:00:00Z",
        "2026-03-01T24:00:01Z",
        "2026-03-01T24:00:00.5Z",
        "2026-03-01T09:00:00+14:01",
        "9999-12-31T24:00:00Z",
        "2026-W01-1T00:00:00Z",
        "2026-03-01T09:00:60Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "now",
    ],
)
def test_time__that_is_not_valid__is_rejected(text):
    assert reason(event(eventTime=text)) is Reason.TIME_MALFORMED


# --- facts


@pytest.mark.parametrize(
    ("fields", "quantity"),
    [
        ({}, None),
        (
            {
                "epcList": [
                    SSCC,
                    "urn:epc:id:sgtin:4012345.011111.1",
                    "urn:epc:id:sgtin:4012345.011111.2",
                ]
            },
            2,
        ),
        (
            {
                "quantityList": [
                    {"epcClass": "urn:epc:idpat:sgtin:4012345.011111.*", "quantity": 40},
                    {"epcClass": "urn:epc:class:lgtin:4012345.011111.L", "quantity": 2.0},
                ]
            },
            42,
        ),
        (
            {
                "quantityList": [
                    {"epcClass": "urn:x:1", "quantity": 3},
                    {"epcClass": "urn:x:2", "quantity": 1.5, "uom": "KGM"},
                ]
            },
            3,
        ),
        ({"quantityList": [{"epcClass": "urn:x:1", "quantity": 1.5}]}, None),
        ({"quantityList": [{"epcClass": "urn:x:1"}]}, None),
        ({"quantityList": [{"epcClass": "urn:x:1", "quantity": 4, "uom": "EA"}]}, 4),
    ],
)
def test_quantity__units__are_counted_and_measures_are_not(fields, quantity):
    assert decoded(event(**fields)).facts["events"][0]["quantity"] == quantity


@pytest.mark.parametrize(
    ("value", "uom", "unit", "scaled"),
    [
        (4.125, "CEL", "centi_celsius", 412),
        (-40, "FAH", "centi_celsius", -4_000),
        (0, "KEL", "centi_celsius", -27_315),
        (9.80665, "MSK", "milli_g", 1_000),
        (2.5, "[g]", "milli_g", 2_500),
        (1, "K40", "milli_g", 1_000),
        (61.5, "A93", "A93", None),
    ],
)
def test_sensor__known_units__are_scaled_and_others_left(value, uom, unit, scaled):
    report = {"type": "Temperature", "value": value, "uom": uom}
    (sensor,) = decoded(event(sensorElementList=[{"sensorReport": [report]}])).facts["events"][0][
        "sensors"
    ]
    assert (sensor["unit"], sensor["value"], sensor["min"]) == (unit, scaled, None)
    assert sensor["said"] == {"value": str(value), "uom": uom}


# --- identifiers


@settings(deadline=None)
@given(st.integers(0, 10**17 - 1), st.integers(1, 9))
def test_code__sscc_with_another_check_digit__is_flawed(number, off):
    digits = f"{number:017}"
    right = check_digit(digits)
    good = read_code(f"https://id.gs1.org/00/{digits}{right}")
    bad = read_code(f"https://id.gs1.org/00/{digits}{(right + off) % 10}")
    assert good.flaw == "" and good.sscc == f"{digits}{right}"
    assert bad.flaw and bad.sscc == ""


@settings(deadline=None)
@given(st.integers(6, 12), st.integers(0, 10**17 - 1))
def test_code__sscc_urn__holds_exactly_seventeen_digits(prefix, number):
    digits = f"{number:017}"
    urn = f"urn:epc:id:sscc:{digits[:prefix]}.{digits[prefix:]}"
    assert read_code(urn).flaw == ""
    assert read_code(urn + "1").flaw and read_code(urn[:-1]).flaw


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(["", "urn:epc:id:sgtin:", "https://id.gs1.org/01/"]))
def test_code__any_text__never_raises(text, start):
    assert read_code(start + text).written == (start + text).strip()
