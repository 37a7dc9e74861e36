"""Tables of payments: their facts, their batches and the signatures of the oracles."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel


class PaymentRow(SQLModel, table=True):
    """The life of one claim; `stage` and `next_step` change only by core.payment.advance."""

    __tablename__ = "payment"

    payment_id: str = Field(primary_key=True)
    agreement_id: str = Field(index=True)
    sequence: int
    stage: str = Field(index=True)
    next_step: str | None = None
    due_at: int = Field(default=0, sa_type=BigInteger)
    attempts: int = 0
    first_counter: int = Field(sa_type=BigInteger)
    last_counter: int = Field(sa_type=BigInteger)
    evidence_root: str = ""
    facts: str = ""
    claim_hash: str = ""
    batch_digest: str | None = Field(default=None, index=True)
    amount_micro: int = Field(default=0, sa_type=BigInteger)  # below zero: a credit to the payer
    payee: str = ""  # who is paid: the agreement's payee, or the one the claim names
    release_at: int = Field(default=0, sa_type=BigInteger)
    settlement_tx: str | None = Field(default=None, index=True)
    release_tx: str | None = None  # what took it out of the pending money: then it can be redeemed
    payout_id: str | None = Field(default=None, index=True)
    reason: str | None = None
    created_at: int = Field(sa_type=BigInteger)
    __table_args__ = (
        UniqueConstraint("agreement_id", "sequence"),
        Index("payment_due", "next_step", "due_at"),
        Index("payment_reach", "agreement_id", "last_counter"),
    )


class PaymentFactRow(SQLModel, table=True):
    """One fact of a payment, in the order it became known; seen once, it is never seen again."""

    __tablename__ = "paymentfact"

    id: int | None = Field(default=None, primary_key=True)
    payment_id: str = Field(index=True)
    fact: str
    key: str  # what makes this fact the same fact when it is reported again
    detail: str = ""
    at: int = Field(sa_type=BigInteger)
    __table_args__ = (UniqueConstraint("payment_id", "fact", "key"),)


class AttestationRow(SQLModel, table=True):
    """One oracle's signature over a batch, kept before the batch is settled."""

    __tablename__ = "attestation"

    batch_digest: str = Field(primary_key=True)
    oracle: str = Field(primary_key=True)
    name: str
    domain: int
    signature: str


class BatchClaimRow(SQLModel, table=True):
    """One claim of one signed batch; a payment itself names its newest batch only."""

    __tablename__ = "batchclaim"

    batch_digest: str = Field(primary_key=True)
    payment_id: str = Field(primary_key=True)


class DebtRow(SQLModel, table=True):
    """A negative payment: what its payee owes back to the escrow of the agreement."""

    __tablename__ = "debt"

    payment_id: str = Field(primary_key=True)
    agreement_id: str = Field(index=True)
    payee: str = Field(index=True)
    amount_micro: int = Field(sa_type=BigInteger)  # above zero
    paid_micro: int = Field(default=0, sa_type=BigInteger)
    cancelled_micro: int = Field(default=0, sa_type=BigInteger)  # a refund made it void
    noted_at: int = Field(sa_type=BigInteger)
