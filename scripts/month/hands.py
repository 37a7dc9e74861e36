"""What whoever does harm in the month needs: the story, its victims, what is kept for later.

An act does the harm and tells the plan what it costs; it never looks at what the rail makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from scripts.month.days import at
from scripts.month.devices import MWH_PER_UNIT, MonthMeter
from scripts.month.people import MonthParty
from scripts.month.story import MonthStory

UNITS = 90_000  # of 0.1 Wh: a reading or a session like others
UNKNOWN_REFERENCE = "RF18539007547034"  # a valid one that nobody here gave out


@dataclass
class Actors:
    """The acts' view of the story. victims: payees that something has befallen already; used: so
    with devices; kept: what one act leaves for a later one."""

    story: MonthStory
    victims: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    kept: dict[str, Any] = field(default_factory=dict)

    def victim(self, day: date) -> MonthParty:
        """A payee that is paid this evening and that nothing has befallen yet."""
        plan = self.story.plan
        plan.end(day)
        payee = max(
            (one for one in self.story.cast.payees if one.name not in self.victims),
            key=lambda one: plan.payout(day, one.address),
        )
        self.victims.add(payee.name)
        assert plan.payout(day, payee.address) > 0, f"nobody is left to be paid on {day}"
        return payee

    def meter(self, day: date, *, sessions: bool) -> MonthMeter:
        """A metering device that no act has used, and that is not heard that day anyway."""
        free = next(
            one
            for one in self.story.town.meters
            if one.sessions == sessions
            and one.name not in self.used
            and not self.story.uploads(day, one)
        )
        self.used.add(free.name)
        return free

    def before(self, day: date) -> int:
        """A time between a device's last record and the one that it makes on this morning."""
        return at(day - timedelta(days=1), 8)

    def heard(self, day: date, meter: MonthMeter) -> bytes:
        """One more record of a device, handed over with all that it had not sent."""
        write = meter.session if meter.sessions else meter.reading
        more = (3_600,) if meter.sessions else ()
        record = write(UNITS, self.before(day), *more)
        self.story.waiting.setdefault(meter.name, []).append((record, UNITS * MWH_PER_UNIT))
        self.story.hand_over("ocmf", self.story.unsent(meter))
        return record


Act = Callable[[Actors, date], None]
