"""The totals that `proofrail status` reads without the store: equal to what the store returns."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlmodel import Session, select

from orchestrator.core.payment import Stage
from orchestrator.edges.store import (
    Store,
    agreements,
    blocks,
    conflicts,
    effects,
    equivocations,
    evidence,
    holds,
    lookup,
    payments,
    payouts,
    rejections,
)
from orchestrator.edges.store.tables import (
    ConflictRow,
    DeviceRow,
    EffectDeliveryRow,
    EffectTargetRow,
    EquivocationRow,
    EventRow,
    HoldRow,
    HoleRow,
    PaymentRow,
    RejectionRow,
)
from orchestrator.edges.totals import read_totals
from orchestrator.errors import Halt, Retry
from tests.support.released import migrated_database


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a database with something of everything that `status` shows."""
    path = migrated_database(tmp_path / "proofrail.sqlite3")
    store = Store(path)
    with store.write() as session:
        device = session.exec(select(DeviceRow)).first()
        for number, device_id in enumerate((device.device_id, "0xunknown", device.device_id)):
            session.add(
                ConflictRow(
                    event_id=f"0x{number}",
                    content_hash="00",
                    rejection_id=1,
                    device_id=device_id,
                    reason="counter_replayed",
                    found_at=100 + number,
                )
            )
        for oracle in ("0xb", "0xa"):
            session.add(EquivocationRow(oracle=oracle, agreement_id="0x1", sequence=2, found_at=7))
        stopped, owing, held = session.exec(select(PaymentRow).limit(3)).all()
        held.stage = Stage.HELD
        for at, decided in ((5, 6), (7, None)):  # the first one was decided
            session.add(
                HoldRow(
                    payment_id=held.payment_id,
                    held_at=at,
                    held_by="0xc",
                    reason="held by the test",
                    stage=Stage.VERIFIED,
                    decided_at=decided,
                )
            )
        stopped.stage, stopped.reason = Stage.REJECTED, "stopped by the test"
        owing.amount_micro = -5
        dropped, waiting, supporting = session.exec(
            select(EventRow).where(EventRow.role == evidence.STREAM).limit(3)
        ).all()
        supporting.role, supporting.payment_id = evidence.SUPPORTING, None
        dropped.payment_id, dropped.reason = None, "dropped"
        waiting.payment_id = waiting.reason = None
        agreement_id = stopped.agreement_id
        session.add(
            HoleRow(agreement_id=agreement_id, first_counter=1, last_counter=2, declared_at=1)
        )
        refusal = {
            "received_at": 1,
            "source": "mqtt",
            "device": "x",
            "detail": "",
            "body": b"",
            "protocol": "ocmf",
        }
        session.add(RejectionRow(reason="dropped", **refusal))
        session.add(RejectionRow(reason="malformed", **refusal))
        for name in ("crm", "depot"):
            row = EffectTargetRow(name=name, way="folder", place="/", kinds="", added_at=1)
            effects.add_target(session, row)
        for number, done in enumerate((None, 9, None)):
            row = EffectDeliveryRow(
                target="crm", effect_id=f"0x{number}", since=number + 5, due_at=9
            )
            row.delivered_at = done
            session.add(row)
    store.close()
    return path


def of_store(session: Session) -> dict:
    """Return the same as `read_totals`, by the functions of the store."""
    return {
        "block": blocks.newest(session).number,
        "final_block": blocks.newest_final(session),
        "events": evidence.event_counts(session),
        "rejected": rejections.count_by_reason(session),
        "payments": {
            stage: {"payments": count, "amount": str(total), "asset": "tEUR/6"}
            for stage, (count, total) in lookup.count_by_stage(session).items()
        },
        "payouts": {
            stage: {"payouts": count, "amount": str(cents), "asset": "EUR/2"}
            for stage, (count, cents) in payouts.count_by_stage(session).items()
        },
        "effects": [
            {
                "target": state.name,
                "waiting": state.waiting,
                "oldest_at": state.oldest_at or None,
            }
            for state in effects.states(session)
        ],
        "holes": len(evidence.all_holes(session)),
        "quarantined_devices": [
            {
                "device": row.name if (row := agreements.device(session, device)) else device,
                "device_id": device,
                "reason": reason,
                "conflicts": count,
                "found_at": at,
            }
            for device, reason, count, at in conflicts.quarantined(session)
        ],
        "equivocating_oracles": [row.model_dump() for row in equivocations.rows(session)],
        "held_payments": [
            {
                "device": agreement.device,
                "agreement_id": agreement.agreement_id,
                "payment_id": row.payment_id,
                "held_at": hold.held_at,
                "held_by": hold.held_by,
                "reason": hold.reason,
            }
            for hold, row, agreement in holds.standing(session)
        ],
        "stopped_agreements": [
            {
                "device": agreement.device,
                "agreement_id": agreement.agreement_id,
                "payment_id": row.payment_id,
                "stage": row.stage,
                "reason": row.reason,
                "product": agreement.product,
            }
            for row, agreement in payments.stopping(session)
        ],
    }


def test_totals__of_a_rail_with_everything__are_those_of_the_store(file: Path) -> None:
    totals = read_totals(file)
    assert all(totals.values()) and all(totals["events"].values()), "the example lacks something"
    store = Store(file)
    with store.read() as session:
        assert totals == of_store(session)
    store.close()


def test_totals__of_an_empty_rail__are_zero(tmp_path: Path) -> None:
    Store(tmp_path / "empty.sqlite3").close()
    totals = read_totals(tmp_path / "empty.sqlite3")
    assert totals["block"] is None and totals["final_block"] == 0
    assert not any(totals["events"].values()) and totals["payments"] == {}


def test_totals__while_another_process_writes__are_read(file: Path) -> None:
    with sqlite3.connect(file, isolation_level=None) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert read_totals(file)["holes"] == 2
    writer.close()


def test_totals__database_of_another_schema__halts_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    sqlite3.connect(path).close()
    with pytest.raises(Halt, match="schema of another version"):
        read_totals(path)


def test_totals__database_that_does_not_open__is_tried_again_later(tmp_path: Path) -> None:
    with pytest.raises(Retry, match="does not answer"):
        read_totals(tmp_path / "missing.sqlite3")
