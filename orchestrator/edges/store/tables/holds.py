"""The table of holds: who stopped which payment, why, and what two officers decided."""

from __future__ import annotations

from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel


class HoldRow(SQLModel, table=True):
    """One hold of a payment; the same payment may be held again after it went on."""

    __tablename__ = "hold"

    id: int | None = Field(default=None, primary_key=True)
    payment_id: str = Field(index=True)
    held_at: int = Field(sa_type=BigInteger)
    held_by: str  # address of an officer, or of the payer or payee
    key_name: str = ""  # of the API key that a party used; empty: an officer signed
    signature: str = ""  # the officer's, over core.hold.hold_document
    reason: str
    stage: str  # where the payment stood
    claim_hash: str = ""
    decided_at: int | None = Field(default=None, sa_type=BigInteger)
    decision: str | None = None
    approval_id: str | None = None
    __table_args__ = (UniqueConstraint("payment_id", "held_at"),)
