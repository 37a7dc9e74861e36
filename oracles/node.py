"""One running oracle: accepts only what it verified and attests only what it derived itself.

It stores a claim before it signs it. So it never signs two claims for one sequence of an agreement,
even if it is killed at any moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from device_adapters import registry
from device_adapters.types import Event, Message, Rejected
from oracles.memory import Memory

from . import rules
from .attest import batch_digest
from .judge import Judge, OracleView, attested_otherwise
from .readers import OWN, RecordReader
from .rulings import RulingMemory, SignedRuling
from .types import Batch, Claim, ClaimReason
from .verify import verify_events
from .wire import ClaimRefusal, OracleAnswer, Request


@dataclass(frozen=True, slots=True)
class Identity:
    """Name, key and contracts of one oracle; addresses are checksummed."""

    name: str
    domain: int
    address: str
    sign: Callable[[bytes], bytes]  # digest -> 65 bytes; the caller keeps the key
    chain_id: int
    committee: str
    rail: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Result of a batch of messages: new genuine events, repeated ones, rejected records."""

    events: tuple[Event, ...]
    repeated: tuple[Event, ...]
    rejected: tuple[Rejected, ...]


class OracleNode:
    """One oracle with its own memory. Thread-safe."""

    def __init__(
        self, identity: Identity, view: OracleView, memory: Memory, reader: RecordReader = OWN
    ) -> None:
        self.identity, self.view, self.memory, self.reader = identity, view, memory, reader
        self._rulings = RulingMemory(memory.path)
        self._taking = threading.Lock()  # one thread at a time decides what is new and stores it

    def take(self, messages: Sequence[Message]) -> Taken:
        """Verify and store a batch of messages; it is committed when this returns.

        Rejected records are stored with their reason. A record that was stored before has no
        effect.
        """
        now = int(self.view.now())
        events, rejected = _read(messages, now, self.reader)
        outcomes = verify_events([event for _, event in events], self.view.keys)
        genuine = {}
        for (message, _), outcome in zip(events, outcomes, strict=True):
            if isinstance(outcome, Rejected):
                rejected.append((message, outcome))
            else:
                genuine[id(outcome)] = message, outcome
        accepted = [event for _, event in genuine.values()]
        new, repeated = [], []
        with self._taking:
            for verdict in rules.repeats(self.memory.contents(accepted), accepted):
                if verdict.reason is None:
                    new.append(verdict.event)
                elif verdict.reason is ClaimReason.DUPLICATE:
                    repeated.append(verdict.event)
                else:
                    refusal = _as_rejected(verdict.event, verdict.reason, verdict.detail)
                    rejected.append((genuine[id(verdict.event)][0], refusal))
            positions = [m.position for m in messages if m.position is not None]
            self.memory.add(new, rejected, now, positions[-1] if positions else None)
        return Taken(tuple(new), tuple(repeated), tuple(item for _, item in rejected))

    def attest(self, request: Request) -> OracleAnswer:
        """Return a signature over the whole batch, or all reasons against it.

        The rules are in docs/ARCHITECTURE.md.
        """
        if request.product not in self.view.products:
            return self._refuse([_refused(0, ClaimReason.PRODUCT_UNKNOWN, request.product[:60])])
        if refusal := _unsorted(request.claims):
            return self._refuse([refusal])
        sent = self._sent(request.evidence)
        judge = Judge(self.view, self.memory, request, sent)
        reasons = [judge.judge(claim) for claim in request.claims]
        refusals = [
            ClaimRefusal(index, *reason)
            for index, reason in enumerate(reasons)
            if reason is not None
        ]
        if refusals:
            return self._refuse(refusals)
        others = self.memory.remember(request.claims, sent.values())
        if others:
            return self._refuse([self._attested_otherwise(i, request.claims[i]) for i in others])
        address, _ = self.view.products[request.product]
        batch = Batch(self.identity.rail, address, request.claims)
        digest = batch_digest(batch, self.identity.chain_id, self.identity.committee)
        return OracleAnswer(self.identity.address, self.identity.sign(digest))

    def rulings(self) -> list[SignedRuling]:
        """Return the rulings that people of this oracle's trust domain had it sign."""
        return self._rulings.all()

    def health(self) -> dict[str, object]:
        """Return the oracle's name, trust domain, reader, address and number of stored rows."""
        identity = {"name": self.identity.name, "domain": self.identity.domain}
        identity["reader"] = self.reader.name
        return {**identity, "oracle": self.identity.address, "counts": self.memory.counts()}

    def _sent(self, evidence: Sequence[Message]) -> dict[bytes, Event]:
        """Return the genuine events among the records that came with the request.

        Two signatures over one content are the same event but different evidence. The caller's
        bytes are as good as the stored ones, so its claim may be based on them.
        """
        taken = self.take(evidence) if evidence else Taken((), (), ())
        return {event.event_id: event for event in (*taken.events, *taken.repeated)}

    def _attested_otherwise(self, index: int, claim: Claim) -> ClaimRefusal:
        return ClaimRefusal(index, *attested_otherwise(self.memory, claim))

    def _refuse(self, refusals: Sequence[ClaimRefusal]) -> OracleAnswer:
        return OracleAnswer(self.identity.address, None, tuple(refusals))


def _read(
    messages: Iterable[Message], now: int, reader: RecordReader
) -> tuple[list[tuple[Message, Event]], list[tuple[Message, Rejected]]]:
    """Decode every record, as an event or a rejection, with the message that it came in."""
    events: list[tuple[Message, Event]] = []
    rejected: list[tuple[Message, Rejected]] = []
    for message in messages:
        for item in registry.read(message, now * 1000, reader.decoders):
            if isinstance(item, Rejected):
                rejected.append((message, item))
            else:
                events.append((message, item))
    return events, rejected


def _refused(index: int, reason: ClaimReason, detail: str) -> ClaimRefusal:
    return ClaimRefusal(index, reason, detail)


def _unsorted(claims: Sequence[Claim]) -> ClaimRefusal | None:
    """Return the refusal of an empty or unsorted batch; None if it is in order."""
    if not claims:
        return ClaimRefusal(0, ClaimReason.BATCH_UNSORTED, "a batch has at least one claim")
    for index in range(1, len(claims)):
        if claims[index].agreement <= claims[index - 1].agreement:
            return ClaimRefusal(
                index, ClaimReason.BATCH_UNSORTED, "agreements must strictly ascend"
            )
    return None


def _as_rejected(event: Event, reason: ClaimReason, detail: str) -> Rejected:
    return Rejected(reason, detail or f"{event.device} counter {event.counter}", event.evidence)
