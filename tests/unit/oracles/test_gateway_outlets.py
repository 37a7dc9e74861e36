"""Two outlets of one charging station, whose gateway signs for both with one pagination.

The rail collects a run of each outlet, every oracle derives the same claims from its own records,
and a page that no outlet has still blocks.
"""

from __future__ import annotations

import pytest

from device_adapters.types import device_id
from oracles.types import Claim, ClaimReason
from orchestrator.edges.store import evidence
from orchestrator.products.metered_energy import product
from orchestrator.steps import attest
from orchestrator.steps.collect import collect, verify
from services.simulated_devices.record import Point, payload_of, sign
from tests.support.bare_rail import BareRail
from tests.support.meter_streams import StreamKeys, key_of, message
from tests.support.oracle_at import ask, oracle, reasons

GATEWAY, OUTLETS = "box-1", ("outlet-1", "outlet-2")
AT = 1_760_000_000
TERMS = product.encode_terms(product.EnergyTerms(300_000, 22_000, assurance=1))


def page(
    outlet: str, number: int, mark: str, register: int, at: int, gateway: str = GATEWAY
) -> bytes:
    """Return a record of one reading that a gateway signed; register in 0.1 Wh."""
    payload = payload_of(outlet, f"T{number}", [Point(mark, AT + at, register)], "12345678")
    return sign(payload.replace(f'"GS":"G-{outlet}"', f'"GS":"{gateway}"'), key_of(gateway))


# both charge at the same time: 1 kWh and 2 kWh
PAGES = (
    page(OUTLETS[0], 1, "B", 10_000, 0),
    page(OUTLETS[1], 2, "B", 500_000, 60),
    page(OUTLETS[1], 3, "C", 510_000, 1_800),
    page(OUTLETS[0], 4, "E", 20_000, 3_600),
    page(OUTLETS[1], 5, "E", 520_000, 3_660),
)


@pytest.fixture
def rail(tmp_path):
    bare = BareRail(tmp_path / "rail", hole_patience_s=30)
    chain = bare.place.chain
    chain.keys[device_id(GATEWAY)] = StreamKeys({GATEWAY}).key_at(device_id(GATEWAY), AT)
    for name in OUTLETS:
        chain.keys[device_id(name)] = ClaimReason.DEVICE_WITHOUT_KEY
        chain.gateways[device_id(name)] = device_id(GATEWAY)
        bare.place.agree(name, terms=TERMS)
    yield bare
    bare.close()


@pytest.fixture
def node(tmp_path, rail):
    """Return an oracle that reads the same chain as the rail."""
    chain = rail.place.chain
    return oracle(tmp_path / "oracle", chain, dict(chain.opened))


def claims(rail) -> list[Claim]:
    rows = [rail.payment(name) for name in OUTLETS]
    return sorted(map(attest.claim_of_row, rows), key=lambda claim: claim.agreement)


def test_outlets__both_sessions_at_once__are_paid_and_attested(rail, node):
    assert rail.place.answers(*PAGES) == ["accepted"] * 5
    assert (collect(rail.rail), verify(rail.rail)) == (2, 2)
    counters = {name: rail.payment(name) for name in OUTLETS}
    assert [(row.first_counter, row.last_counter) for row in counters.values()] == [(1, 4), (2, 5)]
    energies = [
        product.decode_facts(bytes.fromhex(row.facts[2:])).energy for row in counters.values()
    ]
    assert energies == [1_000_000, 2_000_000]
    node.take([message(*PAGES)])
    assert ask(node, *claims(rail)).signature


def test_outlets__a_page_that_no_outlet_has__blocks_until_it_comes(rail):
    rail.place.take(*(item for item in PAGES if item != PAGES[2]))
    assert collect(rail.rail) == 0  # nobody knows whose record it was
    rail.place.take(PAGES[2])
    assert collect(rail.rail) == 2


def test_outlets__a_page_that_is_lost__both_sessions_are_incomplete(rail):
    rail.place.take(*(item for item in PAGES if item != PAGES[2]))
    rail.place.clock += 30
    collect(rail.rail)
    for name, pages in zip(OUTLETS, ((1, 4), (2, 5)), strict=True):
        assert rail.place.events(name) == dict.fromkeys(pages, (None, "incomplete"))


def test_outlets__an_oracle_that_lacks_the_other_outlet__is_sent_its_pages(rail, node):
    rail.place.take(*PAGES)
    collect(rail.rail), verify(rail.rail)
    node.take([message(PAGES[0], PAGES[3])])
    claim = next(c for c in claims(rail) if c.first_counter == 1)
    refused = ask(node, claim)
    assert reasons(refused) == [(0, ClaimReason.EVIDENCE_MISSING)]
    assert refused.refusals[0].detail == "counters 2, 3"
    row = rail.payment(OUTLETS[0])
    with rail.place.store.read() as session:
        records = evidence.of_payments(session, [row.payment_id])[row.payment_id]
        sent = attest._behind(session, records)
    assert [record.body for record in sent] == [PAGES[1], PAGES[2]]
    assert ask(node, claim, evidence=tuple(message(record.body) for record in sent)).signature


def test_outlets__one_that_its_device_signed_itself__fills_no_gap(rail):
    """Only what the gateway signed uses the gateway's counter, not what names the gateway."""
    rail.place.chain.keys[device_id("stranger")] = StreamKeys({"stranger"}).key_at(
        device_id("stranger"), AT
    )
    rail.place.agree("stranger")
    payload = payload_of("stranger", "T3", [Point("B", AT, 5), Point("E", AT + 60, 6)], "12345678")
    foreign = sign(payload.replace("G-stranger", GATEWAY), key_of("stranger"))
    rail.place.take(*(item for item in PAGES if item != PAGES[2]), foreign)
    rail.place.clock += 30
    collect(rail.rail)
    assert rail.place.events(OUTLETS[1])[2] == (None, "incomplete")


def test_outlets__another_gateway__fills_no_gap(rail):
    chain, other, meter = rail.place.chain, "box-2", "outlet-9"
    chain.keys[device_id(other)] = StreamKeys({other}).key_at(device_id(other), AT)
    chain.keys[device_id(meter)] = ClaimReason.DEVICE_WITHOUT_KEY
    chain.gateways[device_id(meter)] = device_id(other)
    rail.place.agree(meter, terms=TERMS)
    foreign = page(meter, 3, "B", 1, 0, other)
    assert rail.place.answers(*PAGES[:2], *PAGES[3:], foreign) == ["accepted"] * 5
    assert collect(rail.rail) == 0
