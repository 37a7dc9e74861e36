"""Tables of later outcomes: what became of records after their receipts, and how far it is sent."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

_OPEN = text("acknowledged_at IS NULL")


class LaterOutcomeRow(SQLModel, table=True):
    """One outcome of one record; rows are never deleted."""

    __tablename__ = "lateroutcome"

    number: int | None = Field(default=None, primary_key=True)  # the order in which they are sent
    outcome_id: str = Field(unique=True)  # core.later_outcome.outcome_id
    device: str  # who gets it: the device itself, or the gateway that sent its record
    about: str  # the device that the record is about
    event_id: str = Field(index=True)
    evidence_hash: str
    counter: int = Field(sa_type=BigInteger)
    outcome: str
    detail: str  # the sentence with the numbers
    payment_id: str | None = None
    at: int = Field(sa_type=BigInteger)
    acknowledged_at: int | None = Field(default=None, sa_type=BigInteger)
    __table_args__ = (
        Index("lateroutcome_of_device", "device", "number"),
        Index(
            "lateroutcome_open",
            "device",
            "number",
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )


class OutcomeDeliveryRow(SQLModel, table=True):
    """A device that has not acknowledged all of its outcomes, and when it is sent them next."""

    __tablename__ = "outcomedelivery"

    device: str = Field(primary_key=True)
    due_at: int = Field(index=True, sa_type=BigInteger)
    sent: int = 0  # messages since the last acknowledgement
    sent_at: int = Field(default=0, sa_type=BigInteger)
