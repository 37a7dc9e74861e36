"""The life of a payment: every pair of stage and fact, against a table written down by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.payment import Fact, NextStep, Payment, Stage, advance, verdict
from orchestrator.errors import Halt

# stage: what moves it (fact>stage/next_step due), what it knows already, and what can never meet it
EXPECTED = {
    "received": (
        "derived>verified/attest underivable>rejected lapsed>expired settled>settled "
        "skipped>skipped",
        "funded short refused orphaned stale",
        "attested doubted final disputed refunded upheld redeemed booked owed set_off on_statement",
    ),
    "verified": (
        "attested>attested/settle doubted>rejected lapsed>expired settled>settled skipped>skipped",
        "derived funded short refused orphaned stale",
        "underivable final disputed refunded upheld redeemed booked owed set_off on_statement",
    ),
    "attested": (
        "settled>settled stale>verified/attest short>waiting_for_funds refused>refused "
        "lapsed>expired skipped>skipped",
        "derived attested doubted funded orphaned",
        "underivable final disputed refunded upheld redeemed booked owed set_off on_statement",
    ),
    "settled": (
        "orphaned>attested/settle final>posted/release disputed>disputed owed>posted",
        "derived attested doubted settled short refused funded lapsed stale",
        "underivable refunded upheld redeemed booked set_off on_statement skipped",
    ),
    "posted": (
        "disputed>disputed redeemed>paid_out set_off>reconciled",
        "derived attested doubted settled short refused funded lapsed final upheld owed stale",
        "underivable orphaned refunded booked on_statement skipped",
    ),
    "paid_out": (
        "booked>booked",
        "derived attested doubted settled short refused funded lapsed final upheld disputed "
        "redeemed on_statement stale",
        "underivable orphaned refunded owed set_off skipped",
    ),
    "booked": (
        "on_statement>reconciled",
        "derived attested doubted settled short refused funded lapsed final upheld disputed "
        "redeemed booked stale",
        "underivable orphaned refunded owed set_off skipped",
    ),
    "reconciled": (
        "",
        "derived attested doubted settled short refused funded lapsed final upheld disputed "
        "redeemed booked on_statement owed set_off stale",
        "underivable orphaned refunded skipped",
    ),
    "rejected": (
        "settled>settled skipped>skipped",
        "derived underivable attested doubted short refused funded orphaned lapsed stale",
        "final disputed refunded upheld redeemed booked owed set_off on_statement",
    ),
    "expired": (
        "settled>settled skipped>skipped",
        "derived underivable attested doubted short refused funded orphaned lapsed stale",
        "final disputed refunded upheld redeemed booked owed set_off on_statement",
    ),
    "refused": (
        "orphaned>attested/settle settled>settled skipped>skipped",
        "derived attested doubted short refused funded lapsed stale",
        "underivable final disputed refunded upheld redeemed booked owed set_off on_statement",
    ),
    "waiting_for_funds": (
        "funded>verified/attest settled>settled refused>refused lapsed>expired "
        "orphaned>attested/settle skipped>skipped",
        "derived attested doubted short stale",
        "underivable final disputed refunded upheld redeemed booked owed set_off on_statement",
    ),
    "disputed": (
        "refunded>refunded upheld>posted/release orphaned>attested/settle",
        "derived attested doubted settled short refused funded final lapsed disputed stale",
        "underivable redeemed booked owed set_off on_statement skipped",
    ),
    "refunded": (
        "",
        "derived attested doubted settled short refused funded final lapsed disputed refunded "
        "stale",
        "underivable orphaned upheld redeemed booked owed set_off on_statement skipped",
    ),
    "skipped": (
        "",
        "derived underivable attested doubted short refused funded orphaned lapsed skipped stale",
        "settled final disputed refunded upheld redeemed booked owed set_off on_statement",
    ),
    "held": (
        "settled>settled skipped>skipped",
        "derived underivable attested doubted short refused funded orphaned lapsed stale",
        "final disputed refunded upheld redeemed booked owed set_off on_statement",
    ),
}
# what anybody outside can bring about by handing batches in, or by waiting, at any time
STRANGERS = ("settled", "short", "refused", "lapsed", "funded")


REINSTATED = {"rejected": "received/verify", "refused": "verified/attest"}
# what people do: fact -> the stages that it moves, and those that know it; elsewhere it cannot be
PEOPLE = {
    "held": (
        dict.fromkeys(("received", "verified", "attested", "waiting_for_funds"), "held/"),
        ("held", "rejected"),
    ),
    "continued": ({"held": "received/verify"}, ()),
    "rejected": ({"held": "rejected/"}, ("rejected",)),
}


def expected(stage: str, fact: str) -> tuple[str, str, str]:
    """(verdict, next stage, next step) by the table above; a fact must stand in it just once."""
    if fact == "reinstated":  # for one reason only, and known wherever nothing was refused
        after, _, next_step = REINSTATED.get(stage, "").partition("/")
        return ("moves", after, next_step) if after else ("known", stage, "")
    if fact in PEOPLE:
        moved, knowing = PEOPLE[fact]
        after, _, next_step = moved.get(stage, stage).partition("/")
        wanted = "moves" if stage in moved else "known" if stage in knowing else "impossible"
        return wanted, after, next_step
    moves, without_move, never = (part.split() for part in EXPECTED[stage])
    arrows = {name: after for name, _, after in (word.partition(">") for word in moves)}
    assert (fact in arrows) + (fact in without_move) + (fact in never) == 1, (stage, fact)
    if fact in arrows:
        after, _, next_step = arrows[fact].partition("/")
        return "moves", after, next_step
    return ("known" if fact in without_move else "impossible"), stage, ""


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("fact", list(Fact))
def test_advance__every_pair_of_stage_and_fact__is_as_written_down(stage, fact):
    wanted, after, next_step = expected(stage, fact)
    payment = Payment("0x01", stage, NextStep.VERIFY)
    assert verdict(stage, fact) == wanted
    if wanted == "impossible":
        with pytest.raises(Halt, match=f"'{fact}' cannot occur at the stage '{stage}'"):
            advance(payment, fact)
        return
    moved, due = advance(payment, fact)
    if wanted == "known":
        assert moved is payment and due is None
    else:
        assert (moved.stage, moved.next_step or "", due or "") == (after, next_step, next_step)
        assert moved.payment_id == "0x01"


def test_table__stages_and_facts__are_all_there():
    assert set(EXPECTED) == set(Stage) and len(Stage) * len(Fact) == 16 * 25


def test_stages__from_received_on__are_all_reached():
    reached, waiting = set(), [Payment("0x01")]
    while waiting:
        payment = waiting.pop()
        if (payment.stage, payment.next_step) in reached:
            continue
        reached.add((payment.stage, payment.next_step))
        waiting += [
            advance(payment, fact)[0] for fact in Fact if verdict(payment.stage, fact) == "moves"
        ]
    assert {stage for stage, _ in reached} == set(Stage)
    due = {next_step: {s for s, e in reached if e == next_step} for next_step in NextStep}
    assert due == {
        NextStep.VERIFY: {Stage.RECEIVED},
        NextStep.ATTEST: {Stage.VERIFIED},
        NextStep.SETTLE: {Stage.ATTESTED},
        NextStep.RELEASE: {Stage.POSTED},
    }


@pytest.mark.parametrize("fact", STRANGERS)
def test_strangers__any_fact_at_any_stage__halt_nothing(fact):
    for stage in Stage:
        if (stage, fact) != (Stage.SKIPPED, Fact.SETTLED):  # on chain the sequence is used up
            assert verdict(stage, Fact(fact)) != "impossible", stage


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(Fact), max_size=40))
def test_advance__any_row_of_facts__never_leaves_what_the_chain_made_final(facts):
    """From posted on a payment only goes forward, and an impossible fact leaves it as it was."""
    payment, order = Payment("0x01"), ["posted", "paid_out", "booked", "reconciled"]
    for fact in facts:
        before = payment
        try:
            payment, _ = advance(payment, fact)
        except Halt:
            assert payment is before
            continue
        if before.stage in order[1:]:
            assert order.index(payment.stage) >= order.index(before.stage)
        if before.stage == Stage.REFUNDED:
            assert payment is before
