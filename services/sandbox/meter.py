"""The simulated meter of a development rail: a charge point whose sessions end in the past hour."""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation

from device_adapters.types import Rejected
from orchestrator.core.receipt import public_key_of
from orchestrator.errors import Halt
from orchestrator.settings import Settings
from services.simulated_devices.device import DeviceKind, SimulatedMeter
from services.simulated_devices.record import units_of

METER = "meter-1"
WATTS = 120_000  # below the agreement's fuse, so that every session is plausible
BACK_S = 3_600  # the oldest session that is recorded
MAX_KWH = 60


class SandboxMeter(SimulatedMeter):
    """A meter whose clock stands where its last session ended, and follows the present."""

    def begin_at(self, at: int) -> None:
        """Set the clock of a new meter to Unix seconds; one that was set before keeps its own."""
        if not self.saved_state:
            self.now = at
            self.keep([])

    def measure(self, kwh: Decimal, now: int) -> bytes:
        """Sign and journal one session that has ended by `now`, and return its record.

        Raises:
            Halt: the session does not fit between the last one and now.
        """
        seconds = int(kwh * 3_600_000 / WATTS) + 1
        begin = max(self.now, now - BACK_S)
        if begin + seconds > now:
            raise Halt(
                f"A session of {kwh} kWh takes this meter {seconds} s, and its last one ended "
                f"{now - begin} s ago. Nothing was signed. Wait, or give a smaller --value."
            )
        self.now = begin
        (record,) = self.session(kwh, seconds=seconds, rest=0)
        return record


def open_meter(settings: Settings) -> SandboxMeter:
    """Return the meter with its key, counter and clock; it is made at the first call."""
    receipt_key = public_key_of((settings.keys / "receipt.pub.pem").read_bytes())
    folder = settings.home / "sandbox" / METER
    return SandboxMeter(folder, METER, DeviceKind.CHARGE_POINT, None, int(time.time()), receipt_key)


def energy_of(text: str) -> Decimal:
    """Return an amount of energy in kWh.

    Raises:
        Halt: it is none, or more than one session measures.
    """
    try:
        kwh = Decimal(text)
        if not 0 < kwh <= MAX_KWH or not units_of(kwh):
            raise ValueError(text)
    except (InvalidOperation, ValueError, Rejected) as error:
        raise Halt(
            f"{text!r} is not an amount of energy such as 1.5: kilowatt-hours, at most four "
            f"decimals, more than 0 and up to {MAX_KWH}. Nothing was signed."
        ) from error
    return kwh
