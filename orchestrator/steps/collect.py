"""From events to claims: finds each agreement's next run, names its holes, derives its claim."""

from __future__ import annotations

from collections.abc import Sequence

from device_adapters.types import Event
from oracles.attest import claim_hash
from oracles.citations import resolve
from oracles.rules import Hole, Runs, derive_claim, late_run, runs
from oracles.types import Agreement, Claim, ProductRules
from orchestrator.core.identity import payment_id
from orchestrator.core.payment import STOPPING, Fact, NextStep, Stage
from orchestrator.edges.store import Session, add_new, agreements, evidence, links, payments
from orchestrator.steps import StepContext, event_of

IN_FLIGHT = (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED, Stage.WAITING_FOR_FUNDS)
MAX_EVENTS_PER_CLAIM = 2_000


def collect(rail: StepContext) -> int:
    """Starts a payment for every agreement whose next run is complete; returns how many.

    One payment per agreement is on its way to the chain at a time: what arrives meanwhile makes
    the next run longer, so load makes claims larger and not more numerous.
    """
    now, started = rail.now(), 0
    with rail.store.read() as session:
        busy = payments.busy_agreements(session, IN_FLIGHT + STOPPING)
        waiting = evidence.agreements_with_unclaimed(session)
    for agreement in waiting:
        if agreement in busy:
            continue
        with rail.store.write() as session:
            started += _start(rail, session, agreement, now)
    return started


def _start(rail: StepContext, session: Session, agreement: str, now: int) -> int:
    row = agreements.get(session, agreement)
    if row is None or row.stage != "live":
        return 0
    found = _late(rail, session, row, now)
    if not found.run:
        found = _next(rail, session, row, now)
    if not found.run:
        return 0
    first, last = found.run[0].counter, found.run[-1].counter
    row.sequence, row.last_counter = row.sequence + 1, max(row.last_counter, last)
    payment = "0x" + payment_id(bytes.fromhex(agreement[2:]), row.sequence).hex()
    session.add(
        payments.PaymentRow(
            payment_id=payment,
            agreement_id=agreement,
            sequence=row.sequence,
            stage=Stage.RECEIVED,
            next_step=NextStep.VERIFY,
            first_counter=first,
            last_counter=last,
            created_at=now,
        )
    )
    evidence.claim_events(session, agreement, first, last, payment)
    return 1


def _next(rail: StepContext, session: Session, row: agreements.AgreementRow, now: int) -> Runs:
    """The run behind the last claim, over holes that were waited for long enough."""
    found = _runs(rail, session, row)
    if not found.run and (lost := _overdue(rail, session, row.agreement_id, found.holes, now)):
        add_new(
            session,
            [
                evidence.HoleRow(
                    agreement_id=row.agreement_id,
                    first_counter=hole.first,
                    last_counter=hole.last,
                    declared_at=now,
                )
                for hole in lost
            ],
        )
        found = _runs(rail, session, row)
    _drop(rail, session, row, found)
    return found


def _late(rail: StepContext, session: Session, row: agreements.AgreementRow, now: int) -> Runs:
    """A run of what came after claims had passed it, where the product takes such runs.

    Where counters have no gap, what is late is judged once nothing late has come for as long as
    one waits for a hole: its neighbours may still be on their way.
    """
    terms, upto = rail.rules[row.product], row.last_counter
    if not terms.LATE:
        return Runs()
    since = evidence.late_since(session, row.agreement_id, upto)
    waited = not terms.GAPLESS or now - (since or 0) >= rail.settings.hole_patience_s
    if since is None or not waited:
        return Runs()
    events = _events(evidence.late(session, row.agreement_id, upto, MAX_EVENTS_PER_CLAIM))
    ranges = agreements.claimed_ranges(session, row.agreement_id, events[0].counter - 1)
    ranges.append((upto, upto))
    cited = resolve(events, _events(links.cited_by_events(session, [e.event_id for e in events])))
    agreement = rail.registry.agreement(bytes.fromhex(row.agreement_id[2:]))
    found = late_run(agreement, terms, events, ranges, cited)
    _drop(rail, session, row, found)
    return found


def _drop(rail: StepContext, session: Session, row: agreements.AgreementRow, found: Runs) -> None:
    for verdict in found.dropped:
        evidence.drop(session, "0x" + verdict.event.event_id.hex(), str(verdict.reason))
        rail.log.info(
            "event dropped",
            device=row.device,
            counter=verdict.event.counter,
            reason=verdict.reason,
            detail=verdict.detail,
        )


def _events(records: Sequence[evidence.Record]) -> list[Event]:
    return [event_of(protocol, body) for body, protocol in records]


def _overdue(
    rail: StepContext, session: Session, agreement: str, holes: Sequence[Hole], now: int
) -> list[Hole]:
    """Holes waited for long enough: since what follows them arrived, however much came later."""
    patience = rail.settings.hole_patience_s
    return [
        hole
        for hole in holes
        if (since := evidence.waiting_since(session, agreement, hole.last)) is not None
        and now - since >= patience
    ]


def _runs(rail: StepContext, session: Session, row: agreements.AgreementRow) -> Runs:
    agreement = rail.registry.agreement(bytes.fromhex(row.agreement_id[2:]))
    return runs_behind(session, row, agreement, rail.rules[row.product])


def runs_behind(
    session: Session, row: agreements.AgreementRow, agreement: Agreement | None, terms: ProductRules
) -> Runs:
    """What can be claimed of the stored events behind an agreement's last claim."""
    stored = evidence.unclaimed(session, row.agreement_id, row.last_counter, MAX_EVENTS_PER_CLAIM)
    anchor = evidence.at_counter(session, row.agreement_id, row.last_counter)
    dropped = evidence.dropped_counters(session, row.agreement_id, row.last_counter)
    lost = [(c, c) for c in dropped] + evidence.holes_of(session, row.agreement_id)
    return runs(
        agreement,
        terms,
        row.last_counter,
        event_of(anchor[1], anchor[0]) if anchor else None,
        _events(stored),
        lost,
    )


def verify(rail: StepContext) -> int:
    """Derives the claims of new payments from the stored evidence; returns how many."""
    now = rail.now()
    with rail.store.read() as session:
        due = payments.due(session, NextStep.VERIFY, now, rail.settings.batch_claims)
        claims = [(row, of, claim_of(rail, session, row, of)) for row, of in due]
    learned = [
        payments.NewFact(
            row.payment_id,
            Fact.DERIVED,
            detail=f"{len(claim.facts)} bytes",
            sets={
                "evidence_root": "0x" + claim.evidence.hex(),
                "facts": "0x" + claim.facts.hex(),
                "claim_hash": "0x" + claim_hash(claim).hex(),
                "payee": rail.rules[of.product].payee(claim.facts) or of.payee,
            },
        )
        for row, of, claim in claims
    ]
    with rail.store.write() as session:
        return payments.record_facts(session, learned, now)


def claim_of(
    rail: StepContext,
    session: Session,
    row: payments.PaymentRow,
    agreement: agreements.AgreementRow,
) -> Claim:
    """The claim of a payment, derived anew from its evidence, its anchor and what it cites."""
    run = _events(evidence.records_of(session, row.payment_id))
    reach = agreements.reach(session, row.agreement_id, row.sequence)
    late = reach is not None and row.first_counter <= reach
    anchor = (
        None if late or reach is None else evidence.at_counter(session, row.agreement_id, reach)
    )
    return derive_claim(
        rail.registry.agreement(bytes.fromhex(row.agreement_id[2:])),
        rail.rules[agreement.product],
        row.sequence,
        event_of(anchor[1], anchor[0]) if anchor else None,
        run,
        resolve(run, _events(links.cited_by(session, [row.payment_id])[row.payment_id])),
        late,
    )


def anchor_of(session: Session, row: payments.PaymentRow) -> evidence.Record | None:
    """The record of the last event claimed before this payment; None for the first payment, and
    for a late one: it stands by itself."""
    reach = agreements.reach(session, row.agreement_id, row.sequence)
    if reach is None or row.first_counter <= reach:
        return None
    return evidence.at_counter(session, row.agreement_id, reach)
