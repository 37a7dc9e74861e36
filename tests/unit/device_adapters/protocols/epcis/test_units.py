"""Units of an event: a number, all of them, or none for a named reason; one rule for everybody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.evidence import check_file
from device_adapters.protocols import epcis
from device_adapters.protocols.epcis.codes import read_code
from device_adapters.protocols.epcis.units import UncountedReason, count_units
from device_adapters.types import Rejected
from oracles.types import ClaimReason
from orchestrator.products.proof_of_delivery import product
from tests.support.signing_scanner import SSCC, SigningScanner, event

SCANNER = SigningScanner("dock-1")
KEY = SCANNER.key.der.hex()
OTHER = "urn:epc:id:sscc:4012345.0222222222"
ITEM = "urn:epc:id:sgtin:4012345.011111.7"
ITEM_LINK = "https://id.gs1.org/01/04012345111118/21/7"
GTIN = "https://id.gs1.org/01/04012345111118"
LOT = "urn:epc:class:lgtin:4012345.011111.L1"
PO = [{"type": "po", "bizTransaction": "https://erp.example/po/1"}]
SENSED = [{"sensorReport": [{"type": "Temperature", "value": 4, "uom": "CEL"}]}]
TERMS = {
    "carrier": "truck-1",
    "price": "1000",
    "quantity": "100",
    "shares": "20/50/30",
    "due": "2026-05-01T12:00Z",
    "deadline": "2026-05-08T12:00Z",
}
ALL = None


def _of(quantity: Any = None, uom: str = "", name: str = LOT) -> dict[str, Any]:
    element = {"epcClass": name, "quantity": quantity, "uom": uom}
    return {key: value for key, value in element.items() if value not in (None, "")}


def _order(**fields: Any) -> dict[str, Any]:
    """Return an event about an order, not about a logistic unit."""
    return event(**{"epcList": None, "bizTransactionList": PO, **fields})


CASES = {
    "one SSCC": (event(), ALL),
    "one SSCC, written twice": (
        event(epcList=[SSCC, "https://a.example/00/040123451111111110"]),
        ALL,
    ),
    "the parent alone": (
        event(type="TransactionEvent", epcList=None, parentID=SSCC, bizTransactionList=PO),
        ALL,
    ),
    "serials in a unit": (event(epcList=[SSCC, ITEM, ITEM + "8"]), 2),
    "children of a unit": (
        event(type="AggregationEvent", epcList=None, parentID=SSCC, childEPCs=[ITEM, ITEM + "8"]),
        2,
    ),
    "one serial three times": (_order(epcList=[ITEM] * 3), 1),
    "one serial as URN and Digital Link": (
        _order(
            epcList=[ITEM, ITEM_LINK, ITEM_LINK.replace("https://id.gs1.org", "HTTP://A.Example")]
        ),
        1,
    ),
    "a private URI with another host case": (
        _order(epcList=["https://a.example/i/1", "HTTPS://A.EXAMPLE/i/%31", "urn:uuid:1"]),
        2,
    ),
    "quantities": (_order(quantityList=[_of(40), _of(2.0, name=GTIN)]), 42),
    "pieces by their unit of measure": (_order(quantityList=[_of(3, "EA"), _of(4, "H87")]), 7),
    "pieces next to kilograms": (_order(quantityList=[_of(3), _of(1.5, "KGM")]), 3),
    "serials next to kilograms": (_order(epcList=[ITEM], quantityList=[_of(2, "KGM")]), 1),
    "serials next to quantities": (_order(epcList=[ITEM], quantityList=[_of(5)]), 5),
    "no objects": (_order(), "no_objects"),
    "empty lists": (_order(epcList=[], quantityList=[]), "no_objects"),
    "sensor only": (_order(sensorElementList=SENSED), "sensor_only"),
    "a class without quantity": (_order(quantityList=[_of()]), "class_without_quantity"),
    "a class without quantity in a unit": (event(quantityList=[_of()]), "class_without_quantity"),
    "classes among the objects": (_order(epcList=[GTIN, LOT]), "class_without_quantity"),
    "a pattern": (
        _order(epcList=["urn:epc:idpat:sgtin:4012345.011111.*"]),
        "class_without_quantity",
    ),
    "a pattern that is no GS1 key": (
        _order(epcList=["URN:EPC:idpat:gid:95100000.12345.*"]),
        "class_without_quantity",
    ),
    "an asset type": (
        _order(epcList=["https://id.gs1.org/8003/04012345555554"]),
        "class_without_quantity",
    ),
    "kilograms": (_order(quantityList=[_of(5, "KGM")]), "quantity_in_other_unit"),
    "kilograms in a unit": (event(quantityList=[_of(5, "KGM")]), "quantity_in_other_unit"),
    "half a piece": (_order(quantityList=[_of(1.5)]), "quantity_not_whole"),
    "below zero": (_order(quantityList=[_of(-3)]), "quantity_below_zero"),
    "two units of an order": (_order(epcList=[SSCC, OTHER]), "logistic_units_only"),
    "units in a unit": (
        event(type="AggregationEvent", epcList=None, parentID=SSCC, childEPCs=[OTHER]),
        "logistic_units_only",
    ),
    "destroyed": (event(action="DELETE"), "objects_deleted"),
    "destroyed pieces": (_order(action="DELETE", quantityList=[_of(5)]), "objects_deleted"),
    "taken out of a unit": (
        event(
            type="AggregationEvent", epcList=None, action="DELETE", parentID=SSCC, childEPCs=[ITEM]
        ),
        1,
    ),
    "a transformation": (
        event(type="TransformationEvent", action=None, inputEPCList=[ITEM], outputEPCList=[SSCC]),
        "event_type_not_counted",
    ),
}


def _paid(content: dict[str, Any]) -> tuple[ClaimReason | None, str, int]:
    """Return how the product refuses the record, its sentence, and the units it derives."""
    record = epcis.decode(SCANNER.record(content))
    terms = product.parse_terms({**TERMS, "consignment": record.subject})
    refusal = product.admit(terms, None, record) or (None, "")
    facts = product.decode_facts(product.derive(terms, None, [record], {}))
    return *refusal, facts.received


@pytest.mark.parametrize(("content", "expected"), CASES.values(), ids=CASES)
def test_units__every_kind_of_event__is_a_number_all_or_a_reason(content, expected):
    (fields,) = epcis.decode(SCANNER.record(content)).facts["events"]
    count = count_units(fields)
    if isinstance(expected, str):
        assert (count.units, count.reason) == (0, expected) and count.detail
    else:
        assert (count.units, count.reason) == (expected, "")


def test_units__reasons__each_have_a_case():
    assert {e for _, e in CASES.values() if isinstance(e, str)} == set(UncountedReason)


@pytest.mark.parametrize("step", ["receiving", "accepting"])
@pytest.mark.parametrize("content", [c for c, _ in CASES.values()], ids=CASES)
def test_units__auditor_and_payment__agree(content, step):
    content = content | {"bizStep": step}
    report = check_file(SCANNER.record(content), KEY).as_json()["records"][0]
    (shown,) = report["events"]
    reason, sentence, _ = _paid(content)
    _, _, received = _paid(content | {"bizStep": "receiving"})
    if shown["units"]["reason"]:
        assert not report["billable"] and received == 0
        assert reason is ClaimReason.UNITS_UNCOUNTABLE
        (finding,) = report["billable_reasons"]
        assert sentence == f"{finding['code']}: {finding['detail']}"
    else:
        assert report["billable"] and reason is None
        assert received == (100 if shown["units"]["whole"] else shown["units"]["counted"])


@pytest.mark.parametrize("step", ["departing", "arriving", "inspecting"])
def test_units__steps_that_pay_for_no_units__may_name_no_objects(step):
    report = check_file(SCANNER.record(_order(bizStep=step)), KEY).as_json()["records"][0]
    assert report["billable"]


_IDS = st.sampled_from(
    [SSCC, OTHER, ITEM, ITEM_LINK, GTIN, LOT, "urn:uuid:1", "https://a.example/1"]
)
_ELEMENTS = st.builds(
    _of,
    st.one_of(st.none(), st.integers(-2, 60), st.sampled_from([0.5, 1.5])),
    st.sampled_from(["", "EA", "KGM"]),
)
_EVENTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["ObjectEvent", "TransactionEvent", "AggregationEvent"]),
        "action": st.sampled_from(["ADD", "OBSERVE", "DELETE"]),
        "parentID": st.one_of(st.none(), _IDS),
        "ids": st.lists(_IDS, max_size=4),
        "elements": st.lists(_ELEMENTS, max_size=3),
        "sensorElementList": st.sampled_from([None, SENSED]),
    }
)


@settings(deadline=None, max_examples=150)
@given(_EVENTS)
def test_units__any_event__is_counted_alike_by_auditor_and_payment(drawn):
    ids, elements = drawn.pop("ids"), drawn.pop("elements")
    names = ("epcList", "quantityList")
    if drawn["type"] == "AggregationEvent":
        names = ("childEPCs", "childQuantityList")
    content = _order(**drawn, **dict(zip(names, (ids, elements), strict=True)))
    report = check_file(SCANNER.record(content), KEY).as_json()["records"][0]
    try:
        reason, _, received = _paid(content)
    except Rejected:
        assert not report["billable"]
        return
    (shown,) = report["events"]
    counted = shown["units"]["counted"]
    assert received == (100 if shown["units"]["whole"] else counted)
    flawed = report["billable_reasons"] and not shown["units"]["reason"]
    if reason is None:
        assert report["billable"]
    elif reason in (ClaimReason.UNITS_UNCOUNTABLE, ClaimReason.NOT_BILLABLE):
        assert not report["billable"]
    else:  # a number of units that these terms do not pay for
        assert counted == 0 or counted > 100
    assert not (flawed and reason is None)


def test_units__written_forms_of_one_object__are_one_identity():
    forms = [
        "urn:epc:id:sgtin:4012345.011111.A%2FB-(1)",
        "URN:EPC:id:sgtin:4012345.011111.A%2fB%2D%281%29",
        "https://id.gs1.org/01/04012345111118/21/A%2FB-%281%29",
        "HTTPS://ID.GS1.ORG/01/04012345111118/21/A%2fB%2D(1)",
        "http://shop.example/x/gtin/4012345111118/ser/A%2FB-%281%29/?exp=1#top",
        "https://id.gs1.org/%30%31/0401234511111%38/10/L1/21/A%2FB-(1)",
    ]
    codes = [read_code(form) for form in forms]
    assert {code.flaw for code in codes} == {""}
    assert len({code.canonical for code in codes}) == 1 and all(c.is_instance for c in codes)


@pytest.mark.parametrize(
    ("link", "canonical", "is_instance"),
    [  # the serial of the third is ABC%40XYZ, that of the fourth ABC@XYZ
        ("8003/04007537168421100034022", "8003/04007537168421100034022", True),
        ("21/2018/01/70614141123451", "01/70614141123451", False),
        ("01/70614141123451/21/ABC%2540XYZ", "01/70614141123451/21/ABC%2540XYZ", True),
        ("01/70614141123451/21/ABC%40XYZ", "01/70614141123451/21/ABC%40XYZ", True),
        ("01/70614141123451/10/L", "01/70614141123451/10/L", False),
        ("414/4012345000054", "414/4012345000054", True),
    ],
)
def test_units__links_that_readers_took_for_others__are_what_they_are(link, canonical, is_instance):
    code = read_code(f"https://id.gs1.org/{link}")
    assert (code.canonical, code.flaw) == (f"https://id.gs1.org/{canonical}", "")
    assert code.is_instance is is_instance


def test_units__facts_that_0_4_0_stored__are_counted_as_then():
    (fields,) = epcis.decode(SCANNER.record(event())).facts["events"]
    old = {name: value for name, value in fields.items() if name != "uncounted"}
    assert count_units(old).units is None
    assert count_units(old | {"quantity": 7}).units == 7


def test_units__duplicates_and_parts_that_do_not_count__are_cautions():
    content = _order(epcList=[ITEM, ITEM_LINK], quantityList=[_of(3), _of(1, "KGM")])
    report = check_file(SCANNER.record(content), KEY).as_json()["records"][0]
    codes = [warning["code"] for warning in report["warnings"]]
    assert codes == ["duplicate_identifier", "units_not_counted", "units_not_counted"]
    assert report["billable"] and json.dumps(report)
