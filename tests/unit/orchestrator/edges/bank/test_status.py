"""A pain.002: each id of an order identifies it, and one unreadable part costs no other."""

from __future__ import annotations

import pytest

from orchestrator.core.references import end_to_end_id, uetr
from orchestrator.edges.bank import camt
from orchestrator.edges.bank.reading import read

FIRST, SECOND, THIRD = (end_to_end_id(bytes([number]) * 32) for number in (1, 2, 3))
UETR = uetr(b"\1" * 32)
ORDERS = {FIRST: FIRST, UETR: FIRST, SECOND: SECOND, THIRD: THIRD}
NAMESPACE = ' xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"'
REJECTED = "<TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf>"
ACCEPTED = "<TxSts>ACSC</TxSts>"


def order(facts: str, **ids: str) -> str:
    named = "".join(f"<Orgnl{name}>{value}</Orgnl{name}>" for name, value in ids.items())
    return f"<TxInfAndSts><StsId>1</StsId>{named}{facts}</TxInfAndSts>"


def report(orders: str, group: str = "<GrpSts>PART</GrpSts>", namespace: str = NAMESPACE) -> bytes:
    return (
        f"<Document{namespace}><CstmrPmtStsRpt><GrpHdr><MsgId>R1</MsgId></GrpHdr>"
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>PM1</OrgnlMsgId>{group}</OrgnlGrpInfAndSts>"
        f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>PI1</OrgnlPmtInfId>{orders}</OrgnlPmtInfAndSts>"
        "</CstmrPmtStsRpt></Document>"
    ).encode()


def answers(*orders: str, group: str = "<GrpSts>PART</GrpSts>") -> dict[str, str | None]:
    return camt.parse(report("".join(orders), group)).answers(ORDERS)


@pytest.mark.parametrize(
    "ids",
    [
        {"EndToEndId": FIRST},
        {"InstrId": FIRST},
        {"UETR": UETR},
        {"UETR": UETR.upper()},
        {"InstrId": FIRST, "EndToEndId": "NOTPROVIDED"},
        {"InstrId": FIRST, "EndToEndId": FIRST, "UETR": UETR},
    ],
)
def test_order__named_by_any_of_its_ids__is_the_one_refused(ids):
    assert answers(order(REJECTED, **ids)) == {FIRST: "AC04", SECOND: None, THIRD: None}


def test_order__whose_ids_contradict__is_not_answered():
    for other in (SECOND, "ANOTHER"):
        found = answers(
            order(REJECTED, EndToEndId=other, UETR=UETR), order(ACCEPTED, InstrId=THIRD)
        )
        assert FIRST not in found and found.get(SECOND) is None and found[THIRD] is None


def test_order__answered_in_two_ways__is_not_answered():
    found = answers(order(REJECTED, InstrId=FIRST), order(ACCEPTED, EndToEndId=FIRST))
    assert found == {SECOND: None, THIRD: None}


@pytest.mark.parametrize(
    "unreadable",
    [
        order(REJECTED),
        order("", EndToEndId=SECOND),
        order("<TxSts>rejected</TxSts>", EndToEndId=SECOND),
        order(REJECTED, EndToEndId="NOTPROVIDED"),
    ],
)
def test_part__that_cannot_be_read__is_noted_and_costs_no_other(unreadable):
    data = report(order(REJECTED, InstrId=FIRST) + unreadable + order(ACCEPTED, UETR=UETR[:-1]))
    reading = read(data)
    assert reading.problems == [] and len(reading.notes) == 1
    status = camt.parse(data)
    assert len(status.unread) == 1 and "TxInfAndSts[2]" in status.unread[0]
    # the part may be about the second order: it is not taken for accepted
    assert status.answers(ORDERS) == {FIRST: "AC04"}


def test_group__without_a_status__answers_only_what_it_lists():
    assert answers(order(REJECTED, EndToEndId=FIRST), group="") == {FIRST: "AC04"}
    assert answers(order(ACCEPTED, EndToEndId=SECOND), group="") == {SECOND: None}


def test_group__rejected__covers_every_order_even_if_a_part_is_unreadable():
    group = "<GrpSts>RJCT</GrpSts><StsRsnInf><Rsn><Cd>FF01</Cd></Rsn></StsRsnInf>"
    assert answers(order(REJECTED), group=group) == dict.fromkeys((FIRST, SECOND, THIRD), "FF01")


def test_status__of_a_code_that_no_list_has__decides_nothing():
    data = report("", "<GrpSts>DONE</GrpSts>")
    assert [item.reason for item in read(data).problems] == ["missing_element"]
    data = report(order(ACCEPTED, EndToEndId=FIRST), "<GrpSts>DONE</GrpSts>")
    assert camt.parse(data).answers(ORDERS) == {FIRST: None}


@pytest.mark.parametrize(
    "namespace",
    [
        "",
        NAMESPACE.replace("xmlns", "Xmlns"),
        NAMESPACE.replace("iso:std", "iso.std").replace("pain.002", "pain002"),
        ' xmlns="http://example.com"',
    ],
)
def test_namespace__missing_or_misspelt__is_noted_and_the_report_is_read(namespace):
    data = report(order(REJECTED, EndToEndId=FIRST), namespace=namespace)
    assert [note.reason for note in read(data).notes] == ["namespace_unknown"]
    assert camt.parse(data).answers(ORDERS)[FIRST] == "AC04"


def test_namespace__of_another_message__is_a_problem():
    data = report("", "<GrpSts>RJCT</GrpSts>", NAMESPACE.replace("pain.002", "camt.053"))
    assert [problem.reason for problem in read(data).problems] == ["namespace_unknown"]
