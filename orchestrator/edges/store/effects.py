"""Effects: the outbox of final payments, its targets, and what each target has still to take."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, delete, func, select

from orchestrator.core.effect import REFUNDED, EffectRecord
from orchestrator.core.effect_delivery import (
    DeliveryVerdict,
    TargetAnswer,
    TargetState,
    pause_after,
)
from orchestrator.edges.store.tables import (
    AgreementRow,
    EffectDeliveryRow,
    EffectRow,
    EffectTargetRow,
    UnlockNumberRow,
)

__all__ = ["EffectDeliveryRow", "EffectRow", "EffectTargetRow", "UnlockNumberRow"]

_NO_TARGET = ""  # has the effects that no target was to take, so that they are counted quickly
_BEYOND = "\x7f"  # sorts after every character of an id
_WAITS = EffectDeliveryRow.delivered_at.is_(None)


# --- the outbox


def add(session: Session, records: Sequence[EffectRecord], now: int) -> int:
    """Store effects in the order of finality, with their deliveries; return how many were new.

    An effect that is stored already changes nothing: not its content, and not its device's number.

    Args:
        session: The write session in which the payments become final.
        records: The effects.
        now: Unix seconds.
    """
    if not records:
        return 0
    targets = all_targets(session)
    return sum(_add(session, record, targets, now) for record in records)


def _add(
    session: Session, record: EffectRecord, targets: Sequence[EffectTargetRow], now: int
) -> int:
    values = {name: getattr(record, name) for name in EffectRow.model_fields if name != "number"}
    if not session.exec(insert(EffectRow).values(**values).on_conflict_do_nothing()).rowcount:
        return 0
    if record.unlock_device:
        session.add(
            UnlockNumberRow(
                device=record.unlock_device,
                number=_tokens_of(session, record.unlock_device) + 1,
                effect_id=record.effect_id,
            )
        )
    wanting = [target.name for target in targets if takes(target, record.kind)]
    if not wanting and not record.unlock_device:  # `proofrail unlock show` gives a token
        wanting = [_NO_TARGET]
    _queue(session, wanting, [record.effect_id], now)
    session.flush()
    return 1


def _tokens_of(session: Session, device: str) -> int:
    query = select(func.max(UnlockNumberRow.number)).where(UnlockNumberRow.device == device)
    return session.exec(query).one() or 0


def get(session: Session, effect: str) -> EffectRow | None:
    """Return an effect by its id, 0x-hex."""
    return session.exec(select(EffectRow).where(EffectRow.effect_id == effect)).first()


def beginning(session: Session, text: str, limit: int = 2) -> Sequence[EffectRow]:
    """Return effects whose id begins with a text, or is it."""
    query = select(EffectRow).where(
        EffectRow.effect_id >= text, EffectRow.effect_id < text + _BEYOND
    )
    return session.exec(query.limit(limit)).all()


def of_payment(session: Session, payment: str) -> Sequence[EffectRow]:
    """Return the effects of a payment in their order, without those of its refund."""
    return session.exec(
        select(EffectRow)
        .where(EffectRow.payment_id == payment, ~EffectRow.name.endswith(REFUNDED))
        .order_by(EffectRow.number)
    ).all()


def page(
    session: Session,
    after: int,
    limit: int,
    kind: str | None = None,
    payment: str | None = None,
    scope: str | None = None,
) -> Sequence[tuple[EffectRow, str]]:
    """Return effects behind a number, in order, with the names of their agreements' devices.

    Args:
        scope: How the names of their devices must begin; None for any.
    """
    query = (
        select(EffectRow, AgreementRow.device)
        .join(AgreementRow, AgreementRow.agreement_id == EffectRow.agreement_id)
        .where(EffectRow.number > after)
        .order_by(EffectRow.number)
        .limit(limit)
    )
    if kind:
        query = query.where(EffectRow.kind == kind)
    if payment:
        query = query.where(EffectRow.payment_id == payment)
    if scope is not None:
        query = query.where(func.substr(AgreementRow.device, 1, len(scope)) == scope)
    return [(row[0], row[1]) for row in session.exec(query)]


def newest(session: Session, kind: str | None, payment: str | None, limit: int) -> list[EffectRow]:
    """Return effects, the newest first, optionally of payments whose id begins with a text."""
    query = select(EffectRow).order_by(EffectRow.number.desc()).limit(limit)
    if kind:
        query = query.where(EffectRow.kind == kind)
    if payment:
        query = query.where(
            EffectRow.payment_id >= payment, EffectRow.payment_id < payment + _BEYOND
        )
    return list(session.exec(query))


def unlock_number(session: Session, effect: str) -> UnlockNumberRow | None:
    """Return which token of which device an effect is; None if it is none."""
    query = select(UnlockNumberRow).where(UnlockNumberRow.effect_id == effect)
    return session.exec(query).first()


def tokens_by_device(session: Session) -> dict[str, int]:
    """Return {device id: how many tokens it was given}."""
    query = select(UnlockNumberRow.device, func.max(UnlockNumberRow.number))
    return dict(session.exec(query.group_by(UnlockNumberRow.device)).all())


# --- targets


def all_targets(session: Session) -> Sequence[EffectTargetRow]:
    """Return the targets by name."""
    return session.exec(select(EffectTargetRow).order_by(EffectTargetRow.name)).all()


def target(session: Session, name: str) -> EffectTargetRow | None:
    """Return a target by its name."""
    return session.get(EffectTargetRow, name)


def takes(row: EffectTargetRow, kind: str) -> bool:
    """Return whether a target gets effects of a kind."""
    return not row.kinds or kind in row.kinds.split(",")


def add_target(session: Session, row: EffectTargetRow) -> None:
    """Store a target; it gets what becomes final from now on, and the rest by `redeliver`."""
    session.add(row)
    session.flush()


def remove_target(session: Session, name: str) -> bool:
    """Remove a target with what it was still to take; return whether there was one."""
    session.exec(delete(EffectDeliveryRow).where(EffectDeliveryRow.target == name))
    return bool(session.exec(delete(EffectTargetRow).where(EffectTargetRow.name == name)).rowcount)


# --- deliveries


def _queue(session: Session, targets: Sequence[str], ids: Sequence[str], now: int) -> None:
    values = [
        {
            "target": name,
            "effect_id": identity,
            "since": now,
            "due_at": now,
            "attempts": 0,
            "delivered_at": None,
            "trouble": "",
        }
        for name in targets
        for identity in ids
    ]
    if values:
        again = {"since": now, "due_at": now, "attempts": 0, "delivered_at": None, "trouble": ""}
        statement = insert(EffectDeliveryRow).on_conflict_do_update(
            index_elements=["target", "effect_id"], set_=again
        )
        session.exec(statement, params=values)


def redeliver(
    session: Session, ids: Collection[str], now: int, only: str | None = None
) -> list[tuple[str, str]]:
    """Make effects due again at the targets that take them, also where they were delivered.

    Args:
        session: A write session.
        ids: Of effects.
        now: Unix seconds.
        only: The name of the one target to use; None for all.

    Returns:
        (effect id, target) of what is due now.
    """
    targets = [row for row in all_targets(session) if only in (None, row.name)]
    queued = []
    for identity in ids:
        row = get(session, identity)
        names = [target.name for target in targets if row and takes(target, row.kind)]
        _queue(session, names, [identity], now)
        if names and (orphan := session.get(EffectDeliveryRow, (_NO_TARGET, identity))):
            session.delete(orphan)
        queued += [(identity, name) for name in names]
    for row in targets:
        row.due_at = 0
        session.add(row)
    return queued


def all_ids(session: Session) -> list[str]:
    """Return the ids of all effects, in order."""
    return list(session.exec(select(EffectRow.effect_id).order_by(EffectRow.number)))


def due(
    session: Session, now: int, limit: int
) -> list[tuple[EffectTargetRow, list[tuple[EffectRow, UnlockNumberRow | None]]]]:
    """Return targets that are ready, each with the oldest effects that are due there.

    Args:
        session: A session of the store.
        now: Unix seconds.
        limit: At most so many effects for each target.
    """
    batches = []
    ready = select(EffectTargetRow).where(EffectTargetRow.due_at <= now)
    for row in session.exec(ready.order_by(EffectTargetRow.name)).all():
        effects = session.exec(
            select(EffectRow, UnlockNumberRow)
            .join(EffectDeliveryRow, EffectDeliveryRow.effect_id == EffectRow.effect_id)
            .outerjoin(UnlockNumberRow, UnlockNumberRow.effect_id == EffectRow.effect_id)
            .where(EffectDeliveryRow.target == row.name, _WAITS, EffectDeliveryRow.due_at <= now)
            .order_by(EffectRow.number)
            .limit(limit)
        ).all()
        if effects:
            batches.append((row, [(effect[0], effect[1]) for effect in effects]))
    return batches


def record_answers(
    session: Session, name: str, answers: Sequence[tuple[str, TargetAnswer]], now: int
) -> int:
    """Store what a target answered; return how many effects it took.

    Args:
        session: A write session.
        name: The target.
        answers: (effect id, answer), in the order of the tries.
        now: Unix seconds.
    """
    row = session.get(EffectTargetRow, name)
    if row is None:  # removed meanwhile
        return 0
    taken = 0
    for identity, answer in answers:
        delivery = session.get(EffectDeliveryRow, (name, identity))
        if delivery is None:
            continue
        delivery.attempts += 1
        delivery.trouble = answer.detail
        row.trouble = answer.detail
        if answer.verdict is DeliveryVerdict.DELIVERED:
            delivery.delivered_at, row.failures, row.due_at = now, 0, 0
            taken += 1
        elif answer.verdict is DeliveryVerdict.REFUSED:
            delivery.due_at = now + pause_after(delivery.attempts)
        else:
            row.failures += 1
            row.due_at = now + pause_after(row.failures)
        session.add(delivery)
    session.add(row)
    session.flush()
    return taken


def deliveries_of(session: Session, ids: Collection[str]) -> dict[str, list[EffectDeliveryRow]]:
    """Return {effect id: its deliveries, by target}."""
    deliveries: dict[str, list[EffectDeliveryRow]] = {}
    chosen = EffectDeliveryRow.effect_id.in_(list(ids)), EffectDeliveryRow.target != _NO_TARGET
    query = select(EffectDeliveryRow).where(*chosen)
    for row in session.exec(query.order_by(EffectDeliveryRow.target)):
        deliveries.setdefault(row.effect_id, []).append(row)
    return deliveries


def states(session: Session) -> list[TargetState]:
    """Return what waits for each target, by name."""
    open_ones = {
        name: (count, oldest, trouble)
        for name, count, oldest, trouble in session.exec(
            select(
                EffectDeliveryRow.target,
                func.count(),
                func.min(EffectDeliveryRow.since),
                func.max(EffectDeliveryRow.trouble),
            )
            .where(_WAITS)
            .group_by(EffectDeliveryRow.target)
        )
    }
    rows = []
    for row in all_targets(session):
        count, oldest, trouble = open_ones.get(row.name, (0, 0, ""))
        rows.append(TargetState(row.name, count, oldest, trouble if count else ""))
    return rows


def without_target(session: Session) -> tuple[int, int]:
    """Return how many effects no target was ever to take, and since when the oldest is there.

    Unlock tokens do not count: `proofrail unlock show` gives them to a person.
    """
    query = select(func.count(), func.min(EffectDeliveryRow.since))
    count, oldest = session.exec(query.where(EffectDeliveryRow.target == _NO_TARGET, _WAITS)).one()
    return count, oldest or 0
