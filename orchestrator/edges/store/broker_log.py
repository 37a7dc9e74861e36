"""How far this rail has read the broker's log, stored with what it read."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session

from device_adapters.types import LogPosition, Message
from orchestrator.edges.store.tables import LogPositionRow

_READER = "intake"


def position(session: Session) -> LogPosition | None:
    """Return the position of the last message stored; None before the first."""
    row = session.get(LogPositionRow, _READER)
    return LogPosition(row.log, row.sequence, row.stored_at) if row else None


def read_up_to(session: Session, messages: Sequence[Message]) -> None:
    """Record the position of the last of these messages; those of other inlets have none."""
    positions = [message.position for message in messages if message.position is not None]
    if positions:
        last = positions[-1]
        row = session.get(LogPositionRow, _READER) or LogPositionRow(reader=_READER)
        row.log, row.sequence, row.stored_at = last.log, last.sequence, last.stored_at
        session.add(row)
