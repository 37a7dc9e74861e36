"""From a booked bank line to ledger entries: pure rules, each line posts once.

What a rule needs beyond the line is asked of a `BankContext`, and follows from bank files and
earlier entries alone, so that a rebuild from raw material posts the same. A line that no rule fits
goes to suspense whole: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

from orchestrator.core import ledger
from orchestrator.core.identity import payout_account
from orchestrator.core.ledger import Entry
from orchestrator.core.reconcile import DUPLICATE_REASONS, Booked, StatementLine
from orchestrator.core.reconcile.types import CHARGE_CODES
from orchestrator.core.references import normalise

_ORDERS = ("redeemed", "sent_back")  # entries that a payout begins with
_DAY_ONE, _DAY_S = date(1970, 1, 1), 86_400
_AHEAD_S = 5 * _DAY_S  # money of a holiday is booked days after it came: TARGET rests 4 at most


@dataclass(frozen=True, slots=True)
class OpenPayout:
    """A payout as its entries tell it (cents). account: keccak256 of the payee's IBAN, 0x-hex.

    cents: what it is for; in_transit: ordered, and not booked; returned: back, and not ordered
    again; unexplained: booked beyond that (below zero: sent back beyond that); bookings: how many
    debits were booked for it.
    """

    payout_id: str
    account: str
    cents: int
    in_transit: int = 0
    returned: int = 0
    unexplained: int = 0
    bookings: int = 0

    @property
    def stage(self) -> str:
        """What the bank's lines make of it."""
        if self.returned:
            return "returned"
        return "booked" if not self.in_transit else "part_booked"


@dataclass(frozen=True, slots=True)
class UnmintedCredit:
    """A booked credit of which no tokens are minted. account: the suspense account it waits in;
    reference and iban: as its line has them."""

    credit_id: str
    account: str
    reference: str
    iban: str


class BankContext(Protocol):
    """What the rules ask, ids in 0x-hex; each answer follows from raw files and earlier entries."""

    def is_booked(self, ids: Sequence[str]) -> bool:
        """Whether a line was acted on under one of these ids."""

    def payout(self, end_to_end_id: str) -> OpenPayout | None:
        """The payout that was last ordered under this EndToEndId (see `open_payout`)."""

    def batch(self, batch: str) -> Iterable[OpenPayout]:
        """Payouts last ordered under this PmtInfId, but for those that a status report refused."""

    def agreement(self, reference: str, at: int) -> str | None:
        """The agreement of a funding reference (canonical), unless its mandate had expired at a
        time, or an entry `reclaimed` says that its escrow was given back."""

    def credits(self, cents: int) -> Iterable[UnmintedCredit]:
        """Booked credits of this amount whose euros still wait in suspense, by credit id."""


@dataclass(frozen=True, slots=True)
class PayoutMoved:
    """The bank's lines changed a payout. reason: ISO reason of what came back."""

    payout_id: str
    stage: str  # booked | part_booked | returned
    line_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CreditBooked:
    """Money came in. agreement: whose escrow it is for; None: nobody knows yet."""

    credit_id: str
    agreement: str | None
    cents: int


@dataclass(frozen=True, slots=True)
class CreditReversed:
    """The bank took back a credit that was not minted."""

    credit_id: str


BankEffect = PayoutMoved | CreditBooked | CreditReversed


@dataclass(frozen=True, slots=True)
class Posted:
    """What a line does: entries for the journal, and what follows for payouts and fundings."""

    entries: tuple[Entry, ...] = ()
    effects: tuple[BankEffect, ...] = ()


def open_payout(payout_id: str, account: str, entries: Iterable[Entry]) -> OpenPayout:
    """A payout from all entries whose reference is its id, or begins with its id and a slash."""
    known = list(entries)

    def owed(name: str) -> int:
        return -sum(p.amount_minor for e in known for p in e.postings if p.account == name)

    cents = -sum(
        p.amount_minor
        for e in known
        if e.kind in _ORDERS
        for p in e.postings
        if p.account == ledger.IN_TRANSIT
    )
    return OpenPayout(
        payout_id,
        account,
        cents,
        owed(ledger.IN_TRANSIT),
        owed(ledger.RETURNED),
        -owed(ledger.UNEXPLAINED),
        len([e for e in known if e.kind == "payout_booked"]),
    )


def in_order(lines: Iterable[Booked]) -> list[Booked]:
    """Lines of one file in the order in which they are posted: what was booked before what undoes
    it, whatever their references are."""
    return sorted(lines, key=lambda each: (each.line.booking_date, each.line.is_return))


def line_ids(booked: Booked) -> list[str]:
    """The ids a booked line was ever known by, 0x-hex; the first one names it for good."""
    return ["0x" + each.hex() for each in booked.ids]


def booked_at(line: StatementLine) -> int:
    """Unix seconds at which its booking date begins, UTC."""
    return (line.booking_date - _DAY_ONE).days * _DAY_S


def entries_for(booked: Booked, context: BankContext) -> Posted:
    """What a booked line of the safeguarding account posts; nothing if it was acted on before.

    A line in another currency than the euro posts nothing: reconciliation names it.
    """
    line, ids = booked.line, line_ids(booked)
    if line.currency != "EUR" or context.is_booked(ids):
        return Posted()
    posted = next(filter(None, (rule(line, ids[0], context) for rule in _RULES)))
    source = f"file:{line.source.hex()}"
    at = booked_at(line)
    return replace(posted, entries=tuple(each.dated(at, source) for each in posted.entries))


def _charge(line: StatementLine, line_id: str, context: BankContext) -> Posted | None:
    """A line that is nothing but the bank's own charge, or one given back."""
    if line.code.rpartition("/")[2] not in CHARGE_CODES:
        return None
    return Posted((ledger.bank_charge(line_id, -line.amount_minor),))


def _payout(line: StatementLine, line_id: str, context: BankContext) -> Posted | None:
    """A line with the EndToEndId of a payout: the whole of it, a part, or what comes back."""
    payout = context.payout(line.end_to_end_id) if line.end_to_end_id else None
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
    """A second booking that is undone was never the payee's; all else is owed to it again, but
    never more than the payout was for."""
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


def _batch(line: StatementLine, line_id: str, context: BankContext) -> Posted | None:
    """A line of a batch without EndToEndId: all that is open of the batch, or one payout of it
    by account and amount (of equal ones to one account, any is the right one)."""
    if line.end_to_end_id or not line.batch or line.amount_minor > 0 or line.is_return:
        return None
    cents = -line.amount_minor - line.charges_minor
    due = [each for each in context.batch(line.batch) if each.in_transit]
    if cents != sum(each.in_transit for each in due):
        account = "0x" + payout_account(line.counterparty_iban).hex()
        due = [e for e in due if e.in_transit == cents and e.account == account][:1]
    if not due or cents <= 0:
        return None
    entries = [_debit(each, line_id, each.in_transit) for each in due]
    return Posted(
        (*entries, *_charges_inside(line, line_id)),
        tuple(_moved(replace(each, in_transit=0), line_id) for each in due),
    )


def _credit(line: StatementLine, line_id: str, context: BankContext) -> Posted | None:
    """Money in: for the agreement of its reference, or for a person to decide. What arrived counts,
    whatever charges were taken on its way: more must never be minted."""
    if line.amount_minor <= 0 or line.is_return:
        return None
    reference = normalise(line.reference)
    agreement = context.agreement(reference, booked_at(line) - _AHEAD_S) if reference else None
    make = ledger.funding_booked if agreement else ledger.unallocated
    return Posted(
        (make(line_id, line.amount_minor),),
        (CreditBooked(line_id, agreement, line.amount_minor),),
    )


def _reversed_credit(line: StatementLine, line_id: str, context: BankContext) -> Posted | None:
    """A credit taken back before its tokens were minted; afterwards it is unexplained."""
    if line.amount_minor >= 0 or not line.is_return:
        return None
    same = (normalise(line.reference), line.counterparty_iban)
    for credit in context.credits(-line.amount_minor):
        if (normalise(credit.reference), credit.iban) == same:
            entry = ledger.credit_reversed(credit.credit_id, credit.account, -line.amount_minor)
            return Posted((entry,), (CreditReversed(credit.credit_id),))
    return None


def _unexplained(line: StatementLine, line_id: str, context: BankContext) -> Posted:
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
    """The first debit that is the whole carries the payout's own reference, for its proof."""
    whole = not payout.bookings and cents == payout.in_transit
    ref = payout.payout_id if whole else ledger.part_of(payout.payout_id, line_id)
    return ledger.payout_booked(ref, cents)


def _beyond(line: StatementLine, line_id: str, payout: OpenPayout) -> Entry:
    return ledger.unexplained(ledger.part_of(payout.payout_id, line_id), line.amount_minor)


def _charges_inside(line: StatementLine, line_id: str) -> tuple[Entry, ...]:
    return (ledger.bank_charge(line_id, line.charges_minor),) if line.charges_minor else ()


def _moved(payout: OpenPayout, line_id: str, reason: str = "") -> PayoutMoved:
    return PayoutMoved(payout.payout_id, payout.stage, line_id, reason)
