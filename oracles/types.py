"""Types of the oracles: claims, batches, attestations, and the views that an oracle needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from device_adapters.types import DeviceKey, Event


class ClaimReason(StrEnum):
    """Why an oracle, or the rail by the same rules, refuses a record or a claim. Stable codes."""

    # a record
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_NOT_YET_ENROLLED = "device_not_yet_enrolled"
    DEVICE_SUSPENDED = "device_suspended"
    DEVICE_RETIRED = "device_retired"
    SIGNATURE_FORGED = "signature_forged"
    CURVE_NOT_SETTLED = "curve_not_settled"
    COUNTER_REPLAYED = "counter_replayed"  # same counter, other content
    DUPLICATE = "duplicate"  # same counter, same content: no effect
    NO_AGREEMENT = "no_agreement"
    BEFORE_AGREEMENT = "before_agreement"
    STREAM_NOT_AGREED = "stream_not_agreed"
    COUNTER_TOO_LARGE = "counter_too_large"  # the rail keeps 36 bits of it
    NOT_BILLABLE = "not_billable"
    KIND_NOT_PRICED = "kind_not_priced"
    IMPLAUSIBLE_READING = "implausible_reading"
    REGISTER_BACKWARDS = "register_backwards"
    REGISTER_MISMATCH = "register_mismatch"  # another register than that of the readings before it
    TIME_BACKWARDS = "time_backwards"
    TOO_LATE = "too_late"  # at or below a claimed counter: it was declared lost
    DEVICE_COMPROMISED = "device_compromised"  # nothing new of this device is accepted
    KEY_EXPIRED = "key_expired"
    DEVICE_WITHOUT_KEY = "device_without_key"  # only its gateway may sign for it
    GATEWAY_NOT_ASSIGNED = "gateway_not_assigned"  # its owner has not said that it may sign
    CITED_EVENT_UNKNOWN = "cited_event_unknown"  # send the cited event first, then this one again
    FOREIGN_DOMAIN = "foreign_domain"  # signed for another chain or contract
    CLASS_NOT_AGREED = "class_not_agreed"  # a merchant class that the mandate does not name
    PAYEE_INVALID = "payee_invalid"  # the rail itself: what it is paid could never be withdrawn
    ABOVE_TAP_LIMIT = "above_tap_limit"
    UNITS_UNCOUNTABLE = "units_uncountable"  # a delivery whose units are no number
    ASSURANCE_TOO_LOW = "assurance_too_low"  # the terms ask that somebody else stands for it
    METRIC_MISSING = "metric_missing"  # a number that the terms price is not in the report
    METRIC_OUTSIDE = "metric_outside"  # a number that the terms do not believe
    PERIOD_UNEXPECTED = "period_unexpected"  # of another length, or it overlaps the one before
    COVERAGE_SHORT = "coverage_short"  # too little of the period was observed
    SEAL_NOT_CANONICAL = "seal_not_canonical"  # signed bytes that the contract cannot make again
    SOURCES_SHORT = "sources_short"  # too few sources stand behind the numbers
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
    HEARD_LEFT_OUT = "heard_left_out"  # a record of a device that its terms name is not in it
    HEARD_TOO_MANY = "heard_too_many"  # of the devices in its terms, more than a claim can hold


@dataclass(frozen=True, slots=True)
class Claim:
    """What oracles attest for one agreement: facts derived from a run of events.

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
class SkippedClaim:
    """A claim that payer and payee passed over: settled, for nothing.

    agreement: 32 bytes. last_counter: device counters up to it are passed over.
    """

    agreement: bytes
    sequence: int
    last_counter: int


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
    """What the rules need from an agreement; read from the chain, not from the orchestrator."""

    agreement: bytes  # id, 32 bytes
    device: str  # "" if only the id is available
    device_id: bytes
    product: str  # the product's name, the same as its folder's
    terms: bytes  # the product's own ABI-encoded terms
    start: int  # Unix seconds: the first second whose facts are taken
    expires_at: int  # the last second whose facts are taken; a closing brings it forward
    first_counter: int  # counters up to it precede the agreement
    live: bool = True
    subject: bytes = b""  # ProductRules.subject of its terms: what its events must be about
    grace: int = 0  # seconds after `expires_at` in which claims are still taken
    # lower-case addresses that no claim may pay: the rail's own contracts could never withdraw
    never_paid: frozenset[str] = frozenset()

    @property
    def until(self) -> int:
        """Return the last second in which claims are taken, the length of pauses left out."""
        return self.expires_at + self.grace

    def covers(self, at_ms: int) -> bool:
        """Return whether facts of this time (Unix milliseconds) are taken."""
        return self.start * 1000 <= at_ms <= self.expires_at * 1000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the chain has settled an agreement: its last sequence and last counter."""

    sequence: int  # 0: nothing yet
    last_counter: int  # the agreement's first_counter while sequence is 0


class ProductRules(Protocol):
    """The rules of a product that an oracle needs; prices are not among them.

    `orchestrator/products/<name>/product.py` implements it, and the script that starts an oracle
    passes it in, so that this package imports nothing from the orchestrator. All methods are pure:
    the rail and every oracle must derive the same run and the same facts.

    GAPLESS: a missing counter blocks the following ones until it arrives or is declared lost.
    LATE: counters at or below the last claimed one may still be claimed. Such a run has no anchor,
    and `derive` may refuse all of it (Rejected, with the ClaimReason by which its events are
    dropped). A LATE product whose contract remembers which counters claims passed by has
    `open_gaps(claimed_to, claims)` as well: from (first, last) of claims in order of sequence it
    returns the ranges that late claims may still take. A product whose claims go on where the last
    one ended has `reopened(terms)`: the terms by which the first run behind records that were
    passed over is derived, without an anchor.

    A product may hear other devices than the agreement's own (oracles.hearing). `hears(terms)`
    returns their ids, at most 100: the run may cite their events, whichever their subject. Together
    with `heard_period(terms, anchor, events)`, which returns the (first, last) Unix milliseconds of
    a run, or None, `derive` gets all their genuine events of that time in `cited`, cited or not. A
    run whose last event is some hours behind its period leaves late records time to arrive. `admit`
    and `complete` see none of them: they decide before it is known which events there are. A
    product with `heard_period` is not LATE. One whose claims hold more has limits of its own:
    `MOST_DEVICES` and `MOST_EVENTS`.

    A product whose claims go on from rows that the contract keeps has `rows_before(facts)`: facts
    that end with the rows from which these start. Its `derive` gets `before` as well: the facts of
    the agreement's last claim that was applied, or what `rows_before` returned; None for the terms'
    own rows. The contract compares the rows, so that false ones come to a named refusal.
    """

    GAPLESS: bool
    LATE: bool

    def subject(self, terms: bytes) -> bytes:
        """Return the subject that events must be about (`Event.subject_id`); b"": any."""

    def admit(
        self,
        terms: bytes,
        previous: Event | None,
        event: Event,
        earlier: Sequence[Event] = (),
    ) -> tuple[ClaimReason, str] | None:
        """Return None if `event` may follow `previous`, else why not.

        Args:
            previous: the last admitted event without a gap before this one, else the last claimed.
            earlier: the admitted events from the last gap (or claim) to `previous`.
        """

    def complete(self, terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
        """Return how many of the leading events form a run to claim (0: none yet).

        The events were admitted one after the other; for a GAPLESS product their counters have no
        gap. The answer must be stable: complete(events[:n]) == n whenever complete(events) == n.
        """

    def derive(
        self,
        terms: bytes,
        anchor: Event | None,
        events: Sequence[Event],
        cited: Mapping[str, Event],
        late: bool = False,
    ) -> bytes:
        """Return the ABI-encoded facts of a run.

        Args:
            anchor: the last event claimed before the run; None for a first or late run.
            cited: id -> genuine event, for every id that the run's events cite, then what the run
                hears in addition, by `ni` name, in the order of (device_id, counter).
            late: the run is at or below the last claimed counter.

        Raises:
            Rejected: the product refuses this run.
        """


class KeyRing(Protocol):
    """The device keys in the registry on chain, and which gateway signs for which device."""

    def key_at(self, device_id: bytes, at_seconds: int) -> DeviceKey | ClaimReason:
        """Return the device's own key that is valid at that time, or why there is none.

        DEVICE_WITHOUT_KEY: its status is good, and its gateway signs for it (`gateway_at`).
        """

    def gateway_at(self, device_id: bytes, at_seconds: int) -> bytes | None:
        """Return the id of the gateway that may sign for a device at that time; None for none."""

    def compromised_since(self, device_id: bytes) -> int | None:
        """Return since when (Unix seconds) the key counts as stolen; None: not declared."""


class Agreements(Protocol):
    """The agreements on chain, no matter who opened them."""

    def agreement(self, agreement_id: bytes) -> Agreement | None:
        """Return an agreement by its id; None if there is none."""

    def agreements_of(self, device_id: bytes) -> Sequence[Agreement]:
        """Return all agreements ever opened for a device, the newest first."""

    def agreements_about(self, subject_id: bytes) -> Sequence[Agreement]:
        """Return all agreements ever opened about a subject, with any device, the newest first."""

    def agreements_hearing(self, device_id: bytes) -> Sequence[Agreement]:
        """Return all agreements ever opened whose terms name a device to hear, the newest first.

        Those of the device itself are not among them.
        """
