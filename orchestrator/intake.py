"""The one path of all inlets: messages in, stored events or named rejections out, then receipts.

MQTT, HTTP and file replay all end here. Nothing is answered before the commit, and no message can
stop its neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from device_adapters.registry import read
from device_adapters.types import Event, Message, Rejected
from oracles.rules import Verdict, content_id, screen
from oracles.types import Agreement, Doubt, KeyRing
from oracles.verify import verify_events
from orchestrator.edges.store import Session, Store, add_new, add_values, agreements, evidence

# doubts about a genuine event of a live agreement: it holds its counter, but is never claimed
_KEPT = (Doubt.NOT_BILLABLE,)
# what a device is told for a record that is already safe
ACCEPTED = "accepted"
INTERNAL_ERROR = "internal_error"  # a bug of ours, never the sender's fault
_Judged = tuple[Verdict, Agreement | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one record is answered: an event id, or a named reason (both for a duplicate)."""

    device: str
    evidence: str  # SHA-256, hex
    counter: int | None
    outcome: str  # "accepted" or a reason
    detail: str
    event_id: str | None


class Intake:
    """Takes batches of messages into the store.

    keyring, agreement_of: the chain's view of devices and agreements. now: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        keyring: KeyRing,
        agreement_of: Callable[[bytes], Agreement | None],
        now: Callable[[], float],
    ) -> None:
        self._store, self._keyring, self._agreement_of = store, keyring, agreement_of
        self._now = now

    def take(self, messages: Sequence[Message]) -> list[list[Outcome]]:
        """One list of outcomes per message, in order; everything is committed on return.

        Raises Retry if the chain or the database cannot be reached: then nothing was stored and
        the messages must be handed over again.
        """
        now = self._now()
        records = [(m, read(m, int(now * 1000))) for m in messages]
        events = [item for _, found in records for item in found if isinstance(item, Event)]
        doubts = dict(zip(map(id, events), verify_events(events, self._keyring), strict=True))
        genuine = [e for e in events if doubts[id(e)] is None]
        # asked before the write: a slow node must hold up no other writer
        current = {device: self._agreement_of(device) for device in {e.device_id for e in genuine}}
        with self._store.write() as session:
            verdicts = self._screen(session, genuine, current)
            rows = _Rows(int(now))
            outcomes = [
                [rows.outcome(message, item, doubts.get(id(item)), verdicts.get(id(item)))
                 for item in found]
                for message, found in records
            ]  # fmt: skip
            add_values(session, evidence.Evidence, rows.evidence)
            add_values(session, evidence.Event, rows.events)
            add_values(session, evidence.Rejection, rows.rejections)
        return outcomes

    def put_aside(self, message: Message, error: str) -> None:
        """Keeps a message that our own code failed on; it gets no receipt, so it comes again."""
        with self._store.write() as session:
            add_new(session, [evidence.Rejection(
                received_at=int(self._now()), source=message.source, device=message.device,
                protocol=message.protocol, reason=INTERNAL_ERROR, detail=error, body=message.body,
            )])  # fmt: skip

    def _screen(
        self, session: Session, events: list[Event], current: dict[bytes, Agreement | None]
    ) -> dict[int, _Judged]:
        by_device: dict[bytes, list[Event]] = defaultdict(list)
        for event in events:
            by_device[event.device_id].append(event)
        known = evidence.known_contents(session, ["0x" + e.event_id.hex() for e in events])
        claimed = agreements.last_counters(
            session, ["0x" + a.agreement.hex() for a in current.values() if a]
        )
        verdicts = {}
        for device, mine in by_device.items():
            agreement = current[device]
            last = claimed.get("0x" + agreement.agreement.hex(), -1) if agreement else -1
            for verdict in screen(agreement, known.get("0x" + device.hex(), {}), mine, last):
                verdicts[id(verdict.event)] = (verdict, agreement)
        return verdicts


class _Rows:
    """Collects the rows of one batch while its records are judged."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.evidence: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.rejections: list[dict[str, Any]] = []

    def outcome(
        self,
        message: Message,
        item: Event | Rejected,
        doubt: Doubt | None,
        judged: _Judged | None,
    ) -> Outcome:
        if isinstance(item, Rejected):
            return self._reject(message, item.raw, item.reason, item.detail)
        if doubt is not None:
            detail = f"device {item.device}, counter {item.counter}"
            return self._reject(message, item.evidence, doubt, detail, item)
        verdict, agreement = judged
        if verdict.doubt is None or verdict.doubt in _KEPT:
            return self._accept(message, item, verdict, agreement)
        return self._reject(message, item.evidence, verdict.doubt, verdict.detail, item)

    def _accept(
        self, message: Message, event: Event, verdict: Verdict, agreement: Agreement
    ) -> Outcome:
        digest = event.evidence_hash.hex()
        self.evidence.append({
            "evidence_hash": digest, "body": event.evidence, "protocol": event.protocol,
            "source": message.source, "received_at": self.now,
        })  # fmt: skip
        self.events.append({
            "event_id": "0x" + event.event_id.hex(), "device_id": "0x" + event.device_id.hex(),
            "counter": event.counter, "observed_at_ms": event.observed_at_ms,
            "received_at": self.now, "evidence_hash": digest,
            "content_hash": content_id(event).hex(),
            "agreement_id": "0x" + agreement.agreement.hex(), "reason": verdict.doubt,
        })  # fmt: skip
        outcome = verdict.doubt or ACCEPTED
        return _outcome(event, outcome, verdict.detail)

    def _reject(
        self, message: Message, raw: bytes, reason: str, detail: str, event: Event | None = None
    ) -> Outcome:
        device = event.device if event else message.device
        self.rejections.append({
            "received_at": self.now, "source": message.source, "device": device,
            "protocol": message.protocol, "reason": str(reason), "detail": detail, "body": raw,
        })  # fmt: skip
        if event is None:
            return Outcome(device, sha256(raw).hexdigest(), None, str(reason), detail, None)
        return _outcome(event, str(reason), detail)


def _outcome(event: Event, outcome: str, detail: str) -> Outcome:
    named = outcome == ACCEPTED or outcome in (Doubt.DUPLICATE, *_KEPT)
    return Outcome(
        event.device, event.evidence_hash.hex(), event.counter, str(outcome), detail,
        "0x" + event.event_id.hex() if named else None,
    )  # fmt: skip
