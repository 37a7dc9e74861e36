"""After a kill of any process at any moment nothing acknowledged is lost or done twice."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace

from device_adapters.types import Message
from oracles.types import Claim, ClaimReason
from oracles.wire import Request
from orchestrator.core.payment import NextStep, Stage
from orchestrator.edges.store import evidence, payments, payouts, sends
from orchestrator.edges.store import fundings as store_fundings
from scripts.demo import parties
from tests.support import invariants
from tests.support import store_power_cut as power_cut
from tests.support.whole_rail import AT_BANK, WholeRail

SEED = 97
RANDOM_KILLS = 2
KILLS = 3  # of each of the other processes

# moment of the kill: what the store or a folder shows then
MOMENTS: dict[str, Callable[[WholeRail], bool]] = {
    "a device holds its receipt": lambda rail: _collected(rail) > 0,
    "a payment has begun": lambda rail: _at(rail, Stage.RECEIVED, Stage.VERIFIED),
    "a claim is attested": lambda rail: _at(rail, Stage.ATTESTED),
    "a settlement is stored": lambda rail: _open(rail, "settle"),
    "a payment is settled": lambda rail: _at(rail, Stage.SETTLED),
    "a release is stored": lambda rail: _open(rail, "release"),
    "a payout is ordered": lambda rail: _payout(rail, "due", "sent"),
    "the bank has answered": lambda rail: any(
        (rail.stack.home / "bank" / "from_bank").glob("*.xml")
    ),
}

SENDING = ("settle", "release_matured", "mint")
PLACES = ("before a commit", "after a commit", "before a broadcast", "after a broadcast")
KILL_BANK_AT = ("a payout is ordered", "the bank has answered")


def _collected(rail: WholeRail) -> int:
    return sum(device.collect() for device in rail.fleet.devices.values())


def _at(rail: WholeRail, *stages: Stage) -> bool:
    with rail.store.read() as session:
        counts = payments.open_counts(session)
    return any(counts.get(stage) for stage in stages)


def _open(rail: WholeRail, purpose: str) -> bool:
    with rail.store.read() as session:
        return bool(sends.open_refs(session, purpose))


def _payout(rail: WholeRail, *stages: str) -> bool:
    with rail.store.read() as session:
        return any(payouts.at_stage(session, stage, 1) for stage in stages)


def _assert_recovered(rail: WholeRail) -> None:
    """Check that the backlog drains and every invariant holds."""
    rail.until_receipted()
    rail.until_booked()
    assert rail.halted() == {}
    assert rail.reconciliation().breaks == ()
    invariants.assert_all(rail)


def test_orchestrator__killed_at_every_stage_of_a_payment__loses_and_doubles_nothing(own_rail):
    rail = own_rail
    for moment, is_reached in MOMENTS.items():
        rail.until(_publishing_until(rail, is_reached), f"the moment when {moment}")
        rail.kill("orchestrator")
        rail.publish(1)  # devices do not notice the kill
        if moment in KILL_BANK_AT:
            rail.kill("bank")
            rail.restart_bank()
        rail.stack.start_rail()
    _assert_recovered(rail)
    print(f"orchestrator killed {len(MOMENTS)} times, each time when {'; '.join(MOMENTS)}")


def _publishing_until(
    rail: WholeRail, is_reached: Callable[[WholeRail], bool]
) -> Callable[[], bool]:
    """Return a check for the moment; it publishes new records every 5 s, if one was missed."""
    published = [float("-inf")]

    def check() -> bool:
        if time.monotonic() - published[0] > 5:
            rail.publish(2)
            published[0] = time.monotonic()
        return is_reached(rail)

    return check


def test_worker__cut_around_every_write_and_send__loses_and_doubles_nothing(own_rail):
    """The worker runs in this process, so that each point is reached, even before a broadcast."""
    rail, cutter = own_rail, power_cut.Cutter()
    rail.kill("orchestrator")
    credits = _minting(rail)
    # later records reach further points; a stranger's release is one a day for a payee, so each
    # point around a release needs a payee that had none today
    for name in (*rail.funded, "cp-0001", "cp-0002", *rail.apart):
        rail.stack.bank.pay(
            parties.iban(parties.FLEET_OPERATOR), "", 700, rail.references["cp-0001"]
        )
        records = rail.fleet[name].make_records(2)
        rail.fleet[name].forget(records)  # its operator sends them by HTTP
        rail.sent[name] += records
        messages = [Message("ocmf", "", record, source="http") for record in records]
        power_cut.take(rail, cutter, messages)
        credits = 1 + credits
        power_cut.drive(rail, cutter, lambda n=credits: _is_settled(rail, n))
        if name in rail.apart:
            power_cut.drive(rail, cutter, lambda: _is_booked(rail))
    power_cut.drive(rail, cutter, lambda: _is_booked(rail))
    rail.stack.start_rail()
    _assert_recovered(rail)
    print(f"power cut at {len(cutter.cut)} points: {cutter.cut}")
    assert set(cutter.cut) >= {(step, place) for step in SENDING for place in PLACES}
    assert {step for step, _ in cutter.cut} >= {
        *SENDING,
        "intake",
        "recover",
        "follow",
        "finalise",
        "collect",
        "verify",
        "attest",
        "order_payouts",
        "read_bank",
    }


def _is_settled(rail: WholeRail, credits: int) -> bool:
    """Return whether all records are settled and this many credits are being minted or minted."""
    with rail.store.read() as session:
        waiting = evidence.agreements_with_unclaimed(session)
    early = _at(rail, Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED)
    return not waiting and not early and _minting(rail) == credits


def _minting(rail: WholeRail) -> int:
    with rail.store.read() as session:
        fundings = store_fundings.all_fundings(session)
    return sum(row.stage in ("minting", "minted") for row in fundings)


def _is_booked(rail: WholeRail) -> bool:
    with rail.store.read() as session:
        minted = all(row.stage == "minted" for row in store_fundings.all_fundings(session))
        counts = payments.open_counts(session)
        waiting = evidence.agreements_with_unclaimed(session)
    return minted and not waiting and set(counts) <= AT_BANK


def test_orchestrator__killed_at_random_even_while_it_recovers__loses_and_doubles_nothing(own_rail):
    rail, chance = own_rail, random.Random(SEED)
    for number in range(RANDOM_KILLS):
        rail.publish(2)
        if number % 2:  # kill it while it starts, before it is ready
            rail.kill("orchestrator")
            rail.stack.spawn_rail()
        _pass(rail, chance.uniform(0.3, 2.5))
        rail.kill("orchestrator")
        rail.stack.start_rail()
    _assert_recovered(rail)
    print(f"orchestrator killed {RANDOM_KILLS + RANDOM_KILLS // 2} times at random, seed {SEED}")


def _pass(rail: WholeRail, seconds: float) -> None:
    """Let some time pass; meanwhile devices take receipts and resend."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rail.receipted()
        time.sleep(0.01)


def test_broker__killed_while_records_flow__loses_nothing_that_devices_keep(own_rail):
    rail, chance = own_rail, random.Random(SEED)
    for _ in range(KILLS):
        rail.publish(2)
        _pass(rail, chance.uniform(0, 0.5))
        rail.kill("broker")
        rail.publish(1)
        rail.stack.restart_broker()
    _assert_recovered(rail)
    print(f"broker killed {KILLS} times")


def _attested(rail: WholeRail, name: str) -> dict[tuple[bytes, int], tuple]:
    """Return what an oracle has attested, from its own database."""
    path = rail.stack.home / "oracles" / name / "oracle.sqlite3"
    base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = base.execute(
            "SELECT agreement, sequence, first_counter, last_counter, evidence, facts FROM attested"
        ).fetchall()
    finally:
        base.close()
    return {row[:2]: row for row in rows}


def test_oracle__killed_while_it_attests__never_signs_two_claims_for_one_sequence(own_rail):
    rail, name = own_rail, "utility-a"
    rail.stack.stop("oracle-bank")  # so that the quorum needs the killed oracle
    earlier: dict[tuple[bytes, int], tuple] = {}
    for _ in range(KILLS):
        size = len(_attested(rail, name))
        rail.publish(2)
        rail.until(
            lambda size=size: len(_attested(rail, name)) > size, "the oracle remembers a claim"
        )
        rail.kill(f"oracle-{name}")
        book = _attested(rail, name)
        assert {key: book[key] for key in earlier} == earlier
        earlier = book
        rail.stack.restart_oracle(name)
    rail.until_settled()
    rail.stack.restart_oracle("bank")
    _assert_recovered(rail)
    book = _attested(rail, name)
    assert {key: book[key] for key in earlier} == earlier
    applied = [claim for ((claim, _),) in invariants.applied_claims(rail).values()]
    settled = {
        (claim.agreement, claim.sequence): (
            claim.first_counter,
            claim.last_counter,
            claim.evidence,
            claim.facts,
        )
        for claim in applied
    }
    assert {k: row[2:] for k, row in book.items()} == {k: settled[k] for k in book}
    _assert_refuses_another(rail, name, Claim(*next(iter(book.values()))))


def _assert_refuses_another(rail: WholeRail, name: str, claim: Claim) -> None:
    """Ask for another claim of a sequence that the oracle attested: it must not sign."""
    oracle = rail.oracle(name)
    assert oracle.ask(Request("metered_energy", (claim,))).signature is not None
    other = replace(claim, facts=claim.facts[:-1] + bytes([claim.facts[-1] ^ 1]))
    answer = oracle.ask(Request("metered_energy", (other,)))
    assert answer.signature is None
    assert [refusal.reason for refusal in answer.refusals] == [
        ClaimReason.ALREADY_ATTESTED_OTHERWISE
    ]


def test_rail__after_all_these_kills__has_no_step_due(own_rail):
    with own_rail.store.read() as session:
        due = [payments.due(session, next_step, 1 << 40, 10) for next_step in NextStep]
    assert not any(due)
