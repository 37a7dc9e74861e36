"""Builds the JSON view of what became of a payment whose payee is a waterfall.

A waterfall takes in at once all that the rail has for it. Each holder earns its part of that, and
takes first what it earned first: so the payouts that hold a part of the payment are known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from orchestrator.core.waterfall import NOBODY, WaterfallTerms, terms_of_log
from orchestrator.edges.store import Session, blocks, payments, payouts
from orchestrator.views.payout import line_views, micro, party_view, payout_view


class _IncomeLog(NamedTuple):
    """What came in at once: the log, and the sum of all that came in until before and after it."""

    log: blocks.ChainLogRow
    before: int
    after: int


class _Take(NamedTuple):
    """What a holder took: the sum of all before and after it, and its payout; "" for tokens."""

    before: int
    after: int
    payout: str


def share_view(session: Session, row: payments.PaymentRow, payee: str) -> dict[str, Any] | None:
    """Return how a payment's money was divided, None where its payee is no waterfall.

    `came_in` is None until the waterfall has taken it in.
    """
    created = _created(session, payee)
    if created is None:
        return None
    view: dict[str, Any] = {"waterfall": party_view(session, payee), "came_in": None, "holders": []}
    moves = blocks.logs_about(session, ("Transfer",), created["waterfall"])
    income = _income(session, row, created["waterfall"], moves)
    if income is None:
        return view
    terms = terms_of_log(created["terms"])
    view["came_in"] = {
        "transaction": income.log.tx_hash,
        "block": income.log.block_number,
        **micro(income.after - income.before),
    }
    view["holders"] = [
        _holder_view(session, terms, income, holder, created["waterfall"], moves)
        for holder in terms.everyone
    ]
    return view


def _created(session: Session, payee: str) -> dict[str, Any] | None:
    for log in blocks.logs_named(session, ("WaterfallCreated",)):
        args = json.loads(log.args)
        if args["waterfall"].lower() == payee.lower():
            return args
    return None


def _income(
    session: Session, row: payments.PaymentRow, waterfall: str, moves: Any
) -> _IncomeLog | None:
    """Return the first income from the payment's rail after its release."""
    released = blocks.log_of(session, row.release_tx, "Released") if row.release_tx else None
    if released is None:
        return None
    received, place = 0, (released.block_number, released.log_index)
    for log in moves:
        args = json.loads(log.args)
        if args["to"].lower() != waterfall.lower():
            continue
        income = _IncomeLog(log, received, received + args["value"])
        received = income.after
        is_rail = args["from"].lower() == released.address.lower()
        if is_rail and (log.block_number, log.log_index) > place:
            return income
    return None


def _holder_view(
    session: Session,
    terms: WaterfallTerms,
    income: _IncomeLog,
    holder: str,
    waterfall: str,
    moves: Any,
) -> dict[str, Any]:
    begin, end = (terms.earned(total)[holder] for total in (income.before, income.after))
    takes = [
        take
        for take in _takes(session, holder, waterfall, moves)
        if max(begin, take.before) < min(end, take.after)
    ]
    rows = [payouts.get(session, take.payout) for take in takes if take.payout]
    return {
        "holder": party_view(session, holder),
        **micro(end - begin),
        "as_tokens": any(not take.payout for take in takes),
        "payouts": [
            {**payout_view(session, payout), "statement_lines": line_views(session, payout)}
            for payout in rows
            if payout is not None
        ],
    }


def _takes(session: Session, holder: str, waterfall: str, moves: Any) -> Iterator[_Take]:
    """Yield what a holder took, in order; a payout burns the tokens that it takes."""
    taken = 0
    for log in moves:
        args = json.loads(log.args)
        if args["from"].lower() != waterfall.lower():
            continue
        who, payout = args["to"], ""
        if who == NOBODY:
            who, payout = _redeemed(session, log)
        if who.lower() == holder.lower():
            yield _Take(taken, taken + args["value"], payout)
            taken += args["value"]


def _redeemed(session: Session, burned: blocks.ChainLogRow) -> tuple[str, str]:
    """Return (beneficiary, payout id) of the redemption that burned tokens."""
    for log in blocks.logs_in_transaction(session, burned.tx_hash):
        if log.log_index > burned.log_index and log.name == "Redeemed":
            args = json.loads(log.args)
            return args["beneficiary"], args["order"]
    return NOBODY, ""
