"""The tables of the store: ids are 0x-hex text, amounts are integers in minor units, times Unix."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from orchestrator.edges.store.money_tables import (
    BankFile,
    BankLine,
    BankStatement,
    Booking,
    Credit,
    Decision,
    Funding,
    KnownBreak,
    LedgerEntry,
    LedgerPosting,
    Officer,
    Payout,
    PendingEntry,
)

__all__ = [
    "Agreement",
    "ApiKey",
    "Attestation",
    "BankFile",
    "BankLine",
    "BankStatement",
    "Block",
    "Booking",
    "ChainLog",
    "ChainSend",
    "Citation",
    "Conflict",
    "Credit",
    "Decision",
    "Device",
    "Event",
    "Evidence",
    "Funding",
    "Hole",
    "Idempotency",
    "KnownBreak",
    "LedgerEntry",
    "LedgerPosting",
    "Name",
    "Officer",
    "Party",
    "Payment",
    "PaymentFact",
    "Payout",
    "PendingEntry",
    "Proof",
    "Rejection",
    "SQLModel",
]


class Device(SQLModel, table=True):
    """A device enrolled in the registry on chain (the chain is the authority; this is a copy)."""

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
    compromised_since: int | None = Field(default=None, sa_type=BigInteger)


class Party(SQLModel, table=True):
    """A payer or payee with the bank account its payouts go to."""

    address: str = Field(primary_key=True)
    name: str
    iban: str | None = None
    bic: str | None = None
    account: str | None = None  # keccak256 of the IBAN, as on chain
    street: str = ""
    building: str = ""
    post_code: str = ""
    town: str = ""
    country: str = ""


class Agreement(SQLModel, table=True):
    """Payer, payee, device, product, terms and cap, opened on chain with a signed mandate."""

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
    stage: str = "signed"  # signed | live | closed | refund_due (money came back since)
    opened_at: int = Field(default=0, sa_type=BigInteger)
    closes_at: int = Field(default=0, sa_type=BigInteger)  # where its end was brought forward
    sequence: int = 0  # the last sequence a payment was made for
    last_counter: int = Field(default=0, sa_type=BigInteger)  # the last counter in a payment


class Evidence(SQLModel, table=True):
    """The exact bytes a device signed, kept unchanged, named by their SHA-256."""

    evidence_hash: str = Field(primary_key=True)
    body: bytes = Field(sa_type=LargeBinary)
    protocol: str
    source: str
    received_at: int = Field(sa_type=BigInteger)


class Event(SQLModel, table=True):
    """What an adapter read out of evidence; (device, counter) is unique through event_id."""

    event_id: str = Field(primary_key=True)
    device_id: str
    counter: int = Field(sa_type=BigInteger)
    observed_at_ms: int = Field(sa_type=BigInteger)
    received_at: int = Field(sa_type=BigInteger)
    evidence_hash: str = Field(index=True)
    content_hash: str  # SHA-256 of the signed bytes: twins of a signature share it
    agreement_id: str
    payment_id: str | None = Field(default=None, index=True)
    reason: str | None = None  # why it will never be in a claim
    role: str = "stream"  # stream: it may be claimed; supporting: it may be cited
    place: str | None = None  # JSON of device_adapters.types.Place
    began_ms: int | None = Field(default=None, sa_type=BigInteger)  # of its first reading there
    __table_args__ = (
        Index("event_by_counter", "agreement_id", "counter"),
        Index(
            "event_placed", "device_id", "observed_at_ms", sqlite_where=text("place IS NOT NULL")
        ),
    )


class Name(SQLModel, table=True):
    """An id under which records about the same subject may cite an event (an EPCIS hash id)."""

    name: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True, index=True)
    subject_id: str


class Citation(SQLModel, table=True):
    """What a stored event cites, in the order of its record, and what that id resolved to."""

    event_id: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    name: str
    cited_event_id: str = Field(index=True)


class Conflict(SQLModel, table=True):
    """Two genuine records that one honest device cannot both have signed: it has a clone."""

    event_id: str = Field(primary_key=True)  # the one that was taken
    content_hash: str = Field(primary_key=True)  # SHA-256 of what the other one signs
    rejection_id: int  # where the other one is kept
    device_id: str = Field(index=True)
    reason: str  # counter_replayed | two_places
    found_at: int = Field(sa_type=BigInteger)
    reported_tx: str | None = None  # what suspended the device; "": it was silent already


class Rejection(SQLModel, table=True):
    """Input that was not taken: its reason and its bytes, kept for inspection."""

    id: int | None = Field(default=None, primary_key=True)
    received_at: int = Field(sa_type=BigInteger)
    source: str
    device: str
    protocol: str
    reason: str = Field(index=True)
    detail: str
    body: bytes = Field(sa_type=LargeBinary)


class Payment(SQLModel, table=True):
    """The life of one claim; `stage` and `effect` change only by core.payment.advance."""

    payment_id: str = Field(primary_key=True)
    agreement_id: str = Field(index=True)
    sequence: int
    stage: str = Field(index=True)
    effect: str | None = None
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
        Index("payment_due", "effect", "due_at"),
    )


class PaymentFact(SQLModel, table=True):
    """One fact of a payment, in the order it became known; seen once, it is never seen again."""

    id: int | None = Field(default=None, primary_key=True)
    payment_id: str = Field(index=True)
    fact: str
    key: str  # what makes this fact the same fact when it is reported again
    detail: str = ""
    at: int = Field(sa_type=BigInteger)
    __table_args__ = (UniqueConstraint("payment_id", "fact", "key"),)


class Attestation(SQLModel, table=True):
    """One oracle's signature over a batch, kept before the batch is settled."""

    batch_digest: str = Field(primary_key=True)
    oracle: str = Field(primary_key=True)
    name: str
    domain: int
    signature: str


class BatchClaim(SQLModel, table=True):
    """One claim of one signed batch; a payment itself names its newest batch only."""

    batch_digest: str = Field(primary_key=True)
    payment_id: str = Field(primary_key=True)


class ChainSend(SQLModel, table=True):
    """A signed settlement (or other call): nonce and raw bytes are stored before broadcast."""

    tx_hash: str = Field(primary_key=True)
    chain_id: int
    sender: str
    nonce: int
    purpose: str  # settle | open | mint | release | enrol ...
    ref: str = Field(index=True)  # batch digest, agreement id, credit id, payee
    raw: str
    stage: str = Field(default="signed", index=True)  # signed, sent, mined or failed
    verdict: str = ""  # what the node said last
    block_number: int | None = None
    gas_used: int = 0
    created_at: int = Field(sa_type=BigInteger)
    __table_args__ = (UniqueConstraint("chain_id", "sender", "nonce"),)


class Block(SQLModel, table=True):
    """(number, hash) of every block seen: the chain may rewind, and is then noticed."""

    number: int = Field(primary_key=True)
    hash: str
    parent: str
    timestamp: int = Field(sa_type=BigInteger)
    final: bool = False


class ChainLog(SQLModel, table=True):
    """A log of our contracts, applied to the ledger once its block is final."""

    block_hash: str = Field(primary_key=True)
    log_index: int = Field(primary_key=True)
    block_number: int = Field(index=True)
    tx_hash: str = Field(index=True)
    name: str
    args: str  # JSON


class Proof(SQLModel, table=True):
    """Header, receipt and call of one of our chain sends, proven and archived at finality."""

    tx_hash: str = Field(primary_key=True)
    body: str  # JSON


class Hole(SQLModel, table=True):
    """Counters of an agreement's device that never came: reported, never hidden."""

    agreement_id: str = Field(primary_key=True)
    first_counter: int = Field(primary_key=True, sa_type=BigInteger)
    last_counter: int = Field(sa_type=BigInteger)
    declared_at: int = Field(sa_type=BigInteger)


class ApiKey(SQLModel, table=True):
    """An API key's SHA-256, its name, its role (partner, auditor or operator) and its scope."""

    key_hash: str = Field(primary_key=True)
    name: str = Field(unique=True)
    role: str
    scope: str = ""  # a partner's: how the names of its devices begin


class Idempotency(SQLModel, table=True):
    """An Idempotency-Key with its request and its answer; kept for ever."""

    client: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    body_hash: str
    status: int
    answer: str
