"""Agreements, devices and parties: copies of what the chain holds, with names and bank accounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlmodel import Session, func, select, update

from orchestrator.edges.store.tables import Agreement, Device, Party, Payment

__all__ = ["Agreement", "Device", "Party"]

_CHUNK = 500  # SQLite's default limit of bound variables is far above


def get(session: Session, agreement: str) -> Agreement | None:
    return session.get(Agreement, agreement)


def by_ids(session: Session, ids: Iterable[str]) -> dict[str, Agreement]:
    rows = session.exec(select(Agreement).where(Agreement.agreement_id.in_(list(ids))))
    return {row.agreement_id: row for row in rows}


def known(session: Session, ids: Sequence[str]) -> set[str]:
    """Those of these agreements that were opened through this rail; strangers open others."""
    found: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        found.update(
            session.exec(select(Agreement.agreement_id).where(Agreement.agreement_id.in_(chunk)))
        )
    return found


def last_counters(session: Session, ids: Sequence[str]) -> dict[str, int]:
    """{agreement id: the last device counter that a payment holds}."""
    rows = session.exec(
        select(Agreement.agreement_id, Agreement.last_counter).where(
            Agreement.agreement_id.in_(ids)
        )
    )
    return dict(rows.all())


def reach(session: Session, agreement: str, sequence: int) -> int | None:
    """The highest counter that the claims before this sequence hold; None where there are none.

    Not the last claim's: a late one speaks of counters that were passed long before.
    """
    return session.exec(
        select(func.max(Payment.last_counter)).where(
            Payment.agreement_id == agreement, Payment.sequence < sequence
        )
    ).one()


def claimed_ranges(session: Session, agreement: str, above: int) -> list[tuple[int, int]]:
    """The counters (inclusive) of an agreement's claims that reach above a counter."""
    rows = session.exec(
        select(Payment.first_counter, Payment.last_counter)
        .where(Payment.agreement_id == agreement, Payment.last_counter > above)
        .order_by(Payment.first_counter)
    )
    return [(first, last) for first, last in rows]


def by_reference(session: Session, reference: str) -> Agreement | None:
    return session.exec(select(Agreement).where(Agreement.reference == reference)).first()


def all_agreements(session: Session) -> Sequence[Agreement]:
    return session.exec(select(Agreement).order_by(Agreement.device)).all()


def mark(session: Session, agreement: str, stage: str, opened_at: int | None = None) -> None:
    values = {"stage": stage} | ({"opened_at": opened_at} if opened_at else {})
    session.exec(update(Agreement).where(Agreement.agreement_id == agreement).values(values))


def device(session: Session, device_id: str) -> Device | None:
    return session.get(Device, device_id)


def device_by_name(session: Session, name: str) -> Device | None:
    return session.exec(select(Device).where(Device.name == name)).first()


def devices(session: Session) -> Sequence[Device]:
    return session.exec(select(Device).order_by(Device.name)).all()


def mark_device(session: Session, device_id: str, status: str) -> None:
    session.exec(update(Device).where(Device.device_id == device_id).values(status=status))


def party(session: Session, address: str) -> Party | None:
    return session.exec(select(Party).where(Party.address == address)).first()


def party_at(session: Session, address: str, account: str) -> Party | None:
    """Whose bank account (keccak256 of the IBAN) it is: the payee itself, if it still has it."""
    same = session.exec(select(Party).where(Party.account == account)).all()
    return next((row for row in same if row.address == address), same[0] if same else None)


def parties(session: Session) -> Sequence[Party]:
    return session.exec(select(Party).order_by(Party.name)).all()


def of_payment(session: Session, payment: str) -> Agreement | None:
    return session.exec(
        select(Agreement)
        .join(Payment, Payment.agreement_id == Agreement.agreement_id)
        .where(Payment.payment_id == payment)
    ).first()
