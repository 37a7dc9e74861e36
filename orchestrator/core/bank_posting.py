"""What a booked bank line posts, and what follows for payouts and fundings: pure rules.

`decide` takes what is known (`KnownBank`) and returns a plan (`BankPlan`). The orchestrator loads
what is known from its store; a rebuild takes it from raw material. Both use the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from orchestrator.core import ledger
from orchestrator.core.bank_context import (
    BankContext,
    BankEffect,
    CreditBooked,
    CreditReversed,
    KnownBank,
    OpenPayout,
    PayoutConfirmed,
    PayoutMoved,
    Posted,
)
from orchestrator.core.identity import payout_account
from orchestrator.core.ledger import Entry
from orchestrator.core.reconcile import DUPLICATE_REASONS, Booked, StatementLine
from orchestrator.core.reconcile.types import CHARGE_CODES
from orchestrator.core.references import account_number, normalise

_DAY_ONE, _DAY_S = date(1970, 1, 1), 86_400
_AHEAD_S = 5 * _DAY_S  # money of a holiday is booked days after it came: TARGET rests 4 at most


@dataclass(frozen=True, slots=True)
class BankPlan:
    """What a file does, in order.

    Attributes:
        entries: New entries of the journal.
        bookings: The line ids that are posted now, with their lines.
        effects: What follows for payouts and fundings.
    """

    entries: tuple[Entry, ...] = ()
    bookings: tuple[tuple[str, StatementLine], ...] = ()
    effects: tuple[BankEffect, ...] = ()


def decide(known_bank: KnownBank) -> BankPlan:
    """Return what the given bookings post and move; those that were posted before do nothing."""
    books, entries, bookings, effects = BankContext(known_bank), [], [], []
    for booked in in_order(known_bank.bookings):
        posted = entries_for(booked, books)
        books.add(booked.line, posted)
        entries += posted.entries
        effects += posted.effects
        effects += _confirmed(booked, known_bank)
        if booked.line.currency == "EUR":
            bookings += [(line_id, booked.line) for line_id in line_ids(booked)]
    return BankPlan(tuple(entries), tuple(bookings), tuple(effects))


def _confirmed(booked: Booked, known_bank: KnownBank) -> Iterator[PayoutConfirmed]:
    """Yield the payouts of a debit that an end-of-day statement holds: all of a batch, or one."""
    line = booked.line
    if not booked.confirmed or line.is_return or line.amount_minor > 0 or line.currency != "EUR":
        return
    named = known_bank.payouts.get(line.end_to_end_id) if line.end_to_end_id else None
    batch = () if line.end_to_end_id else known_bank.batches.get(line.batch, ())
    for payout in (named,) if named else batch:
        yield PayoutConfirmed(payout.payout_id, line_ids(booked)[0])


def in_order(lines: Iterable[Booked]) -> list[Booked]:
    """Return bookings in the order in which they are posted: a booking before its return."""
    return sorted(lines, key=lambda booked: (booked.line.booking_date, booked.line.is_return))


def line_ids(booked: Booked) -> list[str]:
    """Return all ids under which a booking was ever reported, 0x-hex; the first one is its name."""
    return ["0x" + line_id.hex() for line_id in booked.ids]


def booked_at(line: StatementLine) -> int:
    """Return the start (UTC) of a line's booking date, in Unix seconds."""
    return (line.booking_date - _DAY_ONE).days * _DAY_S


def entries_for(booked: Booked, books: BankContext) -> Posted:
    """Return what a booking of the safeguarding account posts; nothing if it was posted before.

    A line in another currency than the euro posts nothing: reconciliation reports it.
    """
    line, ids = booked.line, line_ids(booked)
    if line.currency != "EUR" or books.is_posted(ids):
        return Posted()
    posted = next(filter(None, (rule(line, ids[0], books) for rule in _RULES)))
    source = f"file:{line.source.hex()}"
    at = booked_at(line)
    return replace(posted, entries=tuple(entry.dated(at, source) for entry in posted.entries))


def _charge(line: StatementLine, line_id: str, books: BankContext) -> Posted | None:
    """Post a line that is only a charge of the bank, or a charge given back."""
    if line.code.rpartition("/")[2] not in CHARGE_CODES:
        return None
    return Posted((ledger.bank_charge(line_id, -line.amount_minor),))


def _payout(line: StatementLine, line_id: str, books: BankContext) -> Posted | None:
    """Post a line with the EndToEndId of a payout: the whole, a part, or what comes back."""
    payout = books.payout(line.end_to_end_id) if line.end_to_end_id else None
    if payout is None or (line.amount_minor > 0 and not line.is_return):
        return None
    cents = abs(line.amount_minor + line.charges_minor)  # what the payee got, or gave back
    if line.is_return:
        return _came_back(line, line_id, payout, cents)
    if not 0 < cents <= payout.in_transit:  # twice, or more than was ordered
        return Posted((_beyond(line, line_id, payout),))
    return Posted(
        (_debit(payout, line_id, cents), *_charges_inside(line, line_id)),
        (_moved(replace(payout, in_transit=payout.in_transit - cents), line_id),),
    )


def _came_back(line: StatementLine, line_id: str, payout: OpenPayout, cents: int) -> Posted:
    """Post what comes back: it is owed to the payee again, up to the amount of the payout.

    A second booking that is undone was never the payee's.
    """
    undone = line.is_reversal or line.reason in DUPLICATE_REASONS
    too_much = payout.returned + cents > payout.cents
    if line.amount_minor < 0 or too_much or (undone and payout.unexplained >= cents):
        return Posted((_beyond(line, line_id, payout),))
    back = replace(payout, returned=payout.returned + cents)
    return Posted(
        (
            ledger.payout_returned(ledger.part_of(payout.payout_id, line_id), cents),
            *_charges_inside(line, line_id),
        ),
        (_moved(back, line_id, line.reason),),
    )


def _batch(line: StatementLine, line_id: str, books: BankContext) -> Posted | None:
    """Post a line of a batch without EndToEndId: all that is open in the batch, or one payout of
    it by account and amount (of equal payouts to one account, any is the right one)."""
    if line.end_to_end_id or not line.batch or line.amount_minor > 0 or line.is_return:
        return None
    cents = -line.amount_minor - line.charges_minor
    due = [payout for payout in books.batch(line.batch) if payout.in_transit]
    if cents != sum(payout.in_transit for payout in due):
        account = "0x" + payout_account(line.counterparty_iban).hex()
        due = [p for p in due if p.in_transit == cents and p.account == account][:1]
    if not due or cents <= 0:
        return None
    entries = [_debit(payout, line_id, payout.in_transit) for payout in due]
    return Posted(
        (*entries, *_charges_inside(line, line_id)),
        tuple(_moved(replace(payout, in_transit=0), line_id) for payout in due),
    )


def _credit(line: StatementLine, line_id: str, books: BankContext) -> Posted | None:
    """Post money in: for the agreement of its reference, or for two officers to decide.

    The amount that arrived counts, without charges taken on its way: more must never be minted.
    """
    if line.amount_minor <= 0 or line.is_return:
        return None
    reference = normalise(line.reference)
    agreement = books.agreement(reference, booked_at(line) - _AHEAD_S) if reference else None
    make = ledger.funding_booked if agreement else ledger.unallocated
    return Posted(
        (make(line_id, line.amount_minor),),
        (CreditBooked(line_id, agreement, line.amount_minor),),
    )


def _reversed_credit(line: StatementLine, line_id: str, books: BankContext) -> Posted | None:
    """Post a credit that is taken back before its tokens were minted."""
    if line.amount_minor >= 0 or not line.is_return:
        return None
    same = (normalise(line.reference), account_number(line.counterparty_iban))
    for credit in books.credits(-line.amount_minor):
        if (normalise(credit.reference), account_number(credit.iban)) == same:
            entry = ledger.credit_reversed(credit.credit_id, credit.account, -line.amount_minor)
            return Posted((entry,), (CreditReversed(credit.credit_id),))
    return None


def _unexplained(line: StatementLine, line_id: str, books: BankContext) -> Posted:
    return Posted((ledger.unexplained(line_id, line.amount_minor),))


_RULES: tuple[Callable[[StatementLine, str, BankContext], Posted | None], ...] = (
    _charge,
    _payout,
    _batch,
    _credit,
    _reversed_credit,
    _unexplained,
)


def _debit(payout: OpenPayout, line_id: str, cents: int) -> Entry:
    """Return the entry of a debit.

    If the first debit is the whole amount, it carries the payout's own reference, for its proof.
    """
    whole = not payout.bookings and cents == payout.in_transit
    ref = payout.payout_id if whole else ledger.part_of(payout.payout_id, line_id)
    return ledger.payout_booked(ref, cents)


def _beyond(line: StatementLine, line_id: str, payout: OpenPayout) -> Entry:
    return ledger.unexplained(ledger.part_of(payout.payout_id, line_id), line.amount_minor)


def _charges_inside(line: StatementLine, line_id: str) -> tuple[Entry, ...]:
    return (ledger.bank_charge(line_id, line.charges_minor),) if line.charges_minor else ()


def _moved(payout: OpenPayout, line_id: str, reason: str = "") -> PayoutMoved:
    return PayoutMoved(payout.payout_id, payout.fact, line_id, reason)
