"""One running oracle: believes only what it verified itself, attests only what it derived itself.

It remembers a claim before it signs it, so it never signs two claims for one sequence of an
agreement, whatever is killed at whatever moment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from device_adapters import registry
from device_adapters.types import Event, Message, Rejected

from . import rules
from .attest import batch_digest
from .book import Book
from .types import Agreement, Batch, Claim, Doubt, KeyRing, Progress, Terms
from .verify import verify_events
from .wire import Answer, Refusal, Request

MAX_RUN = 10_000  # events of one claim


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this oracle is and for which contracts it speaks; addresses are checksummed."""

    name: str
    domain: int
    address: str
    sign: Callable[[bytes], bytes]  # digest -> 65 bytes; the key itself stays with the caller
    chain_id: int
    committee: str
    rail: str


@dataclass(frozen=True, slots=True)
class World:
    """What this oracle reads from the chain itself, and the products it knows.

    products: name -> (address of its contract, its rules). progress: how far the chain has settled
    an agreement. Whatever these raise (a silent node) comes out of the node's methods.
    """

    keys: KeyRing
    agreement: Callable[[bytes], Agreement | None]
    progress: Callable[[bytes], Progress | None]
    products: Mapping[str, tuple[str, Terms]]
    now: Callable[[], float] = field(default=time.time)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch of messages: new genuine events, repeated ones, rejected records."""

    events: tuple[Event, ...]
    repeated: tuple[Event, ...]
    rejected: tuple[Rejected, ...]


class Node:
    """One oracle with its own book. Thread-safe."""

    def __init__(self, identity: Identity, world: World, book: Book) -> None:
        self.identity, self.world, self.book = identity, world, book
        self._taking = threading.Lock()  # what is new is decided and stored by one at a time

    def take(self, messages: Sequence[Message]) -> Taken:
        """Verifies and stores a batch; when this returns, it is committed.

        Rejected records are kept with their reason; a record that was taken before has no effect.
        """
        now = int(self.world.now())
        events, rejected = _read(messages, now)
        doubts = verify_events([event for _, event in events], self.world.keys)
        genuine = {}
        for (message, event), doubt in zip(events, doubts, strict=True):
            if doubt is None:
                genuine[id(event)] = message, event
            else:
                rejected.append((message, _as_rejected(event, doubt)))
        believed = [event for _, event in genuine.values()]
        new, repeated = [], []
        with self._taking:
            for verdict in rules.repeats(self.book.contents(believed), believed):
                if verdict.doubt is None:
                    new.append(verdict.event)
                elif verdict.doubt is Doubt.DUPLICATE:
                    repeated.append(verdict.event)
                else:
                    refusal = _as_rejected(verdict.event, verdict.doubt, verdict.detail)
                    rejected.append((genuine[id(verdict.event)][0], refusal))
            self.book.add(new, rejected, now)
        return Taken(tuple(new), tuple(repeated), tuple(item for _, item in rejected))

    def attest(self, request: Request) -> Answer:
        """A signature over the whole batch, or every reason why not; see docs/ARCHITECTURE.md."""
        if request.product not in self.world.products:
            return self._refuse([_refused(0, Doubt.PRODUCT_UNKNOWN, request.product[:60])])
        if refusal := _unsorted(request.claims):
            return self._refuse([refusal])
        sent = self._sent(request.evidence)
        judged = [self._judge(request, claim, sent) for claim in request.claims]
        refusals = [
            Refusal(index, *verdict) for index, verdict in enumerate(judged) if verdict is not None
        ]
        if refusals:
            return self._refuse(refusals)
        others = self.book.remember(request.claims, sent.values())
        if others:
            return self._refuse([self._attested_otherwise(i, request.claims[i]) for i in others])
        address, _ = self.world.products[request.product]
        batch = Batch(self.identity.rail, address, request.claims)
        digest = batch_digest(batch, self.identity.chain_id, self.identity.committee)
        return Answer(self.identity.address, self.identity.sign(digest))

    def health(self) -> dict[str, object]:
        """Who this is and how much it holds."""
        who = {"name": self.identity.name, "domain": self.identity.domain}
        return {**who, "oracle": self.identity.address, "counts": self.book.counts()}

    def _sent(self, evidence: Sequence[Message]) -> dict[bytes, Event]:
        """Sent records whose bytes differ from the stored ones over the same signed content.

        Two signatures over one content are the same event, but not the same evidence: the caller's
        bytes are as good as mine, so its claim may stand on them.
        """
        taken = self.take(evidence) if evidence else Taken((), (), ())
        return {event.event_id: event for event in taken.repeated}

    def _judge(
        self, request: Request, claim: Claim, sent: Mapping[bytes, Event]
    ) -> tuple[Doubt, str] | None:
        before = self.book.attested(claim.agreement, claim.sequence)
        if before is not None:
            if before == claim:
                return None
            refusal = self._attested_otherwise(0, claim)
            return refusal.reason, refusal.detail
        agreement = self.world.agreement(claim.agreement)
        if agreement is None:
            return Doubt.NO_AGREEMENT, "the chain knows no such agreement"
        if agreement.product != request.product:
            return Doubt.PRODUCT_UNKNOWN, f"the agreement is about {agreement.product!r}"
        if not agreement.live:
            return Doubt.AGREEMENT_NOT_LIVE, f"ended at {agreement.expires_at}"
        verdict: tuple[Doubt, str] | None = (
            Doubt.SEQUENCE_UNEXPECTED,
            "neither the chain nor my book knows the claim before it",
        )
        stated = request.anchors.get(claim.agreement)
        for anchor in self._anchors(agreement, claim.sequence):
            if stated is not None and stated != anchor:
                verdict = Doubt.SEQUENCE_UNEXPECTED, f"mine ends at counter {anchor}"
                continue
            verdict = self._rederive(agreement, claim, anchor, sent)
            if verdict is None:
                break
        return verdict

    def _anchors(self, agreement: Agreement, sequence: int) -> Iterable[int]:
        """The last claimed counter: by my own book first, since the chain may still be behind."""
        if sequence == 1:
            yield agreement.first_counter
            return
        mine = self.book.attested(agreement.agreement, sequence - 1)
        if mine is not None:
            yield mine.last_counter
        progress = self.world.progress(agreement.agreement)
        if progress is None or progress.sequence != sequence - 1:
            return
        if mine is None or mine.last_counter != progress.last_counter:
            yield progress.last_counter

    def _rederive(
        self, agreement: Agreement, claim: Claim, anchor: int, sent: Mapping[bytes, Event]
    ) -> tuple[Doubt, str] | None:
        """The same run by the same rules from my own evidence, or what differs."""
        if not anchor < claim.first_counter <= claim.last_counter:
            return Doubt.COUNTERS_NOT_CONTIGUOUS, f"not a run behind counter {anchor}"
        if claim.last_counter - claim.first_counter >= MAX_RUN:
            return Doubt.COUNTERS_NOT_CONTIGUOUS, f"a run has at most {MAX_RUN} events"
        stored = self.book.events(agreement.device_id, anchor, claim.last_counter)
        events = [sent.get(event.event_id, event) for event in stored]
        if missing := _missing(claim, anchor, events):
            return Doubt.EVIDENCE_MISSING, missing
        before = events.pop(0) if events[0].counter == anchor else None
        before = before if claim.sequence > 1 else None
        # a record that came after the rail had declared it lost is too late for both: skipping it
        # shows in the claim's counters, and a refusal here would stop the agreement for good
        events = [event for event in events if event.counter >= claim.first_counter]
        _, terms = self.world.products[agreement.product]
        found = rules.runs(agreement, terms, anchor, before, events, rules.EVERYTHING)
        if doubt := _other_run(claim, found):
            return doubt
        if doubt := self._key_now(agreement.device_id, found.run[-1]):
            return doubt
        mine = rules.derive_claim(agreement, terms, claim.sequence, before, found.run)
        if mine.facts != claim.facts:
            return Doubt.CLAIM_DIFFERS, f"I derive the facts 0x{mine.facts.hex()}"
        if mine.evidence != claim.evidence:
            return Doubt.EVIDENCE_MISSING, "same facts from other bytes: send the records along"
        return None

    def _key_now(self, device_id: bytes, last: Event) -> tuple[Doubt, str] | None:
        """What was verified on arrival may be in doubt since: a key can be revoked back in time."""
        key = self.world.keys.key_at(device_id, last.observed_at_ms // 1000)
        return (key, "the device's key is in doubt by now") if isinstance(key, Doubt) else None

    def _attested_otherwise(self, index: int, claim: Claim) -> Refusal:
        before = self.book.attested(claim.agreement, claim.sequence)
        detail = f"counters {before.first_counter} to {before.last_counter}" if before else ""
        return _refused(index, Doubt.ALREADY_ATTESTED_OTHERWISE, detail)

    def _refuse(self, refusals: Sequence[Refusal]) -> Answer:
        return Answer(self.identity.address, None, tuple(refusals))


def _read(
    messages: Iterable[Message], now: int
) -> tuple[list[tuple[Message, Event]], list[tuple[Message, Rejected]]]:
    """Every record with the message it came in: as an event, or as its rejection."""
    events: list[tuple[Message, Event]] = []
    rejected: list[tuple[Message, Rejected]] = []
    for message in messages:
        for item in registry.read(message, now * 1000):
            if isinstance(item, Rejected):
                rejected.append((message, item))
            else:
                events.append((message, item))
    return events, rejected


def _refused(index: int, reason: Doubt, detail: str) -> Refusal:
    return Refusal(index, reason, detail)


def _unsorted(claims: Sequence[Claim]) -> Refusal | None:
    """An empty batch, or the first claim that is not behind its neighbour."""
    if not claims:
        return Refusal(0, Doubt.BATCH_UNSORTED, "a batch has at least one claim")
    for index in range(1, len(claims)):
        if claims[index].agreement <= claims[index - 1].agreement:
            return Refusal(index, Doubt.BATCH_UNSORTED, "agreements must strictly ascend")
    return None


def _missing(claim: Claim, anchor: int, events: Sequence[Event]) -> str:
    """The counters that are needed and not here, in words; "" if none."""
    here = {event.counter for event in events}
    wanted = range(claim.first_counter, claim.last_counter + 1)
    lacking = [counter for counter in wanted if counter not in here]
    if claim.sequence > 1 and anchor not in here:
        lacking.insert(0, anchor)
    return "counters " + ", ".join(map(str, lacking[:20])) if lacking else ""


def _other_run(claim: Claim, found: rules.Runs) -> tuple[Doubt, str] | None:
    """What the rules say where the claim's counters are not the next run."""
    first, last = (found.run[0].counter, found.run[-1].counter) if found.run else (0, 0)
    if (first, last) == (claim.first_counter, claim.last_counter):
        return None
    for verdict in found.dropped:
        if verdict.doubt and claim.first_counter <= verdict.event.counter <= claim.last_counter:
            return verdict.doubt, f"counter {verdict.event.counter}: {verdict.detail}"
    if found.run:
        return Doubt.COUNTERS_NOT_CONTIGUOUS, f"the next run is {first} to {last}"
    return Doubt.INCOMPLETE, "these records do not complete a run yet"


def _as_rejected(event: Event, doubt: Doubt, detail: str = "") -> Rejected:
    return Rejected(doubt, detail or f"{event.device} counter {event.counter}", event.evidence)
