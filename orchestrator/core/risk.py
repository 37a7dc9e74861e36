"""Payments that a compromise puts at risk: settled ones with records of the device after that time.

Pure. Where the money of a payment is decides alone what can still be done about it.
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
    WINDOW_OVER = "window_over"  # it belongs to the payee, but no order to the bank holds it yet
    AT_BANK = "at_bank"  # the bank has it: ask the payee, or recall it (camt.056)
    OWED_BACK = "owed_back"  # a debt of the payee: it took nothing from the payer


# nothing left to lose, or nothing that could still be lost
SETTLED_RISKS = (Remedy.FROZEN, Remedy.REFUNDED, Remedy.OWED_BACK)
_AT_BANK = (Stage.PAID_OUT, Stage.BOOKED, Stage.RECONCILED)
_IN_BLOCK = (Stage.SETTLED, Stage.POSTED, Stage.DISPUTED, Stage.REFUNDED, *_AT_BANK)


@dataclass(frozen=True, slots=True)
class Exposed:
    """A payment that rests on a device's records, from the store.

    Attributes:
        payment_id: The payment, 0x-hex.
        agreement_id: Its agreement, 0x-hex.
        stage: Where it stands.
        amount_micro: Micro-euro, below zero for a debt of the payee.
        release_at: The end of its dispute window, Unix seconds.
        observed_at_ms: The times of that device's records in it, including cited ones.
    """

    payment_id: str
    agreement_id: str
    stage: Stage
    amount_micro: int
    release_at: int
    observed_at_ms: Sequence[int]


@dataclass(frozen=True, slots=True)
class Risk:
    """One payment at risk.

    events: how many of its records are from the doubtful time or later. first_observed_at: Unix
    seconds of the first of them.
    """

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
        """Return whether money may still be lost by it."""
        return self.remedy not in SETTLED_RISKS


def at_risk(exposed: Iterable[Exposed], since: int, now: int) -> list[Risk]:
    """Return the settled payments that hold a record from `since` or later, oldest first.

    A payment that no block holds is not at risk: oracles and contract refuse the device's records
    from `since` on.

    Args:
        exposed: The payments that rest on the device's records.
        since: Unix seconds.
        now: Unix seconds.
    """
    risks = []
    for payment in exposed:
        doubtful = [at for at in payment.observed_at_ms if at // 1000 >= since]
        if doubtful and payment.stage in _IN_BLOCK:
            risks.append(
                Risk(
                    payment.payment_id,
                    payment.agreement_id,
                    payment.stage,
                    payment.amount_micro,
                    payment.release_at,
                    len(doubtful),
                    min(doubtful) // 1000,
                    _remedy(payment, now),
                )
            )
    return sorted(risks, key=lambda risk: (risk.first_observed_at, risk.payment_id))


def open_micro(risks: Iterable[Risk]) -> int:
    """Return what may still be lost, in micro-euro."""
    return sum(risk.amount_micro for risk in risks if risk.is_open)


def _remedy(payment: Exposed, now: int) -> Remedy:
    if payment.stage is Stage.REFUNDED:
        return Remedy.REFUNDED
    if payment.stage is Stage.DISPUTED:
        return Remedy.FROZEN
    if payment.amount_micro <= 0:
        return Remedy.OWED_BACK
    if payment.stage in _AT_BANK:
        return Remedy.AT_BANK
    return Remedy.FREEZE if now < payment.release_at else Remedy.WINDOW_OVER
