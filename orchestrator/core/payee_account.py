"""A payee's money on chain as a bank would keep it: whole cents, each movement with its references.

The account holds the pending and the withdrawable money. It grows when a payment settles, and
shrinks when tokens are redeemed, withdrawn, disputed or set off against a debt. tEUR has six
decimals and a bank account two, so the booked balance is the exact one rounded down, and each
movement books the difference that it makes to it (cumulative rounding): no cent is ever lost or
made twice. A movement that completes no cent is carried, and appears as a detail of zero next to
the following movement that completes one. Only final blocks count; days are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

MICRO_PER_CENT = 10_000
_EPOCH, _DAY_S = date(1970, 1, 1), 86_400


@dataclass(frozen=True, slots=True)
class Movement:
    """The effect of one ledger entry on the account.

    Attributes:
        entry_id: SHA-256, hex.
        at: Unix seconds.
        kind: The kind of the ledger entry.
        ref: The reference of the ledger entry, 0x-hex.
        tx_hash: The transaction, 0x-hex.
        amount_micro: Micro-euro, above zero for money that comes in.
        available_micro: The effect on the withdrawable part, in micro-euro.
        end_to_end_id: The id under which the payee knows the movement.
        name: The name of the other side.
        account: The account of the other side.
        text: The purpose.
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
        """Return the UTC day of the movement."""
        return _EPOCH + timedelta(days=self.at // _DAY_S)


@dataclass(frozen=True, slots=True)
class Booking:
    """A movement that books whole cents.

    Attributes:
        movement: The movement that completes them.
        cents: The booked amount, never 0; below zero for money that goes out.
        carried: Earlier movements in the same direction that completed no cent.
    """

    movement: Movement
    cents: int
    carried: tuple[Movement, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountStatement:
    """The account in one period.

    Attributes:
        first: The first day, inclusive.
        last: The last day, inclusive.
        opening_cents: The booked balance before the first day.
        closing_cents: The booked balance after the last day.
        available_cents: The withdrawable part of it.
        remainder_micro: The part of the exact balance below a cent, in micro-euro.
        bookings: The movements that book cents, in journal order.
        waiting: The movements that completed no cent until the last day.
    """

    first: date
    last: date
    opening_cents: int
    closing_cents: int
    available_cents: int
    remainder_micro: int
    bookings: tuple[Booking, ...]
    waiting: tuple[Movement, ...]


def statement(movements: Iterable[Movement], first: date, last: date) -> AccountStatement:
    """Return the account between two days.

    Args:
        movements: All movements of the account, in journal order.
        first: The first day, inclusive.
        last: The last day, inclusive.
    """
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
