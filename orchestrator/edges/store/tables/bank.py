"""Tables of the bank: files, lines, payouts and fundings; amounts are integers in cents."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary
from sqlmodel import Field, SQLModel

from orchestrator.core import funding, payout


class PayoutRow(SQLModel, table=True):
    """Money ordered out: one redemption on chain, one instruction to the bank, one line back."""

    __tablename__ = "payout"

    payout_id: str = Field(primary_key=True)
    payee: str
    account: str
    cents: int = Field(sa_type=BigInteger)
    end_to_end_id: str = Field(unique=True)
    tx_hash: str
    stage: str = Field(default=payout.Stage.DUE, index=True)
    reason: str | None = None
    file_hash: str | None = Field(default=None, index=True)
    line_id: str | None = None
    ordered_at: int = Field(sa_type=BigInteger)
    attempt: int = 0  # raised by the approval to order again what was rejected or came back
    batch: str = Field(default="", index=True)  # the PmtInfId it went out under
    due_on: str | None = None  # the bank day whose statement must hold it


class FundingRow(SQLModel, table=True):
    """A booked bank credit on its way into an agreement's escrow."""

    __tablename__ = "funding"

    credit_id: str = Field(primary_key=True)  # the id of its bank line
    agreement_id: str | None
    cents: int = Field(sa_type=BigInteger, index=True)
    stage: str = Field(default=funding.Stage.BOOKED, index=True)
    tx_hash: str | None = None


class BankFileRow(SQLModel, table=True):
    """A file to or from the bank, whole, named by its SHA-256."""

    __tablename__ = "bankfile"

    file_hash: str = Field(primary_key=True)
    direction: str  # out | in
    name: str
    kind: str
    body: bytes = Field(sa_type=LargeBinary)
    at: int = Field(sa_type=BigInteger)
    __table_args__ = (Index("bankfile_named", "direction", "name"),)


class BankLineRow(SQLModel, table=True):
    """One booked line as one file reports it; a bank repeats lines in several files."""

    __tablename__ = "bankline"

    file_hash: str = Field(primary_key=True)
    path: str = Field(primary_key=True)
    end_to_end_id: str = Field(index=True)
    body: str  # the whole line, JSON
    # what reports of one booking share (core/reconcile/lines.py: keys); "" in rows from before
    identity: str = Field(default="", index=True)
    content: str = Field(default="", index=True)
    valued: str = Field(default="", index=True)


class BookingRow(SQLModel, table=True):
    """A line id that was acted on: a line is booked once under whichever id a file gives it."""

    __tablename__ = "booking"

    line_id: str = Field(primary_key=True)
    file_hash: str
    path: str


class BankStatementRow(SQLModel, table=True):
    """A statement taken, with its balances where it has them (cents)."""

    __tablename__ = "bankstatement"

    account: str = Field(primary_key=True)
    statement: str = Field(primary_key=True)
    file_hash: str
    day: str | None = None
    opening_minor: int | None = Field(default=None, sa_type=BigInteger)
    closing_minor: int | None = Field(default=None, sa_type=BigInteger)
