"""Faults of devices, thieves and the chain in the month."""

from __future__ import annotations

from datetime import date, timedelta

from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.sender import ChainCall, send_and_wait
from scripts.month.actors import UNITS, Actors
from scripts.month.devices import MWH_PER_UNIT, MonthMeter
from scripts.month.installation import METER_CENTS
from scripts.month.plan import CENT


def send_duplicates(actors: Actors, day: date) -> None:
    """Send the same record twice in one message, after it was sent once."""
    record = actors.upload_record(day, actors.meter(day, sessions=False))
    actors.run.deliver("ocmf", [record, record], "duplicate")


def send_forged_record(actors: Actors, day: date) -> None:
    """Send a record with a device's name and a signature of another key."""
    meter = actors.meter(day, sessions=False)
    thief = MonthMeter(meter.name, actors.run.seed + 1, meter.register)
    thief.counter = meter.counter + 500
    actors.run.deliver("ocmf", [thief.reading(UNITS, actors.before(day))], "signature_forged")


def send_from_unknown_device(actors: Actors, day: date) -> None:
    """Send a record of a device that was never enrolled."""
    unknown_meter = MonthMeter("meter-unknown", actors.run.seed, 0)
    actors.run.deliver("ocmf", [unknown_meter.reading(UNITS, actors.before(day))], "device_unknown")


def exchange_meter(actors: Actors, day: date) -> None:
    """Exchange a meter behind its gateway: energy is charged up to its last reading only."""
    meter = actors.meter(day, sessions=False)
    record = meter.exchange(UNITS, actors.before(day), 42)
    actors.run.waiting.setdefault(meter.name, []).append((record, UNITS * MWH_PER_UNIT))


def lose_record(actors: Actors, day: date) -> None:
    """Lose the record of a session; later records wait until the rail gives it up."""
    point = actors.meter(day, sessions=True)
    lost = point.session(UNITS, actors.before(day), 3_600)
    after = point.session(UNITS, actors.before(day) + 7_200, 3_600)
    actors.run.deliver("ocmf", [*actors.run.take_unsent(point), after])
    actors.run.plan.later(day + timedelta(days=1), point.name, UNITS * MWH_PER_UNIT)
    actors.kept["lost"] = point, lost


def deliver_lost_record(actors: Actors, day: date) -> None:
    """Deliver the lost record late; the rail still pays it."""
    point, lost = actors.kept["lost"]
    actors.run.deliver("ocmf", [lost])
    actors.run.plan.later(day + timedelta(days=1), point.name, UNITS * MWH_PER_UNIT)


def steal_key(actors: Actors, day: date) -> None:
    """Steal a key before its last record is signed; the owner does not know yet."""
    point = actors.meter(day, sessions=True)
    agreement = actors.run.plan.agreements[point.name]
    actors.run.silent.add(point.name)
    charged_before = agreement.charged
    actors.upload_record(day, point)
    actors.kept["stolen"] = point, actors.before(day), agreement.charged - charged_before


def declare_late(actors: Actors, day: date) -> None:
    """Report the stolen key after the money has left."""
    point, since, _ = actors.kept["stolen"]
    actors.run.rail.agreement_ops.declare_compromised(point.name, since)


def declare_in_time(actors: Actors, day: date) -> None:
    """Report the stolen key within the dispute window: the warden freezes its payments."""
    point, since, micro = actors.kept["stolen"]
    actors.run.rail.agreement_ops.declare_compromised(point.name, since)
    actors.run.plan.frozen_micro[actors.run.plan.agreements[point.name].payee] += micro
    actors.run.rail.work()


# --- the chain


def mint_unbacked(actors: Actors, day: date) -> None:
    """Mint tokens with the minting key although no bank credit backs them."""
    rail, meter = actors.run.rail, actors.meter(day, sessions=False)
    agreement, cents = actors.run.plan.agreements[meter.name], METER_CENTS // 100
    payment_rail = rail.chain.deployment.addresses["PaymentRail"]
    arguments = (
        bytes.fromhex("ab" * 32),
        payment_rail,
        bytes.fromhex(agreement.identity[2:]),
        cents * CENT,
    )
    call = ChainCall("unbacked", "1", Call("EuroToken", "mintToEscrow", arguments))
    send_and_wait(rail.context.minter, [call], rail.now, rail.mine)
    agreement.unbacked_cents += cents


def reorganise(actors: Actors, day: date) -> None:
    """Have the chain drop the block of the next settlement once."""
    actors.run.rail.reorganise_next = True
