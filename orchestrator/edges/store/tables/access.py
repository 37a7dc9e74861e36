"""Tables of the people and programs that may act: officers, approvals, breaks and API keys."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class OfficerRow(SQLModel, table=True):
    """The name of an officer; who is one now is on chain.

    Rows of releases up to 0.5.0 have the time of a seat too: they vouch for approvals of that time.
    """

    __tablename__ = "officer"

    address: str = Field(primary_key=True)
    name: str = Field(unique=True)
    added_at: int = Field(sa_type=BigInteger)
    removed_at: int | None = Field(default=None, sa_type=BigInteger)


class ApprovalRow(SQLModel, table=True):
    """What two officers signed; executed once, or withdrawn by one of them."""

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
    withdrawn_by: str | None = None
    withdrawal_signature: str | None = None
    withdrawn_at: int | None = Field(default=None, sa_type=BigInteger)


class BreakRow(SQLModel, table=True):
    """A break that a reconciliation found: since when, who owns it, what resolved it."""

    __tablename__ = "knownbreak"

    break_id: str = Field(primary_key=True)
    kind: str = Field(index=True)
    ids: str  # JSON: what it concerns
    first_seen: int = Field(sa_type=BigInteger)
    last_seen: int = Field(sa_type=BigInteger)
    owner: str
    resolved_by: str | None = None  # approval id
    body: str = ""  # JSON: all of it, as it was seen last
    closed: str = ""  # why it is closed; "" while it is open


class ApiKeyRow(SQLModel, table=True):
    """An API key's SHA-256, its name, its role (partner, auditor or operator) and its scope.

    A rotated key has the SHA-256 of its former value too, with the time until which it is accepted.
    """

    __tablename__ = "apikey"

    key_hash: str = Field(primary_key=True)
    name: str = Field(unique=True)
    role: str
    scope: str = ""  # a partner's: how the names of its devices begin
    party: str = ""  # a partner's: address of the payer or payee that it stands for
    created_at: int = Field(default=0, sa_type=BigInteger)  # 0: issued by 0.3.0
    former_hash: str | None = Field(default=None, index=True)
    former_until: int = Field(default=0, sa_type=BigInteger)


class IdempotencyRow(SQLModel, table=True):
    """An Idempotency-Key with its request and its answer; kept for ever."""

    __tablename__ = "idempotency"

    client: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    body_hash: str
    status: int
    answer: str
