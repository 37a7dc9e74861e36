"""The base of the trades that are paid by measured numbers."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from scripts.month.parties import MonthParty
from scripts.month.plan import PlannedAgreement
from services.simulated_devices.reporter import SimulatedReporter

DAY = 86_400


@dataclass
class MonthTrade(ABC):
    """One agreement about measured numbers.

    Attributes:
        PRODUCT: name of the product.
        payer: who signs the mandate and pays in.
        agreement: its plan; `pay` adds each period that is charged.
        devices: the agreement's own, then those that it hears.
        seed: same seed, same numbers.
    """

    PRODUCT = ""
    payer: MonthParty
    agreement: PlannedAgreement
    devices: list[SimulatedReporter]
    seed: int

    @property
    def device(self) -> SimulatedReporter:
        return self.devices[0]

    @property
    def about(self) -> str:
        """Return what the agreement is about."""
        return f"month:{self.device.name}"

    @abstractmethod
    def terms(self) -> dict[str, str]:
        """Return the terms as a person types them."""

    @abstractmethod
    def morning(self, day: date) -> Iterator[bytes]:
        """Yield the records that arrive that morning, and plan what they are paid."""

    def chance(self, device: SimulatedReporter, day: date) -> random.Random:
        """Return the same random numbers for the same device and day."""
        return random.Random(f"{self.seed}/{device.name}/{day}")


def tenths_text(tenths: int) -> str:
    """Return tenths as an exact decimal."""
    sign, size = "-" if tenths < 0 else "", abs(tenths)
    return f"{sign}{size // 10}.{size % 10}"
