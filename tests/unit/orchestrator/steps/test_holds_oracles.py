"""A held payment and oracles as they run: rules, memory and chain of their own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from device_adapters.types import Message
from oracles.attest import sign
from oracles.memory import Memory
from oracles.node import Identity, OracleNode, OracleView
from oracles.types import ClaimReason, Progress
from oracles.wire import Request
from orchestrator.core.hold import HoldDecision
from orchestrator.edges.store import evidence
from orchestrator.products import deployed
from orchestrator.steps.attest import attest, claim_of_row
from orchestrator.steps.holds import decide_holds
from services.oracle import catch_up
from tests.support.held_rail import HeldRail
from tests.support.small_rail import START, WillingOracle, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture
def rail(tmp_path: Path):
    rail = HeldRail(tmp_path / "home").start()
    rail.work(2)
    rail.clock = START + 100_000
    yield rail
    rail.stop()


class RealOracle(WillingOracle):
    """The oracle of its key as it runs in a process of its own: rules, memory and chain."""

    nodes: ClassVar[dict[str, tuple[OracleNode, Memory]]] = {}

    def ask(self, request):
        return self.nodes[self.name][0].attest(request)

    def attestation(self, answer, digest):
        return super().attestation(answer, digest) if answer.signature else None


def real_oracles(rail: HeldRail, folder: Path) -> list[RealOracle]:
    """Put real oracles in the place of the rail's stand-ins."""
    at, oracles = rail.chain.deployment.addresses, []

    def progress(agreement: bytes) -> Progress | None:
        sequence, last, *_, status = rail.chain.view("PaymentRail", "agreementState", agreement)
        return Progress(sequence, last) if status else None

    for stand_in in rail.rail.oracles:
        identity = Identity(
            name=stand_in.name,
            domain=stand_in.domain,
            address=stand_in.address,
            sign=partial(sign, private_key=stand_in.key),
            chain_id=rail.chain.deployment.chain_id,
            committee=at["OracleCommittee"],
            rail=at["PaymentRail"],
        )
        registry = rail.rail.registry
        view = OracleView(registry, registry, progress, deployed(at))
        (folder / stand_in.name).mkdir()
        memory = Memory(folder / stand_in.name / "oracle.sqlite3")
        RealOracle.nodes[stand_in.name] = OracleNode(identity, view, memory), memory
        fields = {n: getattr(stand_in, n) for n in stand_in.__dataclass_fields__}
        oracles.append(RealOracle(**fields | {"down": False}))
    return oracles


def test_reject__of_what_real_oracles_attested__only_a_skip_lets_the_agreement_go_on(
    rail, tmp_path
):
    """Oracles sign one claim for a sequence: the same one again after a hold, no other ever."""
    rail.rail = replace(rail.rail, oracles=real_oracles(rail, tmp_path))
    rail.worker.context = rail.rail
    rail.bring_to("real-1", "attested")
    first = claim_of_row(rail.payment("real-1"))
    rail.hold("real-1")
    rail.decide("real-1", HoldDecision.CONTINUE)
    assert decide_holds(rail.rail) == attest(rail.rail) == 1  # they sign the same claim again
    rail.hold("real-1")
    rail.charge("real-1", "7")
    rail.decide("real-1", HoldDecision.REJECT)
    assert decide_holds(rail.rail) == 1
    node, _ = RealOracle.nodes["auditor"]
    other = replace(first, last_counter=first.last_counter + 2, evidence=b"\x01" * 32)
    answer = node.attest(_request(rail, other))
    assert answer.signature is None
    assert ClaimReason.ALREADY_ATTESTED_OTHERWISE in {r.reason for r in answer.refusals}
    rail.work(3)
    assert rail.payment("real-1").sequence == 1
    rail.skip("real-1")
    for _ in range(8):
        rail.work(1, 10)
        for _, memory in RealOracle.nodes.values():
            catch_up(rail.chain, memory)
    second = rail.payment("real-1")
    assert (second.sequence, second.amount_micro) == (2, 7 * 300_000), second


def _request(rail: HeldRail, claim):
    row = rail.payment("real-1")
    with rail.store.read() as session:
        records = evidence.records_of(session, row.payment_id)
    messages = tuple(Message(r.protocol, "", r.body, source="http") for r in records)
    return Request("metered_energy", (claim,), evidence=messages)
