"""The month's devices: real keys and records, but no journal on disk.

A thousand SQLite files would be slow. That records survive a restart is tested with
services/simulated_devices; these devices use the same record formats.
"""

from __future__ import annotations

from collections import Counter

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from device_adapters.protocols.voucher.typed import Domain, Voucher, digest_of, write_record
from device_adapters.types import Curve, DeviceKey, device_id
from services.simulated_devices.record import Point, payload_of, sign
from services.simulated_devices.station import ORDER, derived_key

MWH_PER_UNIT = 100  # registers count in 0.1 Wh


class MonthDevice:
    """A device whose key is derived from seed and name."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.key, self.counter = name, derived_key(name, seed), 0

    @property
    def public(self) -> DeviceKey:
        numbers = self.key.public_key().public_numbers()
        return DeviceKey(Curve.SECP256R1, numbers.x, numbers.y)

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """Return the signature (r, low s) of 32 bytes."""
        algorithm = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
        r, s = decode_dss_signature(self.key.sign(digest, algorithm))
        return r, min(s, ORDER - s)


class MonthMeter(MonthDevice):
    """A household meter (stream F, readings) or a charge point (stream T, sessions).

    Args:
        register: what the meter shows, in units of 0.1 Wh.
        sessions: True for a charge point.
    """

    def __init__(self, name: str, seed: int, register: int, *, sessions: bool = False) -> None:
        super().__init__(name, seed)
        self.register, self.sessions = register, sessions

    def reading(self, units: int, at: int) -> bytes:
        """Return the reading at a time, `units` (0.1 Wh) above the last one."""
        self.register += units
        return self.write([Point("", at, self.register)])

    def session(self, units: int, at: int, seconds: int) -> bytes:
        """Return a charging session of `units` (0.1 Wh) that begins at a time."""
        begin = Point("B", at, self.register)
        self.register += units
        return self.write([begin, Point("E", at + seconds, self.register)])

    def exchange(self, units: int, at: int, new_register: int) -> bytes:
        """Return the old meter's last reading and, five minutes later, the new one's first."""
        last = Point("", at, self.register + units)
        self.register = new_register
        record = self._payload([last, Point("", at + 300, new_register)])
        head, _, tail = record.rpartition('"ST":"G"')
        return sign(f'{head}"ST":"X"{tail}', self.key)

    def write(self, points: list[Point], key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        """Return a record under the next number; a different `key` makes it a forgery."""
        return sign(self._payload(points), key or self.key)

    def _payload(self, points: list[Point]) -> str:
        self.counter += 1
        page = f"{'T' if self.sessions else 'F'}{self.counter}"
        return payload_of(self.name, page, points, "1F2D3A4F5506C7" if self.sessions else "")


class MonthWearable(MonthDevice):
    """A wearable: one counter, and a running total for each merchant.

    Args:
        cap: micro-euro that it signs away in total.
        life: seconds that a voucher stays valid.
    """

    def __init__(self, name: str, seed: int, domain: Domain, cap: int, life: int) -> None:
        super().__init__(name, seed)
        self.domain, self.cap, self.life = domain, cap, life
        self.totals, self.taps = Counter[str](), Counter[str]()

    def tap(self, payee: str, micro: int, merchant_class: int, at: int) -> bytes:
        """Return the voucher that pays `micro` more to a merchant."""
        self.counter += 1
        self.totals[payee] += micro
        self.taps[payee] += 1
        voucher = Voucher(
            device_id(self.name),
            payee.lower(),
            self.totals[payee],
            self.counter,
            self.taps[payee],
            merchant_class,
            self.cap,
            at,
            at + self.life,
        )
        return write_record(
            self.name, self.domain, voucher, *self.sign_digest(digest_of(self.domain, voucher))
        )
