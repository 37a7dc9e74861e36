"""What a comparison has found so far: matches, breaks and named items, and their wording."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.core.reconcile.types import (
    MICRO_PER_CENT,
    Booked,
    Break,
    BreakKind,
    InFlight,
    Match,
)

ACTIONS = {
    BreakKind.MISSING_AT_BANK: "Ask the bank for the order by its EndToEndId; never order again "
    "before it answers.",
    BreakKind.EXTRA_AT_BANK: "Ask the bank what it booked; nothing of ours ordered it.",
    BreakKind.AMOUNT: "Ask the bank to correct the booking to the ordered amount.",
    BreakKind.DUPLICATE: "Ask the bank to reverse all but the first booking.",
    BreakKind.REJECTED: "Correct what the bank names, and pay by hand; no command orders again.",
    BreakKind.RETURNED: "The money is back: ask the payee for an account that takes it.",
    BreakKind.SUPPLY_MISMATCH: "Stop minting and payouts until the difference has a name.",
    BreakKind.LEDGER_DIFFERS_FROM_CHAIN: "Keep the store, trace the settlement, post by hand.",
    BreakKind.UNMATCHED_FUNDING: "Hold the credit; find its agreement or send it back.",
    BreakKind.MINT_WITHOUT_CREDIT: "Stop minting and find who minted without a booked credit.",
    BreakKind.NOT_CONFIRMED: "Ask the bank why its statement leaves out what it notified.",
    BreakKind.STATEMENT_GAP: "Ask the bank for the statement between these two balances.",
    BreakKind.CREDIT_UNPAID: "Ask the payee to pay it back (PaymentRail.repay); its next "
    "money does so by itself.",
    BreakKind.KEY_COMPROMISED: "See `proofrail device risk`: freeze it while its window is open, "
    "else claim it back from the payee.",
    BreakKind.CURRENCY: "Ask the bank to return the amount; the rail holds euro only.",
}


@dataclass
class Findings:
    """Collects in any order; whoever reads it sorts."""

    matches: list[Match] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    items: list[InFlight] = field(default_factory=list)

    def match(self, rule: str, ids: Iterable[bytes], cents: int, lines: Iterable[Booked],
              explanation: str) -> None:
        self.matches.append(Match(rule, printed(ids), cents, places(lines), explanation))

    def broken(self, kind: BreakKind, ids: Iterable[bytes | str], lines: Iterable[Booked],
               expected_minor: int, found_minor: int, asset: str = "EUR/2",
               since: int | None = None, detail: str = "") -> None:
        self.breaks.append(Break(kind, printed(ids), places(lines), expected_minor, found_minor,
                                 asset, ACTIONS[kind], since, detail))

    def item(self, name: str, ids: Iterable[bytes | str], amount_micro: int) -> None:
        """Names an amount that supply has and the balance has not; zero needs no name."""
        if amount_micro:
            self.items.append(InFlight(name, ",".join(printed(ids)), amount_micro))

    def unexplained(self, kind: BreakKind, booked: Booked, expected_cents: int = 0) -> None:
        """A booked line that belongs to nothing: a break, and an item of the whole line."""
        cents = booked.line.amount_minor
        self.broken(kind, booked.ids[:1], [booked], expected_cents, cents)
        self.item(kind, booked.ids[:1], -cents * MICRO_PER_CENT)


def printed(ids: Iterable[bytes | str]) -> tuple[str, ...]:
    return tuple(sorted(each if isinstance(each, str) else each.hex() for each in ids))


def places(lines: Iterable[Booked]) -> tuple[str, ...]:
    """Where the lines stand: file by SHA-256, and the path within it."""
    return tuple(sorted(f"{each.line.source.hex()}:{each.line.path}" for each in lines))
