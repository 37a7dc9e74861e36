"""Money out: which booked lines belong to which payouts, and what each such group amounts to.

A group is one payout under all its EndToEndIds, or all payouts of a batch that the bank booked as
one line. Lines find their group by EndToEndId, then by the batch's id, then by account and amount
where both are unique; a sum that fits one batch only is named, and a person decides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.core.reconcile.findings import BreakFindings
from orchestrator.core.reconcile.judging import judge
from orchestrator.core.reconcile.kinds import BreakKind, Leg
from orchestrator.core.reconcile.types import Booked, LedgerPayout, Redemption
from orchestrator.core.references import account_number

_HOW = {
    "end_to_end_id": "the line carries the payout's EndToEndId",
    "batch": "the line carries the batch's id and the sum of its payouts",
    "account_and_amount": "the only open payout to this account with this amount",
}
_TOO_MUCH = (BreakKind.DUPLICATE, BreakKind.AMOUNT)  # more was booked than ordered, for a while


@dataclass
class PayoutGroup:
    """Payouts that the bank booked together, with their lines.

    Attributes:
        payouts: The payouts.
        lines: The booked lines.
        rule: The rule by which they were grouped.
    """

    payouts: list[LedgerPayout]
    lines: list[Booked] = field(default_factory=list)
    rule: str = "end_to_end_id"

    @property
    def ids(self) -> list[bytes]:
        """Return the ids of the payouts."""
        return [payout.payout_id for payout in self.payouts]

    @property
    def cents(self) -> int:
        """Return the sum of the payouts."""
        return sum(payout.amount_cents for payout in self.payouts)


Groups = dict[str, PayoutGroup]


def match_payouts(
    findings: BreakFindings,
    payouts: Iterable[LedgerPayout],
    lines: Iterable[Booked],
    burned: Mapping[bytes, list[Redemption]],
    rejected: Mapping[str, str],
) -> None:
    """Assign lines to payouts and judge each group; lines left over are breaks.

    Args:
        burned: What was redeemed on chain, by payout id.
        rejected: The reason by EndToEndId.
    """
    ordered = sorted(payouts, key=lambda payout: payout.payout_id)
    groups: Groups = {}
    for payout in ordered:
        group = PayoutGroup([payout])
        groups |= dict.fromkeys((*payout.earlier, payout.end_to_end_id), group)
    rest = _by_end_to_end_id(groups, lines)
    rest = _by_batch(groups, rest, rejected)
    rest = _by_sum(groups, _by_account(groups, rest), rejected)
    for line in rest:
        findings.unexplained(Leg.BANK, BreakKind.EXTRA, line)
    for group in {id(group): group for group in groups.values()}.values():
        _report(findings, group, burned, rejected)


def _by_end_to_end_id(groups: Groups, lines: Iterable[Booked]) -> list[Booked]:
    rest = []
    for booked in lines:
        group = groups.get(booked.line.end_to_end_id)
        (rest if group is None else group.lines).append(booked)
    return rest


def _open(groups: Groups, rejected: Mapping[str, str]) -> dict[str, list[LedgerPayout]]:
    """Return, by batch, the payouts without a line that the bank did not refuse."""
    open_payouts: dict[str, list[LedgerPayout]] = defaultdict(list)
    for key, group in groups.items():
        last = group.payouts[0]
        if not group.lines and key == last.end_to_end_id and key not in rejected:
            open_payouts[last.batch].append(last)
    return open_payouts


def _gather(groups: Groups, payouts: list[LedgerPayout], lines: list[Booked], rule: str) -> None:
    group = PayoutGroup(payouts, lines, rule)
    for payout in payouts:
        groups |= dict.fromkeys((*payout.earlier, payout.end_to_end_id), group)


def _by_batch(groups: Groups, lines: list[Booked], rejected: Mapping[str, str]) -> list[Booked]:
    """Make one group of the open payouts of a batch that has lines without EndToEndId."""
    batches: dict[str, list[Booked]] = defaultdict(list)
    for booked in lines:
        if booked.line.batch and not booked.line.end_to_end_id:
            batches[booked.line.batch].append(booked)
    waiting = _open(groups, rejected)
    taken = {batch for batch in batches if waiting[batch]}
    for batch in taken:
        _gather(groups, waiting[batch], batches[batch], "batch")
    return [
        booked for booked in lines if booked.line.end_to_end_id or booked.line.batch not in taken
    ]


def _by_account(groups: Groups, lines: list[Booked]) -> list[Booked]:
    """Match a line to a payout where account and amount name only these two."""
    wanted: dict[tuple[str, int], list[PayoutGroup]] = defaultdict(list)
    for group in {id(group): group for group in groups.values()}.values():
        if not group.lines and group.payouts[0].due_on is not None:
            wanted[(account_number(group.payouts[0].iban), -group.cents)].append(group)
    keys = [
        (account_number(booked.line.counterparty_iban), booked.line.amount_minor)
        for booked in lines
        if not booked.line.end_to_end_id
    ]
    count, rest = Counter(keys), []
    for booked in lines:
        key = (account_number(booked.line.counterparty_iban), booked.line.amount_minor)
        candidates = wanted.get(key, []) if not booked.line.end_to_end_id else []
        if count[key] == 1 == len(candidates):
            candidates[0].lines, candidates[0].rule = [booked], "account_and_amount"
        else:
            rest.append(booked)
    return rest


def _by_sum(groups: Groups, lines: list[Booked], rejected: Mapping[str, str]) -> list[Booked]:
    """Report a debit without reference that is the sum of the open payouts of one batch only."""
    sums: dict[int, list[list[LedgerPayout]]] = defaultdict(list)
    for payouts in _open(groups, rejected).values():
        if len(payouts) > 1 and all(payout.due_on is not None for payout in payouts):
            sums[-sum(payout.amount_cents for payout in payouts)].append(payouts)
    bare = Counter(booked.line.amount_minor for booked in lines if not booked.line.end_to_end_id)
    rest = []
    for booked in lines:
        cents = booked.line.amount_minor
        fits = sums.get(cents, []) if not booked.line.end_to_end_id else []
        if len(fits) == 1 == bare[cents]:
            _gather(groups, fits[0], [booked], "sum")
        else:
            rest.append(booked)
    return rest


def _report(
    findings: BreakFindings,
    group: PayoutGroup,
    burned: Mapping[bytes, list[Redemption]],
    rejected: Mapping[str, str],
) -> None:
    """Report at most one open break of a group, and those that later lines have explained."""
    verdict = judge(group.payouts, group.lines, group.rule, rejected, findings.coverage)
    ids, lines = group.ids, group.lines
    moved = [(booked, booked.line.amount_minor + booked.line.charges_minor) for booked in lines]
    net = -sum(cents for _, cents in moved)
    if verdict.open is not None:
        findings.broken(Leg.BANK, verdict.open, ids, lines, group.cents, net, detail=verdict.detail)
    elif verdict.matched:
        findings.match(
            group.rule, ids, group.cents, lines, "; ".join([_HOW[group.rule], *verdict.because])
        )
    for kind, why in verdict.closed:
        findings.broken(Leg.BANK, kind, ids, lines, group.cents, net, closed=why)
    tokens = [
        (item.at, -item.amount_micro) for payout_id in ids for item in burned.get(payout_id, ())
    ]
    flying = "credit_sent_back" if group.payouts[0].credit_id else "payout_in_flight"
    too_much = [kind for kind, _ in verdict.closed if kind in _TOO_MUCH]
    findings.flow(verdict.open or "", flying, ids, moved, tokens, next(iter(too_much), ""))
    for booked in lines:
        name_charges(findings, booked, booked.line.charges_minor, ids)


def name_charges(findings: BreakFindings, booked: Booked, cents: int, ids: Iterable[bytes]) -> None:
    """Report charges that the bank took: the tokens for that money still exist."""
    if cents:
        findings.broken(Leg.BANK, BreakKind.CHARGES, ids, [booked], 0, cents)
        findings.flow(BreakKind.CHARGES, BreakKind.CHARGES, ids, [(booked, -cents)])
