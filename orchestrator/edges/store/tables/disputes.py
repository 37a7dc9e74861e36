"""The table of rulings on disputed payments."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class RulingRow(SQLModel, table=True):
    """An oracle's valid signature over one answer to a dispute; both answers are proof of a lie."""

    __tablename__ = "ruling"

    payment_id: str = Field(primary_key=True)
    oracle: str = Field(primary_key=True)
    refund: bool = Field(primary_key=True)
    signature: str
    decided_by: str  # as the oracle says
    reason: str
    decided_at: int = Field(sa_type=BigInteger)  # as the oracle says
    received_at: int = Field(sa_type=BigInteger)
