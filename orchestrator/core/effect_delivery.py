"""How effects are delivered: what a target answers, and when it is asked again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FIRST_PAUSE_S, LAST_PAUSE_S = 5, 3_600


class TargetKind(StrEnum):
    """How a target is reached; each has an adapter package under edges."""

    WEBHOOK = "webhook"  # an HTTPS POST with a signature
    FOLDER = "folder"  # one JSON file for each effect


class DeliveryVerdict(StrEnum):
    """What became of one try."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # this effect alone waits; the target takes others
    UNREACHABLE = "unreachable"  # the target takes nothing now


@dataclass(frozen=True, slots=True)
class TargetAnswer:
    """What a target answered, and why."""

    verdict: DeliveryVerdict
    detail: str = ""


DELIVERED = TargetAnswer(DeliveryVerdict.DELIVERED)


@dataclass(frozen=True, slots=True)
class TargetState:
    """What waits for a target.

    Attributes:
        waiting: Effects that it has not taken.
        oldest_at: Since when the oldest waits, Unix seconds; 0: nothing waits.
        trouble: Why the last try failed; "" if it did not.
    """

    name: str
    waiting: int
    oldest_at: int
    trouble: str = ""


def pause_after(failures: int) -> int:
    """Return the seconds until the next try after this many failures in a row."""
    return min(FIRST_PAUSE_S << min(max(failures, 1) - 1, 20), LAST_PAUSE_S)
