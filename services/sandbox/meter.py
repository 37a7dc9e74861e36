"""The simulated meter of a development rail: a charge point whose sessions end in the past hour."""

from __future__ import annotations

import time
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

from joserfc.jwk import ECKey

from device_adapters.types import Rejected
from orchestrator.core.receipt import public_key_of, read_receipt
from orchestrator.errors import Halt
from orchestrator.operations.keys import receipt_keys
from orchestrator.settings import Settings
from services.simulated_devices.device import DeviceKind, SimulatedMeter
from services.simulated_devices.record import units_of

METER = "meter-1"
WATTS = 120_000  # below the agreement's fuse, so that every session is plausible
BACK_S = 3_600  # the oldest session that is recorded
MAX_KWH = 60


class SandboxMeter(SimulatedMeter):
    """A meter whose clock stands where its last session ended, and follows the present."""

    published: tuple[ECKey, ...] = ()  # every receipt key of the rail, the current one first

    def read(self, receipt: bytes) -> dict[str, Any]:
        """Return the content of a receipt by any published key.

        After a rotation the rail signs with its former key until it is started again.
        """
        for key in self.published:
            with suppress(Rejected):
                return read_receipt(receipt, key)
        return super().read(receipt)

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
    kind, now = DeviceKind.CHARGE_POINT, int(time.time())
    meter = SandboxMeter(folder, METER, kind, None, now, receipt_key)
    pems = [key.public_pem.encode() for key in reversed(receipt_keys(settings))]
    meter.published = tuple(public_key_of(pem) for pem in pems)
    return meter


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
