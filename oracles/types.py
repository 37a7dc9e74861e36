"""The nouns of the oracle side: claims, batches, attestations, and what an oracle must be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from device_adapters.types import DeviceKey, Event


class ClaimReason(StrEnum):
    """Why an oracle (or the rail, by the same rules) does not vouch. Stable codes."""

    # a record
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_NOT_YET_ENROLLED = "device_not_yet_enrolled"
    DEVICE_SUSPENDED = "device_suspended"
    DEVICE_RETIRED = "device_retired"
    SIGNATURE_FORGED = "signature_forged"
    CURVE_NOT_SETTLED = "curve_not_settled"
    COUNTER_REPLAYED = "counter_replayed"  # same counter, other content
    DUPLICATE = "duplicate"  # same counter, same content: answered again, no effect
    NO_AGREEMENT = "no_agreement"
    BEFORE_AGREEMENT = "before_agreement"
    STREAM_NOT_AGREED = "stream_not_agreed"
    NOT_BILLABLE = "not_billable"
    KIND_NOT_PRICED = "kind_not_priced"
    IMPLAUSIBLE_READING = "implausible_reading"
    REGISTER_BACKWARDS = "register_backwards"
    TIME_BACKWARDS = "time_backwards"
    TOO_LATE = "too_late"  # claims have passed this counter: its hole was declared lost
    DEVICE_COMPROMISED = "device_compromised"  # declared so: nothing new of it is believed
    KEY_EXPIRED = "key_expired"
    CITED_EVENT_UNKNOWN = "cited_event_unknown"  # send what it cites first, then again
    FOREIGN_DOMAIN = "foreign_domain"  # signed for another chain or contract
    CLASS_NOT_AGREED = "class_not_agreed"  # a merchant class that the mandate does not name
    ABOVE_TAP_LIMIT = "above_tap_limit"
    TWO_PLACES = "two_places"  # the device was elsewhere at that time: it has a clone
    # a claim
    EVIDENCE_MISSING = "evidence_missing"
    CLAIM_DIFFERS = "claim_differs"
    COUNTERS_NOT_CONTIGUOUS = "counters_not_contiguous"
    INCOMPLETE = "incomplete"
    ALREADY_ATTESTED_OTHERWISE = "already_attested_otherwise"
    AGREEMENT_NOT_LIVE = "agreement_not_live"
    SEQUENCE_UNEXPECTED = "sequence_unexpected"
    BATCH_UNSORTED = "batch_unsorted"
    UNAUTHORISED = "unauthorised"
    PRODUCT_UNKNOWN = "product_unknown"
    FACTS_MALFORMED = "facts_malformed"


@dataclass(frozen=True, slots=True)
class Claim:
    """What oracles attest for one agreement: facts derived from a contiguous run of events.

    agreement, evidence: 32 bytes (evidence is the Merkle root of the run's evidence hashes).
    sequence: uint32, the agreement's last plus one. Counters: uint40, inclusive.
    facts: the product's own ABI-encoded facts.
    """

    agreement: bytes
    sequence: int
    first_counter: int
    last_counter: int
    evidence: bytes
    facts: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Claims of one product, in strictly ascending agreement order (one claim per agreement)."""

    rail: str  # checksummed address of the PaymentRail
    product: str  # checksummed address of the product's contract
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Attestation:
    """One oracle's EIP-712 signature (65 bytes r,s,v; low s; v 27 or 28) over a batch."""

    oracle: str  # checksummed address
    signature: bytes


@dataclass(frozen=True, slots=True)
class Agreement:
    """What rules need of one agreement; read from the chain, not from the orchestrator."""

    agreement: bytes  # id, 32 bytes
    device: str  # "" where only the id is known
    device_id: bytes
    product: str  # the product's name, as its folder is called
    terms: bytes  # the product's own ABI-encoded terms
    opened_at: int  # Unix seconds
    expires_at: int
    first_counter: int  # counters at or below it are before the agreement
    live: bool = True
    subject: bytes = b""  # Terms.subject of its terms: what its events must speak of


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the chain has settled an agreement: its last sequence and last counter."""

    sequence: int  # 0: nothing yet
    last_counter: int  # the agreement's first_counter while sequence is 0


class ProductRules(Protocol):
    """What a product knows that an oracle needs: its rules, never its price.

    A product satisfies it in `orchestrator/products/<name>/product.py`; the script that starts
    an oracle passes it in, so nothing here imports upward. All are pure functions of what they
    are given: the rail and every oracle must come to the same run and the same facts.

    GAPLESS: whether a missing counter must be waited for, and be declared lost, before the next
    one counts. LATE: whether counters at or below the last claimed one may still be claimed; such
    a run has no anchor, and `derive` may refuse it as a whole (Rejected with the Doubt that its
    events are then dropped by).
    """

    GAPLESS: bool
    LATE: bool

    def subject(self, terms: bytes) -> bytes:
        """What events must speak of (`Event.subject_id`); b"": all of the device's own."""

    def admit(
        self, terms: bytes, previous: Event | None, event: Event
    ) -> tuple[ClaimReason, str] | None:
        """Whether `event` may follow `previous` (the last admitted one): None, or why not."""

    def complete(self, terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
        """How many of the leading events form a run that can be claimed (0: none yet).

        The events were admitted one after the other and their counters have no gap (where
        GAPLESS). The answer must be stable: complete(events[:n]) == n wherever
        complete(events) == n.
        """

    def derive(
        self,
        terms: bytes,
        anchor: Event | None,
        events: Sequence[Event],
        cited: Mapping[str, Event],
        late: bool = False,
    ) -> bytes:
        """The ABI-encoded facts of a run; `anchor` is the last event claimed before it.

        cited: id -> the genuine event that bears it, for every id that the run's events cite.
        """


class KeyRing(Protocol):
    """The device keys as the registry on chain has them."""

    def key_at(self, device_id: bytes, at_seconds: int) -> DeviceKey | ClaimReason:
        """The key valid at that time, or why there is none."""

    def compromised_since(self, device_id: bytes) -> int | None:
        """From when on (Unix seconds) the device's word is worth nothing; None: never declared."""


class Agreements(Protocol):
    """The agreements as the chain has them, whoever opened them."""

    def agreement(self, agreement_id: bytes) -> Agreement | None:
        """An agreement by its id."""

    def agreements_of(self, device_id: bytes) -> Sequence[Agreement]:
        """All agreements ever opened for a device, the newest first."""

    def agreements_about(self, subject_id: bytes) -> Sequence[Agreement]:
        """All agreements ever opened about a subject, whichever device with, the newest first."""
