"""What a compromise puts at risk: settled payments of what the device signed at or after a time.

Pure. What can still be done about each depends only on how far its money has gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.payment import Stage


class Remedy(StrEnum):
    """What can still be done about a payment at risk. Stable codes."""

    FREEZE = "freeze"  # its dispute window is open: a dispute holds the money
    FROZEN = "frozen"  # disputed: the payee concedes, the payer retracts, or the committee rules
    REFUNDED = "refunded"  # back in the agreement's escrow
    WINDOW_OVER = "window_over"  # the payee's, and no order to the bank holds it yet
    AT_BANK = "at_bank"  # in the bank's hands: ask the payee, or recall it (camt.056)
    OWED_BACK = "owed_back"  # a credit: it took nothing from the payer


# nothing left to lose, or nothing that could still be lost
SETTLED_RISKS = (Remedy.FROZEN, Remedy.REFUNDED, Remedy.OWED_BACK)
_AT_BANK = (Stage.PAID_OUT, Stage.RECONCILED)
_IN_BLOCK = (Stage.SETTLED, Stage.POSTED, Stage.DISPUTED, Stage.REFUNDED, *_AT_BANK)


@dataclass(frozen=True, slots=True)
class Exposed:
    """A payment that rests on a device's records, as the store has it.

    amount_micro: micro-euro, below zero for a credit. release_at: Unix seconds, the end of its
    dispute window. observed_at_ms: the times of that device's records in it, cited ones too.
    """

    payment_id: str
    agreement_id: str
    stage: Stage
    amount_micro: int
    release_at: int
    observed_at_ms: Sequence[int]


@dataclass(frozen=True, slots=True)
class Risk:
    """One payment at risk. events: how many of its records are from the doubtful time on;
    first_observed_at: Unix seconds of the first of them."""

    payment_id: str
    agreement_id: str
    stage: Stage
    amount_micro: int
    release_at: int
    events: int
    first_observed_at: int
    remedy: Remedy

    @property
    def is_open(self) -> bool:
        """Whether money may still be lost by it."""
        return self.remedy not in SETTLED_RISKS


def at_risk(exposed: Iterable[Exposed], since: int, now: int) -> list[Risk]:
    """The settled ones of a device's payments that hold a record from `since` on, oldest first.

    since, now: Unix seconds. A payment that no block holds is not at risk: oracles and contract
    refuse the device's records from `since` on.
    """
    found = []
    for each in exposed:
        doubtful = [at for at in each.observed_at_ms if at // 1000 >= since]
        if doubtful and each.stage in _IN_BLOCK:
            found.append(
                Risk(
                    each.payment_id,
                    each.agreement_id,
                    each.stage,
                    each.amount_micro,
                    each.release_at,
                    len(doubtful),
                    min(doubtful) // 1000,
                    _remedy(each, now),
                )
            )
    return sorted(found, key=lambda risk: (risk.first_observed_at, risk.payment_id))


def open_micro(risks: Iterable[Risk]) -> int:
    """What may still be lost, in micro-euro."""
    return sum(risk.amount_micro for risk in risks if risk.is_open)


def _remedy(each: Exposed, now: int) -> Remedy:
    if each.stage is Stage.REFUNDED:
        return Remedy.REFUNDED
    if each.stage is Stage.DISPUTED:
        return Remedy.FROZEN
    if each.amount_micro <= 0:
        return Remedy.OWED_BACK
    if each.stage in _AT_BANK:
        return Remedy.AT_BANK
    return Remedy.FREEZE if now < each.release_at else Remedy.WINDOW_OVER
