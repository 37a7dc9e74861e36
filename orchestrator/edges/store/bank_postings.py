"""Bank postings: load what is known about lines, and apply a plan of core/bank_posting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlmodel import Session

from orchestrator.core.bank_context import (
    CreditBooked,
    CreditReversed,
    KnownBank,
    KnownCredit,
    KnownMandate,
    KnownPayout,
    OpenPayout,
    PayoutConfirmed,
    PayoutMoved,
    open_payout,
    questions,
)
from orchestrator.core.bank_posting import BankPlan, line_ids
from orchestrator.core.funding import Fact as FundingFact
from orchestrator.core.payment import Fact as PaymentFact
from orchestrator.core.payout import Fact as PayoutFact
from orchestrator.core.reconcile import StatementLine, distinct
from orchestrator.edges.store import agreements, bank_files, fundings, ledger, payments, payouts


def load(session: Session, lines: Sequence[StatementLine]) -> KnownBank:
    """Return all that the posting of stored lines depends on.

    It includes earlier lines that may report the same bookings. Lines without a common key were
    posted before, and nothing here can change that.
    """
    bookings = distinct(bank_files.lines_like(session, lines))
    asked = questions(bookings)
    rows = payouts.with_references(session, asked.end_to_end_ids)
    batches = payouts.of_batches(session, asked.batches)
    credits = _credits(session, sorted(asked.amounts))
    about = [row.payout_id for row in rows.values()]
    about += [row.payout_id for batch in batches.values() for row in batch]
    about += [credit.credit_id for same in credits.values() for credit in same]
    return KnownBank(
        bookings,
        bank_files.booked_among(session, [i for booked in bookings for i in line_ids(booked)]),
        {reference: _known(row) for reference, row in rows.items()},
        {name: [_known(row) for row in batch] for name, batch in batches.items()},
        _mandates(session, asked.references),
        credits,
        ledger.entries_about(session, set(about)),
    )


def _known(row: payouts.PayoutRow) -> KnownPayout:
    return KnownPayout(row.payout_id, row.account)


def _mandates(session: Session, references: frozenset[str]) -> dict[str, KnownMandate]:
    rows = agreements.by_references(session, references)
    given_back = ledger.reclaimed(session, [row.agreement_id for row in rows])
    return {
        row.reference: KnownMandate(row.agreement_id, row.expiry, row.agreement_id in given_back)
        for row in rows
    }


def _credits(session: Session, amounts: Sequence[int]) -> dict[int, list[KnownCredit]]:
    rows = fundings.of_amounts(session, amounts)
    lines = bank_files.posted_lines(session, [row.credit_id for row in rows])
    credits: dict[int, list[KnownCredit]] = defaultdict(list)
    for row in rows:
        if line := lines.get(row.credit_id):
            credits[row.cents].append(
                KnownCredit(row.credit_id, line.reference, line.counterparty_iban)
            )
    return credits


def apply(session: Session, plan: BankPlan, now: int) -> None:
    """Write a plan: entries, bookings, fundings, and the moves that follow.

    Args:
        session: A write session.
        plan: From `decide`.
        now: Unix seconds.
    """
    ledger.post(session, plan.entries, now)
    bank_files.add_bookings(session, plan.bookings)
    fundings.add(session, [e for e in plan.effects if isinstance(e, CreditBooked)])
    for effect in plan.effects:
        if isinstance(effect, PayoutMoved):
            _move_payout(session, effect, now)
        elif isinstance(effect, PayoutConfirmed):
            _confirm_payout(session, effect, now)
        elif isinstance(effect, CreditReversed):
            fundings.record_fact(session, effect.credit_id, FundingFact.REVERSED)


def _move_payout(session: Session, effect: PayoutMoved, now: int) -> None:
    payouts.record_fact(
        session,
        [effect.payout_id],
        effect.fact,
        line_id=effect.line_id,
        reason=effect.reason or None,
    )
    if effect.fact is PayoutFact.BOOKED:
        _record(session, effect, PaymentFact.BOOKED, now)


def _confirm_payout(session: Session, effect: PayoutConfirmed, now: int) -> None:
    _record(session, effect, PaymentFact.ON_STATEMENT, now)


def _record(
    session: Session, effect: PayoutMoved | PayoutConfirmed, fact: PaymentFact, now: int
) -> None:
    facts = [
        payments.NewFact(payment_id, fact, effect.line_id)
        for payment_id in payments.of_payout(session, effect.payout_id)
    ]
    payments.record_facts(session, facts, now)


def opened(session: Session, row: payouts.PayoutRow) -> OpenPayout:
    """Return a payout as its entries describe it."""
    entries = ledger.entries_about(session, [row.payout_id]).get(row.payout_id, [])
    return open_payout(row.payout_id, row.account, entries)
