"""A simulated device that seals what it says: totals of a period, a sensor, a register, a state.

Each record is a COSE_Sign1 (device_adapters/protocols/sealed). Times are arguments, so that a past
month can be played in a moment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from joserfc.jwk import ECKey

from device_adapters.protocols.sealed.envelope import open_envelope
from device_adapters.protocols.sealed.write import SealClaims, content_claims, write_cose
from services.simulated_devices.station import Station

FULL = 10_000  # basis points
REGISTER = "1-0:1.8.0"  # energy taken from the grid
NO_RECORDS = bytes(32)  # a commitment to nothing


class SimulatedReporter(Station):
    """A device with a key that seals reports, readings and states; see `Station`.

    The counter rises by one with each record. Nothing is sent before `publish`.
    """

    PROTOCOL = "sealed"
    JOIN = b""  # a CBOR sequence

    def __init__(
        self, folder: Path, name: str, seed: int | None, receipt_key: ECKey | None = None
    ) -> None:
        super().__init__(folder, name, seed, receipt_key)
        self._pem = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @staticmethod
    def counter_of(record: bytes) -> int:
        """Return the counter in a sealed record."""
        return open_envelope(record).claims["counter"]

    def report(
        self,
        subject: str,
        period: tuple[int, int],
        metrics: Mapping[str, int],
        ordinal: int = 1,
        coverage: int = FULL,
        sources: int = 1,
        commitment: bytes = NO_RECORDS,
    ) -> bytes:
        """Seal the totals of a period, in the one form that a contract can check as well.

        Args:
            subject: as the agreement's terms have it in `about`.
            period: Unix seconds of its begin and end; the report is sealed at its end.
            metrics: by name, in the order of the terms.
            ordinal: number of the period; the same one again restates it.
            coverage: basis points of the period that were observed.
            sources: how many stand behind the numbers.
            commitment: 32 bytes, the root over the salted records that the totals are made of.

        Returns:
            The record.
        """
        begin, end = period
        report = {
            "device": self.name,
            "subject": subject,
            "ordinal": ordinal,
            "from": begin,
            "to": end,
            "metrics": dict(metrics),
            "coverage": coverage,
            "sources": sources,
            "commitment": commitment,
        }
        return self._keep([(end, {"report": report})])[0]

    def sense(self, readings: Sequence[tuple[int, Mapping[str, tuple[str, str]]]]) -> list[bytes]:
        """Seal what sensors measured, one SenML pack for each time.

        Args:
            readings: (Unix seconds, {quantity: (value, unit)}), as in ("11.5", "Cel").

        Returns:
            The records.
        """
        return self._keep(
            [(at, content_claims("senml", _pack(at, values))) for at, values in readings]
        )

    def meter(self, registers: Sequence[tuple[int, Decimal | str | int]]) -> list[bytes]:
        """Seal readings (Unix seconds, kWh) of the register of energy taken from the grid."""
        return self.sense([(at, {REGISTER: (str(kwh), "kWh")}) for at, kwh in registers])

    def serve(self, about: str, states: Sequence[tuple[int, str, int]]) -> list[bytes]:
        """Seal states of a machine.

        Args:
            about: as the agreement's terms have it.
            states: (Unix seconds, state of the device in XFS4IoT, banknotes that it has).

        Returns:
            The records.
        """
        return self._keep([(at, self._state(about, at, *state)) for at, *state in states])

    def _state(self, about: str, at: int, device: str, cash: int) -> dict[str, Any]:
        state = {"machine": self.name, "about": about, "at": at * 1000}
        content = json.dumps(state | {"device": device, "cash": cash}).encode()
        return content_claims("machine", content)

    def _keep(self, sealed: Sequence[tuple[int, dict[str, Any]]]) -> list[bytes]:
        """Seal each under the next number, and journal all in one transaction."""
        records = [
            write_cose(SealClaims(self.name, self.name, counter, at), content, self._pem)
            for counter, (at, content) in enumerate(sealed, self.counter + 1)
        ]
        return self.keep(records, self.counter + len(records))


def _pack(at: int, values: Mapping[str, tuple[str, str]]) -> bytes:
    """Return a SenML pack with exact decimals."""
    members = (
        f'{{"n":"{name}","u":"{unit}","v":{value},"t":{at}}}'
        for name, (value, unit) in values.items()
    )
    return f"[{','.join(members)}]".encode()
