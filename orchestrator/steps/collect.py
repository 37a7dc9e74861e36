"""From events to claims: finds the next run of each agreement and derives its claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from device_adapters.registry import counted_by_signer
from device_adapters.types import Event, Rejected
from oracles.attest import claim_hash
from oracles.holes import Siblings, subtract
from oracles.rules import Hole, Runs, late_run, reopened, runs
from oracles.types import Agreement, ProductRules
from orchestrator.core.identity import payment_id
from orchestrator.core.payment import HOLDABLE, STOPPING, Fact, NextStep, Stage
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.store import (
    Session,
    Store,
    add_new,
    agreements,
    citations,
    evidence,
    later_outcomes,
    payments,
)
from orchestrator.products import Product
from orchestrator.settings import Settings
from orchestrator.steps.claims import cited_by, claim_of, event_of_record, events_of, hexed

IN_FLIGHT = (*HOLDABLE, Stage.HELD)
MAX_EVENTS_PER_CLAIM = 2_000


class CollectContext(Protocol):
    """What collect and verify need of the rail."""

    settings: Settings
    store: Store
    registry: Registry
    rules: Mapping[str, Product]
    now: Callable[[], int]  # Unix seconds
    log: Any


def collect(context: CollectContext) -> int:
    """Start a payment for every agreement whose next run is complete; return how many.

    One payment per agreement is on its way to the chain at a time. What arrives meanwhile makes the
    next run longer, so that load makes claims larger and not more numerous.
    """
    now, started = context.now(), 0
    with context.store.read() as session:
        busy = payments.busy_agreements(session, IN_FLIGHT + STOPPING)
        waiting = evidence.agreements_with_unclaimed(session)
    for agreement in waiting:
        complete(context, agreement, now)
        if agreement in busy:
            continue
        with context.store.write() as session:
            started += _start(context, session, agreement, now)
    return started


def _start(context: CollectContext, session: Session, agreement: str, now: int) -> int:
    row = agreements.get(session, agreement)
    if row is None or row.stage != agreements.Stage.LIVE:
        return 0
    claimed = row.last_counter > row.first_counter and not _reopens(session, row)
    if claimed and evidence.at_counter(session, agreement, row.last_counter) is None:
        return 0  # a store that was restored: the records of its last claim are to be sent again
    result = _late(context, session, row, now)
    if not result.run:
        result = _next(context, session, row, now)
    if not result.run:
        return 0
    first, last = result.run[0].counter, result.run[-1].counter
    row.sequence, row.last_counter = row.sequence + 1, max(row.last_counter, last)
    identity = "0x" + payment_id(bytes.fromhex(agreement[2:]), row.sequence).hex()
    session.add(
        payments.PaymentRow(
            payment_id=identity,
            agreement_id=agreement,
            sequence=row.sequence,
            stage=Stage.RECEIVED,
            next_step=NextStep.VERIFY,
            first_counter=first,
            last_counter=last,
            created_at=now,
        )
    )
    evidence.claim_events(session, agreement, first, last, identity)
    return 1


def complete(context: CollectContext, agreement: str, now: int) -> None:
    """Put records that were sent again into the payments that the chain settled for them.

    Only payments that were taken from the chain (`steps.adopt`) take any, and only until their
    evidence makes the claim that the chain has.
    """
    with context.store.read() as session:
        row = agreements.get(session, agreement)
        if row is None or evidence.late_since(session, agreement, row.last_counter) is None:
            return
        missing = [payment.payment_id for payment in payments.underived(session, agreement)]
    if not missing:
        return
    with context.store.write() as session:
        row = agreements.get(session, agreement)
        for payment in payments.underived(session, agreement):
            heard = _derives(context, session, payment, row)
            if heard is None:
                first, last = payment.first_counter, payment.last_counter
                evidence.claim_events(session, agreement, first, last, payment.payment_id)
                heard = _derives(context, session, payment, row)
            if heard is None:
                continue  # more of its records are to come
            citations.keep_heard(session, payment.payment_id, heard)
            derived = payments.NewFact(payment.payment_id, Fact.DERIVED, payment.claim_hash)
            payments.record_facts(session, [derived], now)


def _derives(
    context: CollectContext,
    session: Session,
    payment: payments.PaymentRow,
    agreement: agreements.AgreementRow,
) -> list[str] | None:
    """Return the ids of what a payment's claim hears, if the stored evidence makes the claim that
    the chain has; None if it does not."""
    try:
        claim, heard = claim_of(context, session, payment, agreement)
    except (Rejected, KeyError, IndexError):
        return None
    return heard if payment.claim_hash == "0x" + claim_hash(claim).hex() else None


def _next(
    context: CollectContext, session: Session, row: agreements.AgreementRow, now: int
) -> Runs:
    """Return the run behind the last claim, across holes that were waited for long enough."""
    result = _runs(context, session, row)
    if not result.run and (
        overdue := _overdue(context, session, row.agreement_id, result.holes, now)
    ):
        add_new(
            session,
            [
                evidence.HoleRow(
                    agreement_id=row.agreement_id,
                    first_counter=hole.first,
                    last_counter=hole.last,
                    declared_at=now,
                )
                for hole in overdue
            ],
        )
        result = _runs(context, session, row)
    _drop(context, session, row, result, now)
    return result


def _late(
    context: CollectContext, session: Session, row: agreements.AgreementRow, now: int
) -> Runs:
    """Return a run of records that came after claims had passed them.

    Only some products take such runs. Where counters have no gap, late records are judged once no
    new one has come for as long as a hole is waited for: their neighbours may be on their way.
    """
    rules, last_counter = context.rules[row.product], row.last_counter
    if not rules.LATE:
        return Runs()
    arrived_at = evidence.late_since(session, row.agreement_id, last_counter)
    waited = not rules.GAPLESS or now - (arrived_at or 0) >= context.settings.hole_patience_s
    if arrived_at is None or not waited:
        return Runs()
    events = events_of(evidence.late(session, row.agreement_id, last_counter, MAX_EVENTS_PER_CLAIM))
    before = events[0].counter - 1
    ranges = agreements.claimed_ranges(session, row.agreement_id, before)
    if open_gaps := getattr(rules, "open_gaps", None):
        gone = subtract([Hole(before + 1, last_counter)], open_gaps(before, ranges))
        ranges = [(hole.first, hole.last) for hole in gone]
    ranges.append((last_counter, last_counter))
    agreement = context.registry.agreement(bytes.fromhex(row.agreement_id[2:]))
    cited = cited_by(session, agreement, rules, events)
    siblings = siblings_of(session, events, events[0].counter)
    result = late_run(agreement, rules, events, ranges, cited, siblings)
    _drop(context, session, row, result, now)
    return result


def _drop(
    context: CollectContext, session: Session, row: agreements.AgreementRow, result: Runs, now: int
) -> None:
    reasons = {
        "0x" + verdict.event.event_id.hex(): (str(verdict.reason), verdict.detail)
        for verdict in result.dropped
    }
    later_outcomes.add_dropped(session, reasons, now)
    for verdict in result.dropped:
        evidence.drop(session, "0x" + verdict.event.event_id.hex(), str(verdict.reason))
        context.log.info(
            "event dropped",
            device=row.device,
            counter=verdict.event.counter,
            reason=verdict.reason,
            detail=verdict.detail,
        )


def _overdue(
    context: CollectContext, session: Session, agreement: str, holes: Sequence[Hole], now: int
) -> list[Hole]:
    """Return the holes that were waited for long enough.

    The wait starts when what follows a hole arrived, however much came after that.
    """
    patience = context.settings.hole_patience_s
    return [
        hole
        for hole in holes
        if (arrived_at := evidence.waiting_since(session, agreement, hole.last)) is not None
        and now - arrived_at >= patience
    ]


def _runs(context: CollectContext, session: Session, row: agreements.AgreementRow) -> Runs:
    agreement = context.registry.agreement(bytes.fromhex(row.agreement_id[2:]))
    return runs_behind(session, row, agreement, context.rules[row.product])


def _reopens(session: Session, row: agreements.AgreementRow) -> bool:
    """Return whether the next claim follows records that payer and payee passed over."""
    return agreements.is_passed_over(session, row, row.sequence + 1, row.last_counter)


def runs_behind(
    session: Session, row: agreements.AgreementRow, agreement: Agreement | None, rules: ProductRules
) -> Runs:
    """Return what can be claimed of the stored events behind an agreement's last claim."""
    stored = evidence.unclaimed(session, row.agreement_id, row.last_counter, MAX_EVENTS_PER_CLAIM)
    anchor = None
    if agreement is not None and _reopens(session, row):
        agreement = reopened(agreement, rules)
    else:
        anchor = evidence.at_counter(session, row.agreement_id, row.last_counter)
    dropped = evidence.dropped_counters(session, row.agreement_id, row.last_counter)
    gone = [(c, c) for c in dropped] + evidence.holes_of(session, row.agreement_id)
    events = events_of(stored)
    return runs(
        agreement,
        rules,
        row.last_counter,
        event_of_record(anchor) if anchor else None,
        events,
        gone,
        siblings_of(session, events, row.last_counter + 1),
    )


def siblings_of(session: Session, events: Sequence[Event], first: int) -> Siblings:
    """Return what the gateways that signed these events used for other meters meanwhile.

    Args:
        session: A session of the store.
        events: Events of one device, by counter.
        first: The first counter that matters.
    """
    signers = {(e.gateway, e.protocol) for e in events if counted_by_signer(e)}
    return {
        gateway: evidence.counters_behind(
            session, gateway, hexed(events[0].device_id), protocol, first, events[-1].counter
        )
        for gateway, protocol in signers
    }


def verify(context: CollectContext) -> int:
    """Derive the claims of new payments from the stored evidence; return how many were judged.

    What a claim hears is chosen here, and is stored: later records of these devices change nothing.
    """
    now = context.now()
    with context.store.read() as session:
        due = payments.due(session, NextStep.VERIFY, now, context.settings.batch_claims)
        judged = [
            (row.payment_id, *_judged(context, session, row, agreement)) for row, agreement in due
        ]
    if not judged:  # a write transaction costs, also an empty one
        return 0
    with context.store.write() as session:
        # one that was held meanwhile keeps its derivation for later: a fact counts once
        ids = [payment for payment, _, _ in judged]
        due_still = payments.still_at(session, ids, Stage.RECEIVED)
        judged = [row for row in judged if row[0] in due_still]
        for payment, _, heard in judged:
            if heard is not None:
                citations.keep_heard(session, payment, heard)
        return payments.record_facts(session, [fact for _, fact, _ in judged], now)


def _judged(
    context: CollectContext,
    session: Session,
    row: payments.PaymentRow,
    agreement: agreements.AgreementRow,
) -> tuple[payments.NewFact, list[str] | None]:
    """Return what becomes of a payment's run, and the ids of the events that its claim hears.

    They are None for a product that hears none.
    """
    rules = context.rules[agreement.product]
    key = str(context.now()) if row.claim_hash else ""  # derived again, after a ruling
    try:
        claim, heard = claim_of(context, session, row, agreement)
    except Rejected as refusal:
        reason = {"reason": str(refusal.reason)}
        fact = payments.NewFact(row.payment_id, Fact.UNDERIVABLE, key, refusal.detail, reason)
        return fact, None
    fact = payments.NewFact(
        row.payment_id,
        Fact.DERIVED,
        key,
        detail=f"{len(claim.facts)} bytes",
        sets={
            "evidence_root": "0x" + claim.evidence.hex(),
            "facts": "0x" + claim.facts.hex(),
            "claim_hash": "0x" + claim_hash(claim).hex(),
            "payee": rules.payee(claim.facts) or agreement.payee,
        },
    )
    return fact, heard if hasattr(rules, "heard_period") else None
