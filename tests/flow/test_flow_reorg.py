"""A chain that drops blocks: the rail undoes and settles again, or halts below finality."""

from __future__ import annotations

import pytest

from orchestrator.core.payment import Stage
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.edges.store import (
    blocks,
    fundings,
    ledger,
    payments,
    sends,
)
from orchestrator.edges.store import payouts as store_payouts
from orchestrator.halts import Halts
from orchestrator.status_file import HALTS
from scripts.demo import parties
from tests.support import invariants
from tests.support.store_queries import bank_files_of, mined_sends
from tests.support.whole_rail import WholeRail

FINALITY = 3


def _send(rail: WholeRail, tx_hash: str) -> sends.ChainSendRow:
    with rail.store.read() as session:
        return sends.by_hash(session, tx_hash)


def _of(rail: WholeRail, tx_hash: str) -> list[payments.PaymentRow]:
    with rail.store.read() as session:
        return payments.of_settlement(session, tx_hash)


def _facts(rail: WholeRail, payment: str) -> list[str]:
    with rail.store.read() as session:
        return [fact.fact for fact in payments.facts_of(session, payment)]


def _mined(rail: WholeRail, purpose: str, contract: str, name: str) -> DecodedLog:
    """Wait for a send of this purpose, mine it, and return its log once the rail has read it."""
    sent = rail.until(lambda: _open_send(rail, purpose), f"a {purpose} to be sent")
    rail.until(lambda: rail.stack.chain.rpc("eth_getTransactionByHash", [sent.tx_hash]), "the pool")
    rail.stack.testnet.mine()
    rail.until(lambda: _seen(rail, name, sent.tx_hash), "the rail to read the block")
    return next(
        log for log in invariants.chain_logs(rail, contract, name) if log.tx_hash == sent.tx_hash
    )


def _open_send(rail: WholeRail, purpose: str) -> sends.ChainSendRow | None:
    with rail.store.read() as session:
        refs = sorted(sends.open_refs(session, purpose))
        return sends.open_send(session, purpose, refs[0]) if refs else None


def _seen(rail: WholeRail, name: str, tx_hash: str) -> bool:
    with rail.store.read() as session:
        return blocks.log_of(session, tx_hash, name) is not None


@pytest.mark.parametrize("depth", range(1, FINALITY + 1))
def test_reorganisation__of_a_settlement__sends_the_same_bytes_again_and_settles_once(
    own_rail, depth
):
    rail = own_rail
    with rail.still():
        rail.publish(2)
        log = _mined(rail, "settle", "PaymentRail", "Settled")
        rail.stack.testnet.mine(depth - 1)
        rail.until(lambda: _newest(rail) == log.block_number + depth - 1, "the depth of the cut")
        rows, before = _of(rail, log.tx_hash), _send(rail, log.tx_hash)
        assert rows and {row.stage for row in rows} == {Stage.SETTLED}
        rail.stack.testnet.rpc("anvil_reorg", depth, [])
        rail.until(
            lambda: all("orphaned" in _facts(rail, row.payment_id) for row in rows),
            "the rail to notice the dropped block",
        )
    rail.until_receipted()
    rail.until_booked()
    settled_again = _of(rail, log.tx_hash)
    assert {row.payment_id for row in settled_again} == {row.payment_id for row in rows}
    after = _send(rail, log.tx_hash)
    assert (after.raw, after.nonce, after.stage) == (before.raw, before.nonce, "mined")
    with rail.store.read() as session:
        assert blocks.at(session, log.block_number).hash != log.block_hash
        assert blocks.log_of(session, log.tx_hash, "Settled").block_hash != log.block_hash
        batch_sends = mined_sends(session, before.ref)
    assert [send.tx_hash for send in batch_sends] == [log.tx_hash]  # no new transaction was signed
    for row in settled_again:
        facts = _facts(rail, row.payment_id)
        assert facts.count("orphaned") == 1 and facts.count("settled") == 2, facts
    assert rail.halted() == {}
    assert rail.reconciliation().breaks == ()
    invariants.assert_all(rail)


def _newest(rail: WholeRail) -> int:
    with rail.store.read() as session:
        return blocks.newest(session).number


def test_reorganisation__of_a_mint__leaves_the_credit_minted_once(own_rail):
    rail, name = own_rail, "cp-0001"
    before = invariants.escrow_now(rail, name)
    minted = len(invariants.chain_logs(rail, "EuroToken", "Minted"))
    with rail.still():
        paid = rail.stack.bank.pay(
            parties.iban(parties.FLEET_OPERATOR), "", 700, rail.references[name]
        )
        assert paid["ok"]
        first = _mined(rail, "mint", "EuroToken", "Minted")
        assert invariants.escrow_now(rail, name) == before + 7_000_000
        rail.stack.testnet.rpc("anvil_reorg", 1, [])
        assert invariants.escrow_now(rail, name) == before
    rail.until(lambda: _fundings(rail) == {"minted"}, "every credit minted for good")
    assert invariants.escrow_now(rail, name) == before + 7_000_000
    logs = invariants.chain_logs(rail, "EuroToken", "Minted")
    assert len(logs) == minted + 1
    assert logs[-1].tx_hash == first.tx_hash and logs[-1].block_hash != first.block_hash
    invariants.assert_books_agree(rail)


def _fundings(rail: WholeRail) -> set[str]:
    with rail.store.read() as session:
        return {row.stage for row in fundings.all_fundings(session)}


def test_bank_files__ever_sent__order_only_payouts_on_blocks_that_stayed(own_rail):
    """Checked after all these reorganisations: each order follows a final block."""
    rail = own_rail
    redeemed = {
        log.args["order"]: log for log in invariants.chain_logs(rail, "EuroToken", "Redeemed")
    }
    with rail.store.read() as session:
        payouts = store_payouts.all_payouts(session)
        final = blocks.newest_final(session)
    assert {row.payout_id for row in payouts} == set(redeemed)
    assert all(redeemed[row.payout_id].tx_hash == row.tx_hash for row in payouts)
    assert all(log.block_number <= final for log in redeemed.values())


def test_reorganisation__below_finality__halts_what_moves_money_and_moves_nothing(own_rail):
    """The rail stays halted from here on; the next test looks at that."""
    rail = own_rail
    with rail.still():
        rail.publish(2, ["cp-0001"])  # one device makes one settlement, and no other is open
        log = _mined(rail, "settle", "PaymentRail", "Settled")
        rail.stack.testnet.mine(FINALITY)
        rail.until(lambda: _final(rail) == log.block_number, "the settlement's block final")
        rail.stack.testnet.rpc("anvil_reorg", FINALITY + 1, [])
        reason = rail.until(lambda: rail.halted().get("follow"), "the halt")
    rail.until_receipted()
    assert "was final" in reason and "nothing will be paid" in reason
    before, verified = _money(rail), set(_verified(rail))
    records = rail.measure(1)  # evidence is still accepted and receipted
    rail.until(
        lambda: len(set(_verified(rail)) - verified) == len(records), "claims derived as usual"
    )
    turns = _turns(rail)["attest"]
    rail.publish(1)
    rail.until_receipted()
    assert _turns(rail)["attest"] == turns
    assert _money(rail) == before
    with rail.store.read() as session:
        assert blocks.at(session, log.block_number).hash == log.block_hash  # nothing was undone


def test_halt__over_a_restart__stands_until_a_person_resumes_the_step(own_rail):
    """This is the last test of this rail: its rule is still broken, so the step halts again."""
    rail = own_rail
    halts = Halts(rail.stack.home / HALTS)

    def events() -> list[str]:
        return [item["event"] for item in halts.history() if item["step"] == "follow"]

    rail.stack.stop("orchestrator")
    rail.stack.start_rail()
    reason = rail.until(lambda: rail.halted().get("follow"), "the halt after the restart")
    assert "was final" in reason and _turns(rail)["follow"] == 0
    assert events() == ["halted"]
    (shown,) = rail.commands(["status"])
    assert shown.returncode == 1 and "proofrail resume follow" in shown.stdout
    (resumed,) = rail.commands(["resume", "follow", "--reason", "a trial", "--by", "Ada"])
    assert resumed.returncode == 0, resumed.stderr
    rail.until(lambda: events() == ["halted", "resumed", "halted"], "the second halt")
    assert "follow" in rail.halted()


def _final(rail: WholeRail) -> int:
    with rail.store.read() as session:
        return blocks.newest_final(session)


def _turns(rail: WholeRail) -> dict[str, int]:
    return rail.api("GET", "/v1/status").json()["worker"]["turns"]


def _verified(rail: WholeRail) -> list[str]:
    return [row.payment_id for row in rail.all_payments() if row.stage == Stage.VERIFIED]


def _money(rail: WholeRail) -> list[object]:
    """Return everything that changes if money moves: sends, payouts, files, mints, ledger."""
    senders = [keystore.load(rail.stack.settings.keys, role) for role in ("sender", "minter")]
    with rail.store.read() as session:
        nonces = [
            sends.next_nonce(session, rail.stack.chain.deployment.chain_id, sender.address)
            for sender in senders
        ]
        payouts = [(row.payout_id, row.stage) for row in store_payouts.all_payouts(session)]
        files = [row.file_hash for row in bank_files_of(session, "out")]
        mints = [(row.credit_id, row.stage) for row in fundings.all_fundings(session)]
        return [nonces, payouts, files, mints, ledger.count(session), ledger.balances(session)]
