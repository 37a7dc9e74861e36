"""EPCIS in XML: the facts and the Event Hash ID of the same event in JSON, and no unsafe XML."""

from __future__ import annotations

import importlib
import json
import logging
from typing import Any

import pytest

from device_adapters.evidence import check_file
from device_adapters.protocols import epcis
from device_adapters.protocols.epcis.document import read_document
from device_adapters.protocols.epcis.hash import pre_hash
from device_adapters.protocols.epcis.notes import Notes
from device_adapters.registry import read
from device_adapters.types import Event, Message, Rejected
from orchestrator.products.proof_of_delivery import product
from tests.support.epcis_xml import xml_document, xml_event, xml_query
from tests.support.signing_scanner import CONTEXT, SSCC, SigningScanner, document, event, framed

SCANNER = SigningScanner()
KEY = SCANNER.key.der.hex()
NOW = 1_800_000_000_000
ITEM = "urn:epc:id:sgtin:4012345.011111.9876"
SGLN = "urn:epc:id:sgln:4012345.00005.0"
SPACES = {
    "acme": "https://ns.acme.example/epcis/",
    "cbvmda": "urn:epcglobal:cbv:mda:",
    "proofrail": "urn:proofrail:voc:",
}
CITED = "ni:///sha-256;" + "a" * 64 + "?ver=CBV2.0"
ORDERS = [
    {"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:4012345000054:PO-1"},
    {"type": "desadv", "bizTransaction": "urn:epc:id:gdti:0614141.00001.1618034"},
]
PARTIES = {
    "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:4012345.00225"}],
    "destinationList": [{"type": "location", "destination": SGLN}],
}
QUANTITIES = [
    {"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": 200.50, "uom": "KGM"},
    {"epcClass": "urn:epc:idpat:sgtin:4012345.012345.*", "quantity": 10},
    {"epcClass": "https://id.gs1.org/01/04012345111118"},
]
DECLARED = {
    "declarationTime": "2026-03-03T10:00:00Z",
    "reason": "did_not_occur",
    "correctiveEventIDs": ["urn:uuid:1", "urn:uuid:2"],
}
EVENTS: dict[str, dict[str, Any]] = {
    "an object event": event(
        disposition="in_progress",
        recordTime="2026-03-02T07:30:01.5Z",
        readPoint={"id": SGLN, "acme:dock": "7"},
        bizLocation={"id": SGLN},
        bizTransactionList=ORDERS,
        quantityList=QUANTITIES,
        ilmd={"cbvmda:lotNumber": "A", "acme:deep": {"acme:b": ["2", "1"]}},
        action="ADD",
        **PARTIES,
    ),
    "a withdrawal": event(eventID="urn:uuid:2", errorDeclaration=DECLARED),
    "citations": event(**{"proofrail:confirms": [CITED, CITED.replace("a" * 64, "b" * 64)]}),
    "extensions": event(
        **{"acme:list": {"acme:entry": ["x", "0012.50"]}, "acme:pairList": ["b", "a"]}
    ),
    "an aggregation": event(
        type="AggregationEvent",
        epcList=None,
        parentID=SSCC,
        action="ADD",
        bizStep="packing",
        childEPCs=[ITEM, ITEM + "1"],
        childQuantityList=QUANTITIES[1:],
        **PARTIES,
    ),
    "a transaction event": event(
        type="TransactionEvent", parentID=SSCC, epcList=[ITEM], bizTransactionList=ORDERS
    ),
    "a transformation": event(
        type="TransformationEvent",
        epcList=None,
        action=None,
        transformationID="urn:uuid:3",
        inputEPCList=[ITEM],
        inputQuantityList=QUANTITIES,
        outputEPCList=[SSCC],
        outputQuantityList=QUANTITIES[:1],
        bizStep="commissioning",
        ilmd={"acme:lot": "L1"},
    ),
}

ONE = xml_document(xml_event(event()), **SPACES)


def _but(old: bytes, new: bytes) -> bytes:
    assert old in ONE
    return ONE.replace(old, new, 1)


UNTYPED = event(bizTransactionList=[*ORDERS, {"bizTransaction": "urn:example:1"}])


def _in_json(content: dict[str, Any]) -> dict[str, Any]:
    bare = {name: value for name, value in content.items() if name != "@context"}
    return document(bare, **{"@context": [CONTEXT, SPACES]})


def _decoded(body: bytes) -> Event:
    return epcis.decode(SCANNER.signed(body))


def _pre_hashes(body: bytes) -> list[str]:
    return [pre_hash(e.fields, e.namespaces) for e in read_document(body, Notes())]


@pytest.fixture(scope="module")
def reference():
    """Return pre-hash strings of the public tool for a document in XML."""
    tool = pytest.importorskip("epcis_event_hash_generator.hash_generator")
    reader = importlib.import_module("epcis_event_hash_generator.xml_to_py")

    def pre_hashes(body: bytes) -> list[str]:
        logging.disable(logging.CRITICAL)
        try:
            events = reader.event_list_from_epcis_document_str(body.decode())
            return tool.derive_prehashes_from_events(events)
        finally:
            logging.disable(logging.NOTSET)

    return pre_hashes


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "2.0"])
@pytest.mark.parametrize("name", EVENTS)
def test_xml__every_event_of_every_version__has_the_facts_of_json(name, version):
    in_json = _decoded(json.dumps(_in_json(EVENTS[name])).encode())
    body = xml_document(xml_event(EVENTS[name], version), version=version, **SPACES)
    in_xml = _decoded(body)
    assert in_xml.facts == in_json.facts
    same = ("subject", "names", "cites", "place", "observed_at_ms", "kind")
    assert all(getattr(in_xml, field) == getattr(in_json, field) for field in same)


def test_xml__transaction_without_type__has_the_facts_of_json():
    in_json = _decoded(json.dumps(_in_json(UNTYPED)).encode())  # the public tool fails at its XML
    assert _decoded(xml_document(xml_event(UNTYPED))).facts == in_json.facts


@pytest.mark.parametrize("version", ["1.2", "2.0"])
@pytest.mark.parametrize("name", EVENTS)
def test_xml__every_event__has_the_event_hash_of_the_public_tool(reference, name, version):
    body = xml_document(xml_event(EVENTS[name], version), version=version, **SPACES)
    assert _pre_hashes(body) == reference(body)
    assert _pre_hashes(body) == _pre_hashes(json.dumps(_in_json(EVENTS[name])).encode())


VENDOR = f"""<ObjectEvent acme:line="4">
  <eventTime> 2026-03-02T08:30:00.0005+01:00 </eventTime>
  <eventTimeZoneOffset>+01:00</eventTimeZoneOffset>
  <epcList><epc>{SSCC}</epc></epcList><action>OBSERVE</action>
  <bizStep>cbv:BizStep-receiving</bizStep><!-- by the shift leader -->
  <acme:weight unit="KGM">400</acme:weight>
  <acme:epcList><acme:epcExtension><acme:epc>{ITEM}</acme:epc></acme:epcExtension></acme:epcList>
  <acme:crateList>2</acme:crateList><acme:crateList>1</acme:crateList>
  <acme:boxList><acme:box>2</acme:box><acme:box>1</acme:box></acme:boxList>
  <acme:emptyList/>
</ObjectEvent>"""
SENSED = f"""<ObjectEvent>
  <eventTime>2026-03-02T07:30:00Z</eventTime><eventTimeZoneOffset>+01:00</eventTimeZoneOffset>
  <epcList><epc>{SSCC}</epc></epcList><action>OBSERVE</action>
  <bizStep>https://ref.gs1.org/cbv/BizStep-sensor_reporting</bizStep>
  <sensorElementList><sensorElement>
    <sensorMetadata time="2026-03-02T07:00:00Z" deviceID="urn:epc:id:giai:4000001.111"/>
    <sensorReport type="gs1:Temperature" minValue="2.10" maxValue="8.25" uom="CEL"/>
    <sensorReport type="gs1:Temperature" booleanValue="true"/>
  </sensorElement></sensorElementList>
</ObjectEvent>"""


# no objects, and a namespace that does not end in a slash
BARE = f"""<ObjectEvent><eventTime>2019-10-21T10:00:30Z</eventTime>
  <eventTimeZoneOffset>+01:00</eventTimeZoneOffset><epcList/><action>OBSERVE</action>
  <readPoint><id>{SGLN}</id><ext:a>1</ext:a><ext:b>x</ext:b></readPoint>
  <ext:c><ext:d>4</ext:d></ext:c></ObjectEvent>"""


@pytest.mark.parametrize(
    ("text", "version"), [(VENDOR, "1.2"), (SENSED, "2.0"), (BARE, "1.2"), (BARE, "2.0")]
)
def test_xml__as_vendors_write_it__has_the_event_hash_of_the_public_tool(reference, text, version):
    body = xml_document(text, version=version, ext="http://ext.example/ext1", **SPACES)
    assert _pre_hashes(body) == reference(body)


def test_xml__sensors_of_2_0__are_the_facts_of_json():
    element = {
        "sensorMetadata": {
            "time": "2026-03-02T07:00:00Z",
            "deviceID": "urn:epc:id:giai:4000001.111",
        },
        "sensorReport": [
            {"type": "Temperature", "minValue": 2.1, "maxValue": 8.25, "uom": "CEL"},
            {"type": "Temperature", "booleanValue": True},
        ],
    }
    in_json = event(bizStep="sensor_reporting", sensorElementList=[element])
    facts = _decoded(json.dumps(in_json).encode()).facts
    in_xml = _decoded(xml_document(SENSED, version="2.0")).facts
    said = in_xml["events"][0]["sensors"][0]["said"]
    assert said == {"minValue": "2.10", "maxValue": "8.25", "uom": "CEL"}  # as written
    for sensor in (*in_xml["events"][0]["sensors"], *facts["events"][0]["sensors"]):
        del sensor["said"]
    assert in_xml == facts


def test_xml__names_in_the_default_namespace__are_read_alike():
    body = xml_document(xml_event(event()))
    qualified = body.replace(b"xmlns:epcis=", b"xmlns=").replace(b"epcis:EPCIS", b"EPCIS")
    assert _decoded(qualified).facts == _decoded(body).facts


def test_xml__comment_of_an_event__is_not_part_of_its_hash():
    text = "<rdfs:comment>by the shift leader</rdfs:comment></ObjectEvent>"
    text = xml_event(event()).replace("</ObjectEvent>", text)
    body = xml_document(text, rdfs="http://www.w3.org/2000/01/rdf-schema#")
    assert _decoded(body).names == _decoded(ONE).names


def test_xml__header_and_master_data__decide_nothing():
    head = "<EPCISHeader><acme:sender>x</acme:sender><extension/></EPCISHeader>"
    body = xml_document(xml_event(event()), head=head, **SPACES)
    assert _decoded(body).facts == _decoded(ONE).facts


@pytest.mark.parametrize("part", [b"<!-- -->", b"<?pi x?>", b"<![CDATA[]]>"])
def test_xml__text_in_pieces__is_read_whole(part):
    """A reader that stops at a comment would take another identifier than the signer meant."""
    cut = _but(b"4012345.0111", b"4012345.0" + part + b"111")
    assert _decoded(cut).facts == _decoded(ONE).facts


def test_xml__query_document__is_read_and_needs_no_date():
    body = xml_query(xml_event(event()), xml_event(event(action="ADD")))
    assert len(_decoded(body).facts["events"]) == 2
    bare = body.replace(b' creationDate="2026-03-02T08:00:00Z"', b"")
    (outcome,) = read(Message("epcis", "", SCANNER.signed(bare)), NOW)
    assert isinstance(outcome, Event)


def test_xml__quantity_that_is_nil__is_a_class_without_quantity():
    element = (
        '<quantityElement><epcClass>urn:x:1</epcClass><quantity xsi:nil="true"/></quantityElement>'
    )
    text = xml_event(event()).replace(
        "</ObjectEvent>",
        f"<extension><quantityList>{element}</quantityList></extension></ObjectEvent>",
    )
    body = xml_document(text, xsi="http://www.w3.org/2001/XMLSchema-instance")
    (fields,) = _decoded(body).facts["events"]
    assert (fields["quantity"], fields["uncounted"]) == (None, "class_without_quantity")


# --- the auditor's check, the seal and the payment


def test_xml__check_of_a_signed_document__says_yes_three_times():
    report = check_file(SCANNER.signed(ONE), KEY)
    (record,) = report.as_json()["records"]
    assert report.exit_code == 0
    assert [record[kind] for kind in ("genuine", "billable", "settleable")] == [True] * 3
    assert record["events"][0]["units"]["whole"]


@pytest.mark.parametrize("body", [ONE, b"\xef\xbb\xbf" + ONE, ONE.partition(b"?>\n")[2]])
def test_xml__check_of_an_unsigned_document__is_read_and_not_genuine(body):
    pathed = body.replace(b" schemaVersion", b' acme:from="../x/../y" schemaVersion', 1)
    for file in (body, pathed):
        report = check_file(file)
        (record,) = report.as_json()["records"]
        assert report.exit_code == 1 and record["events"]
        assert [reason["code"] for reason in record["genuine_reasons"]] == ["signature_missing"]


def test_xml__json_and_xml_in_one_message__are_two_records():
    body = framed(SCANNER.signed(ONE), SCANNER.record(), SCANNER.signed(b"<epcis:"))
    outcomes = read(Message("epcis", SCANNER.name, body), NOW)
    assert [type(outcome) for outcome in outcomes] == [Event, Event, Rejected]


def test_xml__dock_that_signs_1_2__is_paid_as_one_that_signs_json():
    terms = product.parse_terms(
        {
            "consignment": "sscc:040123451111111110",
            "carrier": "truck-1",
            "price": "1000",
            "quantity": "100",
            "shares": "20/50/30",
            "due": "2026-05-01T12:00Z",
            "deadline": "2026-05-08T12:00Z",
        }
    )
    received = event(quantityList=[{"epcClass": "urn:x:1", "quantity": 60}])
    records = [
        _decoded(xml_document(xml_event(received))),
        epcis.decode(SCANNER.record(received)),
    ]
    assert [product.admit(terms, None, record) for record in records] == [None, None]
    facts = [product.decode_facts(product.derive(terms, None, [r], {})) for r in records]
    assert facts[0].received == 60
    unsigned = [fact._replace(digest=b"", r=b"", s=b"") for fact in facts]
    assert unsigned[0] == unsigned[1]
