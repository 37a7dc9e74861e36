"""The results of a comparison: matches, breaks, named items, and proofs of reserves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from orchestrator.core.reconcile.kinds import BreakKind, Leg


@dataclass(frozen=True, slots=True)
class Match:
    """Booked lines and the payouts or the credit that they settle.

    Attributes:
        rule: end_to_end_id, batch, account_and_amount or mint.
        ids: Payout ids, or the credit id; hex.
        amount_cents: The amount.
        lines: "SHA-256 in hex:path" of each line.
        explanation: Why they belong together, for people.
    """

    rule: str
    ids: tuple[str, ...]
    amount_cents: int
    lines: tuple[str, ...]
    explanation: str


@dataclass(frozen=True, slots=True)
class Break:
    """A difference between two sides.

    Attributes:
        kind: The kind of difference.
        leg: Between which two sides.
        ids: Payout, credit, payment, settlement or block ids (hex), or the bank's id of a
            statement.
        lines: As in `Match`.
        expected_minor: The amount that should be, in minor units of the asset.
        found_minor: The amount that is.
        asset: EUR/2, tEUR/6, or the unit that is counted ("events", "entries").
        owner: The role that resolves it.
        action: The first step of that role.
        since: Since when it is open, Unix seconds; None if that is not known.
        detail: More about it, for people.
        closed: The later record that explains it, so that no person has to; "" while it is open.
    """

    kind: BreakKind
    leg: Leg
    ids: tuple[str, ...]
    lines: tuple[str, ...]
    expected_minor: int
    found_minor: int
    asset: str
    owner: str
    action: str
    since: int | None = None
    detail: str = ""
    closed: str = ""


@dataclass(frozen=True, slots=True)
class InFlight:
    """A named reason why supply and balance differ, with the micro-euro it adds to the supply."""

    name: str
    id: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Flow:
    """The money of one payout, credit or charge on both sides, to be evaluated at any time.

    Attributes:
        name: The break that it is now; "" for none.
        flying: Its name while only one side has it.
        id: The ids of its records.
        bank: (index of the statement that holds it, cents).
        chain: (Unix seconds, micro-euro).
        once: The break that it was while the bank had booked too much of it; "" for none.
    """

    name: str
    flying: str
    id: str
    bank: tuple[tuple[int, int], ...]
    chain: tuple[tuple[int, int], ...]
    once: str = ""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Tokens against money at one statement: supply = balance + items + difference.

    Attributes:
        statement: The bank's id of the statement.
        day: Its day.
        at: The end of that day (UTC), Unix seconds; the chain is read at its last block before.
        supply_micro: Tokens in circulation.
        balance_cents: The closing balance.
        items: What only one side has.
        difference_micro: What has no name.
        unbacked_micro: Items that are tokens without euros, now or on their way.
    """

    statement: str
    day: date
    at: int
    supply_micro: int
    balance_cents: int
    items: tuple[InFlight, ...]
    difference_micro: int
    unbacked_micro: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Accepted events that are in no payment yet.

    Attributes:
        reason: Why they wait.
        events: How many.
    """

    reason: str
    events: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The result of one comparison.

    Attributes:
        matches: What fits.
        breaks: Open differences, which a person must resolve.
        in_flight: What only the supply or only the balance has, by name.
        supply_micro: Tokens in circulation.
        balance_cents: The booked balance.
        difference_micro: Supply less balance and items; zero unless money is unexplained.
        closed: Differences that a later record explains.
        reserves: The proof of reserves at each statement, oldest first.
        waiting: Events that are in no payment yet.
        unswept_micro: Tokens that somebody sent to the rail beyond its sums; 0 where no node was
            asked.
    """

    matches: tuple[Match, ...]
    breaks: tuple[Break, ...]
    in_flight: tuple[InFlight, ...]
    supply_micro: int
    balance_cents: int
    difference_micro: int
    closed: tuple[Break, ...] = ()
    reserves: Sequence[Reserve] = ()
    waiting: tuple[Waiting, ...] = ()
    unswept_micro: int = 0
