"""The claim of a payment: derived from its run, its anchor, and what it cites and hears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from device_adapters.types import Event
from oracles.citations import resolve
from oracles.hearing import Hearing, heard_devices, hearing, with_heard
from oracles.rules import derive_claim, reopened
from oracles.types import Agreement, Claim, ProductRules
from oracles.verify import reason_now
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.store import Session, agreements, citations, evidence, payments
from orchestrator.products import Product
from orchestrator.steps import event_of


class ClaimContext(Protocol):
    """What deriving a claim needs of the rail."""

    registry: Registry
    rules: Mapping[str, Product]


def claim_of(
    context: ClaimContext,
    session: Session,
    row: payments.PaymentRow,
    agreement: agreements.AgreementRow,
) -> tuple[Claim, list[str]]:
    """Return the claim of a payment, and the ids of the events that it hears.

    It is derived from the payment's evidence, its anchor, its citations, and what is stored now of
    the devices that it hears.

    Raises:
        Rejected: The product, or the rules of hearing, refuse the run.
    """
    run = events_of(evidence.records_of(session, row.payment_id))
    reach = agreements.reach(session, row.agreement_id, row.sequence)
    late = reach is not None and row.first_counter <= reach
    record, rules = anchor_of(session, row), context.rules[agreement.product]
    anchor = event_of_record(record) if record else None
    agreed = context.registry.agreement(bytes.fromhex(row.agreement_id[2:]))
    if not late and agreements.is_passed_over(session, agreement, row.sequence, reach):
        agreed = reopened(agreed, rules)
    cited = cited_by(session, agreed, rules, run)
    span = hearing(agreed, rules, anchor, run)
    chosen = with_heard(run, cited, span, _heard(context, session, span, len(cited)))
    before = None
    if hasattr(rules, "rows_before"):
        before = payments.facts_before(session, row.agreement_id, row.sequence)
    claim = derive_claim(agreed, rules, row.sequence, anchor, run, chosen, late, before)
    return claim, [hexed(chosen[name].event_id) for name in chosen if name not in cited]


def cited_by(
    session: Session, agreement: Agreement, rules: ProductRules, run: Sequence[Event]
) -> dict[str, Event]:
    """Return id -> event of what a run cites, as the store resolved it."""
    records = citations.cited_by_events(session, [event.event_id for event in run])
    devices = heard_devices(rules, agreement.terms, agreement.device_id)
    return resolve(run, events_of(records), devices)


def _heard(
    context: ClaimContext, session: Session, span: Hearing | None, cited: int
) -> list[Event]:
    """Return the stored events of a run's hearing that are genuine by what the chain says now."""
    if span is None:
        return []
    records = citations.in_period(
        session,
        [hexed(device) for device in span.devices],
        span.first_ms,
        span.last_ms,
        span.most_events + cited + 1,
    )
    return [e for e in events_of(records) if reason_now(e, context.registry) is None]


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


def events_of(records: Sequence[evidence.Record]) -> list[Event]:
    """Return the events of stored records."""
    return [event_of_record(record) for record in records]


def event_of_record(record: evidence.Record) -> Event:
    """Return the event of a stored record, with what its verification gave."""
    return event_of(record.protocol, record.body, record.assurance, record.gateway)


def hexed(identity: bytes) -> str:
    """Return bytes as 0x-hex, the form of ids in the store."""
    return "0x" + identity.hex()
