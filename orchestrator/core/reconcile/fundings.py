"""Money in: each credit has one mint of its amount, waits for one, or belongs to no agreement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from orchestrator.core.reconcile.findings import BreakFindings
from orchestrator.core.reconcile.kinds import BreakKind, Leg
from orchestrator.core.reconcile.types import MICRO_PER_CENT, Booked, Ledger, Mint, StatementLine
from orchestrator.core.references import account_number, find_reference, normalise

_FLYING = "credit_not_minted"


def match_fundings(
    findings: BreakFindings,
    credits: Iterable[Booked],
    undoing: Iterable[Booked],
    mints: Iterable[Mint],
    ledger: Ledger,
) -> list[Booked]:
    """Judge each credit, together with what the bank took back of it.

    Args:
        findings: Collects matches, breaks and flows.
        credits: Booked credits.
        undoing: Debits that the bank marks as returns or reversals.
        mints: The mints on chain.
        ledger: What the books say.

    Returns:
        The debits that undo no credit.
    """
    minted: dict[bytes, list[Mint]] = defaultdict(list)
    for mint in mints:
        minted[mint.credit_id].append(mint)
    credits = list(credits)
    taken, rest = _taken_back(credits, undoing)
    sent_back = {payout.credit_id for payout in ledger.payouts if payout.credit_id}
    for credit in credits:
        own = [mint for credit_id in credit.ids for mint in minted.pop(credit_id, [])]
        back = taken.get(credit.ids)
        if back is not None:
            _reversed(findings, credit, back, own)
        elif own:
            _minted(findings, credit, own)
        elif sent_back & set(credit.ids):
            findings.broken(
                Leg.BANK,
                BreakKind.UNMATCHED_FUNDING,
                credit.ids[:1],
                [credit],
                0,
                credit.line.amount_minor,
                closed="two officers had it sent back",
            )
            findings.flow("", "credit_sent_back", credit.ids[:1], [_whole(credit)])
        elif _has_agreement(credit, ledger):
            findings.flow("", _FLYING, credit.ids[:1], [_whole(credit)])
        else:
            findings.unexplained(Leg.BANK, BreakKind.UNMATCHED_FUNDING, credit)
        if ledger.allocated & set(credit.ids):
            findings.broken(
                Leg.BANK,
                BreakKind.UNMATCHED_FUNDING,
                credit.ids[:1],
                [credit],
                0,
                credit.line.amount_minor,
                closed="two officers found its agreement",
            )
    for credit_id, own in minted.items():
        micro = sum(mint.amount_micro for mint in own)
        findings.broken(
            Leg.SUPPLY, BreakKind.MINT_WITHOUT_CREDIT, [credit_id], [], 0, micro, "tEUR/6"
        )
        findings.flow(BreakKind.MINT_WITHOUT_CREDIT, _FLYING, [credit_id], [], _tokens(own))
    return rest


def _minted(findings: BreakFindings, credit: Booked, own: list[Mint]) -> None:
    """Match one mint of the whole credit, or report a break: more than one, or another amount."""
    cents, micro = credit.line.amount_minor, sum(mint.amount_micro for mint in own)
    if len(own) == 1 and micro == cents * MICRO_PER_CENT:
        findings.match(
            "mint", [own[0].credit_id], cents, [credit], "minted once, for the whole credit"
        )
        findings.flow("", _FLYING, credit.ids[:1], [_whole(credit)], _tokens(own))
        return
    kind = BreakKind.DUPLICATE if len(own) > 1 else BreakKind.AMOUNT
    findings.broken(
        Leg.SUPPLY,
        kind,
        {mint.credit_id for mint in own},
        [credit],
        cents * MICRO_PER_CENT,
        micro,
        "tEUR/6",
    )
    findings.flow(kind, _FLYING, credit.ids[:1], [_whole(credit)], _tokens(own))


def _reversed(findings: BreakFindings, credit: Booked, back: Booked, own: list[Mint]) -> None:
    """Judge a reversed credit: before its mint nothing is left; after it, tokens lack their
    euros."""
    closed = "" if own else "taken back before anything was minted for it"
    micro = sum(mint.amount_micro for mint in own)
    findings.broken(
        Leg.SUPPLY,
        BreakKind.RETURNED,
        credit.ids[:1],
        [credit, back],
        micro,
        0,
        "tEUR/6",
        detail=back.line.reason,
        closed=closed,
    )
    findings.flow(
        BreakKind.RETURNED if own else "",
        _FLYING,
        credit.ids[:1],
        [_whole(credit), _whole(back)],
        _tokens(own),
    )


def _taken_back(
    credits: Iterable[Booked], undoing: Iterable[Booked]
) -> tuple[dict[tuple[bytes, ...], Booked], list[Booked]]:
    """Return {ids of a credit: the debit that undoes it}, and the debits that undo none.

    Both must have the same amount and the same reference (or name of the order, or account), and
    the debit comes later.
    """
    open_ = defaultdict(list)
    for credit in reversed(list(credits)):
        open_[_marks(credit.line)].append(credit)
    taken, rest = {}, []
    for back in undoing:
        same = [
            credit
            for credit in open_[_marks(back.line)]
            if credit.line.booking_date <= back.line.booking_date
        ]
        if same:
            open_[_marks(back.line)].remove(same[-1])
            taken[same[-1].ids] = back
        else:
            rest.append(back)
    return taken, rest


def _marks(line: StatementLine) -> tuple:
    return (abs(line.amount_minor), _reference(line), account_number(line.counterparty_iban))


def _reference(line: StatementLine) -> str:
    return normalise(line.reference) or find_reference(line.text)


def _has_agreement(credit: Booked, ledger: Ledger) -> bool:
    """Whether its tokens are on their way: by its reference, unless the agreement had ended, or
    because two officers said so."""
    ids = set(credit.ids)
    by_reference = _reference(credit.line) in ledger.references and not ledger.unallocated & ids
    return by_reference or bool(ledger.allocated & ids)


def _whole(booked: Booked) -> tuple[Booked, int]:
    return booked, booked.line.amount_minor


def _tokens(mints: Iterable[Mint]) -> list[tuple[int, int]]:
    return [(mint.at, mint.amount_micro) for mint in mints]
