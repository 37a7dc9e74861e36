"""Stores incoming messages as events or as rejections with a reason; all inlets use this path.

MQTT, HTTP and file replay all end here. Nothing is answered before the commit, and no message can
stop the others of its batch. The commit holds the position in the broker's log as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from device_adapters.registry import read
from device_adapters.topics import ACKNOWLEDGEMENT
from device_adapters.types import Event, LogPosition, Message, Rejected
from oracles.routing import Route, candidates, hearers, route
from oracles.rules import KEPT, EventVerdict, content_id, screen
from oracles.types import Agreements, ClaimReason, KeyRing, ProductRules
from oracles.verify import verify_events
from orchestrator.core.later_outcome import read_acknowledgement
from orchestrator.edges.store import (
    Session,
    Store,
    add_new,
    add_values,
    agreements,
    broker_log,
    citations,
    conflicts,
    evidence,
    later_outcomes,
    rejections,
)
from orchestrator.ingest.screening import Screening, hexed, place_columns

# the outcome of a record that is stored
ACCEPTED = "accepted"
INTERNAL_ERROR = "internal_error"  # a bug of ours, never the sender's fault
_Judged = tuple[EventVerdict, Route]


class ChainReader(KeyRing, Agreements, Protocol):
    """Devices and agreements on chain (edges.chain.reader.Registry implements it)."""


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """The answer to one record: an event id, or a reason (both for a duplicate)."""

    device: str
    evidence: str  # SHA-256, hex
    counter: int | None
    outcome: str  # "accepted" or a reason
    detail: str
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The ids of later outcomes that a device has taken; none: it asks for the others."""

    ids: list[str]


class Intake:
    """Stores batches of messages.

    chain: devices and agreements. rules: product -> its rules. now: Unix seconds. stored: called
    after each commit.
    """

    def __init__(
        self,
        store: Store,
        chain: ChainReader,
        rules: Mapping[str, ProductRules],
        now: Callable[[], float],
        stored: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._chain, self._rules, self._now = store, chain, rules, now
        self._stored = stored

    def take(self, messages: Sequence[Message]) -> list[list[RecordOutcome]]:
        """Store a batch of messages; everything is committed on return.

        Returns:
            One list of outcomes per message, in order; none for an acknowledgement.

        Raises:
            Retry: the chain or the database cannot be reached. Nothing was stored; pass in the
                same messages again.
        """
        now = self._now()
        records = [(m, _read(m, int(now * 1000))) for m in messages]
        events = [item for _, items in records for item in items if isinstance(item, Event)]
        verified = dict(zip(map(id, events), verify_events(events, self._chain), strict=True))
        genuine = [outcome for outcome in verified.values() if isinstance(outcome, Event)]
        # read before the write begins: a slow node must not block other writers
        routes = self._routes(genuine)
        with self._store.write() as session:
            further = Screening(session, genuine, self._rules)
            verdicts = self._screen(session, genuine, routes, further)
            rows = _Rows(int(now), further.clashes)
            outcomes = [
                [
                    rows.outcome(message, checked, verdicts.get(id(checked)), item)
                    for item in items
                    if not isinstance(item, Acknowledgement)
                    for checked in (verified.get(id(item), item),)
                ]
                for message, items in records
            ]
            for message, items in records:
                for item in items:
                    if isinstance(item, Acknowledgement):
                        later_outcomes.acknowledge(session, message.device, item.ids, int(now))
            rows.number(session)
            add_values(session, evidence.EvidenceRow, rows.evidence)
            add_values(session, evidence.EventRow, rows.events)
            add_values(session, rejections.RejectionRow, rows.rejections)
            add_values(session, citations.NameRow, further.names)
            add_values(session, citations.CitationRow, further.citations)
            add_values(session, conflicts.ConflictRow, rows.conflicts)
            broker_log.read_up_to(session, messages)
        self._stored()
        return outcomes

    def log_position(self) -> LogPosition | None:
        """Return the position of the last message stored from the broker's log; None for none."""
        with self._store.read() as session:
            return broker_log.position(session)

    def put_aside(self, message: Message, error: str) -> None:
        """Store a message that made our own code fail; it gets no receipt, so it comes again."""
        with self._store.write() as session:
            add_new(
                session,
                [
                    rejections.RejectionRow(
                        received_at=int(self._now()),
                        source=message.source,
                        device=message.device,
                        protocol=message.protocol,
                        reason=INTERNAL_ERROR,
                        detail=_storable(error),
                        body=message.body,
                    )
                ],
            )
            broker_log.read_up_to(session, [message])

    def _routes(self, events: Sequence[Event]) -> list[Route]:
        """Return each event's agreement and role; the chain is read once per device and subject.

        Anyone may open an agreement that names any device and any subject. Only agreements opened
        through this rail can take events, since the rail claims only for those.
        """
        by_source = {(event.device_id, event.subject_id): event for event in events}
        options = {
            key: (candidates(event, self._chain), hearers(event, self._chain))
            for key, event in by_source.items()
        }
        ids = {hexed(row.agreement) for pair in options.values() for rows in pair for row in rows}
        with self._store.read() as session:
            own_ids = agreements.known(session, sorted(ids))
        own = {
            key: [[row for row in rows if hexed(row.agreement) in own_ids] for rows in pair]
            for key, pair in options.items()
        }
        return [route(event, *own[event.device_id, event.subject_id]) for event in events]

    def _screen(
        self, session: Session, events: list[Event], routes: list[Route], further: Screening
    ) -> dict[int, _Judged]:
        stored = evidence.known_contents(session, [event.event_id for event in events])
        ids = {target.agreement.agreement for target in routes if target.agreement}
        last = agreements.last_counters(session, [hexed(agreement) for agreement in ids])
        claimed_to = {bytes.fromhex(key[2:]): counter for key, counter in last.items()}
        routed = list(zip(events, routes, strict=True))
        verdicts = screen(stored, routed, claimed_to, self._rules, further.check)
        return {
            id(event): (verdict, Route(verdict.hearer, stream=False) if verdict.hearer else target)
            for (event, target), verdict in zip(routed, verdicts, strict=True)
        }


def _read(message: Message, now_ms: int) -> list[Event | Rejected | Acknowledgement]:
    """Read a message; an acknowledgement counts only from the topic that authenticates its device.

    HTTP names the protocol in the request, and has no authenticated device.
    """
    if message.protocol != ACKNOWLEDGEMENT or not message.device:
        return read(message, now_ms)
    try:
        return [Acknowledgement(read_acknowledgement(message.body))]
    except Rejected as refusal:
        return [refusal]


def _storable(text: str) -> str:
    """Return a text that every database takes: the text of an error may hold any character."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


class _Rows:
    """Collects the rows of one batch while its records are judged.

    clashes: id() of an event refused for two places -> the event id that it contradicts.
    """

    def __init__(self, now: int, clashes: Mapping[int, str]) -> None:
        self.now, self._clashes = now, clashes
        self.evidence: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.rejections: list[dict[str, Any]] = []
        self.conflicts: list[dict[str, Any]] = []

    def number(self, session: Session) -> None:
        """Number the rejections if there are conflicts: a conflict names its refused record."""
        if not self.conflicts:
            return
        first = rejections.next_number(session)
        for index, row in enumerate(self.rejections):
            row["id"] = first + index
        for row in self.conflicts:
            row["rejection_id"] += first

    def outcome(
        self,
        message: Message,
        item: Event | Rejected,
        judged: _Judged | None,
        decoded: Event | Rejected,
    ) -> RecordOutcome:
        """Collect the rows of one record and return its outcome.

        Args:
            message: what it came in.
            item: the verified event, or the rejection of the record.
            judged: verdict and route of a verified event.
            decoded: the event before it was verified, where it could be read.
        """
        if isinstance(item, Rejected):
            event = decoded if isinstance(decoded, Event) else None
            return self._reject(message, item.raw, item.reason, item.detail, event)
        verdict, target = judged
        if verdict.reason is None or verdict.reason in KEPT:
            return self._accept(message, item, verdict, target)
        if verdict.reason in (ClaimReason.COUNTER_REPLAYED, ClaimReason.TWO_PLACES):
            self._conflict(item, verdict.reason)
        return self._reject(message, item.evidence, verdict.reason, verdict.detail, item)

    def _conflict(self, event: Event, reason: ClaimReason) -> None:
        """Collect a conflict: two genuine records that no honest device signs both."""
        self.conflicts.append(
            {
                "event_id": self._clashes.get(id(event)) or hexed(event.event_id),
                "content_hash": content_id(event).hex(),
                "rejection_id": len(self.rejections),
                "device_id": hexed(event.device_id),
                "reason": str(reason),
                "found_at": self.now,
            }
        )

    def _accept(
        self, message: Message, event: Event, verdict: EventVerdict, target: Route
    ) -> RecordOutcome:
        digest = event.evidence_hash.hex()
        self.evidence.append(
            {
                "evidence_hash": digest,
                "body": event.evidence,
                "protocol": event.protocol,
                "source": message.source,
                "received_at": self.now,
            }
        )
        self.events.append(
            {
                "event_id": hexed(event.event_id),
                "device_id": hexed(event.device_id),
                "counter": event.counter,
                "observed_at_ms": event.observed_at_ms,
                "received_at": self.now,
                "evidence_hash": digest,
                "content_hash": content_id(event).hex(),
                "agreement_id": hexed(target.agreement.agreement),
                "reason": verdict.reason,
                "role": evidence.STREAM if target.stream else evidence.SUPPORTING,
                "assurance": str(event.assurance),
                "gateway": event.gateway,
                **place_columns(event),
            }
        )
        outcome = verdict.reason or ACCEPTED
        return _outcome(event, outcome, verdict.detail)

    def _reject(
        self, message: Message, raw: bytes, reason: str, detail: str, event: Event | None = None
    ) -> RecordOutcome:
        device = event.device if event else message.device
        self.rejections.append(
            {
                "received_at": self.now,
                "source": message.source,
                "device": device,
                "protocol": message.protocol,
                "reason": str(reason),
                "detail": detail,
                "body": raw,
            }
        )
        if event is None:
            return RecordOutcome(device, sha256(raw).hexdigest(), None, str(reason), detail, None)
        return _outcome(event, str(reason), detail)


def _outcome(event: Event, outcome: str, detail: str) -> RecordOutcome:
    stored = outcome == ACCEPTED or outcome in (ClaimReason.DUPLICATE, *KEPT)
    return RecordOutcome(
        event.device,
        event.evidence_hash.hex(),
        event.counter,
        str(outcome),
        detail,
        hexed(event.event_id) if stored else None,
    )
