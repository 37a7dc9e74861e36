"""The tables of ledger and bank; amounts are integers in minor units, never a Decimal."""

from __future__ import annotations

from sqlalchemy import BigInteger, LargeBinary
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


class LedgerPostingRow(SQLModel, table=True):
    """One debit (positive) or credit (negative) of an entry."""

    __tablename__ = "ledgerposting"

    id: int | None = Field(default=None, primary_key=True)
    entry_id: str = Field(index=True)
    account: str = Field(index=True)
    asset: str
    amount_minor: int = Field(sa_type=BigInteger)


class PayoutRow(SQLModel, table=True):
    """Money ordered out: one redemption on chain, one instruction to the bank, one line back."""

    __tablename__ = "payout"

    payout_id: str = Field(primary_key=True)
    payee: str
    account: str
    cents: int = Field(sa_type=BigInteger)
    end_to_end_id: str = Field(unique=True)
    tx_hash: str
    stage: str = Field(default="ordered", index=True)  # ordered, sent, accepted, booked
    # or rejected
    reason: str | None = None
    file_hash: str | None = None
    line_id: str | None = None
    ordered_at: int = Field(sa_type=BigInteger)
    attempt: int = 0  # raised by the approval to order again what was rejected or came back
    batch: str = ""  # the PmtInfId it went out under
    due_on: str | None = None  # the bank day whose statement must hold it


class BankFileRow(SQLModel, table=True):
    """A file to or from the bank, whole, named by its SHA-256."""

    __tablename__ = "bankfile"

    file_hash: str = Field(primary_key=True)
    direction: str  # out | in
    name: str
    kind: str
    body: bytes = Field(sa_type=LargeBinary)
    at: int = Field(sa_type=BigInteger)


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


class FundingRow(SQLModel, table=True):
    """A booked bank credit on its way into an agreement's escrow."""

    __tablename__ = "funding"

    credit_id: str = Field(primary_key=True)  # the id of its bank line
    agreement_id: str | None
    cents: int = Field(sa_type=BigInteger)
    stage: str = Field(default="booked", index=True)  # booked, minting, minted,
    # suspense, sent_back or reversed
    tx_hash: str | None = None


class DebtRow(SQLModel, table=True):
    """A payment of less than nothing: what its payee owes back to the agreement's escrow."""

    __tablename__ = "debt"

    payment_id: str = Field(primary_key=True)
    agreement_id: str = Field(index=True)
    payee: str = Field(index=True)
    amount_micro: int = Field(sa_type=BigInteger)  # above zero
    paid_micro: int = Field(default=0, sa_type=BigInteger)
    noted_at: int = Field(sa_type=BigInteger)


class OfficerRow(SQLModel, table=True):
    """A person who may propose or approve approvals, with the key that signs for them."""

    __tablename__ = "officer"

    address: str = Field(primary_key=True)
    name: str = Field(unique=True)
    added_at: int = Field(sa_type=BigInteger)
    removed_at: int | None = Field(default=None, sa_type=BigInteger)


class ApprovalRow(SQLModel, table=True):
    """What two officers signed; executed once."""

    __tablename__ = "approval"

    approval_id: str = Field(primary_key=True)
    kind: str = Field(index=True)
    subject: str = Field(index=True)
    detail: str  # canonical JSON
    proposed_at: int = Field(sa_type=BigInteger)
    proposer: str
    proposer_signature: str
    approver: str | None = None
    approver_signature: str | None = None
    approved_at: int | None = Field(default=None, sa_type=BigInteger)
    executed_at: int | None = Field(default=None, sa_type=BigInteger)


class BreakRow(SQLModel, table=True):
    """A break that a reconciliation named: since when, who sees to it, what resolved it."""

    __tablename__ = "knownbreak"

    break_id: str = Field(primary_key=True)
    kind: str = Field(index=True)
    ids: str  # JSON: what it concerns
    first_seen: int = Field(sa_type=BigInteger)
    last_seen: int = Field(sa_type=BigInteger)
    owner: str
    resolved_by: str | None = None  # approval id
    body: str = ""  # JSON: all of it, as it was seen last
    closed: str = ""  # why nobody has to see to it any more; "" while somebody has
