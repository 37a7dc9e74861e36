"""Proof of reserves: at every statement, token supply = booked balance + named items.

A statement of day D is compared with the chain at the end of that day, 24:00 UTC: its last final
block before that time. What only one side has by then is an item with a name. The matching uses all
facts known now, so a name is never guessed; tokens or money without a name are the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from orchestrator.core.reconcile.coverage import Coverage
from orchestrator.core.reconcile.kinds import BreakKind
from orchestrator.core.reconcile.results import Flow, InFlight, Reserve
from orchestrator.core.reconcile.types import MICRO_PER_CENT, ChainFacts

EVER = 1 << 62
_DAY_S, _EPOCH = 86_400, date(1970, 1, 1)
# what an item is called while it adds to the supply instead
_AHEAD = {"credit_not_minted": "minted_before_statement", "payout_in_flight": "booked_before_block"}


def end_of(day: date) -> int:
    """Return the Unix seconds at which a day ends, UTC."""
    return ((day - _EPOCH).days + 1) * _DAY_S


def items(flows: Iterable[Flow], statement: int = EVER, at: int = EVER) -> tuple[InFlight, ...]:
    """Return what only the supply or only the balance has, by name.

    Args:
        flows: The money of each payout, credit or charge.
        statement: The index of the last statement whose lines count.
        at: Only blocks before this time count, Unix seconds.
    """
    in_flight = []
    for flow in flows:
        booked = [cents for index, cents in flow.bank if index <= statement]
        micro = sum(amount for time, amount in flow.chain if time < at)
        micro -= sum(booked) * MICRO_PER_CENT
        if micro:
            in_flight.append(InFlight(_name_at(flow, micro, bool(booked), at), flow.id, micro))
    return tuple(sorted(in_flight, key=lambda item: (item.name, item.id, item.amount_micro)))


def _name_at(flow: Flow, micro: int, is_booked: bool, at: int) -> str:
    """Return the name of a break from its first line on; before, how it stood then."""
    if flow.name and (is_booked or not flow.bank):
        return str(flow.name)
    if micro < 0:
        return flow.flying
    all_burned = flow.chain and all(time < at for time, _ in flow.chain)
    return str(flow.once) if flow.once and all_burned else _AHEAD.get(flow.flying, flow.flying)


def supply_at(chain: ChainFacts, at: int) -> int:
    """Return the tokens in circulation at a time, in micro-euro.

    That is today's supply, less what was minted since, plus what was redeemed since.
    """
    since = sum(mint.amount_micro for mint in chain.mints if mint.at >= at)
    since -= sum(item.amount_micro for item in chain.redemptions if item.at >= at)
    return chain.supply_micro - since


def reserves(chain: ChainFacts, flows: Sequence[Flow], covered: Coverage) -> tuple[Reserve, ...]:
    """Return the proof of reserves at each statement, in their order."""
    proofs = []
    for index, statement in enumerate(covered.statements):
        at = end_of(statement.day)
        named = items(flows, index, at)
        supply, balance = supply_at(chain, at), statement.closing_minor
        expected = balance * MICRO_PER_CENT + sum(item.amount_micro for item in named)
        proofs.append(
            Reserve(
                statement.statement,
                statement.day,
                at,
                supply,
                balance,
                named,
                supply - expected,
                unbacked(named),
            )
        )
    return tuple(proofs)


def unbacked(named: Iterable[InFlight]) -> int:
    """Return the micro-euro of tokens that no euro covers, now or on its way: breaks that add to
    supply."""
    return sum(
        item.amount_micro for item in named if item.name in set(BreakKind) and item.amount_micro > 0
    )
