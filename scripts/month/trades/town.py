"""All trades of the month that are paid by measured numbers: their devices and agreements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from scripts.month import days
from scripts.month.devices import MonthDevice, MonthMeter
from scripts.month.parties import MonthParties, MonthParty
from scripts.month.plan import Plan, PlannedAgreement
from scripts.month.rail import MonthRail
from scripts.month.trades.branch import MonthBranch
from scripts.month.trades.car import MonthCar
from scripts.month.trades.field import MonthField
from scripts.month.trades.lamp import MonthLamp
from scripts.month.trades.machine import MonthMachine
from scripts.month.trades.pump import MonthPump
from scripts.month.trades.reporter import MonthReporter, MonthTrade
from scripts.month.trades.shares import MonthShare

FUNDED_CENTS = 100_000
_STATIONS = ("rain-1", "rain-2", "rain-3", "rain-4")


def _april(*numbers: int) -> tuple[date, ...]:
    return tuple(days.FIRST.replace(day=number) for number in numbers)


_CAR_WEEKS = _april(1, 8, 15, 22), _april(3, 10, 17)
_RESTATED = days.FIRST.replace(day=17), 90_000  # that day the other car's premium is more
_UNPLUGGED = days.FIRST.replace(day=17)  # the first day of the second car's last week
_ORDERS = _april(2, 9, 16, 23), _april(3, 13, 20, 27), _april(8, 15, 21, 30)


@dataclass
class MonthTown:
    """The trades, and the waterfall that lamps pay."""

    trades: list[MonthTrade]
    share: MonthShare

    @property
    def devices(self) -> list[MonthDevice]:
        return [device for trade in self.trades for device in trade.devices]

    @property
    def lamps(self) -> list[MonthLamp]:
        return [trade for trade in self.trades if isinstance(trade, MonthLamp)]

    def morning(self, day: date) -> dict[str, list[bytes]]:
        """Return the records that arrive that morning by protocol, what is heard before reports."""
        records: dict[str, list[bytes]] = {"ocmf": [], "sealed": []}
        if day <= days.LAST:
            for trade in self.trades:
                for protocol, record in trade.morning(day):
                    records[protocol].append(record)
        return records

    def evening(self, day: date, plan: Plan) -> None:
        """Let the holders of the waterfall take their parts on their days."""
        self.share.evening(day, plan.earned()[self.share.plan.address])


def build_town(rail: MonthRail, parties: MonthParties, plan: Plan, seed: int) -> MonthTown:
    """Create the waterfall and return all trades; their agreements are not open yet."""
    share = MonthShare(rail, parties.holders)
    plan.share = share.plan
    return MonthTown(list(_trades(parties, plan, share.plan.address, seed)), share)


def _trades(parties: MonthParties, plan: Plan, waterfall: str, seed: int) -> Iterator[MonthTrade]:
    first, second, bank, branch, works, *homes = parties.clients

    def of(kind: type, payer: MonthParty, payee: str, name: str, *others: MonthDevice):
        agreement = plan.add(PlannedAgreement(name, payee, funded_cents=FUNDED_CENTS))
        trade = kind(payer, agreement, MonthReporter(name, seed), others)
        trade.seed = seed
        return trade

    for number, (payer, weeks) in enumerate(zip((first, second), _CAR_WEEKS, strict=True), 1):
        car = of(MonthCar, payer, parties.insurer.address, f"car-{number}")
        car.weeks = weeks
        car.restated = _RESTATED if number == 1 else None
        car.unplugged = _UNPLUGGED if number == 2 else None
        yield car
    yield of(MonthMachine, bank, parties.machinist.address, "atm-1")
    stations = [MonthReporter(name, seed) for name in _STATIONS]
    yield of(MonthField, parties.insurer, parties.farmer.address, "field-1", *stations)
    meter = MonthMeter("branch-meter", seed, 20_000_000)
    station = MonthReporter("air-1", seed)
    savings = of(MonthBranch, branch, parties.saver.address, "branch-1", meter, station)
    savings.meter, savings.station = meter, station
    yield savings
    yield of(MonthPump, works, parties.mechanic.address, "pump-1")
    for number, (payer, orders) in enumerate(zip(homes, _ORDERS, strict=True), 1):
        lamp = of(MonthLamp, payer, waterfall, f"lamp-{number}")
        lamp.orders = orders
        yield lamp
