"""The devices around a consignment: a carrier's scanner, a sensor logger, a recipient's terminal.

Each signs EPCIS 2.0 documents (one event each) as detached JWS. A recipient confirms what others
saw by citing their records; its own records alone are paid for (products/proof_of_delivery).
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
from scripts.devices.station import Station

COMPANY = "9521321"  # a GS1 company prefix set aside for examples
_CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"proofrail": "urn:proofrail:voc:"},
]


@dataclass(frozen=True, slots=True)
class SimulatedConsignment:
    """One logistic unit. serial: the sender's own number; units: how many things are in it."""

    serial: int
    units: int = 1

    @property
    def sscc(self) -> str:
        """The 18 digits of its Serial Shipping Container Code."""
        return _checked(f"0{COMPANY}{self.serial:09d}")

    @property
    def subject(self) -> str:
        """As the terms of an agreement name it."""
        return f"sscc:{self.sscc}"

    @property
    def epc(self) -> str:
        return f"https://id.gs1.org/00/{self.sscc}"

    @property
    def lot(self) -> str:
        """The class of the things in it: a GTIN and a lot."""
        return f"https://id.gs1.org/01/{_checked(f'0{COMPANY}00001')}/10/L{self.serial}"


class EpcisStation(Station):
    """A device that signs EPCIS events, at the place `where` (a GLN's 12 digits before its check).

    The same folder goes on counting where the last process left off.
    """

    PROTOCOL = "epcis"
    where = f"{COMPANY}00000"

    @staticmethod
    def counter_of(record: bytes) -> int:
        return json.loads(_unpadded(record.partition(b".")[0]))["ctr"]

    def event(self, goods: SimulatedConsignment, step: str, at: int, **fields: Any) -> bytes:
        """Signs and journals an ObjectEvent about the consignment; `at`: Unix seconds.

        fields: further members of the event, as EPCIS names them.
        """
        event = {
            "type": "ObjectEvent",
            "eventTime": _iso(at),
            "eventTimeZoneOffset": "+00:00",
            "epcList": [goods.epc],
            "action": "OBSERVE",
            "bizStep": step,
            "readPoint": {"id": f"https://id.gs1.org/414/{_checked(self.where)}"},
        }
        return self.write({**event, **fields}, at)

    def write(self, event: dict[str, Any], at: int) -> bytes:
        """Signs and journals a document that holds this one event, under the next number."""
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
        """The document behind a detached JWS (RFC 7515, appendix F), under any counter or name."""
        head = _encoded(
            json.dumps({"alg": "ES256", "kid": name or self.name, "ctr": counter}).encode()
        )
        r, s = self.sign_digest(sha256(head + b"." + _encoded(document)).digest())
        signature = _encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return head + b".." + signature + b"\n" + document

    def withdraw(self, record: bytes, at: int, reason: str = "incorrect_data") -> bytes:
        """The record's event once more, declared erroneous: it keeps its time and its hash."""
        declared = {"declarationTime": _iso(at), "reason": reason}
        return self.write({**event_of(record), "errorDeclaration": declared}, at)


class SimulatedScanner(EpcisStation):
    """A carrier's: what it scans is evidence for others to confirm."""

    where = f"{COMPANY}00001"

    def pick_up(self, goods: SimulatedConsignment, at: int) -> bytes:
        """The consignment leaves with the carrier."""
        return self.event(goods, "departing", at, disposition="in_transit")

    def claim_delivered(self, goods: SimulatedConsignment, at: int) -> bytes:
        """What a carrier would say to be paid without the recipient."""
        return self.event(goods, "receiving", at, disposition="in_progress")


class SimulatedLogger(EpcisStation):
    """Measures temperature and shock on the way; one record for the whole trip."""

    def report(
        self,
        goods: SimulatedConsignment,
        at: int,
        celsius: Sequence[Decimal | str] = (),
        shocks_g: Sequence[Decimal | str] = (),
    ) -> bytes:
        """The extremes of what was measured until `at`, as sensor elements."""
        warm, hard = sorted(map(Decimal, celsius)), sorted(map(Decimal, shocks_g))
        reports = []
        if warm:
            extremes = {"minValue": _number(warm[0]), "maxValue": _number(warm[-1])}
            reports.append({"type": "Temperature", "uom": "CEL", **extremes})
        if hard:
            reports.append({"type": "Acceleration", "uom": "K40", "maxValue": _number(hard[-1])})
        element = {
            "type": "epcis:SensorElement",
            "sensorMetadata": {"time": _iso(at), "deviceID": f"urn:proofrail:device:{self.name}"},
            "sensorReport": reports,
        }
        return self.event(goods, "transporting", at, sensorElementList=[element])


class SimulatedTerminal(EpcisStation):
    """A recipient's: each record is a statement, and confirms the records that it names."""

    where = f"{COMPANY}00002"

    def confirm(self, goods: SimulatedConsignment, at: int, seen: Iterable[bytes]) -> bytes:
        """Confirms others' records (a pick-up, a sensor file) and states nothing of its own."""
        return self._state(goods, "arriving", at, None, seen)

    def receive(
        self,
        goods: SimulatedConsignment,
        at: int,
        units: int | None = None,
        seen: Iterable[bytes] = (),
    ) -> bytes:
        """Units received; None: the consignment as a whole."""
        return self._state(goods, "receiving", at, units, seen)

    def accept(
        self,
        goods: SimulatedConsignment,
        at: int,
        units: int | None = None,
        seen: Iterable[bytes] = (),
    ) -> bytes:
        """Units accepted; None: the consignment as a whole."""
        return self._state(goods, "accepting", at, units, seen)

    def _state(
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
    """The one event in a record that `Scribe.write` made, as EPCIS names its members."""
    document = json.loads(record.partition(b"\n")[2])
    return document["epcisBody"]["eventList"][0]


def _number(value: Decimal) -> int | float:
    """JSON's number; what a logger measures is shown with few digits, and read exactly."""
    return int(value) if value == value.to_integral_value() else float(value)


def _checked(digits: str) -> str:
    """With the check digit of GS1 General Specifications, section 7.9, behind."""
    weighed = sum(
        int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits))
    )
    return f"{digits}{-weighed % 10}"


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _unpadded(text: bytes) -> bytes:
    return urlsafe_b64decode(text + b"=" * (-len(text) % 4))
