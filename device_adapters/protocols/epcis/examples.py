"""Example EPCIS records, each with the expected fields or rejection, written for this project.

All are signed by one key, whose private part was deleted. Names and numbers are invented.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

from device_adapters.protocols.epcis.seal import join
from device_adapters.strict_json import RECORD_SEPARATOR
from device_adapters.types import Place, Reason

PUBLIC_KEY = (
    "3059301306072a8648ce3d020106082a8648ce3d03010703420004fdec82d45e4e705d8b9d2b0a94"
    "c96a723b00e8d9675954b747d09930e19d6788d534046996d33b3f798c8f75ce34b8f2465140f08d"
    "ca2dfb315ed3f78314b71f"
)
DEPARTING = join(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6InNjYW5uZXItNyIsImN0ciI6NDF9..Rd4ELAQkBghIb7rVi60BtOehHA"
    "o88KIPy-FWCWVhnYYFIKmSZBmgY8yqb1J9yJNxraQNEmGKyh4OyVHNi65h3A",
    b"""\
{"@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
 "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": "2026-03-01T08:00:05Z",
 "epcisBody": {"eventList": [{
  "type": "ObjectEvent", "eventTime": "2026-03-01T09:00:00.000+01:00",
  "eventTimeZoneOffset": "+01:00", "action": "OBSERVE", "bizStep": "departing",
  "disposition": "in_transit", "epcList": ["urn:epc:id:sscc:4012345.0111111111"],
  "readPoint": {"id": "urn:epc:id:sgln:4012345.00005.0"},
  "bizTransactionList": [{"type": "po",
   "bizTransaction": "urn:epcglobal:cbv:bt:4012345000054:PO-1"}]}]}}""",
)
RECEIVING = join(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImRvY2stMSIsImN0ciI6N30..oNvhcTW9wN8Y8l0nt6wwnw4911Cw9vV"
    "thu2y3LvEabpxowW5T1y-YNz3MkIGyT3dERfQreEq7wv3XOflFU-dFw",
    b"""\
{"@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
  {"proofrail": "urn:proofrail:voc:"}],
 "type": "ObjectEvent", "eventTime": "2026-03-02T07:30:00Z", "eventTimeZoneOffset": "+01:00",
 "action": "OBSERVE", "bizStep": "https://ref.gs1.org/cbv/BizStep-receiving",
 "disposition": "urn:epcglobal:cbv:disp:in_progress",
 "epcList": ["https://example.com/00/040123451111111110"],
 "quantityList": [{"epcClass": "https://id.gs1.org/01/04012345123456/10/L1", "quantity": 40},
  {"epcClass": "https://id.gs1.org/01/04012345123456/10/L2", "quantity": 20}],
 "readPoint": {"id": "https://id.gs1.org/414/4012345000115"},
 "proofrail:confirms":
  ["ni:///sha-256;877a6886e95340d728c7aff72db25df7235583f12aee1db0e1de356ad04804bc?ver=CBV2.0"]}
""",
)
PACKING = join(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6InBhY2tlci0yIiwiY3RyIjozfQ..RO8mUMREQqkuIIT5Gwz_ZeqhnIOR"
    "GXG6NJqOFzxQ0-f4jnBnjo6DIwoSxHfEiiyiU60WQG4i4-PyIZMJsppf9w",
    b"""\
{"@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
 "type": "EPCISDocument", "schemaVersion": "2.0",
 "creationDate": "2026-02-28T17:00:00Z", "epcisBody": {"eventList": [{
  "type": "AggregationEvent", "eventTime": "2026-02-28T16:59:00.25Z",
  "eventTimeZoneOffset": "+00:00", "parentID": "https://id.gs1.org/00/040123451111111110",
  "childEPCs": ["https://id.gs1.org/01/04012345111118/21/9876",
   "urn:epc:id:sgtin:4012345.011111.5432"],
  "action": "ADD", "bizStep": "packing", "disposition": "container_closed",
  "bizLocation": {"id": "urn:epc:id:sgln:4012345.00005.0"}}]}}""",
)
SENSORS = join(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImxvZ2dlci0zIiwiY3RyIjo5MDAsImI2NCI6ZmFsc2UsImNyaXQiOlsi"
    "YjY0Il19..VJyYbkToYHAntv50TovySnktX8iOga4LQlAZTCrOBtMvfmTN0H16hMIIvMaBnW_X1L4t5jgWvQ"
    "3HcsOLSGOpfQ",
    b"""\
{"@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
 "type": "EPCISDocument", "schemaVersion": "2.0",
 "creationDate": "2026-03-02T07:00:00Z", "epcisBody": {"eventList": [{
  "type": "ObjectEvent", "eventTime": "2026-03-02T06:59:59.999999Z",
  "eventTimeZoneOffset": "+01:00", "action": "OBSERVE", "bizStep": "sensor_reporting",
  "epcList": ["urn:epc:id:sscc:4012345.0111111111"], "readPoint": {"id": "geo:52.5200,-13.4050"},
  "sensorElementList": [{
   "sensorMetadata": {"deviceID": "urn:epc:id:giai:4000001.111",
    "startTime": "2026-03-01T09:00:00Z", "endTime": "2026-03-02T06:59:00Z"},
   "sensorReport": [
    {"type": "Temperature", "minValue": 2.1, "maxValue": 8.25, "meanValue": 4, "uom": "CEL"},
    {"type": "Temperature", "value": 41, "uom": "FAH", "time": "2026-03-02T06:00:00Z"},
    {"type": "Acceleration", "maxValue": 24.51, "uom": "MSK"},
    {"type": "RelativeHumidity", "value": 61.5, "uom": "A93"}]}]}]}}""",
)
WITHDRAWN = join(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImRvY2stMSIsImN0ciI6OH0..IxAj883NkxxMfUD-xW8V0fc4jREjVCF"
    "dpx9LkagMTyZZLe78z1xTRlyOz1eWkg1_FXpJsNtMgOgaqBzbyo63oQ",
    b"""\
{"@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
 "type": "ObjectEvent", "eventTime": "2026-03-02T07:30:00Z", "eventTimeZoneOffset": "+01:00",
 "action": "OBSERVE", "bizStep": "receiving", "disposition": "in_progress",
 "epcList": ["urn:epc:id:sscc:4012345.0111111111"],
 "readPoint": {"id": "https://id.gs1.org/414/4012345000115"},
 "errorDeclaration": {"declarationTime": "2026-03-03T10:00:00Z", "reason": "incorrect_data",
  "correctiveEventIDs": ["urn:uuid:0d1de1a0-0000-4000-8000-000000000001"]}}""",
)
QUERIED = join(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6Imh1Yi0xIiwiY3RyIjoxMn0..N4i-DXdTQl9c8Z_HXOlYOlEeiL-88Uw"
    "ZT67hDyvqFgjoNQ9aXTft3mVuJJFkrAtyauvOxGAnxbNNPjwlyLQVZw",
    b"""\
{"@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
 "type": "EPCISQueryDocument", "schemaVersion": "2.0",
 "creationDate": "2026-03-02T08:00:00Z", "epcisBody": {"queryResults": {
  "queryName": "SimpleEventQuery", "resultsBody": {"eventList": [
   {"type": "TransactionEvent", "eventTime": "2026-03-01T10:00:00+01:00",
    "eventTimeZoneOffset": "+01:00", "action": "ADD", "bizStep": "loading",
    "parentID": "urn:epc:id:sscc:4012345.0111111111",
    "bizTransactionList": [{"type": "po", "bizTransaction": "https://erp.example/po/1"},
     {"type": "desadv", "bizTransaction": "urn:epc:id:gdti:0614141.00001.1618034"}],
    "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:4012345.00225"}],
    "destinationList": [{"type": "location", "destination": "urn:epc:id:sgln:4012345.00225.0"}]},
   {"type": "AssociationEvent", "eventTime": "2026-03-01T10:05:00+01:00",
    "eventTimeZoneOffset": "+01:00", "action": "ADD", "bizStep": "assembling",
    "parentID": "urn:epc:id:sscc:4012345.0111111111",
    "childEPCs": ["urn:epc:id:giai:4000001.111"]}]}}}}""",
)
EXTENDED = join(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImxpbmUtNCIsImN0ciI6MX0..th7S_zBROwb7wnloxazRrgFnkXUoXrc"
    "FHdTlJhsL73KQtI2DsfzBEdeqVTxDKXaHSiHxP0F8sTzYTAyB3FLT_w",
    b"""\
{"@context": [
  "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
  {"acme": "https://ns.acme.example/epcis/"}],
 "type": "TransformationEvent", "eventTime": "2026-02-27T12:00:00Z",
 "eventTimeZoneOffset": "+00:00", "transformationID": "urn:uuid:1", "bizStep": "commissioning",
 "inputQuantityList": [
  {"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": 200.5, "uom": "KGM"}],
 "outputEPCList": ["urn:epc:id:sscc:4012345.0111111111",
  "https://id.gs1.org/01/04012345111118/10/L1/21/9876"],
 "certificationInfo": "https://council.example/certificate/1",
 "persistentDisposition": {"set": ["completeness_verified"]},
 "readPoint": {"id": "urn:epc:id:sgln:4012345.00005.7", "acme:dock": "7"},
 "ilmd": {"acme:lot": "L1", "cbvmda:countryOfOrigin": "DE"}, 
 "acme:list": [{"acme:deep": "1.0"}]}""",
)
ORDERED = join(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImRvY2stMSIsImN0ciI6OX0..T9LqBHiLM_IPZUM0aD3xm8RetstLTKV"
    "rcMz7EI_JmpNYV74ZSaQeXmJsnsdL0pw0-6W_ddFTto7IDNGrfwYHWg",
    b"""\
{"@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
 "type": "ObjectEvent", "eventTime": "2026-03-02T09:00:00Z", "eventTimeZoneOffset": "+01:00",
 "action": "OBSERVE", "bizStep": "accepting",
 "epcList": ["urn:epc:id:sgtin:4012345.011111.9876", "urn:epc:id:sgtin:4012345.011111.5432"],
 "bizTransactionList": [{"type": "urn:epcglobal:cbv:btt:po",
  "bizTransaction": "https://erp.example/po/1"}, {"bizTransaction": "urn:example:other"}]}""",
)


def _but(record: bytes, old: bytes, new: bytes) -> bytes:
    """Return the record with one change; decoding does not verify the signature."""
    assert old in record
    return record.replace(old, new, 1)


def _headed(header: bytes, document: bytes = b"{}", signature: str = "A" * 86) -> bytes:
    """Return a record with this protected header."""
    head = urlsafe_b64encode(header).rstrip(b"=").decode()
    return join(f"{head}..{signature}", document)


CONFIRMED = (
    "ni:///sha-256;877a6886e95340d728c7aff72db25df7235583f12aee1db0e1de356ad04804bc?ver=CBV2.0"
)
_DOCUMENT = RECEIVING.partition(b"\n")[2]
_HEADER = b'{"alg":"ES256","kid":"dock-1","ctr":7}'
_SSCC = "sscc:040123451111111110"
_AT = 1_772_352_000_000  # 2026-03-01T08:00:00Z
_DOCK = Place("https://id.gs1.org/414/4012345000115")
EXAMPLES = (
    (
        "an object event with EPC URNs",
        DEPARTING,
        {
            "device": "scanner-7",
            "counter": 41,
            "observed_at_ms": _AT,
            "kind": "epcis",
            "subject": _SSCC,
            "cites": (),
            "place": Place("https://id.gs1.org/414/4012345000054"),
        },
    ),
    (
        "Digital Links, quantities, a citation",
        RECEIVING,
        {"device": "dock-1", "counter": 7, "subject": _SSCC, "place": _DOCK, "cites": (CONFIRMED,)},
    ),
    ("an aggregation", PACKING, {"counter": 3, "subject": _SSCC, "place": None}),
    (
        "sensor data, signed unencoded, at a geo URI",
        SENSORS,
        {"counter": 900, "subject": _SSCC, "place": Place("", 525_200_000, -134_050_000)},
    ),
    (
        "an error declaration, with the time it was declared",
        WITHDRAWN,
        {"observed_at_ms": 1_772_532_000_000, "subject": _SSCC, "cites": ()},
    ),
    ("a query document with two events", QUERIED, {"device": "hub-1", "subject": _SSCC}),
    ("a transformation with extensions", EXTENDED, {"counter": 1, "subject": _SSCC}),
    (
        "a purchase order, without an SSCC",
        ORDERED,
        {"subject": "po:https://erp.example/po/1", "place": None},
    ),
    ("an unsigned document", _DOCUMENT, Reason.SIGNATURE_MISSING),
    ("a JWS that is not detached", _but(DEPARTING, b"..", b".e30."), Reason.SIGNATURE_MISSING),
    (
        "another algorithm",
        _headed(_HEADER.replace(b"ES256", b"HS256")),
        Reason.SIGNATURE_ALGORITHM_UNKNOWN,
    ),
    (
        "no algorithm",
        _headed(b'{"alg":"none","kid":"d","ctr":1}', signature=""),
        Reason.SIGNATURE_ALGORITHM_UNKNOWN,
    ),
    ("a signature too short", _headed(_HEADER, signature="A" * 84), Reason.SIGNATURE_MALFORMED),
    (
        "a signature with loose bits",
        _headed(_HEADER, signature="A" * 85 + "B"),
        Reason.SIGNATURE_MALFORMED,
    ),
    ("a header that is not base64url", join("e30=..AAAA", b"{}"), Reason.SIGNATURE_MALFORMED),
    (
        "unencoded, and not marked critical",
        _headed(_HEADER[:-1] + b',"b64":false}'),
        Reason.SIGNATURE_MALFORMED,
    ),
    (
        "an unknown critical parameter",
        _headed(_HEADER[:-1] + b',"crit":["exp"],"exp":1}'),
        Reason.SIGNATURE_MALFORMED,
    ),
    ("no device", _headed(b'{"alg":"ES256","ctr":7}'), Reason.DEVICE_MISSING),
    ("no counter", _headed(b'{"alg":"ES256","kid":"dock-1"}'), Reason.COUNTER_MISSING),
    (
        "a counter beyond 40 bits",
        _headed(_HEADER.replace(b"7", b"1099511627776")),
        Reason.COUNTER_MISSING,
    ),
    (
        "a header field twice",
        _headed(b'{"alg":"ES256","kid":"a","kid":"b","ctr":7}'),
        Reason.DUPLICATE_KEY,
    ),
    ("half a document", _headed(_HEADER, _DOCUMENT[:200]), Reason.TRUNCATED),
    (
        "a document of another kind",
        _headed(_HEADER, b'{"type":"Invoice"}'),
        Reason.VOCABULARY_UNKNOWN,
    ),
    ("no event", _but(PACKING, PACKING[PACKING.index(b"[{") :], b"[]}}"), Reason.EVENT_MISSING),
    (
        "a field twice",
        _but(DEPARTING, b'"action":', b'"action": "ADD", "action":'),
        Reason.DUPLICATE_KEY,
    ),
    (
        "nested too deeply",
        _but(DEPARTING, b'"OBSERVE"', b'"OBSERVE", "a:b": ' + b"[" * 20 + b"]" * 20),
        Reason.TOO_DEEP,
    ),
    (
        "an SSCC with a wrong check digit",
        _but(RECEIVING, b"1111111110", b"1111111119"),
        Reason.CODE_MALFORMED,
    ),
    (
        "a GTIN with a wrong check digit",
        _but(PACKING, b"4012345111118", b"4012345111111"),
        Reason.CODE_MALFORMED,
    ),
    (
        "a GLN with a wrong check digit",
        _but(RECEIVING, b"4012345000115", b"4012345000110"),
        Reason.CODE_MALFORMED,
    ),
    (
        "an EPC URN with a digit too few",
        _but(DEPARTING, b".0111111111", b".011111111"),
        Reason.CODE_MALFORMED,
    ),
    (
        "a company prefix too short",
        _but(DEPARTING, b"sscc:4012345.0", b"sscc:40123.450"),
        Reason.CODE_MALFORMED,
    ),
    (
        "a step that CBV does not have",
        _but(DEPARTING, b'"departing"', b'"teleporting"'),
        Reason.VOCABULARY_UNKNOWN,
    ),
    (
        "a step misspelt in its web form",
        _but(RECEIVING, b"-receiving", b"-recieving"),
        Reason.VOCABULARY_UNKNOWN,
    ),
    (
        "an unknown disposition",
        _but(DEPARTING, b'"in_transit"', b'"lost"'),
        Reason.VOCABULARY_UNKNOWN,
    ),
    (
        "an unknown business transaction type",
        _but(DEPARTING, b'"po"', b'"PO"'),
        Reason.VOCABULARY_UNKNOWN,
    ),
    ("an unknown action", _but(DEPARTING, b'"OBSERVE"', b'"observe"'), Reason.VOCABULARY_UNKNOWN),
    (
        "a private step",
        _but(DEPARTING, b'"departing"', b'"https://acme.example/steps/x"'),
        {"subject": _SSCC},
    ),
    ("a time without zone", _but(DEPARTING, b"00.000+01:00", b"00.000"), Reason.TIME_WITHOUT_ZONE),
    ("no such day", _but(DEPARTING, b"2026-03-01T09", b"2026-02-30T09"), Reason.TIME_MALFORMED),
    (
        "no zone offset",
        _but(DEPARTING, b'"eventTimeZoneOffset": "+01:00",', b""),
        Reason.TIME_WITHOUT_ZONE,
    ),
    (
        "a list where a text belongs",
        _but(DEPARTING, b'"departing"', b'["departing"]'),
        Reason.WRONG_TYPE,
    ),
    (
        "a quantity in words",
        _but(RECEIVING, b'"quantity": 40', b'"quantity": "forty"'),
        Reason.WRONG_TYPE,
    ),
    (
        "a temperature that is too large",
        _but(SENSORS, b"8.25", b"9e17"),
        Reason.NUMBER_OUT_OF_RANGE,
    ),
    ("neither SSCC nor order", _but(ORDERED, b"btt:po", b"btt:inv"), Reason.SUBJECT_MISSING),
    (
        "two orders",
        _but(
            ORDERED,
            b'{"bizTransaction": "urn:example:other"',
            b'{"type": "po", "bizTransaction": "urn:example:other"',
        ),
        Reason.SUBJECT_AMBIGUOUS,
    ),
    (
        "two logistic units",
        _but(
            QUERIED,
            b'loading",\n    "parentID": "urn:epc:id:sscc:4012345.01',
            b'loading",\n    "parentID": "urn:epc:id:sscc:4012345.02',
        ),
        Reason.SUBJECT_AMBIGUOUS,
    ),
    ("an empty record", b"", Reason.SIGNATURE_MISSING),
    ("a separator and nothing", RECORD_SEPARATOR, Reason.SIGNATURE_MISSING),
)
