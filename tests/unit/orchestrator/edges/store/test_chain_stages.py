"""Stages of agreements and chain sends move in the store only as their tables allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.edges.store import Store, agreements, sends
from orchestrator.errors import Halt
from tests.support.small_intake import SmallIntake

TX = "0x" + "ab" * 32


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[SmallIntake]:
    small_intake = SmallIntake(tmp_path)
    yield small_intake
    small_intake.close()


@pytest.fixture
def store(intake: SmallIntake) -> Store:
    row = sends.ChainSendRow(
        tx_hash=TX, chain_id=1, sender="0x1", nonce=7, purpose="settle", ref="r", raw="0x"
    )
    row.created_at = 1
    with intake.store.write() as session:
        sends.add(session, row)
    return intake.store


def send_after(store: Store, fact: sends.Fact, **values: object) -> sends.ChainSendRow:
    with store.write() as session:
        sends.record_fact(session, TX, fact, **values)
    with store.read() as session:
        return sends.by_hash(session, TX)


def test_send__answers_of_the_node__are_kept_until_a_block_holds_it(store: Store) -> None:
    for answer in ("sent", "nonce too low"):
        row = send_after(store, sends.Fact.BROADCAST, verdict=answer)
        assert (row.stage, row.verdict) == ("sent", answer)
    row = send_after(store, sends.Fact.SUCCEEDED, block_number=5, gas_used=21)
    assert (row.stage, row.block_number, row.gas_used) == ("mined", 5, 21)
    row = send_after(store, sends.Fact.BROADCAST, verdict="late")
    assert (row.stage, row.verdict) == ("mined", "nonce too low")


def test_send__orphaned__is_open_again_and_only_if_its_block_is_gone(store: Store) -> None:
    send_after(store, sends.Fact.REVERTED, block_number=5, gas_used=21)
    with store.write() as session:
        sends.record_orphaned(session, 6)
        assert sends.by_hash(session, TX).stage == sends.Stage.FAILED
        sends.record_orphaned(session, 5)
        row = sends.by_hash(session, TX)
        assert (row.stage, row.block_number) == (sends.Stage.SENT, None)


def test_send__orphaned_without_a_block__is_a_halt_that_changes_nothing(store: Store) -> None:
    with pytest.raises(Halt, match="cannot occur at the stage 'signed'"):
        send_after(store, sends.Fact.ORPHANED)
    with store.read() as session:
        assert sends.by_hash(session, TX).stage == sends.Stage.SIGNED


def test_agreement__closed_and_funded__has_a_refund_due_and_closes_again(
    intake: SmallIntake,
) -> None:
    identity = intake.agree("cp-0002")
    facts, stages = agreements.Fact, []
    for fact in (facts.FUNDED, facts.RECLAIMED, facts.FUNDED, facts.FUNDED, facts.RECLAIMED):
        with intake.store.write() as session:
            agreements.record_fact(session, identity, fact, 9)
            stages.append(str(agreements.get(session, identity).stage))
    assert stages == ["live", "closed", "refund_due", "refund_due", "closed"]


def test_agreement__opened_after_its_end__is_a_halt(intake: SmallIntake) -> None:
    identity = intake.agree("cp-0002")
    with intake.store.write() as session:
        agreements.record_fact(session, identity, agreements.Fact.RECLAIMED, 9)
    with pytest.raises(Halt, match=identity), intake.store.write() as session:
        agreements.record_fact(session, identity, agreements.Fact.OPENED, 9)


def test_agreement__of_strangers__is_ignored(intake: SmallIntake) -> None:
    with intake.store.write() as session:
        agreements.record_fact(session, "0x" + "99" * 32, agreements.Fact.OPENED, 9)
        assert agreements.get(session, "0x" + "99" * 32) is None
