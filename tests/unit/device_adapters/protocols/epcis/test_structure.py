"""Structure that EPCIS 2.0 requires: refused in new records by name, still read in old ones."""

from __future__ import annotations

from typing import Any

import pytest

from device_adapters.evidence import check_file
from device_adapters.protocols import epcis
from device_adapters.registry import read
from device_adapters.types import Event, Message
from oracles.types import ClaimReason
from orchestrator.products.proof_of_delivery import product
from tests.support.signing_scanner import CONTEXT, SSCC, SigningScanner, document, event

SCANNER = SigningScanner()
KEY = SCANNER.key.der.hex()
NOW = 1_800_000_000_000
ITEM = "urn:epc:id:sgtin:4012345.011111.7"
PO = [{"type": "po", "bizTransaction": "https://erp.example/po/1"}]


def _without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}


def _parent(kind: str, **fields: Any) -> dict[str, Any]:
    defaults = {"action": "ADD", "parentID": SSCC, "childEPCs": [ITEM], "epcList": None}
    return event(**{"type": kind, **defaults, **fields})


def _traded(**fields: Any) -> dict[str, Any]:
    return event(**{"type": "TransactionEvent", "bizTransactionList": PO, **fields})


def _query(**fields: Any) -> dict[str, Any]:
    body = {"queryResults": {"queryName": "Q", "resultsBody": {"eventList": [event()]}}}
    content = document(type="EPCISQueryDocument", epcisBody=body, **fields)
    return {name: value for name, value in content.items() if value is not None}


def _weighed(**element: Any) -> dict[str, Any]:
    return event(bizStep="arriving", quantityList=[element])


REFUSED = {
    "no context": (_without(document(event()), "@context"), "field_missing"),
    "an empty context": (document(event(), **{"@context": []}), "field_missing"),
    "no context of a single event": (_without(event(), "@context"), "field_missing"),
    "no context of a query": (_query(**{"@context": None}), "field_missing"),
    "no version": (_without(document(event()), "schemaVersion"), "field_missing"),
    "version 1.2 in JSON": (document(event(), schemaVersion="1.2"), "version_unknown"),
    "a version that is a number": (document(event(), schemaVersion=2), "version_unknown"),
    "no creation date": (_without(document(event()), "creationDate"), "field_missing"),
    "a creation date in words": (document(event(), creationDate="today"), "time_malformed"),
    "a creation date without zone": (
        document(event(), creationDate="2026-03-02T08:00:00"),
        "time_without_zone",
    ),
    "an aggregation without parent": (
        _parent("AggregationEvent", parentID=None, childEPCs=[SSCC]),
        "field_missing",
    ),
    "an aggregation without children": (_parent("AggregationEvent", childEPCs=[]), "field_missing"),
    "a disaggregation without parent": (
        _parent("AggregationEvent", action="DELETE", parentID=None, childEPCs=[SSCC]),
        "field_missing",
    ),
    "an association without parent": (
        _parent("AssociationEvent", action="OBSERVE", parentID=None, childEPCs=[SSCC]),
        "field_missing",
    ),
    "an association without children": (
        _parent("AssociationEvent", childEPCs=None),
        "field_missing",
    ),
    "a transaction event without transaction": (
        _traded(bizTransactionList=None),
        "field_missing",
    ),
    "a transaction without its id": (event(bizTransactionList=[{"type": "po"}]), "field_missing"),
    "a transformation without inputs": (
        event(type="TransformationEvent", action=None, epcList=None, outputEPCList=[SSCC]),
        "field_missing",
    ),
    "a quantity without class": (_weighed(quantity=4), "field_missing"),
    "a unit of measure in words": (
        _weighed(epcClass="urn:x:1", quantity=5, uom="kilos"),
        "unit_unknown",
    ),
}
TAKEN = {
    "a document": document(event()),
    "a single event": event(),
    "a query without version and date": _query(schemaVersion=None, creationDate=None),
    "version 2.0.1": document(event(), schemaVersion="2.0.1"),
    "an aggregation observed without parent": _parent(
        "AggregationEvent", action="OBSERVE", parentID=None, childEPCs=[SSCC]
    ),
    "everything taken out of a parent": _parent("AggregationEvent", action="DELETE", childEPCs=[]),
    "an association ended": _parent("AssociationEvent", action="DELETE", childEPCs=None),
    "a transformation in steps": event(
        type="TransformationEvent",
        action=None,
        epcList=None,
        outputEPCList=[SSCC],
        transformationID="urn:uuid:1",
    ),
    "a transaction event about its parent": _traded(epcList=None, parentID=SSCC),
    "a unit of measure": _weighed(epcClass="urn:x:1", quantity=5, uom="KGM"),
}


@pytest.mark.parametrize(("content", "code"), REFUSED.values(), ids=REFUSED)
def test_structure__required_and_missing__is_refused_new_and_named_by_the_check(content, code):
    record = SCANNER.record(content)
    (outcome,) = read(Message("epcis", "", record), NOW)
    assert outcome.reason == code and outcome.raw == record
    report = check_file(record, KEY).as_json()["records"][0]
    assert report["genuine"] and not report["billable"] and not report["settleable"]
    assert {"code": code, "detail": outcome.detail} in report["billable_reasons"]


@pytest.mark.parametrize("content", [content for content, _ in REFUSED.values()], ids=REFUSED)
def test_structure__missing_in_a_record_taken_before__is_still_read(content):
    record = SCANNER.record(content)
    (outcome,) = read(Message("epcis", "", record))
    assert isinstance(outcome, Event) or outcome.reason == "subject_missing"


@pytest.mark.parametrize("content", TAKEN.values(), ids=TAKEN)
def test_structure__that_the_standard_allows__is_taken(content):
    (outcome,) = read(Message("epcis", "", SCANNER.record(content)), NOW)
    assert isinstance(outcome, Event) and outcome.facts["flaws"] == []


def test_structure__missing_in_a_stored_record__is_never_claimed():
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
    stored = epcis.decode(SCANNER.record(_without(document(event()), "creationDate")))
    assert product.admit(terms, None, stored) == (
        ClaimReason.NOT_BILLABLE,
        "field_missing: creationDate is missing (JSON schema, XSD)",
    )
    assert product.admit(terms, None, epcis.decode(SCANNER.record(document(event())))) is None


def test_structure__only_expected__is_a_warning():
    content = document(
        event(
            ilmd={"cbvmda:lotNumber": "A"},
            readPoint={"acme:dock": "7"},
            sourceList=[{"source": "urn:epc:id:pgln:4012345.00225"}],
        ),
        **{"@context": [CONTEXT, {"acme": "https://ns.acme.example/"}]},
    )
    report = check_file(SCANNER.record(content), KEY).as_json()["records"][0]
    codes = [warning["code"] for warning in report["warnings"]]
    assert report["settleable"] and codes == ["field_misplaced", "field_expected", "field_expected"]


def test_structure__one_bad_event_of_several__refuses_its_record_and_no_other():
    bad = document(event(), event(type="TransactionEvent"))
    good = SCANNER.record(document(event(), event(action="ADD")))
    body = b"".join(b"\x1e" + record + b"\n" for record in (good, SCANNER.record(bad), good))
    outcomes = read(Message("epcis", "", body), NOW)
    assert [isinstance(outcome, Event) for outcome in outcomes] == [True, False, True]
    assert outcomes[1].detail.startswith("event 2: bizTransactionList")
