"""Money out: which booked lines belong to which payouts, and what each such group amounts to.

A group is one payout, or all payouts of a batch the bank booked as one line. Lines find their
group by EndToEndId, then by the batch's id, then by account and amount where both are unique.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from orchestrator.core.reconcile.findings import Findings
from orchestrator.core.reconcile.types import (
    DUPLICATE_REASONS,
    MICRO_PER_CENT,
    Booked,
    BreakKind,
    LedgerPayout,
)

_HOW = {
    "end_to_end_id": "the line carries the payout's EndToEndId",
    "batch": "the line carries the batch's id and the sum of its payouts",
    "account_and_amount": "the only open payout to this account with this amount",
}


@dataclass
class _Group:
    payouts: list[LedgerPayout]
    lines: list[Booked] = field(default_factory=list)
    rule: str = "end_to_end_id"

    @property
    def ids(self) -> list[bytes]:
        return [payout.payout_id for payout in self.payouts]

    @property
    def cents(self) -> int:
        return sum(payout.amount_cents for payout in self.payouts)


def match_payouts(found: Findings, payouts: Iterable[LedgerPayout], lines: Iterable[Booked],
                  burned: Mapping[bytes, int], rejected: Mapping[str, str], covered: date) -> None:
    """Assigns lines to payouts and judges each group; lines left over are breaks.

    burned: micro-euro redeemed on chain per payout id. rejected: reason per EndToEndId.
    covered: the last day whose statement we hold.
    """
    ordered = sorted(payouts, key=lambda payout: payout.payout_id)
    groups = {payout.end_to_end_id: _Group([payout]) for payout in ordered}
    rest = _by_end_to_end_id(groups, lines)
    rest = _by_batch(groups, rest, rejected)
    for line in _by_account(groups, rest):
        found.unexplained(BreakKind.EXTRA_AT_BANK, line)
    for group in {id(group): group for group in groups.values()}.values():
        kind = _judge(group, rejected, covered)
        on_chain = sum(burned.get(payout_id, 0) for payout_id in group.ids)
        _report(found, group, kind, on_chain)


def _by_end_to_end_id(groups: dict[str, _Group], lines: Iterable[Booked]) -> list[Booked]:
    rest = []
    for booked in lines:
        group = groups.get(booked.line.end_to_end_id)
        (rest if group is None else group.lines).append(booked)
    return rest


def _by_batch(groups: dict[str, _Group], lines: list[Booked],
              rejected: Mapping[str, str]) -> list[Booked]:
    """Makes one group of the open payouts of a batch that has lines without EndToEndId."""
    batches: dict[str, list[Booked]] = defaultdict(list)
    for booked in lines:
        if booked.line.batch and not booked.line.end_to_end_id:
            batches[booked.line.batch].append(booked)
    open_payouts: dict[str, list[LedgerPayout]] = defaultdict(list)
    for key, group in groups.items():
        if not group.lines and key not in rejected:
            open_payouts[group.payouts[0].batch].append(group.payouts[0])
    taken = {batch for batch in batches if open_payouts[batch]}
    for batch in taken:
        group = _Group(open_payouts[batch], batches[batch], "batch")
        groups.update({payout.end_to_end_id: group for payout in group.payouts})
    return [each for each in lines if each.line.end_to_end_id or each.line.batch not in taken]


def _by_account(groups: dict[str, _Group], lines: list[Booked]) -> list[Booked]:
    """Where account and amount name one open payout and one line only, they belong together."""
    wanted: dict[tuple[str, int], list[_Group]] = defaultdict(list)
    for group in groups.values():
        if not group.lines and group.payouts[0].due_on is not None:
            wanted[(group.payouts[0].iban, -group.cents)].append(group)
    keys = [(each.line.counterparty_iban, each.line.amount_minor) for each in lines
            if not each.line.end_to_end_id]
    count, rest = Counter(keys), []
    for booked in lines:
        key = (booked.line.counterparty_iban, booked.line.amount_minor)
        candidates = wanted.get(key, []) if not booked.line.end_to_end_id else []
        if count[key] == 1 == len(candidates):
            candidates[0].lines, candidates[0].rule = [booked], "account_and_amount"
        else:
            rest.append(booked)
    return rest


def _judge(group: _Group, rejected: Mapping[str, str], covered: date) -> BreakKind | None:
    """Which break the group is; None where it is matched or still in flight."""
    reasons = [rejected[p.end_to_end_id] for p in group.payouts if p.end_to_end_id in rejected]
    if not group.lines:
        due = group.payouts[0].due_on
        late = due is not None and due <= covered
        return BreakKind.REJECTED if reasons else BreakKind.MISSING_AT_BANK if late else None
    if any(reason not in DUPLICATE_REASONS for reason in reasons):
        return BreakKind.REJECTED  # refused, and booked all the same
    debits = Counter(-b.line.amount_minor for b in group.lines if b.line.amount_minor < 0)
    credits = Counter(b.line.amount_minor for b in group.lines if b.line.amount_minor > 0)
    if not debits:
        return BreakKind.EXTRA_AT_BANK  # returned without ever having left
    debits, credits = debits - credits, credits - debits
    if credits or not debits:
        return BreakKind.RETURNED
    if group.rule == "batch":  # a bank may split one batch over several lines
        return None if sum(debits.elements()) == group.cents else BreakKind.AMOUNT
    if debits == {group.cents: 1}:
        return None
    return BreakKind.DUPLICATE if debits[group.cents] else BreakKind.AMOUNT


def _report(found: Findings, group: _Group, kind: BreakKind | None, burned_micro: int) -> None:
    net = -sum(booked.line.amount_minor for booked in group.lines)
    if kind is not None:
        found.broken(kind, group.ids, group.lines, group.cents, net)
    elif group.lines:
        undone = len([booked for booked in group.lines if booked.line.amount_minor > 0])
        how = _HOW[group.rule] + (f"; {undone} further booked and reversed" if undone else "")
        found.match(group.rule, group.ids, group.cents, group.lines, how)
    found.item(kind or "payout_in_flight", group.ids, net * MICRO_PER_CENT - burned_micro)
