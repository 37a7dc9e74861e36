"""One simulated device: signs readings, keeps each record until the rail's receipt, sends again."""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from joserfc.jwk import ECKey

from device_adapters.inlets import DeviceLink
from device_adapters.types import Curve, DeviceKey, Rejected
from orchestrator.core.receipt import read_receipt
from scripts.devices.journal import Journal
from scripts.devices.record import (
    ORDER,
    Point,
    counter_of,
    evidence_of,
    payload_of,
    sign,
    units_of,
)

CHARGING_WATTS = 11_000  # what a session draws, so that its length is plausible
QUARTER_HOUR = 900
RECORDS_PER_MESSAGE = 50


class Kind(StrEnum):
    """What a device is: its records go to OCMF's stream T or F."""

    CHARGE_POINT = "charge_point"
    HOUSEHOLD = "household"


class Device:
    """A device in `folder` (made at first use): key.pem, journal.sqlite3, password; all 0600.

    seed: the same seed gives the same key, readings and signatures; None gives a random key.
    start_at: Unix seconds, where the clock of a new device begins. receipt_key: the rail's.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        kind: Kind,
        seed: int | None,
        start_at: int,
        receipt_key: ECKey | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder, self.name, self.kind = folder, name, kind
        self.receipt_key, self.link = receipt_key, None
        self.refused_receipts = Counter[str]()  # receipts that were not believed, by reason
        self._seed = seed
        self.key = _key(folder / "key.pem", name, seed)
        self._journal = Journal(folder / "journal.sqlite3")
        os.chmod(folder / "journal.sqlite3", 0o600)
        left = self._journal.state()
        self.counter = left.get("counter", 0)  # the number in the last record's PG
        self.register = left.get("register", self._chance(0).randrange(1, 10**8))  # 0.1 Wh
        self.now = left.get("now", start_at)
        self._sent_at: dict[bytes, float] = {}

    @property
    def public(self) -> DeviceKey:
        """The public key, as the registry takes it."""
        numbers = self.key.public_key().public_numbers()
        return DeviceKey(Curve.SECP256R1, numbers.x, numbers.y)

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """(r, low s) over a SHA-256 digest: the proof of possession at enrolment."""
        algorithm = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
        r, s = decode_dss_signature(self.key.sign(digest, algorithm))
        return r, min(s, ORDER - s)

    # --- measuring -----------------------------------------------------------------------------

    def session(
        self,
        kwh: Decimal | str | int,
        *,
        split: bool = False,
        seconds: int | None = None,
        tag: str = "",
    ) -> list[bytes]:
        """A charging session: one record with begin and end, or (`split`) one for each.

        seconds: how long it took; by default as long as 11 kW need. The records are journaled.
        """
        return self._keep(self._session(units_of(kwh), split, seconds, tag))

    def reading(self, kwh: Decimal | str | int) -> list[bytes]:
        """A quarter-hour reading, `kwh` after the one before. The record is journaled."""
        return self._keep(self._reading(units_of(kwh)))

    def make_records(self, n: int) -> list[bytes]:
        """`n` plausible records (sessions, or readings of a household), pre-signed for volume."""
        made: list[bytes] = []
        while len(made) < n:
            chance = self._chance(self.counter + 1)
            if self.kind is Kind.HOUSEHOLD:
                made += self._reading(chance.randrange(100, 10_000))
            else:
                made += self._session(chance.randrange(10_000, 400_000), False, None, "")
        return self._keep(made)

    def forge(
        self, points: Sequence[Point], counter: int, key: ec.EllipticCurvePrivateKey, name: str = ""
    ) -> bytes:
        """A record with any content under any key; nothing of the device changes."""
        stream = "F" if self.kind is Kind.HOUSEHOLD else "T"
        tag = "" if self.kind is Kind.HOUSEHOLD else self._tag(counter)
        return sign(payload_of(name or self.name, f"{stream}{counter}", points, tag), key)

    def keep(self, records: list[bytes], last_counter: int) -> list[bytes]:
        """Journals records made elsewhere, which used numbers up to `last_counter`."""
        self.counter = max(self.counter, last_counter)
        return self._keep(records)

    def forget(self, records: Iterable[bytes]) -> None:
        """Loses records before they were sent."""
        self._journal.forget(records)

    def pause(self, seconds: int) -> None:
        """Lets the device's clock run."""
        self.now += seconds

    # --- sending -------------------------------------------------------------------------------

    def connect(self, host: str, port: int, password: str | None = None) -> DeviceLink:
        """Opens the link; a given password is kept (0600), else the kept one is used."""
        stored = self.folder / "password"
        if password is not None:
            _write_private(stored, password.encode())
        self.link = DeviceLink(host, port, self.name, stored.read_text())
        return self.link

    def publish(self, records: Sequence[bytes], per_message: int = RECORDS_PER_MESSAGE) -> int:
        """Sends records to the device's own topic, several to a message; returns the messages."""
        sent = 0
        for start in range(0, len(records), per_message):
            batch = records[start : start + per_message]
            sent += self.link.publish(b"\n".join(batch))
            self._sent_at |= dict.fromkeys(map(evidence_of, batch), time.monotonic())
        return sent

    def collect(self, timeout_s: float = 0.0) -> int:
        """Takes what receipts arrived (waits for the first); how many records they answered.

        A receipt that is not the rail's, or not for this device, answers nothing.
        """
        answered = 0
        for receipt in self.link.receipts(timeout_s):
            try:
                said = read_receipt(receipt, self.receipt_key)
            except Rejected as error:
                self.refused_receipts[str(error.reason)] += 1
                continue
            if said["device"] != self.name:
                self.refused_receipts["other_device"] += 1
                continue
            answered += self._journal.answer(said["records"])
        return answered

    def resend(self, after_s: float = 5.0) -> int:
        """Sends again what was sent `after_s` ago, or before a restart, and has no receipt."""
        now = time.monotonic()
        due = [r for r in self.unreceipted() if self._age(r, now) >= after_s]
        self.publish(due)
        return len(due)

    def unreceipted(self) -> list[bytes]:
        """Records without a receipt, by counter."""
        return sorted(self._journal.unanswered(), key=counter_of)

    def owed(self) -> int:
        """How many records have no receipt yet."""
        return self._journal.owed()

    @property
    def outcomes(self) -> dict[str, str]:
        """The rail's first answer to each record, by evidence hash (hex)."""
        return self._journal.outcomes()

    def answers(self, record: bytes) -> list[str]:
        """Every answer to one record, in order of arrival: "accepted", "duplicate", ..."""
        return self._journal.answers(evidence_of(record).hex())

    def close(self) -> None:
        """Ends link and journal; nothing is lost by it."""
        if self.link is not None:
            self.link.close()
        self._journal.close()

    # --- inside --------------------------------------------------------------------------------

    def _session(self, units: int, split: bool, seconds: int | None, tag: str) -> list[bytes]:
        begin = Point("B", self.now, self.register)
        self.register += units
        self.now += seconds or units * 360 // CHARGING_WATTS + 60  # 0.1 Wh is 360 watt-seconds
        end = Point("E", self.now, self.register)
        self.now += self._chance(self.counter).randrange(300, 1_800)
        tag = tag or self._tag(self.counter + 1)
        records = [[begin], [end]] if split else [[begin, end]]
        return [self._sign(points, tag) for points in records]

    def _reading(self, units: int) -> list[bytes]:
        self.register += units
        self.now += QUARTER_HOUR
        return [self._sign([Point("", self.now, self.register)], "")]

    def _sign(self, points: Sequence[Point], tag: str) -> bytes:
        self.counter += 1
        stream = "F" if self.kind is Kind.HOUSEHOLD else "T"
        return sign(payload_of(self.name, f"{stream}{self.counter}", points, tag), self.key)

    def _keep(self, records: list[bytes]) -> list[bytes]:
        state = {"counter": self.counter, "register": self.register, "now": self.now}
        self._journal.add(records, state)
        return records

    def _age(self, record: bytes, now: float) -> float:
        return now - self._sent_at.get(evidence_of(record), float("-inf"))

    def _tag(self, counter: int) -> str:
        return f"{self._chance(counter).getrandbits(56):014X}"

    def _chance(self, counter: int) -> random.Random:
        """Chance by seed, name and counter, so that a restart does not change the run."""
        return random.Random(f"{self._seed}/{self.name}/{counter}")


def derived_key(name: str, seed: int) -> ec.EllipticCurvePrivateKey:
    """A development key that follows from the seed. Warning: whoever knows the seed has it."""
    number = int.from_bytes(hashlib.sha512(f"proofrail/{seed}/{name}".encode()).digest(), "big")
    return ec.derive_private_key(number % (ORDER - 1) + 1, ec.SECP256R1())


def _key(path: Path, name: str, seed: int | None) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        return serialization.load_pem_private_key(path.read_bytes(), password=None)
    chosen = secrets.randbits(256) if seed is None else seed
    key = derived_key(name, chosen)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )  # fmt: skip
    _write_private(path, pem)
    return key


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
