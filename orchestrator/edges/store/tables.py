"""The tables of the store: ids are 0x-hex text, amounts are integers in minor units, times Unix."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from orchestrator.edges.store.money_tables import (
    ApprovalRow,
    BankFileRow,
    BankLineRow,
    BankStatementRow,
    BookingRow,
    BreakRow,
    DebtRow,
    FundingRow,
    LedgerEntryRow,
    LedgerPostingRow,
    OfficerRow,
    PayoutRow,
    PendingEntryRow,
)
from orchestrator.edges.store.oracle_tables import (
    EquivocationRow,
    OracleSignatureRow,
    SignedBatchRow,
    SignedClaimRow,
)

__all__ = [
    "AgreementRow",
    "ApiKeyRow",
    "ApprovalRow",
    "AttestationRow",
    "BankFileRow",
    "BankLineRow",
    "BankStatementRow",
    "BlockRow",
    "BookingRow",
    "BreakRow",
    "ChainLogRow",
    "ChainSendRow",
    "CitationRow",
    "ConflictRow",
    "DebtRow",
    "DeviceRow",
    "EquivocationRow",
    "EventRow",
    "EvidenceRow",
    "FundingRow",
    "HoleRow",
    "IdempotencyRow",
    "LedgerEntryRow",
    "LedgerPostingRow",
    "NameRow",
    "OfficerRow",
    "OracleSignatureRow",
    "PartyRow",
    "PaymentFactRow",
    "PaymentRow",
    "PayoutRow",
    "PendingEntryRow",
    "ProofRow",
    "RejectionRow",
    "SQLModel",
    "SignedBatchRow",
    "SignedClaimRow",
]


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
    compromised_since: int | None = Field(default=None, sa_type=BigInteger)


class PartyRow(SQLModel, table=True):
    """A payer or payee with the bank account its payouts go to."""

    __tablename__ = "party"

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
    stage: str = "signed"  # signed | live | closed | refund_due (money came back since)
    opened_at: int = Field(default=0, sa_type=BigInteger)
    closes_at: int = Field(default=0, sa_type=BigInteger)  # where its end was brought forward
    sequence: int = 0  # the last sequence a payment was made for
    last_counter: int = Field(default=0, sa_type=BigInteger)  # the last counter in a payment


class EvidenceRow(SQLModel, table=True):
    """The exact bytes a device signed, kept unchanged, named by their SHA-256."""

    __tablename__ = "evidence"

    evidence_hash: str = Field(primary_key=True)
    body: bytes = Field(sa_type=LargeBinary)
    protocol: str
    source: str
    received_at: int = Field(sa_type=BigInteger)


class EventRow(SQLModel, table=True):
    """What an adapter read out of evidence; (device, counter) is unique through event_id."""

    __tablename__ = "event"

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


class NameRow(SQLModel, table=True):
    """An id under which records about the same subject may cite an event (an EPCIS hash id)."""

    __tablename__ = "name"

    name: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True, index=True)
    subject_id: str


class CitationRow(SQLModel, table=True):
    """What a stored event cites, in the order of its record, and what that id resolved to."""

    __tablename__ = "citation"

    event_id: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    name: str
    cited_event_id: str = Field(index=True)


class ConflictRow(SQLModel, table=True):
    """Two genuine records that one honest device cannot both have signed: it has a clone."""

    __tablename__ = "conflict"

    event_id: str = Field(primary_key=True)  # the one that was taken
    content_hash: str = Field(primary_key=True)  # SHA-256 of what the other one signs
    rejection_id: int  # where the other one is kept
    device_id: str = Field(index=True)
    reason: str  # counter_replayed | two_places
    found_at: int = Field(sa_type=BigInteger)
    reported_tx: str | None = None  # what suspended the device; "": it was silent already


class RejectionRow(SQLModel, table=True):
    """Input that was not taken: its reason and its bytes, kept for inspection."""

    __tablename__ = "rejection"

    id: int | None = Field(default=None, primary_key=True)
    received_at: int = Field(sa_type=BigInteger)
    source: str
    device: str
    protocol: str
    reason: str = Field(index=True)
    detail: str
    body: bytes = Field(sa_type=LargeBinary)


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


class ChainSendRow(SQLModel, table=True):
    """A signed settlement (or other call): nonce and raw bytes are stored before broadcast."""

    __tablename__ = "chainsend"

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


class BlockRow(SQLModel, table=True):
    """(number, hash) of every block seen: the chain may rewind, and is then noticed."""

    __tablename__ = "block"

    number: int = Field(primary_key=True)
    hash: str
    parent: str
    timestamp: int = Field(sa_type=BigInteger)
    final: bool = False


class ChainLogRow(SQLModel, table=True):
    """A log of our contracts, applied to the ledger once its block is final."""

    __tablename__ = "chainlog"

    block_hash: str = Field(primary_key=True)
    log_index: int = Field(primary_key=True)
    block_number: int = Field(index=True)
    tx_hash: str = Field(index=True)
    name: str
    args: str  # JSON


class ProofRow(SQLModel, table=True):
    """Header, receipt and call of one of our chain sends, proven and archived at finality."""

    __tablename__ = "proof"

    tx_hash: str = Field(primary_key=True)
    body: str  # JSON


class HoleRow(SQLModel, table=True):
    """Counters of an agreement's device that never came: reported, never hidden."""

    __tablename__ = "hole"

    agreement_id: str = Field(primary_key=True)
    first_counter: int = Field(primary_key=True, sa_type=BigInteger)
    last_counter: int = Field(sa_type=BigInteger)
    declared_at: int = Field(sa_type=BigInteger)


class ApiKeyRow(SQLModel, table=True):
    """An API key's SHA-256, its name, its role (partner, auditor or operator) and its scope."""

    __tablename__ = "apikey"

    key_hash: str = Field(primary_key=True)
    name: str = Field(unique=True)
    role: str
    scope: str = ""  # a partner's: how the names of its devices begin


class IdempotencyRow(SQLModel, table=True):
    """An Idempotency-Key with its request and its answer; kept for ever."""

    __tablename__ = "idempotency"

    client: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    body_hash: str
    status: int
    answer: str
