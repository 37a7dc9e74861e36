"""Whether one oracle vouches for a claim: it derives the same run by the same rules itself.

What an oracle holds may differ from what the rail holds. A claim stands if its own events are
admissible one after the other from its anchor, and complete; whatever was skipped shows in its
counters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from device_adapters.types import Event
from oracles.memory import Memory

from . import rules
from .citations import cited_events, cited_ids, resolve, unresolved
from .types import Agreement, Agreements, Claim, ClaimReason, KeyRing, ProductRules, Progress
from .wire import Request

MAX_RUN = 10_000  # events of one claim
Reason = tuple[ClaimReason, str]


@dataclass(frozen=True, slots=True)
class OracleView:
    """What this oracle reads from the chain itself, and the products it knows.

    products: name -> (address of its contract, its rules). progress: how far the chain has settled
    an agreement. Whatever these raise (a silent node) comes out of the node's methods.
    """

    keys: KeyRing
    agreements: Agreements
    progress: Callable[[bytes], Progress | None]
    products: Mapping[str, tuple[str, ProductRules]]
    now: Callable[[], float] = field(default=time.time)


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the claims of one request. sent: event_id -> genuine event that came with it; its
    bytes, and its choice where several events bear a cited id, count before those in the book."""

    view: OracleView
    memory: Memory
    request: Request
    sent: Mapping[bytes, Event]

    def judge(self, claim: Claim) -> Reason | None:
        """None where the claim stands, else why not."""
        before = self.memory.attested(claim.agreement, claim.sequence)
        if before is not None:
            return None if before == claim else attested_otherwise(self.memory, claim)
        agreement = self.view.agreements.agreement(claim.agreement)
        if agreement is None:
            return ClaimReason.NO_AGREEMENT, "the chain knows no such agreement"
        if agreement.product != self.request.product:
            return ClaimReason.PRODUCT_UNKNOWN, f"the agreement is about {agreement.product!r}"
        if not agreement.live:
            return ClaimReason.AGREEMENT_NOT_LIVE, f"ended at {agreement.expires_at}"
        if taken := self._claimed_elsewhere(agreement, claim):
            return taken
        verdict: Reason | None = (
            ClaimReason.SEQUENCE_UNEXPECTED,
            "neither the chain nor my book knows the claim before it",
        )
        stated = self.request.anchors.get(claim.agreement)
        for anchor in self._anchors(agreement, claim.sequence):
            if stated is not None and stated != anchor:
                verdict = ClaimReason.SEQUENCE_UNEXPECTED, f"mine ends at counter {anchor}"
                continue
            verdict = self._rederive(agreement, claim, anchor)
            if verdict is None:
                break
        return verdict

    def _claimed_elsewhere(self, agreement: Agreement, claim: Claim) -> Reason | None:
        """A counter has one effect, also where two agreements are about the same subject."""
        for other in self.view.agreements.agreements_of(agreement.device_id):
            if other.agreement == agreement.agreement or other.subject != agreement.subject:
                continue
            if self.memory.overlapping(other.agreement, claim.first_counter, claim.last_counter):
                detail = f"counters of it stand in a claim of 0x{other.agreement.hex()}"
                return ClaimReason.ALREADY_ATTESTED_OTHERWISE, detail
        return None

    def _anchors(self, agreement: Agreement, sequence: int) -> Iterable[int]:
        """The last claimed counter: by my own book first, since the chain may still be behind.

        A book that lacks a claim cannot tell it: the highest of its counters may stand in there.
        """
        if sequence == 1:
            yield agreement.first_counter
            return
        whole = self.memory.is_complete(agreement.agreement, sequence - 1)
        mine = self.memory.highest_counter(agreement.agreement, sequence) if whole else None
        if mine is not None:
            yield mine
        progress = self.view.progress(agreement.agreement)
        known = progress is not None and progress.sequence == sequence - 1
        if known and mine != progress.last_counter:
            yield progress.last_counter

    def _rederive(self, agreement: Agreement, claim: Claim, anchor: int) -> Reason | None:
        """The same run by the same rules from my own evidence, or what differs."""
        _, terms = self.view.products[agreement.product]
        late = claim.first_counter <= anchor
        if doubt := self._out_of_place(agreement, terms, claim, anchor, late):
            return doubt
        first, last, device = claim.first_counter, claim.last_counter, agreement.device_id
        # a record that came after the rail had declared it lost is too late for both: skipping it
        # shows in the claim's counters, and a refusal here would stop the agreement for good
        events = self._bytes_of(self.memory.events(device, first, last, MAX_RUN))
        before = None
        if claim.sequence > 1 and not late:
            before = next(iter(self._bytes_of(self.memory.events(device, anchor, anchor))), None)
            if before is None:
                return ClaimReason.EVIDENCE_MISSING, f"counters {anchor}"
        if missing := _missing(claim, events, terms.GAPLESS):
            return ClaimReason.EVIDENCE_MISSING, missing
        if late:
            found = rules.late_run(agreement, terms, events, [(anchor, anchor)])
        else:
            found = rules.runs(agreement, terms, anchor, before, events, rules.EVERYTHING)
        return _other_run(claim, found) or self._compare(
            agreement, terms, claim, before, found.run, late
        )

    def _out_of_place(
        self, agreement: Agreement, terms: ProductRules, claim: Claim, anchor: int, late: bool
    ) -> Reason | None:
        """Whether these counters can be a run at all, behind the anchor or (LATE) before it."""
        first, last = claim.first_counter, claim.last_counter
        if not agreement.first_counter < first <= last or (late and not terms.LATE):
            return ClaimReason.COUNTERS_NOT_CONTIGUOUS, f"not a run behind counter {anchor}"
        if terms.GAPLESS and last - first >= MAX_RUN:
            return ClaimReason.COUNTERS_NOT_CONTIGUOUS, f"a run has at most {MAX_RUN} events"
        if not late:
            return None
        if last > anchor:
            return ClaimReason.COUNTERS_NOT_CONTIGUOUS, f"a late run ends before counter {anchor}"
        if not self.memory.is_complete(agreement.agreement, claim.sequence - 1):
            detail = "my book lacks claims before it: which counters they hold I cannot tell"
            return ClaimReason.SEQUENCE_UNEXPECTED, detail
        if taken := self.memory.overlapping(agreement.agreement, first, last, claim.sequence):
            return ClaimReason.ALREADY_ATTESTED_OTHERWISE, f"counters of it stand in claim {taken}"
        return None

    def _compare(
        self,
        agreement: Agreement,
        terms: ProductRules,
        claim: Claim,
        before: Event | None,
        run: Sequence[Event],
        late: bool,
    ) -> Reason | None:
        cited = self._cited(run)
        if lacking := unresolved(run, cited):
            return ClaimReason.EVIDENCE_MISSING, "cited " + ", ".join(lacking[:20])
        if doubt := self._keys_now([*run, *cited_events(run, cited)]):
            return doubt
        mine = rules.derive_claim(agreement, terms, claim.sequence, before, run, cited, late)
        other_bytes = mine.evidence != claim.evidence
        # what is cited may be another event that bears the same id: the caller has to show its own
        if mine.facts != claim.facts and not (cited and other_bytes):
            return ClaimReason.CLAIM_DIFFERS, f"I derive the facts 0x{mine.facts.hex()}"
        if other_bytes:
            return (
                ClaimReason.EVIDENCE_MISSING,
                "from other bytes than mine: send the records along",
            )
        return None

    def _cited(self, run: Sequence[Event]) -> dict[str, Event]:
        """id -> event: the caller's choice where it sent one, else what my book has."""
        ids = cited_ids(run)
        if not ids:
            return {}
        stored = resolve(run, self._bytes_of(self.memory.events_named(ids, run[0].subject)))
        return stored | resolve(run, self.sent.values())

    def _bytes_of(self, events: Iterable[Event]) -> list[Event]:
        return [self.sent.get(event.event_id, event) for event in events]

    def _keys_now(self, events: Iterable[Event]) -> Reason | None:
        """What was verified on arrival may be in doubt since: a key can be revoked back in time."""
        for event in events:
            key = self.view.keys.key_at(event.device_id, event.observed_at_ms // 1000)
            if isinstance(key, ClaimReason):
                return key, f"the key of {event.device} is in doubt by now"
        return None


def attested_otherwise(memory: Memory, claim: Claim) -> Reason:
    """The refusal of a claim whose sequence this book has attested otherwise."""
    before = memory.attested(claim.agreement, claim.sequence)
    detail = f"counters {before.first_counter} to {before.last_counter}" if before else ""
    return ClaimReason.ALREADY_ATTESTED_OTHERWISE, detail


def _missing(claim: Claim, events: Sequence[Event], gapless: bool) -> str:
    """The counters that are needed and not here, in words; "" if none."""
    here = {event.counter for event in events}
    ends = (claim.first_counter, claim.last_counter)
    wanted = range(ends[0], ends[1] + 1) if gapless else sorted(set(ends))
    lacking = [counter for counter in wanted if counter not in here]
    return "counters " + ", ".join(map(str, lacking[:20])) if lacking else ""


def _other_run(claim: Claim, found: rules.Runs) -> Reason | None:
    """What the rules say where the claim's counters are not the next run."""
    first, last = (found.run[0].counter, found.run[-1].counter) if found.run else (0, 0)
    if (first, last) == (claim.first_counter, claim.last_counter):
        return None
    for verdict in found.dropped:
        if verdict.reason and claim.first_counter <= verdict.event.counter <= claim.last_counter:
            return verdict.reason, f"counter {verdict.event.counter}: {verdict.detail}"
    if found.run:
        return ClaimReason.COUNTERS_NOT_CONTIGUOUS, f"the next run is {first} to {last}"
    return ClaimReason.INCOMPLETE, "these records do not complete a run yet"
