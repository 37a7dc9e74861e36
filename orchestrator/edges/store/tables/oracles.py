"""The tables of what oracles signed."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class SignedBatchRow(SQLModel, table=True):
    """A batch exactly as at least one oracle signed it, also when it never reached a quorum."""

    __tablename__ = "signedbatch"

    batch_digest: str = Field(primary_key=True)
    rail: str
    product: str  # address of the product's contract
    claims: str  # JSON list of oracles.wire.claim_to_json, in the batch's order


class SignedClaimRow(SQLModel, table=True):
    """One claim of a signed batch; `payment_id` stands for (agreement, sequence)."""

    __tablename__ = "signedclaim"

    payment_id: str = Field(primary_key=True)
    batch_digest: str = Field(primary_key=True)
    claim_hash: str


class OracleSignatureRow(SQLModel, table=True):
    """One oracle's valid signature over a signed batch, whether or not a quorum used it."""

    __tablename__ = "oraclesignature"

    batch_digest: str = Field(primary_key=True)
    oracle: str = Field(primary_key=True)
    signature: str
    received_at: int = Field(sa_type=BigInteger)


class EquivocationRow(SQLModel, table=True):
    """An oracle that signed two different claims, or both rulings; one row per oracle is enough."""

    __tablename__ = "equivocation"

    oracle: str = Field(primary_key=True)
    agreement_id: str
    sequence: int
    # the two batches; "rulings" and a payment for both rulings; "" where somebody else reported it
    first_digest: str = ""
    second_digest: str = ""
    found_at: int = Field(sa_type=BigInteger)
    reported_tx: str | None = None  # our report; "": none is needed or none is possible
    refusal: str = ""  # the error by which the contract refuses our report
    barred_at: int | None = Field(default=None, sa_type=BigInteger)  # time of the final block
