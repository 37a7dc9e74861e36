"""All trades of the month that are paid by measured numbers: their devices and agreements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from orchestrator.edges.unlock.keys import UnlockKeys
from scripts.month import days
from scripts.month.parties import MonthParties, MonthParty
from scripts.month.plan import Plan, PlannedAgreement
from scripts.month.rail import MonthRail
from scripts.month.trades.branch import MonthBranch
from scripts.month.trades.car import MonthCar
from scripts.month.trades.field import MonthField
from scripts.month.trades.lamp import MonthLamp
from scripts.month.trades.machine import MonthMachine
from scripts.month.trades.pump import MonthPump
from scripts.month.trades.shares import MonthShare
from scripts.month.trades.trade import MonthTrade
from services.simulated_devices.reporter import SimulatedReporter

FUNDED_CENTS = 100_000


def _april(*numbers: int) -> tuple[date, ...]:
    return tuple(days.FIRST.replace(day=number) for number in numbers)


_ORDERS = _april(2, 9, 16, 23), _april(3, 13, 20, 27), _april(8, 15, 21, 30)


@dataclass
class MonthTown:
    """The trades, and the waterfall that lamps pay."""

    trades: list[MonthTrade]
    share: MonthShare

    @property
    def devices(self) -> list[SimulatedReporter]:
        return [device for trade in self.trades for device in trade.devices]

    @property
    def lamps(self) -> list[MonthLamp]:
        return [trade for trade in self.trades if isinstance(trade, MonthLamp)]

    def morning(self, day: date) -> list[bytes]:
        """Return the sealed records that arrive that morning, what is heard before reports."""
        return [record for trade in self.trades for record in trade.morning(day)]

    def evening(self, day: date, plan: Plan) -> None:
        """Let the holders of the waterfall take their parts on their days."""
        self.share.evening(day, plan.earned()[self.share.plan.address])


def build_town(rail: MonthRail, parties: MonthParties, plan: Plan, seed: int) -> MonthTown:
    """Create the waterfall and return all trades; their agreements are not open yet."""
    share = MonthShare(rail, parties.holders)
    plan.share = share.plan
    town = MonthTown(list(_trades(rail, parties, plan, seed)), share)
    keys = UnlockKeys(rail.settings.unlock_keys)
    for lamp in town.lamps:
        keys.add(lamp.device.name, lamp.key.hex(), 1, None)
    return town


def _trades(rail: MonthRail, parties: MonthParties, plan: Plan, seed: int) -> Iterator[MonthTrade]:
    first, second, bank, branch, works, *homes = parties.clients

    def basis(payer: MonthParty, payee: str, *names: str) -> tuple:
        """Return what every trade has: payer, plan, devices, seed."""
        agreement = plan.add(PlannedAgreement(names[0], payee, funded_cents=FUNDED_CENTS))
        stations = rail.home / "devices"
        devices = [SimulatedReporter(stations / name, name, seed) for name in names]
        return payer, agreement, devices, seed

    insurer = parties.insurer
    yield MonthCar(
        *basis(first, insurer.address, "car-1"),
        weeks=_april(1, 8, 15, 22),
        corrected=(days.FIRST.replace(day=17), 90_000),  # the other car pays more that day
    )
    yield MonthCar(
        *basis(second, insurer.address, "car-2"),
        weeks=_april(3, 10, 17),
        unplugged=days.FIRST.replace(day=17),
    )
    yield MonthMachine(*basis(bank, parties.machinist.address, "atm-1"))
    stations = (f"rain-{number}" for number in range(1, 5))
    yield MonthField(*basis(insurer, parties.farmer.address, "field-1", *stations))
    yield MonthBranch(*basis(branch, parties.saver.address, "branch-1", "branch-meter", "air-1"))
    yield MonthPump(*basis(works, parties.mechanic.address, "pump-1"))
    for number, (payer, orders) in enumerate(zip(homes, _ORDERS, strict=True), 1):
        yield MonthLamp(*basis(payer, plan.share.address, f"lamp-{number}"), orders=orders)
