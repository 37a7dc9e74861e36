"""From events to claims: finds the next run of each agreement and derives its claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from device_adapters.registry import counted_by_signer
from device_adapters.types import Event, Rejected
from oracles.attest import claim_hash
from oracles.citations import resolve
from oracles.holes import Siblings, subtract
from oracles.rules import Hole, Runs, derive_claim, late_run, reopened, runs
from oracles.types import Agreement, Claim, ProductRules
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
from orchestrator.steps import event_of

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
            if not _derives(context, session, payment, row):
                first, last = payment.first_counter, payment.last_counter
                evidence.claim_events(session, agreement, first, last, payment.payment_id)
                if not _derives(context, session, payment, row):
                    continue  # more of its records are to come
            derived = payments.NewFact(payment.payment_id, Fact.DERIVED, payment.claim_hash)
            payments.record_facts(session, [derived], now)


def _derives(
    context: CollectContext,
    session: Session,
    payment: payments.PaymentRow,
    agreement: agreements.AgreementRow,
) -> bool:
    """Return whether the stored evidence of a payment makes the claim that the chain has."""
    try:
        claim = claim_of(context, session, payment, agreement)
    except (Rejected, KeyError, IndexError):
        return False
    return payment.claim_hash == "0x" + claim_hash(claim).hex()


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
    events = _events(evidence.late(session, row.agreement_id, last_counter, MAX_EVENTS_PER_CLAIM))
    before = events[0].counter - 1
    ranges = agreements.claimed_ranges(session, row.agreement_id, before)
    if open_gaps := getattr(rules, "open_gaps", None):
        gone = subtract([Hole(before + 1, last_counter)], open_gaps(before, ranges))
        ranges = [(hole.first, hole.last) for hole in gone]
    ranges.append((last_counter, last_counter))
    cited = resolve(
        events, _events(citations.cited_by_events(session, [e.event_id for e in events]))
    )
    agreement = context.registry.agreement(bytes.fromhex(row.agreement_id[2:]))
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


def _events(records: Sequence[evidence.Record]) -> list[Event]:
    return [_event(record) for record in records]


def _event(record: evidence.Record) -> Event:
    return event_of(record.protocol, record.body, record.assurance, record.gateway)


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
    events = _events(stored)
    return runs(
        agreement,
        rules,
        row.last_counter,
        _event(anchor) if anchor else None,
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
            session, gateway, _hex(events[0].device_id), protocol, first, events[-1].counter
        )
        for gateway, protocol in signers
    }


def _hex(identity: bytes) -> str:
    return "0x" + identity.hex()


def verify(context: CollectContext) -> int:
    """Derive the claims of new payments from the stored evidence; return how many."""
    now = context.now()
    with context.store.read() as session:
        due = payments.due(session, NextStep.VERIFY, now, context.settings.batch_claims)
        claims = [
            (row, agreement, claim_of(context, session, row, agreement)) for row, agreement in due
        ]
    facts = [
        payments.NewFact(
            row.payment_id,
            Fact.DERIVED,
            detail=f"{len(claim.facts)} bytes",
            sets={
                "evidence_root": "0x" + claim.evidence.hex(),
                "facts": "0x" + claim.facts.hex(),
                "claim_hash": "0x" + claim_hash(claim).hex(),
                "payee": context.rules[agreement.product].payee(claim.facts) or agreement.payee,
            },
        )
        for row, agreement, claim in claims
    ]
    if not facts:  # a write transaction costs, also an empty one
        return 0
    with context.store.write() as session:
        # one that was held meanwhile keeps its derivation for later: a fact counts once
        ids = [fact.payment_id for fact in facts]
        due_still = payments.still_at(session, ids, Stage.RECEIVED)
        facts = [fact for fact in facts if fact.payment_id in due_still]
        return payments.record_facts(session, facts, now)


def claim_of(
    context: CollectContext,
    session: Session,
    row: payments.PaymentRow,
    agreement: agreements.AgreementRow,
) -> Claim:
    """Return the claim of a payment, derived from its evidence, its anchor and its citations."""
    run = _events(evidence.records_of(session, row.payment_id))
    reach = agreements.reach(session, row.agreement_id, row.sequence)
    late = reach is not None and row.first_counter <= reach
    anchor, rules = anchor_of(session, row), context.rules[agreement.product]
    agreed = context.registry.agreement(bytes.fromhex(row.agreement_id[2:]))
    if not late and agreements.is_passed_over(session, agreement, row.sequence, reach):
        agreed = reopened(agreed, rules)
    return derive_claim(
        agreed,
        rules,
        row.sequence,
        _event(anchor) if anchor else None,
        run,
        resolve(run, _events(citations.cited_by(session, [row.payment_id])[row.payment_id])),
        late,
    )


def anchor_of(session: Session, row: payments.PaymentRow) -> evidence.Record | None:
    """Return the record of the last event that was claimed before this payment.

    None for the first payment, for one behind records that were passed over, and for a late one,
    which stands by itself.
    """
    reach = agreements.reach(session, row.agreement_id, row.sequence)
    if reach is None or row.first_counter <= reach:
        return None
    agreement = agreements.get(session, row.agreement_id)
    if agreement and agreements.is_passed_over(session, agreement, row.sequence, reach):
        return None
    return evidence.at_counter(session, row.agreement_id, reach)
