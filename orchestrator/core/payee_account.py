"""A payee's money on chain as a bank would keep it: whole cents, each movement with its references.

The account holds what is pending and what is withdrawable: it grows when a payment settles and
shrinks when tokens are redeemed, withdrawn, disputed or set off against a debt. tEUR has six
decimals and a bank account two, so the booked balance is the exact one rounded down, and each
movement books what it adds to that (cumulative rounding): no cent is ever lost or made twice. A
movement that completes no cent is carried, and stands as a detail of zero next to the following one
that does. Only final blocks count; days are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

MICRO_PER_CENT = 10_000
_EPOCH, _DAY_S = date(1970, 1, 1), 86_400


@dataclass(frozen=True, slots=True)
class Movement:
    """One ledger entry's effect on the account.

    entry_id: SHA-256, hex; kind: as in the ledger; ref, tx_hash: 0x-hex; amount_micro: above zero
    when it comes in. available_micro: its effect on the withdrawable part. end_to_end_id: what the
    payee knows it by; name, account: the other side's; text: what it is for.
    """

    entry_id: str
    at: int
    kind: str
    ref: str
    tx_hash: str
    amount_micro: int
    available_micro: int = 0
    end_to_end_id: str = ""
    name: str = ""
    account: str = ""
    text: str = ""

    @property
    def day(self) -> date:
        return _EPOCH + timedelta(days=self.at // _DAY_S)


@dataclass(frozen=True, slots=True)
class Booking:
    """A movement of whole cents (never 0), with those of its direction that were carried to it."""

    movement: Movement
    cents: int
    carried: tuple[Movement, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountStatement:
    """One period, both days inclusive. Balances are cents; remainder_micro: what is kept below a
    cent at its end; waiting: the movements carried beyond it."""

    first: date
    last: date
    opening_cents: int
    closing_cents: int
    available_cents: int
    remainder_micro: int
    bookings: tuple[Booking, ...]
    waiting: tuple[Movement, ...]


def statement(movements: Iterable[Movement], first: date, last: date) -> AccountStatement:
    """Return the account between two days, from all of its movements in the journal's order."""
    exact = available = opening = 0
    carried: dict[bool, list[Movement]] = {True: [], False: []}  # coming in, going out
    bookings: list[Booking] = []
    for movement in movements:
        if movement.day > last:
            break
        cents = _cents(exact + movement.amount_micro) - _cents(exact)
        exact, available = exact + movement.amount_micro, available + movement.available_micro
        if movement.day < first:
            opening = _cents(exact)
        if cents:
            if movement.day >= first:
                bookings.append(Booking(movement, cents, tuple(carried[cents > 0])))
            carried[cents > 0] = []
        elif movement.amount_micro:
            carried[movement.amount_micro > 0].append(movement)
    return AccountStatement(
        first,
        last,
        opening,
        _cents(exact),
        _cents(available),
        exact % MICRO_PER_CENT,
        tuple(bookings),
        (*carried[True], *carried[False]),
    )


def _cents(micro: int) -> int:
    """Return an amount in cents, rounded down, also below zero: no more is booked than is there."""
    return micro // MICRO_PER_CENT
