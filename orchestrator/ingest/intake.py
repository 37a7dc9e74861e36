"""The one path of all inlets: messages in, stored events or named rejections out, then receipts.

MQTT, HTTP and file replay all end here. Nothing is answered before the commit, and no message can
stop its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from device_adapters.registry import read
from device_adapters.types import Event, Message, Rejected
from oracles.routing import Route, candidates, route
from oracles.rules import KEPT, EventVerdict, content_id, screen
from oracles.types import Agreements, ClaimReason, KeyRing, ProductRules
from oracles.verify import verify_events
from orchestrator.edges.store import (
    Session,
    Store,
    add_new,
    add_values,
    agreements,
    citations,
    conflicts,
    evidence,
    rejections,
)
from orchestrator.ingest.screening import Screening, hexed, place_columns

# what a device is told for a record that is already safe
ACCEPTED = "accepted"
INTERNAL_ERROR = "internal_error"  # a bug of ours, never the sender's fault
_Judged = tuple[EventVerdict, Route]


class ChainReader(KeyRing, Agreements, Protocol):
    """Devices and agreements as the chain has them (edges.chain.reader.Registry)."""


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """What one record is answered: an event id, or a named reason (both for a duplicate)."""

    device: str
    evidence: str  # SHA-256, hex
    counter: int | None
    outcome: str  # "accepted" or a reason
    detail: str
    event_id: str | None


class Intake:
    """Takes batches of messages into the store.

    chain: devices and agreements. rules: product -> its rules. now: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        chain: ChainReader,
        rules: Mapping[str, ProductRules],
        now: Callable[[], float],
    ) -> None:
        self._store, self._chain, self._rules, self._now = store, chain, rules, now

    def take(self, messages: Sequence[Message]) -> list[list[RecordOutcome]]:
        """One list of outcomes per message, in order; everything is committed on return.

        Raises Retry if the chain or the database cannot be reached: then nothing was stored and
        the messages must be handed over again.
        """
        now = self._now()
        records = [(m, read(m, int(now * 1000))) for m in messages]
        events = [item for _, found in records for item in found if isinstance(item, Event)]
        doubts = dict(zip(map(id, events), verify_events(events, self._chain), strict=True))
        genuine = [e for e in events if doubts[id(e)] is None]
        # asked before the write: a slow node must hold up no other writer
        routes = self._routes(genuine)
        with self._store.write() as session:
            further = Screening(session, genuine)
            verdicts = self._screen(session, genuine, routes, further)
            rows = _Rows(int(now), further.clashes)
            outcomes = [
                [
                    rows.outcome(message, item, doubts.get(id(item)), verdicts.get(id(item)))
                    for item in found
                ]
                for message, found in records
            ]
            rows.number(session)
            add_values(session, evidence.EvidenceRow, rows.evidence)
            add_values(session, evidence.EventRow, rows.events)
            add_values(session, rejections.RejectionRow, rows.rejections)
            add_values(session, citations.NameRow, further.names)
            add_values(session, citations.CitationRow, further.citations)
            add_values(session, conflicts.ConflictRow, rows.conflicts)
        return outcomes

    def put_aside(self, message: Message, error: str) -> None:
        """Keeps a message that our own code failed on; it gets no receipt, so it comes again."""
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
                        detail=error,
                        body=message.body,
                    )
                ],
            )

    def _routes(self, events: Sequence[Event]) -> list[Route]:
        """Each event's agreement and role; asked once per device and subject.

        Anyone may open an agreement that names any device and any subject: only those opened
        through this rail, which alone it claims for, can draw events.
        """
        asked = {(event.device_id, event.subject_id): event for event in events}
        found = {key: candidates(event, self._chain) for key, event in asked.items()}
        ids = sorted({hexed(one.agreement) for several in found.values() for one in several})
        with self._store.read() as session:
            ours = agreements.known(session, ids)
        routes = {
            key: route(event, [one for one in found[key] if hexed(one.agreement) in ours])
            for key, event in asked.items()
        }
        return [routes[event.device_id, event.subject_id] for event in events]

    def _screen(
        self, session: Session, events: list[Event], routes: list[Route], further: Screening
    ) -> dict[int, _Judged]:
        known = evidence.known_contents(session, [event.event_id for event in events])
        ids = {to.agreement.agreement for to in routes if to.agreement}
        last = agreements.last_counters(session, [hexed(one) for one in ids])
        claimed_to = {bytes.fromhex(one[2:]): counter for one, counter in last.items()}
        routed = list(zip(events, routes, strict=True))
        verdicts = screen(known, routed, claimed_to, self._rules, further.ask)
        return {
            id(event): (verdict, to) for (event, to), verdict in zip(routed, verdicts, strict=True)
        }


class _Rows:
    """Collects the rows of one batch while its records are judged.

    clashes: id() of an event that was refused for two places -> the event it clashes with.
    """

    def __init__(self, now: int, clashes: Mapping[int, str]) -> None:
        self.now, self._clashes = now, clashes
        self.evidence: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.rejections: list[dict[str, Any]] = []
        self.conflicts: list[dict[str, Any]] = []

    def number(self, session: Session) -> None:
        """Where two records clash, the refused one is found again by the number it gets here."""
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
        doubt: ClaimReason | None,
        judged: _Judged | None,
    ) -> RecordOutcome:
        if isinstance(item, Rejected):
            return self._reject(message, item.raw, item.reason, item.detail)
        if doubt is not None:
            detail = f"device {item.device}, counter {item.counter}"
            return self._reject(message, item.evidence, doubt, detail, item)
        verdict, to = judged
        if verdict.doubt is None or verdict.doubt in KEPT:
            return self._accept(message, item, verdict, to)
        if verdict.doubt in (ClaimReason.COUNTER_REPLAYED, ClaimReason.TWO_PLACES):
            self._conflict(item, verdict.doubt)
        return self._reject(message, item.evidence, verdict.doubt, verdict.detail, item)

    def _conflict(self, event: Event, reason: ClaimReason) -> None:
        """Two genuine records that no honest device signs both: noted once per other content."""
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
        self, message: Message, event: Event, verdict: EventVerdict, to: Route
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
                "agreement_id": hexed(to.agreement.agreement),
                "reason": verdict.doubt,
                "role": evidence.STREAM if to.stream else evidence.SUPPORTING,
                **place_columns(event),
            }
        )
        outcome = verdict.doubt or ACCEPTED
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
    named = outcome == ACCEPTED or outcome in (ClaimReason.DUPLICATE, *KEPT)
    return RecordOutcome(
        event.device,
        event.evidence_hash.hex(),
        event.counter,
        str(outcome),
        detail,
        hexed(event.event_id) if named else None,
    )
