"""The devices around a consignment: a carrier's scanner, a sensor logger, a recipient's terminal.

Each signs EPCIS 2.0 documents (one event each) as detached JWS. A recipient confirms the records of
others by citing them; only its own records are paid for (products/proof_of_delivery).
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from device_adapters.protocols import epcis
from services.simulated_devices.station import Station

COMPANY = "9521321"  # a GS1 company prefix reserved for examples
_CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"proofrail": "urn:proofrail:voc:"},
]


@dataclass(frozen=True, slots=True)
class SimulatedConsignment:
    """One logistic unit. serial: the sender's own number; units: how many items it contains."""

    serial: int
    units: int = 1

    @property
    def sscc(self) -> str:
        """Return the 18 digits of its Serial Shipping Container Code."""
        return _checked(f"0{COMPANY}{self.serial:09d}")

    @property
    def subject(self) -> str:
        """Return its name in the terms of an agreement."""
        return f"sscc:{self.sscc}"

    @property
    def epc(self) -> str:
        """Return its GS1 Digital Link URI."""
        return f"https://id.gs1.org/00/{self.sscc}"

    @property
    def lot(self) -> str:
        """Return the class of its items: a GTIN and a lot."""
        return f"https://id.gs1.org/01/{_checked(f'0{COMPANY}00001')}/10/L{self.serial}"


class EpcisStation(Station):
    """A device that signs EPCIS events at one place.

    location: the 12 digits of its GLN before the check digit. The counter in the folder continues
    after a restart.
    """

    PROTOCOL = "epcis"
    location = f"{COMPANY}00000"

    @staticmethod
    def counter_of(record: bytes) -> int:
        """Return the counter in a record (ctr)."""
        return json.loads(_unpadded(record.partition(b".")[0]))["ctr"]

    def event(self, goods: SimulatedConsignment, step: str, at: int, **fields: Any) -> bytes:
        """Sign and journal an ObjectEvent about the consignment.

        Args:
            at: Unix seconds.
            fields: further members of the event, with their EPCIS names.

        Returns:
            The record.
        """
        event = {
            "type": "ObjectEvent",
            "eventTime": _iso(at),
            "eventTimeZoneOffset": "+00:00",
            "epcList": [goods.epc],
            "action": "OBSERVE",
            "bizStep": step,
            "readPoint": {"id": f"https://id.gs1.org/414/{_checked(self.location)}"},
        }
        return self.write({**event, **fields}, at)

    def write(self, event: dict[str, Any], at: int) -> bytes:
        """Sign and journal a document with this event, under the next number."""
        document = {
            "@context": _CONTEXT,
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": _iso(at),
            "epcisBody": {"eventList": [event]},
        }
        record = self.seal(json.dumps(document, separators=(",", ":")).encode(), self.counter + 1)
        self.keep([record], self.counter + 1)
        return record

    def seal(self, document: bytes, counter: int, name: str = "") -> bytes:
        """Return a document with its detached JWS (RFC 7515, appendix F) for any counter."""
        head = _encoded(
            json.dumps({"alg": "ES256", "kid": name or self.name, "ctr": counter}).encode()
        )
        r, s = self.sign_digest(sha256(head + b"." + _encoded(document)).digest())
        signature = _encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return head + b".." + signature + b"\n" + document

    def withdraw(self, record: bytes, at: int, reason: str = "incorrect_data") -> bytes:
        """Sign the record's event again, declared erroneous: it keeps its time and its hash."""
        declared = {"declarationTime": _iso(at), "reason": reason}
        return self.write({**event_of(record), "errorDeclaration": declared}, at)


class SimulatedScanner(EpcisStation):
    """A carrier's scanner; others confirm its records."""

    location = f"{COMPANY}00001"

    def pick_up(self, goods: SimulatedConsignment, at: int) -> bytes:
        """Record that the consignment leaves with the carrier."""
        return self.event(goods, "departing", at, disposition="in_transit")

    def claim_delivered(self, goods: SimulatedConsignment, at: int) -> bytes:
        """Record a delivery that the recipient did not confirm, as a dishonest carrier would."""
        return self.event(goods, "receiving", at, disposition="in_progress")


class SimulatedLogger(EpcisStation):
    """A logger of temperature and shock in transit; one record for the whole trip."""

    def report(
        self,
        goods: SimulatedConsignment,
        at: int,
        celsius: Sequence[Decimal | str] = (),
        shocks_g: Sequence[Decimal | str] = (),
    ) -> bytes:
        """Record the extremes measured until `at`, as sensor elements."""
        temperatures, shocks = sorted(map(Decimal, celsius)), sorted(map(Decimal, shocks_g))
        reports = []
        if temperatures:
            extremes = {"minValue": _number(temperatures[0]), "maxValue": _number(temperatures[-1])}
            reports.append({"type": "Temperature", "uom": "CEL", **extremes})
        if shocks:
            reports.append({"type": "Acceleration", "uom": "K40", "maxValue": _number(shocks[-1])})
        element = {
            "type": "epcis:SensorElement",
            "sensorMetadata": {"time": _iso(at), "deviceID": f"urn:proofrail:device:{self.name}"},
            "sensorReport": reports,
        }
        return self.event(goods, "transporting", at, sensorElementList=[element])


class SimulatedTerminal(EpcisStation):
    """A recipient's terminal; its delivery records also confirm the records that they cite."""

    location = f"{COMPANY}00002"

    def confirm(self, goods: SimulatedConsignment, at: int, seen: Iterable[bytes]) -> bytes:
        """Confirm records of others (a pick-up, a sensor file) without reporting any units."""
        return self._report_units(goods, "arriving", at, None, seen)

    def receive(
        self,
        goods: SimulatedConsignment,
        at: int,
        units: int | None = None,
        seen: Iterable[bytes] = (),
    ) -> bytes:
        """Record units received; None: the whole consignment."""
        return self._report_units(goods, "receiving", at, units, seen)

    def accept(
        self,
        goods: SimulatedConsignment,
        at: int,
        units: int | None = None,
        seen: Iterable[bytes] = (),
    ) -> bytes:
        """Record units accepted; None: the whole consignment."""
        return self._report_units(goods, "accepting", at, units, seen)

    def _report_units(
        self,
        goods: SimulatedConsignment,
        step: str,
        at: int,
        units: int | None,
        seen: Iterable[bytes],
    ) -> bytes:
        fields: dict[str, Any] = {}
        if units is not None:
            fields["quantityList"] = [{"epcClass": goods.lot, "quantity": units}]
        if cited := [name for record in seen for name in epcis.decode(record).names]:
            fields["proofrail:confirms"] = cited
        return self.event(goods, step, at, **fields)


def event_of(record: bytes) -> dict[str, Any]:
    """Return the event in a record of `EpcisStation.write`, with EPCIS names."""
    document = json.loads(record.partition(b"\n")[2])
    return document["epcisBody"]["eventList"][0]


def _number(value: Decimal) -> int | float:
    """Return a number for JSON; a logger's values have few digits and are read exactly."""
    return int(value) if value == value.to_integral_value() else float(value)


def _checked(digits: str) -> str:
    """Return the digits with their check digit (GS1 General Specifications, section 7.9)."""
    weighted = sum(
        int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits))
    )
    return f"{digits}{-weighted % 10}"


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _unpadded(text: bytes) -> bytes:
    return urlsafe_b64decode(text + b"=" * (-len(text) % 4))
