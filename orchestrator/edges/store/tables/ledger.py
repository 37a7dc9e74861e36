"""Tables of the ledger; amounts are integers in minor units, never a Decimal."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class LedgerEntryRow(SQLModel, table=True):
    """One immutable ledger entry, hash-chained in the order of `number`."""

    __tablename__ = "ledgerentry"

    number: int | None = Field(default=None, primary_key=True)
    entry_id: str = Field(unique=True)
    kind: str
    ref: str = Field(index=True)
    at: int = Field(sa_type=BigInteger)
    hash: str
    source: str = Field(default="", index=True)  # "block:0x..", "file:<sha256>", "approval:<id>"


class LedgerPostingRow(SQLModel, table=True):
    """One debit (positive) or credit (negative) of an entry."""

    __tablename__ = "ledgerposting"

    id: int | None = Field(default=None, primary_key=True)
    entry_id: str = Field(index=True)
    account: str = Field(index=True)
    asset: str
    amount_minor: int = Field(sa_type=BigInteger)


class PendingEntryRow(SQLModel, table=True):
    """An entry of a block that was not final when it was noted; posted or voided since."""

    __tablename__ = "pendingentry"

    number: int | None = Field(default=None, primary_key=True)
    entry_id: str
    block_hash: str = Field(index=True)
    block_number: int
    kind: str
    ref: str
    at: int = Field(sa_type=BigInteger)
    postings: str  # JSON: [[account, asset, amount_minor], ...]
    state: str = Field(default="pending", index=True)  # pending, posted or voided
