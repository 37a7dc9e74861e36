"""What a comparison answers: matches, breaks, named items, and proofs of reserves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from orchestrator.core.reconcile.kinds import BreakKind, Leg


@dataclass(frozen=True, slots=True)
class Match:
    """Booked lines and what they settle.

    rule: end_to_end_id | batch | account_and_amount | mint. lines: "sha256 hex:path" of each.
    """

    rule: str
    ids: tuple[str, ...]  # payout ids, or the credit id; hex
    amount_cents: int
    lines: tuple[str, ...]
    explanation: str


@dataclass(frozen=True, slots=True)
class Break:
    """A difference: which records it concerns, both amounts in minor units of `asset`, what to do.

    ids: payout, credit, payment, settlement or block ids (hex), or the bank's id of a statement;
    lines as in Match. since: Unix seconds from when on it is open, where that is known; detail:
    more of it. closed: which later record explains it, so that nobody has to; "" while it is open.
    """

    kind: BreakKind
    leg: Leg
    ids: tuple[str, ...]
    lines: tuple[str, ...]
    expected_minor: int
    found_minor: int
    asset: str  # EUR/2 | tEUR/6
    owner: str  # the role that it falls to
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
    """One thing's money on both sides, so that it can be asked for at any time.

    name: the break that it is now, "" for none; flying: what it is called while only one side has
    it. bank: (index of the statement that holds it, cents); chain: (Unix seconds, micro-euro).
    once: the break that it was while the bank had booked too much of it.
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

    at: Unix seconds, the end of the statement's day (UTC); the chain is read at its last block
    before. unbacked_micro: what the items name that is no money on its way: tokens without euros.
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
    """Accepted events that are in no payment yet, by the reason why."""

    reason: str
    events: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """difference_micro: supply less (balance and items); zero unless money is unexplained.

    breaks: those that somebody has to see to; closed: those that a later record explains;
    reserves: the same proof at each statement, oldest first.
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
