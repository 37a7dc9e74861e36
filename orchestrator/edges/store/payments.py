"""Payments: a fact, the new stage and the next step are written together or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, bindparam, delete, func, or_, select, update

from orchestrator.core.payment import APPLIED, MOVED, STOPPING, Fact, NextStep, Stage, advance
from orchestrator.core.payment import Payment as Life
from orchestrator.edges.store import later_outcomes
from orchestrator.edges.store.tables import (
    AgreementRow,
    AttestationRow,
    PaymentFactRow,
    PaymentRow,
)

__all__ = ["AttestationRow", "NewFact", "PaymentFactRow", "PaymentRow"]


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact about one payment.

    Attributes:
        payment_id: The payment, 0x-hex.
        fact: What became known.
        key: Identifies the fact: the same fact with the same key is recorded once.
        detail: More about it, for the trace.
        sets: Columns of the payment that change along with the stage.
        due_at: Unix seconds at which the next step is due; 0 for at once.
    """

    payment_id: str
    fact: Fact
    key: str = ""
    detail: str = ""
    sets: dict[str, Any] | None = None
    due_at: int = 0


def record_facts(session: Session, learned: Sequence[NewFact], now: int) -> int:
    """Apply facts to payments; the only function that changes a payment's stage.

    Args:
        session: A write session.
        learned: The facts, in order; a fact that was recorded before changes nothing.
        now: Unix seconds.

    Returns:
        How many facts changed a payment.

    Raises:
        Halt: A fact cannot occur at its payment's stage; the caller drops the transaction.
    """
    if not learned:
        return 0
    rows = {row.payment_id: row for row in _by_ids(session, {item.payment_id for item in learned})}
    changed = 0
    for item in learned:
        row = rows.get(item.payment_id)
        if row is None or not _is_new(session, item, now):
            continue
        before = Life(
            row.payment_id, Stage(row.stage), NextStep(row.next_step) if row.next_step else None
        )
        after, _ = advance(before, item.fact)
        if after is before:
            continue
        row.stage, row.next_step = after.stage, after.next_step
        row.due_at, row.attempts = item.due_at, 0
        for column, value in (item.sets or {}).items():
            setattr(row, column, value)
        why = (f"{item.fact}/{item.key}", item.detail)
        later_outcomes.note_move(session, row.payment_id, before.stage, after.stage, why, now)
        changed += 1
    session.flush()
    return changed


def orphanings(session: Session, ids: Sequence[str], block_hash: str) -> dict[str, int]:
    """Return {payment id: how often this very block was orphaned}, without those where it never
    was."""
    counts: dict[str, int] = {}
    for start in range(0, len(ids), 500):
        counts |= dict(
            session.exec(
                select(PaymentFactRow.payment_id, func.count())
                .where(PaymentFactRow.payment_id.in_(ids[start : start + 500]))
                .where(
                    PaymentFactRow.fact == Fact.ORPHANED, PaymentFactRow.key.startswith(block_hash)
                )
                .group_by(PaymentFactRow.payment_id)
            ).all()
        )
    return counts


def sighting(block_hash: str, times_orphaned: int) -> str:
    """Return the key of a fact that a block states.

    It differs each time the block comes back after a rewind, so that its facts count again.
    """
    return f"{block_hash}#{times_orphaned}" if times_orphaned else block_hash


def _is_new(session: Session, item: NewFact, now: int) -> bool:
    statement = insert(PaymentFactRow).values(
        payment_id=item.payment_id, fact=item.fact, key=item.key, detail=item.detail, at=now
    )
    return session.exec(statement.on_conflict_do_nothing()).rowcount == 1


def _by_ids(session: Session, ids: Iterable[str]) -> list[PaymentRow]:
    wanted, rows = list(ids), []
    for start in range(0, len(wanted), 500):
        chunk = wanted[start : start + 500]
        rows += session.exec(select(PaymentRow).where(PaymentRow.payment_id.in_(chunk))).all()
    return rows


def by_ids(session: Session, ids: Iterable[str]) -> list[PaymentRow]:
    """Return the payments with these ids."""
    return _by_ids(session, ids)


def still_at(session: Session, ids: Iterable[str], stage: Stage) -> set[str]:
    """Return those of the payments that are at a stage: a person may have held some meanwhile."""
    return {row.payment_id for row in _by_ids(session, ids) if row.stage == stage}


def underived(session: Session, agreement: str) -> list[PaymentRow]:
    """Return an agreement's settled payments that no batch of ours and no evidence here explains.

    Those with the narrowest counters come first: what a late claim covers lies within another's.
    """
    derived = select(PaymentFactRow.payment_id).where(
        PaymentFactRow.fact == Fact.DERIVED, PaymentFactRow.key == PaymentRow.claim_hash
    )
    rows = session.exec(
        select(PaymentRow)
        .where(PaymentRow.agreement_id == agreement, PaymentRow.batch_digest.is_(None))
        .where(PaymentRow.settlement_tx.is_not(None), PaymentRow.payment_id.not_in(derived))
        .order_by(PaymentRow.last_counter - PaymentRow.first_counter, PaymentRow.sequence)
    )
    return list(rows)


def due(
    session: Session, next_step: NextStep, now: int, limit: int
) -> list[tuple[PaymentRow, AgreementRow]]:
    """Return payments whose next step is due, with their agreements, by agreement and sequence.

    Args:
        session: A session of the store.
        next_step: The step.
        now: Unix seconds.
        limit: At most this many.
    """
    rows = session.exec(
        select(PaymentRow, AgreementRow)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .where(PaymentRow.next_step == next_step, PaymentRow.due_at <= now)
        .order_by(PaymentRow.agreement_id, PaymentRow.sequence)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


def postpone(session: Session, ids: Sequence[str], due_at: int, reason: str) -> None:
    """Set when payments are tried again (Unix seconds), and why this try did not succeed.

    One that has no next step any more, since it was held meanwhile, stays as it is.
    """
    session.exec(
        update(PaymentRow)
        .where(PaymentRow.payment_id.in_(ids), PaymentRow.next_step.is_not(None))
        .values(due_at=due_at, attempts=PaymentRow.attempts + 1, reason=reason)
    )


def set_many(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Update columns of many payments in one statement; each row names its `payment_id`."""
    if not rows:
        return
    columns = [name for name in rows[0] if name != "payment_id"]
    statement = (
        update(PaymentRow)
        .where(PaymentRow.payment_id == bindparam("key"))
        .values({name: bindparam(f"to_{name}") for name in columns})
    )
    session.connection().execute(
        statement,
        [{"key": r["payment_id"], **{f"to_{n}": r[n] for n in columns}} for r in rows],
    )


def of_batch(session: Session, digest: str) -> list[tuple[PaymentRow, AgreementRow]]:
    """Return the payments of a batch in its order: ascending agreement id."""
    rows = session.exec(
        select(PaymentRow, AgreementRow)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .where(PaymentRow.batch_digest == digest)
        .order_by(PaymentRow.agreement_id)
    )
    return [(row[0], row[1]) for row in rows]


def attestations_of(session: Session, digest: str) -> Sequence[AttestationRow]:
    """Return a batch's signatures in ascending signer order, as the chain wants them."""
    rows = session.exec(select(AttestationRow).where(AttestationRow.batch_digest == digest)).all()
    return sorted(rows, key=lambda row: int(row.oracle, 16))


def set_attestations(session: Session, digest: str, rows: Sequence[AttestationRow]) -> None:
    """Store the quorum that settles a batch; a batch that is attested again has only its newest."""
    session.exec(delete(AttestationRow).where(AttestationRow.batch_digest == digest))
    session.add_all(rows)
    session.flush()


def payee_of(row: PaymentRow, agreement: AgreementRow) -> str:
    """Return the payee of a payment: the one that the claim names, or else the agreement's."""
    return row.payee or agreement.payee


def revive(session: Session, ids: Sequence[str], next_step: NextStep | None, due_at: int) -> None:
    """Make a next step due again after its chain send failed; the stage stays."""
    session.exec(
        update(PaymentRow)
        .where(PaymentRow.payment_id.in_(ids))
        .where(PaymentRow.stage.in_((Stage.ATTESTED, Stage.POSTED)))
        .values(next_step=next_step, due_at=due_at, attempts=PaymentRow.attempts + 1)
    )


def overdue(session: Session, stage: Stage, now: int) -> list[str]:
    """Return payments at a stage without a next step whose time has come."""
    chosen = PaymentRow.stage == stage, PaymentRow.due_at <= now
    return list(session.exec(select(PaymentRow.payment_id).where(*chosen)))


def of_agreement(session: Session, agreement: str, stage: Stage) -> list[str]:
    """Return ids of an agreement's payments at a stage."""
    chosen = PaymentRow.agreement_id == agreement, PaymentRow.stage == stage
    return list(session.exec(select(PaymentRow.payment_id).where(*chosen)))


def of_payout(session: Session, payout: str) -> list[str]:
    """Return the ids of the payments that a payout pays."""
    return list(session.exec(select(PaymentRow.payment_id).where(PaymentRow.payout_id == payout)))


def of_settlement(session: Session, tx_hash: str) -> list[PaymentRow]:
    """Return the payments that a settlement applied, by its transaction hash."""
    return list(session.exec(select(PaymentRow).where(PaymentRow.settlement_tx == tx_hash)))


def open_counts(session: Session) -> dict[str, int]:
    """Return {stage: payments}, for health, status and the demo's totals."""
    return dict(
        session.exec(select(PaymentRow.stage, func.count()).group_by(PaymentRow.stage)).all()
    )


def busy_agreements(session: Session, stages: Sequence[Stage]) -> set[str]:
    """Return agreements with a payment in one of these stages: their next run has to wait."""
    chosen = select(PaymentRow.agreement_id).where(PaymentRow.stage.in_(stages))
    return set(session.exec(chosen.distinct()))


def stopping(session: Session) -> list[tuple[PaymentRow, AgreementRow]]:
    """Return payments at a stage that stops their agreement, with that agreement.

    What ended on a former rail stops nothing: its records go on elsewhere (steps/moved.py).
    """
    rows = session.exec(
        select(PaymentRow, AgreementRow)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .where(PaymentRow.stage.in_(STOPPING))
        .where(func.coalesce(PaymentRow.reason, "") != MOVED)
        .order_by(AgreementRow.device)
    )
    return [(row[0], row[1]) for row in rows]


def facts_of(session: Session, payment: str) -> Sequence[PaymentFactRow]:
    """Return the facts of a payment in the order in which they became known."""
    return session.exec(
        select(PaymentFactRow)
        .where(PaymentFactRow.payment_id == payment)
        .order_by(PaymentFactRow.id)
    ).all()


def before(session: Session, agreement: str, sequence: int) -> PaymentRow | None:
    """Return the agreement's payment with the sequence before this one."""
    return session.exec(
        select(PaymentRow).where(
            PaymentRow.agreement_id == agreement, PaymentRow.sequence == sequence - 1
        )
    ).first()


def facts_before(session: Session, agreement: str, sequence: int) -> bytes | None:
    """Return the facts of the agreement's last claim before a sequence that the chain applied.

    None if there is none.
    """
    facts = session.exec(
        select(PaymentRow.facts)
        .where(PaymentRow.agreement_id == agreement, PaymentRow.sequence < sequence)
        .where(PaymentRow.stage.in_(APPLIED))
        .order_by(PaymentRow.sequence.desc())
        .limit(1)
    ).first()
    return None if facts is None else bytes.fromhex(facts[2:])


def claimed_before(session: Session, agreement: str, sequence: int) -> int | None:
    """Return the highest counter in an agreement's payments before a sequence.

    None if there is no such payment.
    """
    return session.exec(
        select(func.max(PaymentRow.last_counter)).where(
            PaymentRow.agreement_id == agreement, PaymentRow.sequence < sequence
        )
    ).one()


def facts_bytes(session: Session) -> list[tuple[str, bytes]]:
    """Return (product, encoded facts) of every payment that has an amount."""
    rows = session.exec(
        select(AgreementRow.product, PaymentRow.facts)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .where(PaymentRow.settlement_tx.is_not(None))
    )
    return [(product, bytes.fromhex(facts[2:])) for product, facts in rows]


def count_facts(session: Session, pattern: str) -> int:
    """Count payments with a fact whose detail is like `pattern` (SQL LIKE)."""
    return session.exec(
        select(func.count(PaymentFactRow.payment_id.distinct())).where(
            PaymentFactRow.detail.like(pattern)
        )
    ).one()


def page(
    session: Session,
    stage: str | None,
    agreement: str | None,
    after: tuple[int, str] | None,
    limit: int,
    scope: str | None = None,
) -> Sequence[PaymentRow]:
    """Return payments, the oldest first.

    Args:
        after: (created_at, payment id) of the last row of the page before.
        scope: How the names of their devices must begin; None for any.
    """
    query = select(PaymentRow).order_by(PaymentRow.created_at, PaymentRow.payment_id).limit(limit)
    if stage:
        query = query.where(PaymentRow.stage == stage)
    if agreement:
        query = query.where(PaymentRow.agreement_id == agreement)
    if scope is not None:
        query = query.join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        query = query.where(func.substr(AgreementRow.device, 1, len(scope)) == scope)
    if after:
        at, last = after
        later = (PaymentRow.created_at == at) & (PaymentRow.payment_id > last)
        query = query.where(or_(PaymentRow.created_at > at, later))
    return session.exec(query).all()
