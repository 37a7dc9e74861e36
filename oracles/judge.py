"""Decides whether one oracle attests a claim: it derives the same run by the same rules itself.

An oracle may hold other records than the rail. It accepts a claim whose own events are admissible
one after the other from its anchor, and complete. Skipped events show in the claim's counters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from device_adapters.registry import counted_by_signer
from device_adapters.types import Event, Rejected
from oracles.memory import Memory

from .citations import cited_events, cited_ids, resolve, unresolved
from .hearing import Hearing, heard_devices, hearing, with_heard
from .holes import NO_SIBLINGS, Siblings, shared
from .rules import EVERYTHING, Runs, derive_claim, late_run, reopened, runs, stated_before
from .types import Agreement, Agreements, Claim, ClaimReason, KeyRing, ProductRules, Progress
from .verify import reason_now
from .wire import Request

MAX_RUN = 10_000  # events of one claim
_CLOCKS_DIFFER_S = 900  # a block's time may be this far from an oracle's
Reason = tuple[ClaimReason, str]


@dataclass(frozen=True, slots=True)
class OracleView:
    """What this oracle reads from the chain itself, and the products that it knows.

    products: name -> (address of its contract, its rules). progress: how far the chain has settled
    an agreement. now: Unix seconds. What these raise (a silent node) passes through the methods of
    OracleNode.
    """

    keys: KeyRing
    agreements: Agreements
    progress: Callable[[bytes], Progress | None]
    products: Mapping[str, tuple[str, ProductRules]]
    now: Callable[[], float] = field(default=time.time)


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the claims of one request.

    sent: event_id -> genuine event that came with the request. Its bytes are used before the stored
    ones, and so is its choice where several events bear a cited id.
    """

    view: OracleView
    memory: Memory
    request: Request
    sent: Mapping[bytes, Event]

    def judge(self, claim: Claim) -> Reason | None:
        """Return None to attest the claim, else the reason why not."""
        attested = self.memory.attested(claim.agreement, claim.sequence)
        if attested is not None:
            return None if attested == claim else attested_otherwise(self.memory, claim)
        agreement = self.view.agreements.agreement(claim.agreement)
        if agreement is None:
            return ClaimReason.NO_AGREEMENT, "there is no such agreement on chain"
        if agreement.product != self.request.product.partition("@")[0]:  # without the version
            return ClaimReason.PRODUCT_UNKNOWN, f"the agreement is about {agreement.product!r}"
        if not agreement.live:
            return ClaimReason.AGREEMENT_NOT_LIVE, f"ended at {agreement.expires_at}"
        if reason := self._claimed_elsewhere(agreement, claim):
            return reason
        reason = (
            ClaimReason.SEQUENCE_UNEXPECTED,
            "neither the chain nor this oracle has the claim before it",
        )
        stated_anchor = self.request.anchors.get(claim.agreement)
        for anchor in self._anchors(agreement, claim.sequence):
            if stated_anchor is not None and stated_anchor != anchor:
                reason = (
                    ClaimReason.SEQUENCE_UNEXPECTED,
                    f"the claim before it ends at counter {anchor}",
                )
                continue
            reason = self._rederive(agreement, claim, anchor)
            if reason is None:
                break
        return reason

    def _claimed_elsewhere(self, agreement: Agreement, claim: Claim) -> Reason | None:
        """A counter is paid once, also where two agreements are about the same subject."""
        for other in self.view.agreements.agreements_of(agreement.device_id):
            if other.agreement == agreement.agreement or other.subject != agreement.subject:
                continue
            settled, span = self._settled_of_ended(other), (claim.first_counter, claim.last_counter)
            limit = {} if settled is None else {"upto": settled}
            if self.memory.overlapping(other.agreement, *span, **limit):
                detail = f"a claim of 0x{other.agreement.hex()} covers some of its counters"
                return ClaimReason.ALREADY_ATTESTED_OTHERWISE, detail
        return None

    def _settled_of_ended(self, other: Agreement) -> int | None:
        """Return the last sequence that the chain settled of an agreement that is over.

        Nothing else of it will ever be paid: what was signed and not settled is free again. None
        where it may still settle. The end of one with a grace may move with a pause, so that it is
        over once its escrow is reclaimed; contracts before version 2 know no grace.
        """
        over = not other.grace and other.until < self.view.now() - _CLOCKS_DIFFER_S
        if other.live and not over:
            return None
        progress = self.view.progress(other.agreement)
        return progress.sequence if progress else 0

    def _anchors(self, agreement: Agreement, sequence: int) -> Iterable[int]:
        """Yield the possible last claimed counters: first from memory, since the chain may lag.

        Memory that lacks a claim does not count: that claim may hold the highest counter.
        """
        if sequence == 1:
            yield agreement.first_counter
            return
        complete = self.memory.is_complete(agreement.agreement, sequence - 1)
        own_counter = self.memory.highest_counter(agreement.agreement, sequence)
        if not complete:
            own_counter = None
        if own_counter is not None:
            yield own_counter
        progress = self.view.progress(agreement.agreement)
        settled = progress is not None and progress.sequence == sequence - 1
        if settled and own_counter != progress.last_counter:
            yield progress.last_counter

    def _rederive(self, agreement: Agreement, claim: Claim, anchor: int) -> Reason | None:
        """Derive the run from this oracle's own evidence; return None if it is the claim's."""
        _, rules = self.view.products[self.request.product]
        late = claim.first_counter <= anchor
        if reason := self._out_of_place(agreement, rules, claim, anchor, late):
            return reason
        first, last, device = claim.first_counter, claim.last_counter, agreement.device_id
        # A record that came after the rail had declared it lost is too late for both. The claim's
        # counters show that it was skipped; a refusal here would stop the agreement for good.
        events = self._bytes_of(self.memory.events(device, first, last, MAX_RUN))
        anchor_event, goes_on = None, anchor > agreement.first_counter and not late
        if goes_on and self.memory.is_passed_over(agreement.agreement, claim.sequence, anchor):
            agreement = reopened(agreement, rules)
        elif goes_on:
            stored = self._bytes_of(self.memory.events(device, anchor, anchor))
            anchor_event = stored[0] if stored else None
            if anchor_event is None:
                return ClaimReason.EVIDENCE_MISSING, f"counters {anchor}"
        siblings = self._siblings(device, events)
        if missing := _missing(claim, events, rules.GAPLESS, siblings):
            return ClaimReason.EVIDENCE_MISSING, missing
        if late:
            derived = late_run(agreement, rules, events, [(anchor, anchor)], siblings=siblings)
        else:
            derived = runs(agreement, rules, anchor, anchor_event, events, EVERYTHING, siblings)
        return _other_run(claim, derived) or self._compare(
            agreement, rules, claim, anchor_event, derived.run, late
        )

    def _siblings(self, device: bytes, events: Sequence[Event]) -> Siblings:
        """Return what the gateways that signed these events used for other meters meanwhile."""
        signers = {(e.gateway, e.protocol) for e in events if counted_by_signer(e)}
        if not signers:
            return NO_SIBLINGS
        span = events[0].counter, events[-1].counter
        return {
            gateway: self.memory.counters_behind(gateway, device, protocol, *span)
            for gateway, protocol in signers
        }

    def _out_of_place(
        self, agreement: Agreement, rules: ProductRules, claim: Claim, anchor: int, late: bool
    ) -> Reason | None:
        """Check that the counters can be a run: after the anchor, or before it if late."""
        first, last = claim.first_counter, claim.last_counter
        if not agreement.first_counter < first <= last or (late and not rules.LATE):
            return (
                ClaimReason.COUNTERS_NOT_CONTIGUOUS,
                f"these counters are not a run after counter {anchor}",
            )
        if rules.GAPLESS and last - first >= MAX_RUN:
            return ClaimReason.COUNTERS_NOT_CONTIGUOUS, f"a run has at most {MAX_RUN} events"
        if not late:
            return None
        if last > anchor:
            return ClaimReason.COUNTERS_NOT_CONTIGUOUS, f"a late run ends before counter {anchor}"
        if not self.memory.is_complete(agreement.agreement, claim.sequence - 1):
            detail = "this oracle lacks claims before it, and so the counters that they cover"
            return ClaimReason.SEQUENCE_UNEXPECTED, detail
        if other := self.memory.overlapping(agreement.agreement, first, last, claim.sequence):
            detail = f"claim {other} covers some of its counters"
            return ClaimReason.ALREADY_ATTESTED_OTHERWISE, detail
        return None

    def _compare(
        self,
        agreement: Agreement,
        rules: ProductRules,
        claim: Claim,
        anchor_event: Event | None,
        run: Sequence[Event],
        late: bool,
    ) -> Reason | None:
        cited = self._cited(run, heard_devices(rules, agreement.terms, agreement.device_id))
        if missing := unresolved(run, cited):
            return ClaimReason.EVIDENCE_MISSING, "cited " + ", ".join(missing[:20])
        span, reason = hearing(agreement, rules, anchor_event, run), None
        for candidates in self._candidates(span, run):
            try:
                chosen = with_heard(run, cited, span, candidates)
                reason = self._keys_now([*run, *cited_events(run, chosen)])
                if reason is None:
                    before = stated_before(rules, claim.facts)
                    own = derive_claim(
                        agreement, rules, claim.sequence, anchor_event, run, chosen, late, before
                    )
                    reason = _difference(claim, own, bool(chosen or span))
            except Rejected as refusal:
                reason = ClaimReason(refusal.reason), refusal.detail
                continue
            if reason is None or reason[0] is ClaimReason.CLAIM_DIFFERS:
                return reason
        return self._left_out(span, run, cited) or reason

    def _cited(self, run: Sequence[Event], devices: Collection[bytes]) -> dict[str, Event]:
        """Return id -> cited event: the one that the caller sent, else the stored one."""
        ids = cited_ids(run)
        if not ids:
            return {}
        events = self.memory.events_named(ids, run[0].subject, devices)
        stored = resolve(run, self._bytes_of(events), devices)
        return stored | resolve(run, self.sent.values(), devices)

    def _candidates(self, span: Hearing | None, run: Sequence[Event]) -> Iterable[list[Event]]:
        """Yield what the claim may have heard: all that is stored here, then what was sent.

        What was stored before the run's last event must be in any claim. Later records of the same
        devices may be: the rail derived its claim when it had some of them, and sends those.
        """
        if span is None:
            yield []
            return
        yield self._genuine_now(self.memory.events_heard(span, 2 * span.most_events))
        if self.sent:
            yield [*filter(span.covers, self.sent.values()), *self._earlier(span, run)]

    def _earlier(self, span: Hearing, run: Sequence[Event]) -> list[Event]:
        """Return the events that this oracle stored before the run's last one."""
        before = run[-1].device_id, run[-1].counter
        return self._genuine_now(self.memory.events_heard(span, 2 * span.most_events, before))

    def _left_out(
        self, span: Hearing | None, run: Sequence[Event], cited: Mapping[str, Event]
    ) -> Reason | None:
        """Return that the claim leaves out a record, if all that it is made of was sent."""
        if span is None or run[-1].event_id not in self.sent:
            return None
        in_claim = {*self.sent, *(event.event_id for event in cited.values())}
        for event in self._earlier(span, run):
            if event.event_id not in in_claim:
                return ClaimReason.HEARD_LEFT_OUT, f"{event.device}, counter {event.counter}"
        return None

    def _genuine_now(self, events: Iterable[Event]) -> list[Event]:
        return [e for e in self._bytes_of(events) if reason_now(e, self.view.keys) is None]

    def _bytes_of(self, events: Iterable[Event]) -> list[Event]:
        return [self.sent.get(event.event_id, event) for event in events]

    def _keys_now(self, events: Iterable[Event]) -> Reason | None:
        """Check the keys again: one may have been revoked since, from an earlier time on."""
        for event in events:
            if reason := reason_now(event, self.view.keys):
                return reason, f"the key of {event.device} is no longer valid for that time"
        return None


def _difference(claim: Claim, own: Claim, may_cite: bool) -> Reason | None:
    """Return how a claim differs from this oracle's own; None if it does not.

    may_cite: it cites or hears others, perhaps other events than this oracle has chosen. Then the
    caller has to send them.
    """
    other_evidence = own.evidence != claim.evidence
    if own.facts != claim.facts and not (may_cite and other_evidence):
        return ClaimReason.CLAIM_DIFFERS, f"this oracle derives the facts 0x{own.facts.hex()}"
    if other_evidence:
        detail = "the claim is derived from other bytes: send the records with it"
        return ClaimReason.EVIDENCE_MISSING, detail
    return None


def attested_otherwise(memory: Memory, claim: Claim) -> Reason:
    """Return the refusal of a claim whose sequence was attested with another claim."""
    other = memory.attested(claim.agreement, claim.sequence)
    detail = f"counters {other.first_counter} to {other.last_counter}" if other else ""
    return ClaimReason.ALREADY_ATTESTED_OTHERWISE, detail


def _missing(
    claim: Claim, events: Sequence[Event], gapless: bool, siblings: Siblings = NO_SIBLINGS
) -> str:
    """Return which counters are needed and not stored, in words; "" if none."""
    stored = {event.counter for event in events}
    stored |= {counter for used in shared(siblings, events).values() for counter in used}
    ends = (claim.first_counter, claim.last_counter)
    needed = range(ends[0], ends[1] + 1) if gapless else sorted(set(ends))
    missing = [counter for counter in needed if counter not in stored]
    return "counters " + ", ".join(map(str, missing[:20])) if missing else ""


def _other_run(claim: Claim, derived: Runs) -> Reason | None:
    """Return why the claim's counters are not the derived run; None if they are."""
    run = derived.run
    first, last = (run[0].counter, run[-1].counter) if run else (0, 0)
    if (first, last) == (claim.first_counter, claim.last_counter):
        return None
    for verdict in derived.dropped:
        if verdict.reason and claim.first_counter <= verdict.event.counter <= claim.last_counter:
            return verdict.reason, f"counter {verdict.event.counter}: {verdict.detail}"
    if run:
        return ClaimReason.COUNTERS_NOT_CONTIGUOUS, f"the next run is {first} to {last}"
    return ClaimReason.INCOMPLETE, "these records do not complete a run yet"
