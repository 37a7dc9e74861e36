"""Devices that seal what they count, and the base of the trades that are paid by it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from device_adapters.protocols.sealed.write import SealClaims, content_claims, write_cose
from scripts.month.devices import MonthDevice
from scripts.month.parties import MonthParty
from scripts.month.plan import PlannedAgreement

DAY = 86_400
Records = Iterator[tuple[str, bytes]]  # (protocol, record)


class MonthReporter(MonthDevice):
    """A device that seals its reports and states with its own key."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name, seed)
        self._pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def report(
        self,
        ordinal: int,
        begin: int,
        end: int,
        subject: str,
        metrics: Mapping[str, int],
        coverage: int = 10_000,
    ) -> tuple[str, bytes]:
        """Return the report of a period (Unix seconds)."""
        report = {
            "device": self.name,
            "subject": subject,
            "ordinal": ordinal,
            "from": begin,
            "to": end,
            "metrics": dict(metrics),
            "coverage": coverage,
            "sources": 1,
        }
        return self._seal(end, {"report": report})

    def state(self, at: int, subject: str, device: str, cash: int) -> tuple[str, bytes]:
        """Return what a machine says of its own service."""
        said = {
            "machine": self.name,
            "about": subject,
            "at": at * 1000,
            "device": device,
            "cash": cash,
        }
        return self._seal(at, content_claims("machine", json.dumps(said).encode()))

    def sense(self, at: int, quantity: str, unit: str, tenths: int) -> tuple[str, bytes]:
        """Return one measured value, given in tenths, as SenML."""
        sign, size = "-" if tenths < 0 else "", abs(tenths)
        value = f"{sign}{size // 10}.{size % 10}"
        pack = f'[{{"bn":"{self.name}/","bt":{at},"n":"{quantity}","u":"{unit}","v":{value}}}]'
        return self._seal(at, content_claims("senml", pack.encode()))

    def _seal(self, at: int, sealed: dict[str, Any]) -> tuple[str, bytes]:
        self.counter += 1
        claims = SealClaims(self.name, self.name, self.counter, at)
        return "sealed", write_cose(claims, sealed, self._pem)


class MonthTrade(ABC):
    """One agreement about measured numbers.

    Attributes:
        PRODUCT: name of the product.
        payer: who signs the mandate and pays in.
        agreement: its plan; `pay` adds each period that is charged.
        device: the agreement's device.
        others: devices whose records the agreement hears.
    """

    PRODUCT = ""

    def __init__(
        self,
        payer: MonthParty,
        agreement: PlannedAgreement,
        device: MonthReporter,
        others: Sequence[MonthDevice] = (),
    ) -> None:
        self.payer, self.agreement = payer, agreement
        self.device, self.others = device, tuple(others)

    @property
    def devices(self) -> tuple[MonthDevice, ...]:
        return (self.device, *self.others)

    @abstractmethod
    def terms(self) -> dict[str, str]:
        """Return the terms as a person types them."""

    @abstractmethod
    def morning(self, day: date) -> Records:
        """Yield the records that arrive that morning, and plan what they are paid."""
