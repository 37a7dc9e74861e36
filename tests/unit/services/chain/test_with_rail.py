"""A rail on the kept chain: a kill between a settlement and its dump pays once."""

from __future__ import annotations

import pytest

from orchestrator.edges.store import blocks, pending
from orchestrator.edges.store import ledger as store_ledger
from services.testnet import Testnet
from tests.support.kept_chain import KeptChain
from tests.support.open_rail import OpenRail
from tests.support.real_chain import has_anvil
from tests.support.small_rail import START

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


class KeptRail(OpenRail):
    """An open rail whose node is a keeper's; blocks come by `mine` and by `testnet.keep`."""

    testnet: KeptChain

    def _node(self) -> Testnet | KeptChain:
        return KeptChain(self.home / "chain", genesis_at=START).start()

    def final(self) -> int:
        with self.store.read() as session:
            return blocks.newest_final(session)

    def settled_block(self, name: str) -> int:
        with self.store.read() as session:
            return blocks.log_of(session, self.payment(name).settlement_tx, "Settled").block_number

    def postings(self, payment: str) -> tuple[list[str], list[str]]:
        """Return (kinds of entries in the journal, kinds of pending ones) about a payment."""
        with self.store.read() as session:
            posted = [e.kind for _, e in store_ledger.entries(session) if e.ref == payment]
            waiting = [e.kind for _, e in pending.entries(session, "pending") if e.ref == payment]
        return posted, waiting


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    kept = KeptRail(tmp_path_factory.mktemp("kept") / "home").start()
    kept.testnet.keep(5)
    for name in kept.agreements:
        kept.fund(name, 20_000)
    for _ in range(6):
        kept.work(1)
        kept.testnet.keep(5)
    kept.clock = max(kept.clock, START + 100_000)
    yield kept
    kept.stop()


def settle_undumped(rail: KeptRail, name: str) -> str:
    """Charge and settle, with no dump since; return the payment's id."""
    rail.charge(name, "3")
    rail.until(name, "settled")
    return rail.payment(name).payment_id


def test_block__that_is_deep_but_in_no_dump__is_not_final_for_the_rail(rail):
    payment = settle_undumped(rail, "cp-0001")
    rail.work(3)  # deeper than this rail's one block
    assert rail.testnet.number("finalized") < rail.settled_block("cp-0001") > rail.final()
    assert rail.postings(payment) == ([], ["settled"])
    rail.testnet.keep(5)
    rail.work(1)
    assert rail.final() >= rail.settled_block("cp-0001")
    assert rail.postings(payment) == (["settled"], [])


def test_kill__after_a_settlement_was_seen_but_not_dumped__pays_once(rail):
    payment = settle_undumped(rail, "cp-0002")
    lost, final = rail.payment("cp-0002").settlement_tx, rail.final()
    rail.testnet.kill()
    rail.worker.turn()  # without a node every step waits
    assert not rail.worker.halted
    rail.testnet.start()
    assert rail.chain.receipts([lost]) == [None]
    # the dump's blocks are older than the reading: no claim is taken from ahead of its block
    rail.testnet.rpc("evm_setNextBlockTimestamp", hex(rail.clock))
    rail.testnet.keep(2)  # the keeper's own blocks, which the rail did not ask for
    rail.worker.turn()
    assert rail.postings(payment) == ([], [])
    rail.worker.turn()
    rail.testnet.keep(5)  # the stored bytes are in a block again
    for _ in range(6):
        rail.worker.turn()
    assert rail.chain.receipts([lost])[0].succeeded
    assert rail.payment("cp-0002").settlement_tx == lost
    assert rail.postings(payment) == (["settled"], [])
    assert rail.final() > final
    settled = [
        log
        for log in rail.chain.logs_between("PaymentRail", 0, rail.chain.head())
        if log.name == "Settled" and log.tx_hash == lost
    ]
    assert len(settled) == 1
    rail.agree_with_the_chain()


def test_bytes__lost_with_the_pool_and_no_block__are_sent_again(rail):
    name = "meter-0001"
    assert rail.take(*rail.fleet[name].reading("0.5")) == ["accepted"]
    while (sent := rail.testnet.rpc("txpool_status"))["pending"] == "0x0":
        rail.worker.turn()
    rail.testnet.rpc("anvil_dropAllTransactions")
    rail.worker.turn()
    assert rail.testnet.rpc("txpool_status")["pending"] == "0x0" != sent["pending"]
    rail.clock += 20  # no block comes; only time passes
    rail.worker.turn()
    assert rail.testnet.rpc("txpool_status")["pending"] == sent["pending"]
    rail.testnet.keep(3)
    rail.until(name, "posted")
