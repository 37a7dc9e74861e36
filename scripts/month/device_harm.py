"""What devices, thieves and the chain do wrong in the month."""

from __future__ import annotations

from datetime import date, timedelta

from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.sender import ChainCall, send_and_wait
from scripts.month.devices import MWH_PER_UNIT, MonthMeter
from scripts.month.hands import UNITS, Actors
from scripts.month.plan import CENT
from scripts.month.town import METER_CENTS


def duplicates(month: Actors, day: date) -> None:
    """A gateway that sends the record it just sent once more, and again."""
    record = month.heard(day, month.meter(day, sessions=False))
    month.story.hand_over("ocmf", [record, record], "duplicate")


def forge(month: Actors, day: date) -> None:
    meter = month.meter(day, sessions=False)
    thief = MonthMeter(meter.name, month.story.seed + 1, meter.register)
    thief.counter = meter.counter + 500
    month.story.hand_over("ocmf", [thief.reading(UNITS, month.before(day))], "signature_forged")


def unknown(month: Actors, day: date) -> None:
    stranger = MonthMeter("meter-nobody", month.story.seed, 0)
    month.story.hand_over("ocmf", [stranger.reading(UNITS, month.before(day))], "device_unknown")


def swap(month: Actors, day: date) -> None:
    """A meter is exchanged behind its gateway: charged to its last reading, the jump is free."""
    meter = month.meter(day, sessions=False)
    record = meter.exchange(UNITS, month.before(day), 42)
    month.story.waiting.setdefault(meter.name, []).append((record, UNITS * MWH_PER_UNIT))


def late(month: Actors, day: date) -> None:
    """A session's record is lost on the way; what follows it waits until it is given up."""
    point = month.meter(day, sessions=True)
    lost = point.session(UNITS, month.before(day), 3_600)
    after = point.session(UNITS, month.before(day) + 7_200, 3_600)
    month.story.hand_over("ocmf", [*month.story.unsent(point), after])
    month.story.plan.later(day + timedelta(days=1), point.name, UNITS * MWH_PER_UNIT)
    month.kept["lost"] = point, lost


def found(month: Actors, day: date) -> None:
    """The lost record is found, and paid after all."""
    point, lost = month.kept["lost"]
    month.story.hand_over("ocmf", [lost])
    month.story.plan.later(day + timedelta(days=1), point.name, UNITS * MWH_PER_UNIT)


def steal(month: Actors, day: date) -> None:
    """A key is in other hands when its last record is signed; nobody knows yet."""
    point = month.meter(day, sessions=True)
    deal = month.story.plan.deals[point.name]
    month.story.silent.add(point.name)
    before = deal.charged
    month.heard(day, point)
    month.kept["stolen"] = point, month.before(day), deal.charged - before


def declare_late(month: Actors, day: date) -> None:
    """It is told when the money has left."""
    point, since, _ = month.kept["stolen"]
    month.story.place.office.declare_compromised(point.name, since)


def declare_in_time(month: Actors, day: date) -> None:
    """It is told within the window: the warden freezes what the key's word was good for."""
    point, since, micro = month.kept["stolen"]
    month.story.place.office.declare_compromised(point.name, since)
    month.story.plan.frozen_micro[month.story.plan.deals[point.name].payee] += micro
    month.story.place.work()


# --- the chain


def mint(month: Actors, day: date) -> None:
    """The minter's key mints what no credit of the bank stands behind."""
    place, meter = month.story.place, month.meter(day, sessions=False)
    deal, cents = month.story.plan.deals[meter.name], METER_CENTS // 100
    rail = place.chain.deployment.addresses["PaymentRail"]
    arguments = (bytes.fromhex("ab" * 32), rail, bytes.fromhex(deal.identity[2:]), cents * CENT)
    errand = ChainCall("unbacked", "1", Call("EuroToken", "mintToEscrow", arguments))
    send_and_wait(place.rail.minter, [errand], place.now, place.mine)
    deal.unbacked_cents += cents


def reorganise(month: Actors, day: date) -> None:
    month.story.place.reorganise_next = True
