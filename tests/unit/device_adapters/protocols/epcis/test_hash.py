"""Our Event Hash IDs are those of GS1's published tool; an event has one id in every form."""

from __future__ import annotations

import importlib
import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_adapters import strict_json
from device_adapters.protocols.epcis.document import read_document
from device_adapters.protocols.epcis.hash import event_hash, pre_hash
from device_adapters.protocols.epcis.notes import Notes
from tests.support.signing_scanner import CONTEXT, SSCC, document, event

ACME = {"acme": "https://ns.acme.example/epcis/"}
SGLN = "urn:epc:id:sgln:4012345.00005.0"


@pytest.fixture(scope="module")
def reference():
    """Return pre-hash strings of the public tool, which includes the standard contexts."""
    tool = pytest.importorskip("epcis_event_hash_generator.hash_generator")
    reader = importlib.import_module("epcis_event_hash_generator.json_to_py")

    def pre_hashes(content: dict[str, Any]) -> list[str]:
        logging.disable(logging.CRITICAL)
        reader._namespaces.clear()
        try:
            events = reader.event_list_from_epcis_document_str(json.dumps(content))
            return tool.derive_prehashes_from_events(events)
        finally:
            logging.disable(logging.NOTSET)

    return pre_hashes


def ours(content: dict[str, Any]) -> list[str]:
    decoded = read_document(json.dumps(content).encode(), Notes())
    return [pre_hash(event.fields, event.namespaces) for event in decoded]


def alone(*events: dict[str, Any], declared: dict[str, str] | None = None) -> dict[str, Any]:
    bare = [{k: v for k, v in event.items() if k != "@context"} for event in events]
    return document(*bare, **{"@context": [CONTEXT, declared or {}]})


SENSORS = [
    {
        "sensorMetadata": {
            "time": "2026-03-01T09:00:00+01:00",
            "deviceID": "urn:epc:id:giai:4000001.111",
            "bizRules": "https://example.com/gdti/4012345000054987",
        },
        "sensorReport": [
            {
                "type": "Temperature",
                "value": 26.0,
                "uom": "CEL",
                "time": "2026-03-01T09:00:00+01:00",
            },
            {"type": "RelativeHumidity", "minValue": 12, "maxValue": 0.00001, "uom": "A93"},
            {
                "type": "Acceleration",
                "value": -1.5,
                "uom": "MSK",
                "component": "x",
                "exception": "ALARM_CONDITION",
                "acme:axis": "1",
                "acme:more": "2",
            },
        ],
    }
]
ORDERS = [
    {"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:4012345000054:PO-1"},
    {"type": "inv", "bizTransaction": "urn:epc:id:gdti:0614141.00001.1618034"},
]
PARTIES = {
    "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:4012345.00225"}],
    "destinationList": [{"type": "location", "destination": SGLN}],
}
QUANTITIES = [
    {"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": 200.50, "uom": "KGM"},
    {"epcClass": "urn:epc:idpat:sgtin:4012345.012345.*", "quantity": 10},
]
DECLARED = {
    "declarationTime": "2026-03-03T10:00:00Z",
    "reason": "did_not_occur",
    "correctiveEventIDs": ["urn:uuid:1"],
}
DEEP = {"acme:b": "2", "acme:a": ["x", "0012.50", {"acme:epc": SSCC}]}
CASES = {
    "URNs": event(readPoint={"id": SGLN}, bizLocation={"id": "urn:epc:id:sgln:4012345.00005.7"}),
    "Digital Links": event(
        epcList=[
            "https://example.com/gtin/4012345111118/lot/L1/ser/9?17=270101",
            "https://id.gs1.org/00/040123451111111110",
        ]
    ),
    "percent-encoding": event(
        epcList=[
            "https://id.gs1.org/01/04012345111118/21/A%2fB(1)",
            "urn:epc:id:sgtin:4012345.011111.A%2fB%2D(1)",
            "HTTPS://ID.GS1.ORG/00/040123451111111110",
        ]
    ),
    "old vocabulary": event(disposition="urn:epcglobal:cbv:disp:in_transit"),
    "a declaration and ids": event(
        errorDeclaration=DECLARED, eventID="urn:uuid:2", recordTime="2026-03-03T10:00:01Z"
    ),
    "transactions and parties": event(bizTransactionList=ORDERS, **PARTIES),
    "quantities": event(quantityList=QUANTITIES),
    "sensors": event(sensorElementList=SENSORS, bizTransactionList=ORDERS),
    "lasting dispositions": event(
        persistentDisposition={"set": ["completeness_verified"], "unset": ["available", "expired"]}
    ),
    "certificates": event(certificationInfo=["https://b.example/2", "https://a.example/1"]),
    "extensions": event(
        **{
            "acme:deep": DEEP,
            "acme:items": [2, 1],
            "acme:pairList": ["b", "a"],
            "ilmd": {"acme:lot": "L1", "cbvmda:lotNumber": "A"},
            "readPoint": {"id": SGLN, "acme:dock": "7"},
        }
    ),
    "an extension alone in a field": event(readPoint={"acme:only": "1"}),
    "our own extension": event(**{"acme:confirms": ["ni:///sha-256;b", "ni:///sha-256;a"]}),
    "comments": event(**{"rdfs:comment": "not part of it"}),
    "half a millisecond": event(eventTime="2026-03-01T09:00:00.1165+01:00"),
    "an aggregation": event(
        type="AggregationEvent",
        epcList=None,
        parentID=SSCC,
        action="ADD",
        bizStep="packing",
        childEPCs=["urn:epc:id:sgtin:4012345.011111.9", "urn:epc:id:sgtin:4012345.011111.10"],
        childQuantityList=[{"epcClass": "https://id.gs1.org/01/04012345111118", "quantity": 5}],
    ),
    "a transformation": event(
        type="TransformationEvent",
        epcList=None,
        action=None,
        transformationID="urn:uuid:3",
        inputEPCList=["urn:epc:id:sgtin:4012345.011111.9"],
        inputQuantityList=QUANTITIES,
        outputEPCList=[SSCC],
        outputQuantityList=QUANTITIES[:1],
        bizStep="commissioning",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_pre_hash__every_type_of_event__is_the_public_tools(reference, name):
    content = alone(CASES[name], declared=ACME)
    assert ours(content) == reference(content)


_CODES = st.sampled_from(
    [
        SSCC,
        "urn:epc:id:sgtin:4012345.011111.98%2F",
        "urn:epc:id:grai:4012345.55555.987",
        SGLN,
        "urn:epc:id:cpi:0614141.123ABC.123456789",
        "urn:epc:id:upui:1234567.098765.51qIgY)%3C*j7SDB",
        "urn:epc:id:itip:4012345.012345.01.02.987",
        "urn:epc:id:gsrn:0614141.0000010253",
        "urn:epc:id:ginc:0614141.xyz3311cba",
        "urn:epc:id:gsin:0614141.123456789",
        "urn:epc:id:sgcn:4012345.67890.04711",
        "urn:epc:idpat:cpi:4012345.5PQ7.*",
        "https://example.com/x/01/04012345111118/22/2A/10/LOT/21/s1",
        "https://acme.example/1",
        "https://id.gs1.org/giai/4000001111",
        "https://id.gs1.org/8006/040123451111180102/21/1",
        "urn:epc:id:gid:95100000.12345.400",
        "urn:uuid:4",
    ]
)
_VALUES = st.one_of(
    st.sampled_from(["1", "01.50", "+2", "1e3", "x y", "Temperature ", "urn:epcglobal:cbv:btt:po"]),
    st.integers(-(10**6), 10**6),
    st.decimals(-1000, 1000, places=3).map(float),
    _CODES,
)
_EXTENSIONS = st.dictionaries(
    st.sampled_from(["acme:a", "acme:b", "acme:someList", "acme:c"]),
    st.recursive(
        _VALUES,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3),
            st.dictionaries(st.sampled_from(["acme:x", "acme:y"]), inner, min_size=1),
        ),
        max_leaves=4,
    ).filter(lambda value: not _holds_lists_in_lists(value)),
    max_size=3,
)


def _holds_lists_in_lists(value: Any) -> bool:
    """JSON-LD flattens them, and no EPCIS document has any."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    nested = isinstance(value, list) and any(isinstance(item, list) for item in value)
    return nested or any(map(_holds_lists_in_lists, items))


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)
@given(data=st.data())
def test_pre_hash__any_identifiers_and_extensions__is_the_public_tools(reference, data):
    fields = data.draw(_EXTENSIONS) | {
        "epcList": data.draw(st.lists(_CODES, min_size=1, max_size=4)),
        "bizStep": data.draw(st.sampled_from(["receiving", "urn:epcglobal:cbv:bizstep:shipping"])),
        "readPoint": {"id": data.draw(_CODES)},
    }
    content = alone(event(**fields), declared=ACME)
    assert ours(content) == reference(content)


def test_event_hash__urn_link_and_order__do_not_matter():
    urn = event(epcList=[SSCC, "urn:epc:id:sgtin:4012345.011111.9876"])
    link = dict(
        reversed(
            event(
                epcList=[
                    "https://example.com/01/4012345111118/21/9876?exp=1",
                    "https://id.gs1.org/00/040123451111111110",
                ],
                bizStep="https://ref.gs1.org/cbv/BizStep-receiving",
                eventTime="2026-03-02T08:30:00.000+01:00",
            ).items()
        )
    )
    assert event_hash(urn, {}) == event_hash(link, {})


def test_event_hash__of_a_withdrawal__is_that_of_what_it_withdraws():
    assert event_hash(event(errorDeclaration=DECLARED), {}) == event_hash(event(), {})


@pytest.mark.parametrize(
    "changed",
    [
        {"eventTime": "2026-03-02T07:30:00.001Z"},
        {"action": "ADD"},
        {"bizStep": "shipping"},
        {"epcList": [SSCC, SSCC.replace(".0", ".1")]},
        {"acme:x": "1"},
        {"type": "TransactionEvent"},
        {"eventTimeZoneOffset": "+02:00"},
        {"readPoint": {"id": SGLN}},
    ],
)
def test_event_hash__anything_else_changed__changes_it(changed):
    assert event_hash(event(**changed), {}) != event_hash(event(), {})


def test_event_hash__exact_decimals__are_the_doubles_of_json_ld():
    event = strict_json.decode('{"type":"ObjectEvent","acme:n":[26.20,1E2,-0.0]}')
    assert pre_hash(event, {}).endswith("acme:n=0acme:n=100acme:n=26.2")
