"""XML that is no EPCIS, unsafe, or lacks what the schema requires: refused by name."""

from __future__ import annotations

import pytest

from device_adapters.protocols import epcis
from device_adapters.registry import read
from device_adapters.types import Event, Message, Reason, Rejected
from tests.support.epcis_xml import xml_document, xml_event
from tests.support.signing_scanner import SigningScanner, event

SCANNER = SigningScanner()
NOW = 1_800_000_000_000
ONE = xml_document(xml_event(event()), acme="https://ns.acme.example/epcis/")


def _decoded(body: bytes) -> Event:
    return epcis.decode(SCANNER.signed(body))


def _but(old: bytes, new: bytes) -> bytes:
    assert old in ONE
    return ONE.replace(old, new, 1)


BROKEN = {
    "a DTD": (_but(b"<epcis:", b'<!DOCTYPE x SYSTEM "x.dtd"><epcis:'), Reason.MALFORMED),
    "an entity": (
        _but(b"<epcis:", b'<!DOCTYPE x [<!ENTITY a "b">]><epcis:').replace(b"OBSERVE", b"&a;"),
        Reason.MALFORMED,
    ),
    "an undeclared entity": (_but(b"OBSERVE", b"&a;"), Reason.MALFORMED),
    "an external entity": (
        _but(b"<epcis:", b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><epcis:'),
        Reason.MALFORMED,
    ),
    "half a document": (ONE[: len(ONE) // 2], Reason.TRUNCATED),
    "not UTF-8": (_but(b"OBSERVE", b"\xff"), Reason.NOT_UTF8),
    "UTF-16": (ONE.decode().replace("UTF-8", "UTF-16").encode("utf-16"), Reason.NOT_UTF8),
    "nested too deeply": (_but(b"<EventList>", b"<acme:a>" * 300), Reason.MALFORMED),
    "deep elements": (
        _but(b"</ObjectEvent>", b"<acme:a>" * 40 + b"</acme:a>" * 40 + b"</ObjectEvent>"),
        Reason.TOO_DEEP,
    ),
    "too many elements": (
        _but(b"</ObjectEvent>", b"<acme:a/>" * 100_001 + b"</ObjectEvent>"),
        Reason.TOO_LARGE,
    ),
    "another document": (b'<invoice xmlns="urn:x"/>', Reason.VOCABULARY_UNKNOWN),
    "no namespace": (
        ONE.replace(b"epcis:EPCISDocument", b"EPCISDocument"),
        Reason.VOCABULARY_UNKNOWN,
    ),
    "no event list": (ONE.replace(b"EventList", b"Events"), Reason.EVENT_MISSING),
    "two bodies": (_but(b"</EPCISBody>", b"</EPCISBody><EPCISBody/>"), Reason.EVENT_MISSING),
    "no event": (xml_document(), Reason.EVENT_MISSING),
    "a quantity event": (ONE.replace(b"ObjectEvent", b"QuantityEvent"), Reason.VOCABULARY_UNKNOWN),
    "an action twice": (
        _but(b"<action>", b"<action>ADD</action><action>"),
        Reason.DUPLICATE_KEY,
    ),
    "an action again in an extension": (
        _but(b"</ObjectEvent>", b"<extension><action>ADD</action></extension></ObjectEvent>"),
        Reason.DUPLICATE_KEY,
    ),
    "a type of its own": (
        _but(b"</ObjectEvent>", b"<type>TransactionEvent</type></ObjectEvent>"),
        Reason.MALFORMED,
    ),
    "a type as attribute": (_but(b"<ObjectEvent>", b'<ObjectEvent isA="x">'), Reason.MALFORMED),
    "something else among the identifiers": (
        _but(b"<epc>", b"<id>urn:x:1</id><epc>"),
        Reason.MALFORMED,
    ),
    "elements in a text": (_but(b"OBSERVE", b"<b>OBSERVE</b>"), Reason.WRONG_TYPE),
    "a step in bare words": (
        ONE.replace(b"urn:epcglobal:cbv:bizstep:receiving", b"taking in"),
        Reason.VOCABULARY_UNKNOWN,
    ),
    "a quantity in words": (
        xml_document(xml_event(event(quantityList=[{"epcClass": "urn:x:1", "quantity": "ten"}]))),
        Reason.WRONG_TYPE,
    ),
    "a quantity beyond all bounds": (
        xml_document(
            xml_event(event(quantityList=[{"epcClass": "urn:x:1", "quantity": "9" * 30}]))
        ),
        Reason.NUMBER_OUT_OF_RANGE,
    ),
}


@pytest.mark.parametrize(("body", "reason"), BROKEN.values(), ids=BROKEN)
def test_xml__broken_or_unsafe__is_rejected_by_name(body, reason):
    with pytest.raises(Rejected) as caught:
        _decoded(body)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'schemaVersion="1.2"', b"", "field_missing"),
        (b'schemaVersion="1.2"', b'schemaVersion="3.0"', "version_unknown"),
        (b'creationDate="2026-03-02T08:00:00Z"', b"", "field_missing"),
        (b'creationDate="2026-03-02T08:00:00Z"', b'creationDate="2026"', "time_malformed"),
    ],
)
def test_xml__document_that_lacks_what_the_schema_requires__is_refused(old, new, code):
    record = SCANNER.signed(_but(old, new))
    (outcome,) = read(Message("epcis", "", record), NOW)
    assert isinstance(outcome, Rejected) and outcome.reason == code
    assert isinstance(epcis.decode(record), Event)  # what was settled before stays readable
