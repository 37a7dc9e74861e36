"""Choose the payee or device that a fault of the month hits, and keep what a later fault needs.

A fault does its harm and writes the cost into the plan; it never reads what the rail makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from scripts.month.days import at
from scripts.month.devices import MWH_PER_UNIT, MonthMeter
from scripts.month.parties import MonthParty
from scripts.month.run import MonthRun

UNITS = 90_000  # of 0.1 Wh: the energy of an ordinary reading or session
UNKNOWN_REFERENCE = "RF18539007547034"  # a valid reference that belongs to no agreement


@dataclass
class Actors:
    """The view that faults have of the run.

    Attributes:
        victims: names of payees that a fault has hit already.
        used: names of devices that a fault has used already.
        kept: what one fault leaves for a later one.
    """

    run: MonthRun
    victims: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    kept: dict[str, Any] = field(default_factory=dict)

    def victim(self, day: date) -> MonthParty:
        """Return the payee with the largest payout this evening that no fault has hit yet."""
        plan = self.run.plan
        plan.end(day)
        payee = max(
            (payee for payee in self.run.parties.daily_payees if payee.name not in self.victims),
            key=lambda payee: plan.payout(day, payee.address),
        )
        self.victims.add(payee.name)
        assert plan.payout(day, payee.address) > 0, f"no payee is left to be paid on {day}"
        return payee

    def meter(self, day: date, *, sessions: bool) -> MonthMeter:
        """Return a metering device that no fault has used and that does not upload that day."""
        meter = next(
            meter
            for meter in self.run.fleet.meters
            if meter.sessions == sessions
            and meter.name not in self.used
            and not self.run.uploads(day, meter)
        )
        self.used.add(meter.name)
        return meter

    def before(self, day: date) -> int:
        """Return a time between a device's last record and the one of this morning."""
        return at(day - timedelta(days=1), 8)

    def upload_record(self, day: date, meter: MonthMeter) -> bytes:
        """Make one more record of a device and deliver it with all that it had not sent."""
        write = meter.session if meter.sessions else meter.reading
        seconds = (3_600,) if meter.sessions else ()
        record = write(UNITS, self.before(day), *seconds)
        self.run.waiting.setdefault(meter.name, []).append((record, UNITS * MWH_PER_UNIT))
        self.run.deliver("ocmf", self.run.take_unsent(meter))
        return record


Act = Callable[[Actors, date], None]
