"""A fleet of simulated devices in one process: creation, connection, receipts, resending."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from orchestrator.core.receipt import public_key_of
from services.simulated_devices.device import DeviceKind, SimulatedMeter
from services.simulated_devices.station import Station


class Fleet:
    """Devices cp-0001... and meter-0001... in home/devices.

    Args:
        charge_points: how many devices cp-...
        meters: how many devices meter-...
        seed: see `Station`.
        start_at: see `SimulatedMeter`.
        receipt_key_pem: the rail's public receipt key; without it no receipt is trusted, so every
            record stays unreceipted.
    """

    def __init__(
        self,
        home: Path,
        charge_points: int = 3,
        meters: int = 1,
        seed: int | None = None,
        start_at: int = 1_750_000_000,
        receipt_key_pem: bytes | None = None,
    ) -> None:
        self._home, self._seed, self._start_at = Path(home) / "devices", seed, start_at
        self._receipt_key = public_key_of(receipt_key_pem) if receipt_key_pem else None
        self.devices: dict[str, Station] = {}
        for number in range(1, charge_points + 1):
            self.add(f"cp-{number:04d}", DeviceKind.CHARGE_POINT)
        for number in range(1, meters + 1):
            self.add(f"meter-{number:04d}", DeviceKind.HOUSEHOLD)

    def __getitem__(self, name: str) -> Station:
        return self.devices[name]

    def add(self, name: str, kind: DeviceKind = DeviceKind.CHARGE_POINT) -> SimulatedMeter:
        """Create one more device; one that is never enrolled is the unknown device."""
        device = SimulatedMeter(
            self._home / name, name, kind, self._seed, self._start_at, self._receipt_key
        )
        self.join(device)
        return device

    def join(self, station: Station) -> None:
        """Add a station of any type: a scanner, a terminal, a wearable."""
        station.receipt_key = station.receipt_key or self._receipt_key
        self.devices[station.name] = station

    def connect(
        self,
        host: str,
        port: int,
        passwords: Mapping[str, str] | None = None,
        timeout_s: float = 20,
    ) -> list[str]:
        """Connect all devices and return the names that are not ready in time.

        Args:
            passwords: by device name; a device without one uses its stored password.
        """
        by_name = passwords or {}
        links = [d.connect(host, port, by_name.get(name)) for name, d in self.devices.items()]
        deadline = time.monotonic() + timeout_s
        return [
            link.name
            for link in links
            if not link.wait_ready(max(0.0, deadline - time.monotonic()))
        ]

    def until_receipted(self, timeout_s: float, resend_after_s: float = 5.0) -> bool:
        """Collect receipts and resend until every record is answered; return False on time-out."""
        deadline = time.monotonic() + timeout_s
        while waiting := [d for d in self.devices.values() if d.link and d.unreceipted_count()]:
            if time.monotonic() > deadline:
                return False
            for device in waiting:
                device.collect(timeout_s=0.2 / len(waiting))
                device.resend(resend_after_s)
        return True

    def totals(self) -> Counter[str]:
        """Count records by the rail's first answer, and as "unreceipted"."""
        totals = Counter[str]()
        for device in self.devices.values():
            totals.update(device.outcomes.values())
            totals["unreceipted"] += device.unreceipted_count()
        return totals

    def close(self) -> None:
        """Close all devices."""
        for device in self.devices.values():
            device.close()
