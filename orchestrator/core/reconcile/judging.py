"""Judges a payout by the bank's lines: matched, still on its way, or which break it is.

A break that later lines explain (a booking that was reversed, a return that was ordered again and
booked) is reported as closed, with the reason; it is never forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.reconcile.coverage import Coverage
from orchestrator.core.reconcile.kinds import BreakKind
from orchestrator.core.reconcile.types import DUPLICATE_REASONS, Booked, LedgerPayout


@dataclass(frozen=True, slots=True)
class BreakJudgement:
    """The judgement on one group of payouts and lines.

    Attributes:
        open: The break that a person must resolve; None if there is none.
        closed: Breaks of the past, each with the record that explains it.
        because: Explanations of the match, in addition to its rule.
        detail: More about the open break, for people.
        matched: Whether lines and payouts match.
    """

    open: BreakKind | None = None
    closed: tuple[tuple[BreakKind, str], ...] = ()
    because: tuple[str, ...] = ()
    detail: str = ""
    matched: bool = False


def judge(
    payouts: Sequence[LedgerPayout],
    lines: Sequence[Booked],
    rule: str,
    rejected: Mapping[str, str],
    coverage: Coverage,
) -> BreakJudgement:
    """Return the judgement on one group.

    Args:
        payouts: The payouts of the group.
        lines: The booked lines of the group.
        rule: The rule by which they were grouped.
        rejected: EndToEndId -> reason, for refused orders.
        coverage: Which statement holds which line.
    """
    cents = sum(payout.amount_cents for payout in payouts)
    refused = [rejected[p.end_to_end_id] for p in payouts if p.end_to_end_id in rejected]
    before = tuple(
        (BreakKind.REJECTED, f"refused as {name}, ordered again as {payout.end_to_end_id}")
        for payout in payouts
        for name in payout.earlier
        if name in rejected
    )
    debits, credits = _split(lines)
    kept, back, undone = debits - credits, credits - debits, credits & debits
    older = {name for payout in payouts for name in payout.earlier}
    present = [booked for booked in lines if booked.line.end_to_end_id not in older]
    if older:
        before += tuple(_undone(undone, lines, cents, True))
    if not present and not kept and not back:  # nothing yet of its newest order
        return _without_lines(payouts[0], refused, before, coverage)
    if any(reason not in DUPLICATE_REASONS for reason in refused):
        return BreakJudgement(BreakKind.REJECTED, before, detail="refused, and booked all the same")
    if rule == "sum":
        return BreakJudgement(
            BreakKind.BATCH_BOOKED, before, detail=f"fits batch {payouts[0].batch}"
        )
    if not debits:
        return BreakJudgement(BreakKind.EXTRA, before, detail="came back without ever having left")
    kind = _open(kept, back, cents, rule)
    if kind is not None:
        return BreakJudgement(kind, before)
    if not older:
        before += tuple(_undone(undone, lines, cents, False))
    because = [f"{undone.total()} further booked and reversed"] if undone else []
    because += [f"booked in {kept.total()} parts"] if kept.total() > 1 and rule != "batch" else []
    return BreakJudgement(
        None, (*before, *_explained(payouts, present, rule, kept)), tuple(because), matched=True
    )


def _without_lines(
    payout: LedgerPayout,
    refused: Sequence[str],
    before: tuple[tuple[BreakKind, str], ...],
    coverage: Coverage,
) -> BreakJudgement:
    due = payout.due_on
    late = due is not None and coverage.answers_for(due)
    kind = BreakKind.REJECTED if refused else BreakKind.MISSING if late else None
    return BreakJudgement(
        kind, before, detail=", ".join(refused) or (f"due on {due}" if late else "")
    )


def _split(lines: Sequence[Booked]) -> tuple[Counter[int], Counter[int]]:
    """Return what payees got and gave back, in cents, without charges inside."""
    debits: Counter[int] = Counter()
    credits: Counter[int] = Counter()
    for booked in lines:
        if booked.line.amount_minor < 0:
            debits[-booked.line.amount_minor - booked.line.charges_minor] += 1
        else:
            credits[booked.line.amount_minor + booked.line.charges_minor] += 1
    return debits, credits


def _open(kept: Counter[int], back: Counter[int], cents: int, rule: str) -> BreakKind | None:
    total = sum(kept.elements())
    if back or not kept:
        return BreakKind.RETURNED
    if total == cents:  # in one line, or split over several
        return None
    if rule != "batch" and kept[cents]:
        return BreakKind.DUPLICATE
    return BreakKind.AMOUNT


def _undone(
    undone: Counter[int], lines: Sequence[Booked], cents: int, reordered: bool
) -> list[tuple[BreakKind, str]]:
    """Return bookings that the bank took back: each was a break once."""
    reversals = {booked.line.amount_minor for booked in lines if booked.line.is_reversal}
    closed = []
    for amount in sorted(undone.elements()):
        if amount != cents:
            closed.append((BreakKind.AMOUNT, f"booked with {amount} cents, and reversed"))
        elif reordered and amount not in reversals:
            closed.append((BreakKind.RETURNED, "came back, and was ordered again"))
        else:
            closed.append((BreakKind.DUPLICATE, "booked once more, and reversed"))
    return closed


def _explained(
    payouts: Sequence[LedgerPayout], lines: Sequence[Booked], rule: str, kept: Counter[int]
) -> list[tuple[BreakKind, str]]:
    """Explain what was unusual about a group that matches to the cent."""
    closed = []
    if rule == "batch":
        closed.append((BreakKind.BATCH_BOOKED, "its batch id and its sum are those of one batch"))
    elif kept.total() > 1:
        closed.append((BreakKind.AMOUNT, f"split over {kept.total()} lines that make the sum"))
    due = max((payout.due_on for payout in payouts if payout.due_on), default=None)
    days = sorted(booked.line.booking_date for booked in lines if booked.line.amount_minor < 0)
    # the last part of a split booking, but the first of repeated ones
    booking_day = days[-1] if kept.total() > 1 else days[0]
    if due is not None and booking_day > due:
        closed.append((BreakKind.TIMING, f"due on {due}, booked on {booking_day}"))
    return closed
