"""Meter streams for tests: events without signatures, or signed OCMF records with their keys."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec

from device_adapters import registers
from device_adapters.types import Curve, DeviceKey, Event, Message, Rejected, Signed, device_id
from oracles.types import Agreement, ClaimReason, KeyRing
from oracles.verify import verify_events
from orchestrator.products.metered_energy import product
from services.simulated_devices.record import Point, payload_of, sign

TERMS = product.encode_terms(product.EnergyTerms(300_000, 22_000))
AGREEMENT = b"\x0a" * 32
SOME_DAY = 1_790_000_000
IMPORT = "01-00:01.08.00*FF"
IMPORT_NUMBER = registers.parse(IMPORT).number


def event(counter: int, *readings: tuple, refusals: tuple[str, ...] = ()) -> Event:
    """Return an event of device M1.

    readings: (mark, register in mWh, Unix seconds[, status[, OBIS code[, error flags]]]).
    """
    facts = {"readings": [_reading(*reading) for reading in readings]}
    content = json.dumps([counter, facts]).encode()
    return Event(
        device="M1",
        counter=counter,
        observed_at_ms=readings[-1][2] * 1000,
        kind="meter.reading",
        facts=facts,
        evidence=b"evidence of " + content,
        signed=Signed(content, b"", Curve.SECP256R1),
        not_billable=refusals,
    )


def _reading(
    mark: str, register: int, at: int, status: str = "G", obis: str = IMPORT, flags: str = ""
) -> dict[str, object]:
    values = {"mark": mark, "register": register, "at": at * 1000, "status": status}
    return values | {"obis": obis, "flags": flags, "clock": "S"}


def session(counter: int, register: int = 0, seconds: int = 0) -> Event:
    """Return a session of 1 kWh in an hour, which begins an hour after the one before it."""
    register = register or counter * 1_000_000
    seconds = seconds or SOME_DAY + counter * 7_200
    return event(counter, ("B", register, seconds), ("E", register + 1_000_000, seconds + 3_600))


def agreement(device: str = "M1", first_counter: int = 0, **fields) -> Agreement:
    """Return an agreement; `fields` replace its defaults."""
    defaults = {
        "agreement": AGREEMENT,
        "device": device,
        "device_id": device_id(device),
        "product": "metered_energy",
        "terms": TERMS,
        "start": 0,
        "expires_at": 2**32 - 1,
        "first_counter": first_counter,
    }
    return Agreement(**defaults | fields)


@lru_cache(maxsize=64)
def key_of(device: str) -> ec.EllipticCurvePrivateKey:
    """Return a device's private key, the same in every process of a test."""
    return ec.derive_private_key(int.from_bytes(device_id(device)[:31], "big"), ec.SECP256R1())


def record(device: str, counter: int, *points: tuple[str, int, int], key=None) -> bytes:
    """Return a signed OCMF record; points are (mark, register in 0.1 Wh, Unix seconds)."""
    payload = payload_of(device, f"T{counter}", [Point(m, s, r) for m, r, s in points], "12345678")
    return sign(payload, key or key_of(device))


def session_record(device: str, counter: int, units: int = 10_000) -> bytes:
    """Return a signed record of a session of one hour; units of 0.1 Wh (10,000: 1 kWh)."""
    at = SOME_DAY + counter * 7_200
    register = counter * 100_000
    return record(device, counter, ("B", register, at), ("E", register + units, at + 3_600))


def message(*records: bytes, device: str = "") -> Message:
    """Return one message with these records."""
    return Message("ocmf", device, b"\n".join(records))


def reasons(events: Iterable[Event], keys: KeyRing) -> list[str | None]:
    """Return why each event is not verified; None where it is."""
    outcomes = verify_events(list(events), keys)
    return [item.reason if isinstance(item, Rejected) else None for item in outcomes]


@dataclass
class StreamKeys:
    """A key ring for tests: the devices' own keys, or the reasons why some have none.

    gateways: device -> [(from, until (0: no end), its gateway)], oldest first.
    """

    devices: set[str] = field(default_factory=set)
    reasons: dict[str, ClaimReason] = field(default_factory=dict)
    compromised: dict[str, int] = field(default_factory=dict)
    gateways: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)

    def compromised_since(self, device: bytes) -> int | None:
        times = (at for name, at in self.compromised.items() if device_id(name) == device)
        return next(times, None)

    def key_at(self, device: bytes, at_seconds: int) -> DeviceKey | ClaimReason:
        for name in self.devices:
            if device_id(name) == device:
                numbers = key_of(name).public_key().public_numbers()
                key = DeviceKey(Curve.SECP256R1, numbers.x, numbers.y)
                return self.reasons.get(name, key)
        return ClaimReason.DEVICE_UNKNOWN

    def gateway_at(self, device: bytes, at_seconds: int) -> bytes | None:
        for name, assignments in self.gateways.items():
            for since, until, gateway in reversed(assignments):
                if device_id(name) == device and since <= at_seconds:
                    return device_id(gateway) if not until or at_seconds < until else None
        return None
