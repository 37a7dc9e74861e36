"""One simulated meter or charge point: signs OCMF readings; a `Station` for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from services.simulated_devices.record import Point, counter_of, payload_of, sign, units_of
from services.simulated_devices.station import Station, derived_key

__all__ = ["DeviceKind", "SimulatedMeter", "derived_key"]

CHARGING_WATTS = 11_000  # of a session, so that its length is plausible
QUARTER_HOUR = 900


class DeviceKind(StrEnum):
    """Type of a device: its records are in OCMF's stream T or F."""

    CHARGE_POINT = "charge_point"
    HOUSEHOLD = "household"


class SimulatedMeter(Station):
    """A metering device. The same seed gives the same key, readings and signatures.

    Args:
        start_at: Unix seconds; the clock of a new device begins here.
    """

    PROTOCOL = "ocmf"
    JOIN = b"\n"
    counter_of = staticmethod(counter_of)

    def __init__(
        self,
        folder: Path,
        name: str,
        kind: DeviceKind,
        seed: int | None,
        start_at: int,
        receipt_key: ECKey | None = None,
    ) -> None:
        super().__init__(folder, name, seed, receipt_key)
        self.kind = kind
        first_register = self._random(0).randrange(1, 10**8)
        self.register = self.saved_state.get("register", first_register)  # 0.1 Wh
        self.now = self.saved_state.get("now", start_at)

    def state(self) -> dict[str, int]:
        """Return counter, register (0.1 Wh) and clock (Unix seconds)."""
        return {"counter": self.counter, "register": self.register, "now": self.now}

    # --- measuring -----------------------------------------------------------------------------

    def session(
        self,
        kwh: Decimal | str | int,
        *,
        split: bool = False,
        seconds: int | None = None,
        tag: str = "",
        rest: int | None = None,
    ) -> list[bytes]:
        """Sign and journal a charging session.

        Args:
            split: one record each for begin and end, instead of one for both.
            seconds: how long it took; by default as long as 11 kW need.
            tag: the RFID id in hex; by default a random one.
            rest: seconds until the next session can begin; by default 5 to 30 minutes.

        Returns:
            The records.
        """
        return self.keep(self._session(units_of(kwh), split, seconds, tag, rest))

    def reading(self, kwh: Decimal | str | int) -> list[bytes]:
        """Sign and journal a quarter-hour reading, `kwh` after the previous one."""
        return self.keep(self._reading(units_of(kwh)))

    def make_records(self, n: int) -> list[bytes]:
        """Sign and journal `n` plausible records (sessions, or readings of a household)."""
        records: list[bytes] = []
        while len(records) < n:
            random_numbers = self._random(self.counter + 1)
            if self.kind is DeviceKind.HOUSEHOLD:
                records += self._reading(random_numbers.randrange(100, 10_000))
            else:
                records += self._session(random_numbers.randrange(10_000, 400_000), False, None, "")
        return self.keep(records)

    def forge(
        self, points: Sequence[Point], counter: int, key: ec.EllipticCurvePrivateKey, name: str = ""
    ) -> bytes:
        """Sign a record with any content under any key, without changing the device."""
        stream = "F" if self.kind is DeviceKind.HOUSEHOLD else "T"
        tag = "" if self.kind is DeviceKind.HOUSEHOLD else self._tag(counter)
        return sign(payload_of(name or self.name, f"{stream}{counter}", points, tag), key)

    def pause(self, seconds: int) -> None:
        """Advance the device's clock."""
        self.now += seconds

    # --- inside --------------------------------------------------------------------------------

    def _session(
        self, units: int, split: bool, seconds: int | None, tag: str, rest: int | None = None
    ) -> list[bytes]:
        begin = Point("B", self.now, self.register)
        self.register += units
        self.now += seconds or units * 360 // CHARGING_WATTS + 60  # 0.1 Wh is 360 watt-seconds
        end = Point("E", self.now, self.register)
        self.now += self._random(self.counter).randrange(300, 1_800) if rest is None else rest
        tag = tag or self._tag(self.counter + 1)
        records = [[begin], [end]] if split else [[begin, end]]
        return [self._sign(points, tag) for points in records]

    def _reading(self, units: int) -> list[bytes]:
        self.register += units
        self.now += QUARTER_HOUR
        return [self._sign([Point("", self.now, self.register)], "")]

    def _sign(self, points: Sequence[Point], tag: str) -> bytes:
        self.counter += 1
        stream = "F" if self.kind is DeviceKind.HOUSEHOLD else "T"
        return sign(payload_of(self.name, f"{stream}{self.counter}", points, tag), self.key)

    def _tag(self, counter: int) -> str:
        return f"{self._random(counter).getrandbits(56):014X}"
