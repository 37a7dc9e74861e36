"""Slow nodes, lost transactions and changed verdicts on a real chain: the rail continues."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from orchestrator.core import ledger
from orchestrator.edges.chain import client
from orchestrator.edges.chain.client import Call, SeenBlock
from orchestrator.edges.store import agreements, blocks, fundings, payments, sends
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.errors import Retry
from orchestrator.steps.follow import follow
from tests.support.open_rail import open_rail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture
def rail():
    """After each test nothing is halted and the ledger is the chain, to the last unit."""
    started = open_rail()
    started.with_oracles_down()
    yield started
    assert started.worker.halted == {}
    started.with_oracles_down()
    started.agree_with_the_chain()


class Wavering:
    """The real client, but its head lags as a node does that is behind its balancer's others."""

    def __init__(self, chain, behind: int) -> None:
        self._chain, self._behind = chain, behind

    def newest(self) -> SeenBlock:
        return self._chain.blocks([self._chain.head() - self._behind])[0]

    def __getattr__(self, name: str):
        return getattr(self._chain, name)


def test_node__that_lags_and_catches_up__undoes_and_redoes_what_it_did(rail):
    """The same blocks come back: what they say must be believed a second time."""
    rail.join("lagging", 5_000)
    rail.charge("lagging", "2")
    rail.until("lagging", "settled")
    row = rail.payment("lagging")
    with rail.store.read() as session:
        back = blocks.newest(session).number - blocks.newest_final(session)
    assert follow(replace(rail.rail, chain=Wavering(rail.chain, back))) == 1
    assert rail.payment("lagging").stage == "attested"
    assert follow(rail.rail) > 0
    again = rail.payment("lagging")
    assert (again.stage, again.settlement_tx) == ("settled", row.settlement_tx)
    rail.until("lagging", "paid_out")
    with rail.store.read() as session:
        facts = [f.fact for f in payments.facts_of(session, row.payment_id)]
    assert facts.count("settled") == 2 and facts.count("orphaned") == 1


def test_node__far_behind_what_is_final__is_waited_for_and_halts_nothing(rail):
    rail.work(5)
    with pytest.raises(Retry, match="behind the final block"):
        follow(replace(rail.rail, chain=Wavering(rail.chain, 4)))
    rail.work(1)


def test_broadcast__that_was_lost_and_nothing_follows__goes_out_with_the_next_block(rail):
    rail.join("lost", 5_000)
    rail.charge("lost", "2")
    deaf = SimpleNamespace(broadcast=lambda raws: ["unknown"] * len(raws))
    hearing, rail.rail.sender.chain = rail.rail.sender.chain, _half(rail.chain, deaf)
    for _ in range(3):
        rail.worker.turn()
    rail.rail.sender.chain = hearing
    row = rail.payment("lost")
    with rail.store.read() as session:
        assert sends.by_hash(session, row.settlement_tx).verdict == "unknown"
    rail.until("lost", "posted")
    assert rail.payment("lost").settlement_tx == row.settlement_tx


def _half(chain, deaf):
    class Half:
        def __getattr__(self, name: str):
            return getattr(deaf if hasattr(deaf, name) else chain, name)

    return Half()


def test_key__used_by_somebody_else_meanwhile__costs_no_payment(rail):
    """An operator's own transaction takes the nonce of one of ours that is on its way."""
    rail.join("displaced", 5_000)
    rail.charge("displaced", "2")
    deaf = SimpleNamespace(broadcast=lambda raws: ["unknown"] * len(raws))
    hearing, rail.rail.sender.chain = rail.rail.sender.chain, _half(rail.chain, deaf)
    rail.worker.turn()
    rail.send(9, Call("PaymentRail", "setPayoutAccount", (bytes(32), 0)))
    rail.rail.sender.chain = hearing
    lost = rail.payment("displaced").settlement_tx
    rail.until("displaced", "posted")
    assert rail.payment("displaced").settlement_tx != lost
    with rail.store.read() as session:
        row = sends.by_hash(session, lost)
    assert (row.stage, row.verdict) == ("failed", "its nonce was used by another transaction")


def test_mint__that_failed_on_chain__is_due_again(rail):
    """Somebody else's mint of the same credit came first: the next look says what is wrong."""
    credit, amount = "0x" + "5c" * 32, 70_000
    identity = rail.join("mint-again")
    with rail.store.write() as session:
        session.add(
            fundings.FundingRow(credit_id=credit, agreement_id=identity, cents=7, stage="minting")
        )
        store_ledger.post(session, [ledger.funding_booked(credit, 7)], 0)
    at = rail.chain.deployment.addresses["PaymentRail"]
    quote = rail.rail.minter.quote(
        Call(
            "EuroToken",
            "mintToEscrow",
            (
                credit,
                at,
                identity,
                amount,
            ),
        )
    )
    with rail.store.write() as session:
        rail.rail.minter.prepare(session, "mint", credit, replace(quote, gas=60_000), 0)
    rail.rail.minter.broadcast()  # too little gas: it fails, and its nonce is spent
    rail.work(1)
    with rail.store.read() as session:
        assert sends.by_ref(session, "mint", credit) is not None
    rail.work(4)
    with rail.store.read() as session:
        assert fundings.get(session, credit).stage == "minted"
        assert agreements.get(session, identity) is not None


def test_committee__that_changed_before_the_settlement__has_the_batch_attested_again(rail):
    rail.join("unseated", 5_000)
    rail.charge("unseated", "2")
    lost, quote = [], rail.rail.sender.quote

    def late(*asked):
        """The step's own quote, after one of the signers lost its seat."""
        lost.append(_signers(rail, "unseated")[0])
        rail.send(1, Call("OracleCommittee", "unseat", (lost[0].oracle,)))
        return quote(*asked)

    rail.rail.sender.quote = late
    rail.work(1)
    rail.rail.sender.quote = quote
    assert rail.payment("unseated").stage == "verified"
    rail.until("unseated", "paid_out")  # the rail follows the committee's logs by itself
    members = rail.rail.committee().members
    assert lost[0].oracle not in members and len(members) == 3
    assert {row.oracle for row in _signers(rail, "unseated")} == set(members)


def _signers(rail, name: str) -> list:
    with rail.store.read() as session:
        return payments.attestations_of(session, rail.payment(name).batch_digest)


def test_settlement__that_takes_too_much_gas__is_split_until_each_part_fits(rail, monkeypatch):
    names = [f"many-{number}" for number in range(4)]
    for name in names:
        rail.join(name, 5_000)
    for name in names:
        rail.charge(name, "2")
    monkeypatch.setattr(client, "GAS_LIMIT", 200_000)
    for _ in range(20):
        rail.work(1)
    sent = {rail.payment(name).settlement_tx for name in names}
    assert None not in sent and len(sent) > 1
    assert rail.rail.memory.claims_that_fit["metered_energy"] < len(names)
    monkeypatch.undo()  # claims are as cheap again as before: so are the batches
    rail.rail.settings.batch_claims = len(names)
    for _ in range(3):
        for name in names:
            rail.charge(name, "2")
        rail.work(5)
    assert rail.rail.memory.claims_that_fit == {}
