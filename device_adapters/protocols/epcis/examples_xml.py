"""Example EPCIS records in XML, each with the expected fields or rejection.

All are signed by one key, whose private part was deleted. Names and numbers are invented.
"""

from __future__ import annotations

from device_adapters.protocols.epcis.examples import CONFIRMED
from device_adapters.protocols.epcis.seal import join
from device_adapters.types import Place, Reason

XML_PUBLIC_KEY = (
    "3059301306072a8648ce3d020106082a8648ce3d03010703420004994e3db315f2f2bdc8647479b3e868"
    "1a318ade2367b56f1525b50a231b23222d2adbb61ff4a9539fdd02f9d4940b37a69fd8d77cd33e60764a"
    "d582e02c99f141"
)
RECEIVED_XML = join(
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogImRvY2stNyIsICJjdHIiOiAxfQ..BxMMwecvdSnDLwKqVzIu3GVd"
    "YEW3TEKj_m7yufNolqi4LlORVJU8p-aZl6t9hM_pzPaUk3k4zfHg9mHaoOCWFQ",
    b"""\
<?xml version="1.0" encoding="UTF-8"?>
<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:1" xmlns:proofrail="urn:proofrail:voc:"
  schemaVersion="1.2" creationDate="2026-03-02T07:31:00Z"><EPCISBody><EventList>
<ObjectEvent>
  <eventTime>2026-03-02T07:30:00Z</eventTime>
  <eventTimeZoneOffset>+01:00</eventTimeZoneOffset>
  <epcList><epc>urn:epc:id:sscc:4012345.0111111111</epc></epcList>
  <action>OBSERVE</action>
  <bizStep>urn:epcglobal:cbv:bizstep:receiving</bizStep>
  <disposition>urn:epcglobal:cbv:disp:in_progress</disposition>
  <readPoint><id>urn:epc:id:sgln:4012345.00011.0</id></readPoint>
  <bizTransactionList>
    <bizTransaction type="urn:epcglobal:cbv:btt:po">https://erp.example/po/1</bizTransaction>
  </bizTransactionList>
  <extension><quantityList>
    <quantityElement><epcClass>urn:epc:class:lgtin:4012345.012345.L1</epcClass>
      <quantity>40</quantity></quantityElement>
    <quantityElement><epcClass>urn:epc:class:lgtin:4012345.012345.L2</epcClass>
      <quantity>20</quantity></quantityElement>
  </quantityList></extension>
  <proofrail:confirms>
ni:///sha-256;877a6886e95340d728c7aff72db25df7235583f12aee1db0e1de356ad04804bc?ver=CBV2.0
  </proofrail:confirms>
</ObjectEvent></EventList></EPCISBody></epcis:EPCISDocument>
""",
)
WITHDRAWN_XML = join(
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogImRvY2stNyIsICJjdHIiOiAyfQ..xu7gMBVIL5YyLi98CBsGJbDw"
    "xkncm9QDc54u0fw4G0WTeSEqC5maeWH-5l9rSAOioicm53dt2L4EziK0VaG8Ag",
    b"""\
<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:1" schemaVersion="1.2"
  creationDate="2026-03-03T10:00:00Z"><EPCISBody><EventList><ObjectEvent>
  <eventTime>2026-03-02T07:30:00Z</eventTime><eventTimeZoneOffset>+01:00</eventTimeZoneOffset>
  <baseExtension><errorDeclaration><declarationTime>2026-03-03T10:00:00Z</declarationTime>
    <reason>urn:epcglobal:cbv:er:incorrect_data</reason>
    <correctiveEventIDs><correctiveEventID>urn:uuid:1</correctiveEventID></correctiveEventIDs>
  </errorDeclaration></baseExtension>
  <epcList><epc>urn:epc:id:sscc:4012345.0111111111</epc></epcList><action>OBSERVE</action>
  <bizStep>urn:epcglobal:cbv:bizstep:accepting</bizStep>
</ObjectEvent></EventList></EPCISBody></epcis:EPCISDocument>
""",
)
PACKED_XML = join(
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogImRvY2stNyIsICJjdHIiOiAzfQ..ve-"
    "3nnpBa5wfp9wBTeIp2RsjIt62PM72eYzzq_L5JLuLZAf0rNo5a4KUR7jWQu_QP9PHB3Qm3cv_k92XaF98RA",
    b"""\
<q:EPCISQueryDocument xmlns:q="urn:epcglobal:epcis-query:xsd:1" schemaVersion="1.1"
  creationDate="2026-03-01T10:00:00Z"><EPCISBody><q:QueryResults>
<queryName>Q</queryName><resultsBody>
<EventList><AggregationEvent>
  <eventTime>2026-02-28T24:00:00Z</eventTime><eventTimeZoneOffset>+00:00</eventTimeZoneOffset>
  <parentID>urn:epc:id:sscc:4012345.0111111111</parentID>
  <childEPCs><epc>urn:epc:id:sgtin:4012345.011111.5432</epc></childEPCs><action>ADD</action>
  <bizStep>urn:epcglobal:cbv:bizstep:packing</bizStep></AggregationEvent>
<extension><TransformationEvent>
  <eventTime>2026-03-01T09:00:00Z</eventTime><eventTimeZoneOffset>+00:00</eventTimeZoneOffset>
  <inputEPCList><epc>urn:epc:id:sgtin:4012345.011111.5432</epc></inputEPCList>
  <outputEPCList><epc>urn:epc:id:sscc:4012345.0111111111</epc></outputEPCList>
</TransformationEvent></extension></EventList>
</resultsBody></q:QueryResults></EPCISBody></q:EPCISQueryDocument>
""",
)


def _but(record: bytes, old: bytes, new: bytes) -> bytes:
    """Return the record with one change; decoding does not verify the signature."""
    assert old in record
    return record.replace(old, new, 1)


_SSCC = "sscc:040123451111111110"
_DOCUMENT = RECEIVED_XML.partition(b"\n")[2]
XML_EXAMPLES = (
    (
        "XML 1.2: a receipt in pieces, with a citation",
        RECEIVED_XML,
        {
            "device": "dock-7",
            "counter": 1,
            "observed_at_ms": 1_772_436_600_000,
            "kind": "epcis",
            "subject": _SSCC,
            "cites": (CONFIRMED,),
            "place": Place("https://id.gs1.org/414/4012345000115"),
        },
    ),
    (
        "XML 1.2: a withdrawal",
        WITHDRAWN_XML,
        {"counter": 2, "observed_at_ms": 1_772_532_000_000, "subject": _SSCC},
    ),
    (
        "XML 1.1: a query document with two events, one at 24:00",
        PACKED_XML,
        {"counter": 3, "observed_at_ms": 1_772_355_600_000, "subject": _SSCC},
    ),
    ("XML without signature", _DOCUMENT, Reason.SIGNATURE_MISSING),
    (
        "XML with a DTD",
        _but(RECEIVED_XML, b"<epcis:", b"<!DOCTYPE x []>\n<epcis:"),
        Reason.MALFORMED,
    ),
    ("half a document in XML", RECEIVED_XML[:900], Reason.TRUNCATED),
    (
        "a deprecated QuantityEvent",
        RECEIVED_XML.replace(b"ObjectEvent", b"QuantityEvent"),
        Reason.VOCABULARY_UNKNOWN,
    ),
    (
        "XML: an action twice",
        _but(RECEIVED_XML, b"<action>", b"<action>ADD</action><action>"),
        Reason.DUPLICATE_KEY,
    ),
)
