"""Collects what a comparison finds: matches, breaks and flows of money."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.core.reconcile.coverage import Coverage
from orchestrator.core.reconcile.kinds import BreakKind, Leg, duty
from orchestrator.core.reconcile.results import Break, Flow, Match, Waiting
from orchestrator.core.reconcile.types import Booked


@dataclass
class BreakFindings:
    """Collects findings in any order; the reader sorts them.

    Attributes:
        coverage: Which statement holds which line.
        matches: Lines that settle a payout or a credit.
        breaks: Differences, open and closed.
        flows: The money of each payout, credit or charge on both sides.
        waiting: Events that wait, by reason.
    """

    coverage: Coverage
    matches: list[Match] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)

    def match(
        self, rule: str, ids: Iterable[bytes], cents: int, lines: Iterable[Booked], explanation: str
    ) -> None:
        """Add a match.

        Args:
            rule: The rule by which the lines were matched (`Match.rule`).
            ids: The payouts or the credit.
            cents: The amount.
            lines: The booked lines.
            explanation: Why they belong together, for people.
        """
        self.matches.append(Match(rule, printed(ids), cents, places(lines), explanation))

    def broken(
        self,
        leg: Leg,
        kind: BreakKind,
        ids: Iterable[bytes | str],
        lines: Iterable[Booked],
        expected_minor: int,
        found_minor: int,
        asset: str = "EUR/2",
        *,
        since: int | None = None,
        detail: str = "",
        closed: str = "",
    ) -> None:
        """Add a break.

        Args:
            leg: Between which two sides.
            kind: The kind of difference.
            ids: The records that it concerns.
            lines: The booked lines that it concerns.
            expected_minor: The amount that should be, in minor units of the asset.
            found_minor: The amount that is.
            asset: EUR/2, tEUR/6, or the unit that is counted ("events", "entries").
            since: Since when it is open, Unix seconds; None if that is not known.
            detail: More about it, for people.
            closed: The later record that explains it; "" while it is open.
        """
        owner, action = duty(leg, kind)
        self.breaks.append(
            Break(
                kind,
                leg,
                printed(ids),
                places(lines),
                expected_minor,
                found_minor,
                asset,
                owner,
                action,
                since,
                detail,
                closed,
            )
        )

    def flow(
        self,
        name: str,
        flying: str,
        ids: Iterable[bytes | str],
        lines: Iterable[tuple[Booked, int]],
        chain: Iterable[tuple[int, int]] = (),
        once: str = "",
    ) -> None:
        """Add a flow of money.

        Args:
            name: The break that it is; "" for none.
            flying: Its name while only one side has it.
            ids: The records that it concerns.
            lines: Booked lines, each with its cents.
            chain: (Unix seconds, micro-euro) of its tokens.
            once: The break that it was while the bank had booked too much of it; "" for none.
        """
        bank = sorted((self.coverage.place(booked), cents) for booked, cents in lines)
        self.flows.append(
            Flow(name, flying, ",".join(printed(ids)), tuple(bank), tuple(sorted(chain)), once)
        )

    def unexplained(self, leg: Leg, kind: BreakKind, booked: Booked, closed: str = "") -> None:
        """Add a booked line that belongs to nothing: a break, and a flow of the whole line."""
        self.broken(leg, kind, booked.ids[:1], [booked], 0, booked.line.amount_minor, closed=closed)
        self.flow(kind, kind, booked.ids[:1], [(booked, booked.line.amount_minor)])


def printed(ids: Iterable[bytes | str]) -> tuple[str, ...]:
    """Return ids as sorted text, bytes as hex."""
    return tuple(
        sorted(record_id if isinstance(record_id, str) else record_id.hex() for record_id in ids)
    )


def places(lines: Iterable[Booked]) -> tuple[str, ...]:
    """Return where the lines are: the file by its SHA-256, and the path within it."""
    return tuple(sorted(f"{booked.line.source.hex()}:{booked.line.path}" for booked in lines))
