"""A rail of 0.5.0 with money on its way moves: every cent arrives, and no record is paid twice."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from device_adapters.types import Rejected
from oracles.attest import address_of, sign
from oracles.rulings import Ruling, SignedRuling
from oracles.wire import read_ruling
from orchestrator.core.audit import verify
from orchestrator.core.payment import MOVED
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.disputes import dispute_contracts
from orchestrator.edges.chain.keystore import development_account
from orchestrator.edges.chain.rails import RAIL
from orchestrator.edges.chain.totals import contract_totals
from orchestrator.edges.store import agreements, blocks, evidence, lookup, payments
from orchestrator.errors import Halt, Retry
from orchestrator.operations.disputes import (
    disputed_payment,
    end_calls,
    ruling_calls,
    ruling_plan,
)
from orchestrator.operations.payee_money import payee_money, payout_account_calls
from orchestrator.products import products
from orchestrator.rebuild import Rebuilt, rebuild
from orchestrator.steps import rulings
from orchestrator.steps.collect import collect
from orchestrator.steps.collect import verify as derive
from orchestrator.steps.dispute import dispute_call
from orchestrator.steps.rulings import keep_rulings
from orchestrator.views.audit_bundle import export
from orchestrator.views.payment import dispute_view
from services.oracle_rulings import OracleDesk, sign_ruling
from tests.support.moved_rail import FORMER_RAIL, MovedRail
from tests.support.small_rail import has_anvil

pytestmark = [
    pytest.mark.extended,  # about 15 s
    pytest.mark.skipif(not has_anvil(), reason="anvil is not installed"),
]
PAYER, PAYEE = 10, 11  # development accounts
DAY = 86_400
KWH = 300_000  # micro-euro


@dataclass
class Moved:
    """The rail after its move, and what was true on the way.

    Attributes:
        before: Each party's money right before the contracts of today were deployed.
        after: The same once the agreement had moved.
        former: Ids of payments on the former rail by a word about them.
        rebuilt: What `rebuild` said at points of the story.
        shown: What the last oracle's desk said of the dispute that a command ruled on.
        ruled_on: The contract that took that ruling.
    """

    rail: MovedRail
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    former: dict[str, str] = field(default_factory=dict)
    rebuilt: dict[str, Rebuilt] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    shown: dict[str, Any] = field(default_factory=dict)
    ruled_on: str = ""

    def payment(self, payment: str) -> payments.PaymentRow:
        with self.rail.store.read() as session:
            return payments.by_ids(session, [payment])[0]


def worth(rail: MovedRail) -> dict[str, int]:
    """What each party has in wallets, on both rails and at the bank; micro-euro."""
    deployment, chain = rail.chain.deployment, rail.chain
    money = payee_money(rail.store, chain, rail.payee.address, rail.clock)
    with rail.store.read() as session:
        rows = agreements.all_agreements(session)
        every = lookup.newest_payments(session, None, 100)
    escrow = sum(
        chain.view(rail_name, "agreementState", bytes.fromhex(row.agreement_id[2:]))[2]
        for row in rows
        if row.opened_at
        for rail_name in [rail_of_row(rail, row)]
    )
    wallets = {
        name: chain.view("EuroToken", "balanceOf", party.address)
        for name, party in (("payer", rail.payer), ("payee", rail.payee))
    }
    times = {row.release_at for row, _ in every if row.release_at}
    pending = sum(
        chain.view(name, "pending", rail.payee.address, time)
        for name in deployment.named(RAIL)
        for time in times
    )
    redeemed = sum(chain.view(name, "totals")[4] for name in deployment.named(RAIL))
    state = money.on_chain
    return {
        "payer": wallets["payer"] + escrow,
        "payee": wallets["payee"] + pending + state.withdrawable_micro + redeemed,
    }


def rail_of_row(rail: MovedRail, row: agreements.AgreementRow) -> str:
    return rail.chain.deployment.rail_of(row.product_address)


@pytest.fixture(scope="module")
def moved() -> Any:
    """Payments of 0.5.0: paid; attested; derived only; with an open window. Then the rail moves."""
    folder = tempfile.TemporaryDirectory(prefix="moved-rail-")
    rail = MovedRail(Path(folder.name) / "home").start()
    story = Moved(rail)
    try:
        _live_before(story)
        _move(story)
        yield story
    finally:
        rail.stop()
        folder.cleanup()


def _live_before(story: Moved) -> None:
    rail = story.rail
    rail.join("cp-late", 10_000, window_s=10 * DAY)
    for name in ("cp-0001", "cp-0002"):
        rail.fund(name, 20_000)
    rail.work(4)
    rail.charge("cp-0001", "12.5")
    rail.charge("cp-late", "10")
    rail.until_paid("cp-0001")
    story.former["paid"] = rail.payment("cp-0001").payment_id
    story.former["late"] = rail.payment("cp-late").payment_id
    for name, kwh in (("cp-back", "5"), ("cp-stays", "6")):
        rail.join(name, 10_000, window_s=10 * DAY)
        rail.work(4)
        rail.charge(name, kwh)
        rail.until(name, "posted")
        _dispute(story, name)
    try:
        rail.agreement_ops.open([_signed(rail)])
    except Halt as halt:
        story.refused.append(str(halt))
    rail.signs_as_before = False


def _dispute(story: Moved, name: str) -> None:
    rail, row = story.rail, story.rail.payment(name)
    with rail.store.read() as session:
        agreement = agreements.get(session, row.agreement_id)
        call = dispute_call(session, rail.chain, row, agreement)
    rail.send(PAYER, call)
    rail.until(name, "disputed")
    story.former[name] = row.payment_id


def _rule(story: Moved) -> None:
    """Rule on a dispute by the worker, and on one by command, with what oracles' people signed."""
    rail = story.rail
    subject = disputed_payment(rail.store, rail.chain, story.former["cp-back"])
    with pytest.raises(Rejected, match="a dispute has no deadline"):
        end_calls(subject, "expire", rail.clock)
    oracles = rail.rail.oracles
    oracles[:] = [replace(oracle, rules_on=FORMER_RAIL) for oracle in oracles]
    for oracle in oracles:  # the bank's is down
        oracle.decided.append((story.former["cp-back"], True))
    rail.work(1, rulings.ASK_EVERY_S)
    rail.until("cp-back", "refunded")
    for oracle in oracles[1:]:
        folder = rail.home / "oracles" / oracle.name
        folder.mkdir(parents=True, exist_ok=True)
        desk = OracleDesk(rail.chain, rail.rail.registry, folder)
        [dispute] = desk.open()
        story.shown = desk.view(dispute)
        document = sign_ruling(desk, oracle.key, dispute, False, "Mia Vogt", "", rail.clock)
        signed = read_ruling(json.dumps(document).encode())
        assert keep_rulings(rail.store, rail.chain, [signed], rail.clock) == [dispute.payment]
    subject = disputed_payment(rail.store, rail.chain, story.former["cp-stays"])
    [call] = ruling_calls(subject, ruling_plan(rail.store, rail.chain, subject))
    rail.send(PAYEE, call)
    story.ruled_on = call.contract
    rail.until("cp-stays", "posted")


def _signed(rail: MovedRail) -> tuple[Any, ...]:
    terms = {"cap_micro": 1, "window_s": 60, "expiry": rail.clock + DAY, "terms": b""}
    parties = rail.payer.address, rail.payee.address
    mandate = rail.agreement_ops.mandate("cp-0001", *parties, products()["metered_energy"], **terms)
    return "cp-0001", "metered_energy", mandate, bytes(65)


def _move(story: Moved) -> None:
    rail = story.rail
    story.before = worth(rail)
    deployment = rail.deploy_successor()
    rail.work(3)  # the rail goes on, and does not know of it
    rail.charge("cp-0002", "3")
    collect(rail.rail)
    derive(rail.rail)
    rail.attest_as_before()
    story.former["attested"] = rail.payment("cp-0002").payment_id
    rail.charge("cp-0001", "4")
    collect(rail.rail)
    derive(rail.rail)
    story.former["derived"] = rail.payment("cp-0001").payment_id
    rail.start_again(deployment)
    rail.work(2)
    story.rebuilt["started"] = rebuild(rail.store, rail.chain)
    for call in payout_account_calls(rail.chain, rail.payee_iban, 0):
        rail.send(PAYEE, call)
    rail.follow("cp-0001")
    rail.until("cp-0001", "posted")
    story.after = worth(rail)
    story.former["moved on"] = rail.payment("cp-0001").payment_id
    _rule(story)
    rail.until_paid("cp-0001")
    rail.clock += 10 * DAY
    rail.work(2)
    rail.until_paid("cp-late")
    rail.agree_with_the_chain()
    story.rebuilt["paid"] = rebuild(rail.store, rail.chain)


def test_contracts_of_before__without_a_move__pay_what_was_attested_and_say_what_waits(moved):
    paid, derived = moved.payment(moved.former["paid"]), moved.former["derived"]
    assert paid.amount_micro == 12.5 * KWH and paid.payout_id is not None
    with moved.rail.store.read() as session:
        facts = [fact.fact for fact in payments.facts_of(session, derived)]
    assert facts == ["derived", "lapsed"]  # nobody was asked to sign it


def test_contracts_of_before__new_agreement__is_refused_by_name(moved):
    [refusal] = moved.refused
    assert "earlier release" in refusal and "move the rail" in refusal


def test_move__attested_before__settles_and_is_paid_on_the_former_rail(moved):
    row, address = moved.payment(moved.former["attested"]), moved.rail.chain.deployment.addresses
    assert row.amount_micro == 3 * KWH and row.payout_id is not None
    with moved.rail.store.read() as session:
        log = blocks.log_of(session, row.settlement_tx, "Settled")
    assert log.address == address[FORMER_RAIL].lower()


def test_move__not_attested_before__ends_and_its_record_is_paid_once_on_the_new_rail(moved):
    ended, following = (moved.payment(moved.former[n]) for n in ("derived", "moved on"))
    assert (ended.stage, ended.reason, ended.amount_micro) == ("expired", MOVED, 0)
    assert following.amount_micro == 4 * KWH
    with moved.rail.store.read() as session:
        assert evidence.event_ids(session, ended.payment_id) == []
        assert len(evidence.event_ids(session, following.payment_id)) == 1
        assert ended.payment_id not in [row.payment_id for row, _ in payments.stopping(session)]
        log = blocks.log_of(session, following.settlement_tx, "Settled")
    assert log.address == moved.rail.chain.deployment.addresses[RAIL].lower()


def test_move__each_party__has_every_cent_that_it_had(moved):
    charged = 4 * KWH + 3 * KWH  # on the new rail, and on the former one after the snapshot
    before = moved.before
    assert moved.after == {
        "payer": before["payer"] - charged,
        "payee": before["payee"] + charged,
    }


def test_move__unmatured_payment__is_paid_out_by_the_former_rail(moved):
    late, payout = moved.payment(moved.former["late"]), moved.rail.chain
    assert late.payout_id is not None and late.amount_micro == 10 * KWH
    tokens = moved.rail.tokens()
    assert payout.view(FORMER_RAIL, "withdrawable", moved.rail.payee.address) == 0
    assert tokens["payee"] == 0  # all of it went to the bank


def test_ruling__on_disputes_of_the_former_rail__ends_them_there_either_way(moved):
    """Before, oracles of this release signed no rulings for a rail of 0.5.0."""
    back, stays = moved.payment(moved.former["cp-back"]), moved.payment(moved.former["cp-stays"])
    assert (back.stage, stays.stage) == ("refunded", "paid_out")
    chain, shown = moved.rail.chain, moved.shown
    escrow = chain.view(FORMER_RAIL, "agreementState", bytes.fromhex(back.agreement_id[2:]))[2]
    assert escrow == 100_000_000 and chain.view(FORMER_RAIL, "totals")[3] == 0  # none is frozen
    assert moved.ruled_on == shown["rail"] == FORMER_RAIL
    assert (shown["deadline"], shown["bond"]["amount"]) == (None, "0")
    assert (shown["payer"], shown["challenger"]) == (moved.rail.payer.address,) * 2
    for payment, refunded in ((back, True), (stays, False)):
        with moved.rail.store.read() as session:
            row = agreements.get(session, payment.agreement_id)
            view = dispute_view(session, payment, row)
        assert view["refunded"] is refunded and len(view["rulings"]) == 3
        assert {ruling["decided_by"] for ruling in view["rulings"]} == {"Mia Vogt"}


def test_ruling__signed_for_the_other_rail_or_by_a_stranger__is_not_kept(moved):
    chain, addresses = moved.rail.chain, moved.rail.chain.deployment.addresses
    payment = bytes.fromhex(moved.former["cp-back"][2:])
    kept = []
    for contracts, key in (
        (dispute_contracts(chain, RAIL), moved.rail.rail.oracles[3].key),
        (dispute_contracts(chain, FORMER_RAIL), bytes(development_account(30).key)),
        (dispute_contracts(chain, FORMER_RAIL), moved.rail.rail.oracles[3].key),
    ):
        ruling = Ruling(addresses[contracts.rail], payment, True)
        committee = addresses[contracts.committee]
        signature = sign(
            ruling.digest(chain.deployment.chain_id, committee, contracts.version), key
        )
        signed = SignedRuling(ruling, address_of(key), signature, "Mia Vogt", "", 1)
        kept.append(len(keep_rulings(moved.rail.store, chain, [signed], moved.rail.clock)))
    assert kept == [0, 0, 1]


@pytest.mark.parametrize("point", ["started", "paid"])
def test_rebuild__over_both_rails__makes_the_same_books(moved, point):
    rebuilt = moved.rebuilt[point]
    assert rebuilt.differences == [] and rebuilt.same


def test_added_contracts__deployed_while_the_rail_ran__are_followed_from_their_first_block(moved):
    rail, addresses = moved.rail, moved.rail.chain.deployment.addresses
    with rail.store.read() as session:
        followed = blocks.followed(session)
    assert set(followed) == {address.lower() for address in addresses.values()}
    assert followed[addresses[FORMER_RAIL].lower()] == 0
    assert len(rail.rail.committee().members) == 4  # their seats were read from final blocks


def test_totals__before_the_new_rail_was_made__are_those_of_the_former_one(moved):
    chain, first = moved.rail.chain, moved.rail.chain.deployment.blocks[RAIL]
    totals = [
        contract_totals(chain, number, chain.blocks([number])[0].hash)
        for number in (first - 1, chain.head())
    ]
    held = [
        t.escrow_micro + t.pending_micro + t.withdrawable_micro + t.frozen_micro for t in totals
    ]
    assert held == [t.rail_micro for t in totals] and all(held)


@pytest.mark.parametrize("word", ["paid", "attested", "moved on"])
def test_audit__bundle_of_each_rail__verifies_and_names_its_rail(moved, word):
    deployment = moved.rail.chain.deployment
    with moved.rail.store.read() as session:
        bundle = export(session, moved.former[word], deployment).bundle
    report = verify(bundle, products())
    assert report.failed is None, report.failed
    rail = RAIL if word == "moved on" else FORMER_RAIL
    assert bundle["chain"]["rail"] == deployment.addresses[rail].lower()


def test_settlement__of_each_rail__has_the_signatures_in_the_form_that_its_committee_takes(moved):
    for word, shape in (("attested", [65, 65, 65]), ("moved on", [3 * 65])):
        tx_hash = moved.payment(moved.former[word]).settlement_tx
        _, arguments = moved.rail.chain.call_input(tx_hash, RAIL)
        assert [len(element) for element in arguments["signatures"]] == shape, word
        with moved.rail.store.read() as session:
            bundle = export(session, moved.former[word], moved.rail.chain.deployment).bundle
        assert {len(signature) for signature in bundle["batch"]["signatures"]} == {2 + 2 * 65}


def test_chain__function_that_former_contracts_lack__is_refused_by_name(moved):
    with pytest.raises(Retry, match=r"earlier release, which has no payoutLimits"):
        moved.rail.chain.view(FORMER_RAIL, "payoutLimits", moved.rail.payee.address)
    with pytest.raises(Retry, match=r"earlier release, which has no skip"):
        moved.rail.chain.quote(moved.rail.payer.address, Call(FORMER_RAIL, "skip", ()))
