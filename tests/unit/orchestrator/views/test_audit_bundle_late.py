"""The bundle of a session that came after its hole was declared lost: it starts from no anchor."""

from __future__ import annotations

import pytest

from orchestrator.core.audit import AuditStage, verify
from orchestrator.core.audit.bundle import sealed
from orchestrator.edges.store import agreements
from orchestrator.products import products
from orchestrator.views.audit_bundle import export
from orchestrator.views.payment import life
from tests.support.open_rail import open_rail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


def test_export__of_a_late_session__derives_its_facts_as_late_and_verifies():
    rail = open_rail()
    rail.with_oracles_down()
    rail.join("late-point", 5_000)
    rail.charge("late-point", "1")
    rail.until("late-point", "posted")
    device = rail.fleet["late-point"]
    lost, next_one = device.session("2"), device.session("3")
    taken = []
    for records in (next_one, lost):
        assert rail.take(*records) == ["accepted"]
        rail.work(2)
        rail.until("late-point", "posted")
        taken.append(rail.payment("late-point"))
    on_time, late = taken
    assert (on_time.amount_micro, late.amount_micro) == (900_000, 600_000)
    assert late.last_counter < on_time.first_counter
    with rail.store.read() as session:
        bundle = export(session, late.payment_id, rail.chain.deployment).bundle
        earlier = export(session, on_time.payment_id, rail.chain.deployment).bundle
        view = life(session, late, agreements.get(session, late.agreement_id))
    assert bundle["anchor"] is None and earlier["anchor"] is not None
    assert verify(bundle, products()).failed is None
    assert view["claim"]["facts"]["reading"] == "late"
    early = verify(sealed({**bundle, "anchor": earlier["anchor"]}), products()).failed
    assert early.stage is AuditStage.EVENTS or early.stage is AuditStage.CLAIM
    rail.agree_with_the_chain()
