"""Tables of devices, parties and agreements: copies of what the chain holds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from orchestrator.core.agreement import Stage

ZERO = "0x" + "00" * 32


class DeviceRow(SQLModel, table=True):
    """A device enrolled in the registry on chain (the chain is the authority; this is a copy)."""

    __tablename__ = "device"

    device_id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    curve: str
    key_x: str
    key_y: str
    owner: str
    status: str = "active"  # active | suspended | retired | compromised
    enrolled_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(default=0, sa_type=BigInteger)  # of the newest key; 0: never
    endorsement: str = ""  # SHA-256 of the leaf certificate that vouches for it
    compromised_since: int | None = Field(default=None, sa_type=BigInteger, index=True)


class PartyRow(SQLModel, table=True):
    """A payer or payee with the bank account its payouts go to."""

    __tablename__ = "party"

    address: str = Field(primary_key=True)
    name: str
    iban: str | None = None
    bic: str | None = None
    account: str | None = Field(default=None, index=True)  # keccak256 of the IBAN, as on chain
    street: str = ""
    building: str = ""
    post_code: str = ""
    town: str = ""
    country: str = ""
    payout_minimum_micro: int = Field(default=0, sa_type=BigInteger)  # as set on chain


class OwnerConsentRow(SQLModel, table=True):
    """The newest consent of a device's owner to an agreement, or to all agreements of a product."""

    __tablename__ = "ownerconsent"

    device_id: str = Field(primary_key=True)
    product_address: str = Field(primary_key=True)
    agreement_id: str = Field(primary_key=True)  # 32 zero bytes: any agreement of the product
    number: int = Field(sa_type=BigInteger)  # how often the owner had revoked its consents
    owner: str
    signature: str
    at: int = Field(sa_type=BigInteger)


class AgreementRow(SQLModel, table=True):
    """Payer, payee, device, product, terms and cap, opened on chain with a signed mandate."""

    __tablename__ = "agreement"

    agreement_id: str = Field(primary_key=True)
    device_id: str = Field(index=True)
    device: str
    product: str
    product_address: str
    payer: str
    payee: str
    cap_micro: int = Field(sa_type=BigInteger)
    period_days: int
    window_s: int
    expiry: int = Field(sa_type=BigInteger)
    first_counter: int = Field(sa_type=BigInteger)
    required_domain: int
    salt: str
    terms: str
    signature: str
    reference: str = Field(unique=True)
    mandate_version: int = 1
    start: int = Field(default=0, sa_type=BigInteger)  # as signed; 0: the opening
    bond_micro: int = Field(default=0, sa_type=BigInteger)
    schedule: int = Field(default=0, sa_type=BigInteger)
    fleet: str = ZERO
    cites: str = ZERO
    begins_at: int = Field(default=0, sa_type=BigInteger)  # the first second of facts, as opened
    grace_s: int = 0  # after the last second of facts; then no claim is taken
    ends_at: int = Field(default=0, sa_type=BigInteger)  # the last second of claims, without pauses
    stage: str = Stage.SIGNED
    opened_at: int = Field(default=0, sa_type=BigInteger)
    closes_at: int = Field(default=0, sa_type=BigInteger)  # where its end was brought forward
    sequence: int = 0  # the last sequence a payment was made for
    last_counter: int = Field(default=0, sa_type=BigInteger)  # the last counter in a payment
    __table_args__ = (Index("agreement_over", "stage", "ends_at"),)
