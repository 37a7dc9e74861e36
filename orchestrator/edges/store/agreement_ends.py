"""Agreements by when they end: whose escrow may go back, and which still take facts."""

from __future__ import annotations

from collections.abc import Collection

from sqlmodel import Session, and_, or_, select

from orchestrator.core.agreement import Stage
from orchestrator.edges.store.tables import AgreementRow

_CHUNK = 500  # SQLite's default limit of bound variables is far above


def ended(session: Session, now: int, since: int = 0) -> list[str]:
    """Return the ids of agreements past end and grace that may have money in escrow.

    A pause of the rail may have moved their end on chain. They are those that are not reclaimed
    yet, and those into which money came back since.

    Args:
        session: A session of the store.
        now: Unix seconds.
        since: Leave out those that ended before this time (Unix seconds) and were not reclaimed.
    """
    live = AgreementRow.stage == Stage.LIVE
    return list(
        session.exec(
            select(AgreementRow.agreement_id).where(
                or_(  # each part has an index
                    and_(live, AgreementRow.ends_at >= since, AgreementRow.ends_at < now),
                    AgreementRow.stage == Stage.REFUND_DUE,
                )
            )
        )
    )


def ended_among(session: Session, ids: Collection[str], now: int) -> list[str]:
    """Return those of these agreements that are live and past end and grace at `now`."""
    return [
        row.agreement_id
        for start in range(0, len(ids), _CHUNK)
        for row in session.exec(
            select(AgreementRow)
            .where(AgreementRow.agreement_id.in_(sorted(ids)[start : start + _CHUNK]))
            .where(AgreementRow.stage == Stage.LIVE, AgreementRow.ends_at < now)
        )
    ]


def unended(
    session: Session, since: int, devices: Collection[str], names: Collection[str]
) -> list[AgreementRow]:
    """Return agreements that take facts at a time (Unix seconds) or later.

    They are those of these devices (0x-hex ids), and those about products with these names.
    """
    open_ = AgreementRow.stage.in_((Stage.SIGNED, Stage.LIVE)), AgreementRow.expiry >= since
    wanted, rows = sorted(devices), {}
    for start in range(0, len(wanted) + 1, _CHUNK):
        chosen = AgreementRow.device_id.in_(wanted[start : start + _CHUNK])
        query = select(AgreementRow).where(*open_, or_(chosen, AgreementRow.product.in_(names)))
        rows |= {row.agreement_id: row for row in session.exec(query)}
    return [row for row in rows.values() if not row.closes_at or row.closes_at >= since]
