"""Tables of what devices sent: evidence, events, and what was refused."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

_OPEN = text("payment_id IS NULL AND reason IS NULL")  # events that a claim may still hold


class LogPositionRow(SQLModel, table=True):
    """The last message of the broker's log that a reader has stored."""

    __tablename__ = "logposition"

    reader: str = Field(primary_key=True)
    log: str  # when the log was made, as the broker writes it
    sequence: int = Field(sa_type=BigInteger)
    stored_at: str  # when the broker stored the message, as it writes it


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
    assurance: str = "device"  # who stands for it: device, gateway or file
    gateway: str = ""  # the gateway that signed it; "" for the device itself
    began_ms: int | None = Field(default=None, sa_type=BigInteger)  # of its first reading there
    __table_args__ = (
        Index("event_by_counter", "agreement_id", "counter"),
        Index(
            "event_open",
            "role",
            "agreement_id",
            "counter",
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index(
            "event_behind",
            "gateway",
            "counter",
            sqlite_where=text("gateway <> ''"),
            postgresql_where=text("gateway <> ''"),
        ),
        Index(
            "event_by_gateway",
            "gateway",
            sqlite_where=text("gateway <> ''"),
            postgresql_where=text("gateway <> ''"),
        ),
        Index("event_heard", "device_id", "observed_at_ms"),
        Index(
            "event_placed",
            "device_id",
            "observed_at_ms",
            sqlite_where=text("place IS NOT NULL"),
            postgresql_where=text("place IS NOT NULL"),
        ),
    )


class NameRow(SQLModel, table=True):
    """An id of its protocol under which records may cite an event (an EPCIS hash id).

    The `ni` name that every event bears is not stored here: it is the evidence hash of the event.
    """

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


class HeardRow(SQLModel, table=True):
    """What a payment's claim hears: events of devices that its terms name, cited by nobody."""

    __tablename__ = "heard"

    payment_id: str = Field(primary_key=True)
    position: int = Field(primary_key=True)  # in the claim's evidence, behind the citations
    event_id: str = Field(index=True)


class ConflictRow(SQLModel, table=True):
    """Two genuine records that one honest device cannot both have signed: it has a clone."""

    __tablename__ = "conflict"

    event_id: str = Field(primary_key=True)  # the one that was taken
    content_hash: str = Field(primary_key=True)  # SHA-256 of what the other one signs
    rejection_id: int  # where the other one is kept
    device_id: str = Field(index=True)
    reason: str  # counter_replayed | two_places
    found_at: int = Field(sa_type=BigInteger)
    # what suspended the device; "": it was silent already
    reported_tx: str | None = Field(default=None, index=True)


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


class HoleRow(SQLModel, table=True):
    """Counters of an agreement's device that never came: reported, never hidden."""

    __tablename__ = "hole"

    agreement_id: str = Field(primary_key=True)
    first_counter: int = Field(primary_key=True, sa_type=BigInteger)
    last_counter: int = Field(sa_type=BigInteger)
    declared_at: int = Field(sa_type=BigInteger)
