"""Compares what trades were paid with the plan: each period, each unlocked day, each holder."""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

from device_adapters.types import device_id
from orchestrator.core.effect import EffectKind, unlock_terms
from orchestrator.edges.store import Session, all_rows, effects, payments
from orchestrator.edges.unlock.keys import UnlockKeys
from orchestrator.operations import waterfalls
from orchestrator.operations.waterfall_income import income_of
from scripts.month.run import MonthRun
from scripts.month.trades.proofs import missing_steps
from scripts.month.trades.town import MonthTown
from services.simulated_devices.lock import SimulatedLock


class MonthComparison(Protocol):
    """What takes a comparison: (what, planned, actual)."""

    def compare(self, what: str, planned: object, actual: object) -> None: ...


def compare_periods(verdict: MonthComparison, session: Session, town: MonthTown) -> None:
    """Compare the amount of every period of every trade."""
    amounts = defaultdict(list)
    for row in sorted(all_rows(session, payments.PaymentRow), key=lambda row: row.sequence):
        amounts[row.agreement_id].append(row.amount_micro)
    for trade in town.trades:
        what = f"{trade.PRODUCT} of {trade.device.name} (micro-euro)"
        verdict.compare(what, trade.agreement.payments, amounts[trade.agreement.identity])


def compare_days(verdict: MonthComparison, session: Session, run: MonthRun) -> None:
    """Compare days sold with days unlocked: each lamp's own lock takes each token."""
    keys, digits = UnlockKeys(run.rail.settings.unlock_keys), defaultdict(list)
    for row in effects.newest(session, EffectKind.UNLOCK_TOKEN, None, 1_000)[::-1]:
        place = effects.unlock_number(session, row.effect_id)
        token = keys.token(place.device, place.number, *unlock_terms(row.message))
        digits[place.device].append(token.digits)
    for lamp in run.town.lamps:
        lock, unlocked = SimulatedLock(lamp.key), []
        for typed in digits["0x" + device_id(lamp.device.name).hex()]:
            before = lock.days
            lock.enter(typed)
            unlocked.append(lock.days - before)
        verdict.compare(f"days that tokens unlock for {lamp.device.name}", lamp.sold, unlocked)


def compare_lives(verdict: MonthComparison, session: Session, run: MonthRun) -> None:
    """Compare that a payment of each trade is traced to the bank, and audited offline."""
    for trade in run.town.trades:
        what = f"{trade.PRODUCT} of {trade.device.name}: steps that no trace or audit shows"
        verdict.compare(what, [], missing_steps(run.rail, session, trade))


def compare_share(verdict: MonthComparison, run: MonthRun) -> None:
    """Compare what each holder took and left, and that all of it came from payments of lamps."""
    rail, plan = run.rail, run.plan.share
    item = waterfalls.waterfall_of(rail.store, plan.address)
    money = waterfalls.money_of(rail.store, rail.chain, item, rail.now)
    on_chain = {holder.address: holder for holder in money.holders}
    for holder in run.town.share.holders:
        taken = plan.paid[holder.address] + plan.tokens[holder.address]
        planned = taken, plan.left()[holder.address]
        actual = on_chain[holder.address].taken_micro, on_chain[holder.address].owed_micro
        verdict.compare(f"revenue share of {holder.name}: taken, left", planned, actual)
    lamps = sum(sum(lamp.agreement.payments) for lamp in run.town.lamps)
    incomes = income_of(rail.store, rail.chain.deployment, item)
    devices = {lamp.device.name for lamp in run.town.lamps}
    proved = [part.amount_micro for income in incomes for part in income.payments]
    verdict.compare("revenue share: payments of lamps under it", lamps, sum(proved))
    named = {part.device for income in incomes for part in income.payments}
    verdict.compare("revenue share: devices under it", sorted(devices), sorted(named))
