"""What the posting rules of bank lines know: earlier bookings, payouts, mandates and credits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core import ledger
from orchestrator.core.ledger import Entry
from orchestrator.core.payout import Fact
from orchestrator.core.reconcile import Booked, StatementLine
from orchestrator.core.references import normalise

_ORDERS = ("redeemed", "sent_back")  # entries that a payout begins with
_SUSPENSE = (ledger.FUNDING, ledger.UNALLOCATED)  # where a credit waits for its tokens


@dataclass(frozen=True, slots=True)
class OpenPayout:
    """A payout as its ledger entries describe it; amounts in cents.

    Attributes:
        payout_id: 0x-hex.
        account: keccak256 of the payee's IBAN, 0x-hex.
        cents: The amount of the payout.
        in_transit: Ordered and not booked yet.
        returned: Came back and was not ordered again.
        unexplained: Booked beyond the ordered amount; below zero: sent back beyond it.
        bookings: How many debits were booked for it.
    """

    payout_id: str
    account: str
    cents: int
    in_transit: int = 0
    returned: int = 0
    unexplained: int = 0
    bookings: int = 0

    @property
    def fact(self) -> Fact:
        """Return the fact that all lines of the bank together state about the payout."""
        if self.returned:
            return Fact.RETURNED
        return Fact.PART_BOOKED if self.in_transit else Fact.BOOKED


@dataclass(frozen=True, slots=True)
class UnmintedCredit:
    """A booked credit for which no tokens are minted.

    Attributes:
        credit_id: 0x-hex.
        account: The suspense account that holds it.
        reference: The reference on its line.
        iban: The payer's IBAN on its line.
    """

    credit_id: str
    account: str
    reference: str
    iban: str


@dataclass(frozen=True, slots=True)
class KnownPayout:
    """A payout as it was ordered last.

    Attributes:
        payout_id: 0x-hex.
        account: keccak256 of the payee's IBAN, 0x-hex.
    """

    payout_id: str
    account: str


@dataclass(frozen=True, slots=True)
class KnownMandate:
    """The agreement of a funding reference.

    Attributes:
        agreement_id: 0x-hex.
        expiry: Unix seconds.
        is_reclaimed: Whether its escrow was given back, according to the journal.
    """

    agreement_id: str
    expiry: int
    is_reclaimed: bool = False


@dataclass(frozen=True, slots=True)
class KnownCredit:
    """A credit that was booked before.

    Attributes:
        credit_id: 0x-hex.
        reference: The reference on the line that was reported first.
        iban: The payer's IBAN on that line.
    """

    credit_id: str
    reference: str
    iban: str


@dataclass(frozen=True, slots=True)
class KnownBank:
    """What the rules need to know about bookings; ids are 0x-hex, amounts in cents.

    Attributes:
        bookings: The bookings that a file reports or that its lines may repeat, each once.
        posted: The ids of lines that were posted before.
        payouts: The payout last ordered under each EndToEndId.
        batches: The payouts last ordered under each PmtInfId, by id, without those that a status
            report rejected.
        mandates: The agreement of each funding reference (canonical form).
        credits: The credits of each amount.
        entries: Earlier entries about a payout or credit, by its id, in journal order.
    """

    bookings: Sequence[Booked] = ()
    posted: Collection[str] = ()
    payouts: Mapping[str, KnownPayout] = field(default_factory=dict)
    batches: Mapping[str, Sequence[KnownPayout]] = field(default_factory=dict)
    mandates: Mapping[str, KnownMandate] = field(default_factory=dict)
    credits: Mapping[int, Sequence[KnownCredit]] = field(default_factory=dict)
    entries: Mapping[str, Sequence[Entry]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Questions:
    """The keys of `KnownBank` that can matter to some lines: what has to be looked up for them."""

    end_to_end_ids: frozenset[str]
    batches: frozenset[str]
    references: frozenset[str]
    amounts: frozenset[int]


def questions(bookings: Iterable[Booked]) -> Questions:
    """Return what has to be looked up before these bookings can be posted."""
    lines = [booked.line for booked in bookings]
    taken_back = (line for line in lines if line.amount_minor < 0 and line.is_return)
    return Questions(
        frozenset(line.end_to_end_id for line in lines) - {""},
        frozenset(line.batch for line in lines) - {""},
        frozenset(normalise(line.reference) for line in lines if line.amount_minor > 0) - {""},
        frozenset(-line.amount_minor for line in taken_back),
    )


@dataclass(frozen=True, slots=True)
class PayoutMoved:
    """A fact about a payout that a line of the bank states.

    Attributes:
        payout_id: 0x-hex.
        fact: What became known.
        line_id: The line, 0x-hex.
        reason: The ISO reason of a return; "" otherwise.
    """

    payout_id: str
    fact: Fact
    line_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CreditBooked:
    """A credit that the bank booked.

    Attributes:
        credit_id: 0x-hex.
        agreement: The agreement whose escrow it is for; None if it is not known yet.
        cents: Its amount.
    """

    credit_id: str
    agreement: str | None
    cents: int


@dataclass(frozen=True, slots=True)
class CreditReversed:
    """The bank took back a credit that was not minted."""

    credit_id: str


@dataclass(frozen=True, slots=True)
class PayoutConfirmed:
    """A payout whose booking an end-of-day statement holds.

    Attributes:
        payout_id: 0x-hex.
        line_id: The booking, 0x-hex.
    """

    payout_id: str
    line_id: str


BankEffect = PayoutMoved | PayoutConfirmed | CreditBooked | CreditReversed


@dataclass(frozen=True, slots=True)
class Posted:
    """The result of posting a line.

    Attributes:
        entries: The new entries of the journal.
        effects: What follows for payouts and fundings.
    """

    entries: tuple[Entry, ...] = ()
    effects: tuple[BankEffect, ...] = ()


class BankContext:
    """What is known about the bank, including what earlier lines of the same file have added."""

    def __init__(self, known_bank: KnownBank) -> None:
        self._known = known_bank
        self._entries: dict[str, list[Entry]] = defaultdict(list)
        self._credits: dict[str, KnownCredit] = {}

    def add(self, line: StatementLine, posted: Posted) -> None:
        """Add the result of a line of this file, so that later lines see it."""
        for entry in posted.entries:
            self._entries[entry.ref.partition("/")[0]].append(entry)
        for effect in posted.effects:
            if isinstance(effect, CreditBooked):
                self._credits[effect.credit_id] = KnownCredit(
                    effect.credit_id, line.reference, line.counterparty_iban
                )

    def is_posted(self, ids: Sequence[str]) -> bool:
        """Return whether a line was posted before, under one of these ids."""
        return any(line_id in self._known.posted for line_id in ids)

    def payout(self, end_to_end_id: str) -> OpenPayout | None:
        """Return the payout that was ordered last under this EndToEndId."""
        payout = self._known.payouts.get(end_to_end_id)
        return self._open(payout) if payout else None

    def batch(self, batch: str) -> list[OpenPayout]:
        """Return the payouts that were ordered last under this PmtInfId and not rejected."""
        return [self._open(payout) for payout in self._known.batches.get(batch, ())]

    def agreement(self, reference: str, at: int) -> str | None:
        """Return the agreement of a funding reference (canonical).

        None if there is none, its mandate had expired at a time (Unix seconds), or its escrow was
        given back.
        """
        mandate = self._known.mandates.get(reference)
        if mandate is None or mandate.expiry <= at or mandate.is_reclaimed:
            return None
        return mandate.agreement_id

    def credits(self, cents: int) -> Iterator[UnmintedCredit]:
        """Yield the booked credits of an amount whose euros still wait in suspense, by id."""
        earlier = {credit.credit_id: credit for credit in self._known.credits.get(cents, ())}
        credits = earlier | self._credits
        for credit_id in sorted(credits):
            credit, account = credits[credit_id], self._suspense_of(credit_id, cents)
            if account:
                yield UnmintedCredit(credit_id, account, credit.reference, credit.iban)

    def _suspense_of(self, credit_id: str, cents: int) -> str:
        """Return the suspense account that holds all of a credit, or "" if none does any more."""
        totals = ledger.balances(p for entry in self._about(credit_id) for p in entry.postings)
        return next((a for a in _SUSPENSE if totals.get((a, ledger.EUR)) == -cents), "")

    def _open(self, payout: KnownPayout) -> OpenPayout:
        return open_payout(payout.payout_id, payout.account, self._about(payout.payout_id))

    def _about(self, subject_id: str) -> list[Entry]:
        return [*self._known.entries.get(subject_id, ()), *self._entries.get(subject_id, ())]


def open_payout(payout_id: str, account: str, entries: Iterable[Entry]) -> OpenPayout:
    """Return a payout from all entries whose reference is its id, or begins with it and a slash."""
    about = list(entries)

    def credited(name: str) -> int:
        return -sum(p.amount_minor for e in about for p in e.postings if p.account == name)

    cents = -sum(
        p.amount_minor
        for e in about
        if e.kind in _ORDERS
        for p in e.postings
        if p.account == ledger.IN_TRANSIT
    )
    return OpenPayout(
        payout_id,
        account,
        cents,
        credited(ledger.IN_TRANSIT),
        credited(ledger.RETURNED),
        -credited(ledger.UNEXPLAINED),
        len([e for e in about if e.kind == "payout_booked"]),
    )
