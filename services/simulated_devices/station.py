"""Base class of every simulated device: a key, a journal and a link.

`SimulatedMeter`, the consignment's devices and the wearable are stations; each adds its readings
and the form of its records. A station signs with `key` and stores its records with `keep`; from
then on they are sent again until a receipt of the rail answers them.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from joserfc.jwk import ECKey

from device_adapters.inlets.device_link import DeviceLink
from device_adapters.types import MAX_MESSAGE_BYTES, Curve, DeviceKey, Rejected
from orchestrator.core.later_outcome import acknowledgement, read_outcomes
from orchestrator.core.receipt import read_receipt
from services.simulated_devices.journal import DeviceJournal, evidence_of

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, SEC 2
RECORDS_PER_MESSAGE = 50


class Station(ABC):
    """A device in a folder (created at first use) with key.pem, journal.sqlite3 and password, 0600.

    PROTOCOL: the last part of the topic. JOIN: the bytes between records of one message; None: one
    record per message.

    Args:
        seed: the same seed gives the same key and random choices; None gives a random key.
        receipt_key: the rail's public key; without it no receipt is trusted.
    """

    PROTOCOL = ""
    JOIN: bytes | None = None

    def __init__(
        self, folder: Path, name: str, seed: int | None, receipt_key: ECKey | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder, self.name = folder, name
        self.receipt_key, self.link = receipt_key, None
        self.refused_receipts = Counter[str]()  # receipts that were not trusted, by reason
        self._seed = seed
        self.key = _key(folder / "key.pem", name, seed)
        self._journal = DeviceJournal(folder / "journal.sqlite3")
        os.chmod(folder / "journal.sqlite3", 0o600)
        self.saved_state = self._journal.state()  # counters and clock as the last process left them
        self.counter = self.saved_state.get("counter", 0)  # the number in the last record
        self._sent_at: dict[bytes, float] = {}

    @staticmethod
    @abstractmethod
    def counter_of(record: bytes) -> int:
        """Return the counter in a record of this type of device."""

    def state(self) -> dict[str, int]:
        """Return the numbers that must survive a restart; subclasses add to the counter."""
        return {"counter": self.counter}

    @property
    def public(self) -> DeviceKey:
        """Return the public key for the registry."""
        numbers = self.key.public_key().public_numbers()
        return DeviceKey(Curve.SECP256R1, numbers.x, numbers.y)

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """Sign a 32-byte digest (of an enrolment or a voucher) and return (r, low s)."""
        algorithm = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
        r, s = decode_dss_signature(self.key.sign(digest, algorithm))
        return r, min(s, ORDER - s)

    # --- the journal ---------------------------------------------------------------------------

    def keep(self, records: list[bytes], last_counter: int = 0) -> list[bytes]:
        """Journal records; `last_counter`: the highest number used by records made elsewhere."""
        self.counter = max(self.counter, last_counter)
        self._journal.add(records, self.state())
        return records

    def forget(self, records: Iterable[bytes]) -> None:
        """Lose records before they were sent."""
        self._journal.forget(records)

    def unreceipted(self) -> list[bytes]:
        """Return the records without a receipt, by counter."""
        return sorted(self._journal.unanswered(), key=self.counter_of)

    def unreceipted_count(self) -> int:
        """Return how many records have no receipt yet."""
        return self._journal.unreceipted_count()

    @property
    def outcomes(self) -> dict[str, str]:
        """Return the rail's first answer to each record, by evidence hash (hex)."""
        return self._journal.outcomes()

    @property
    def later_outcomes(self) -> list[tuple[str, str, str]]:
        """Return (evidence hash, outcome, detail) of what was decided later, in that order."""
        return self._journal.later_outcomes()

    def answers(self, record: bytes) -> list[str]:
        """Return every answer to one record, in order of arrival: "accepted", "duplicate", ..."""
        return self._journal.answers(evidence_of(record).hex())

    # --- sending -------------------------------------------------------------------------------

    def connect(self, host: str, port: int, password: str | None = None) -> DeviceLink:
        """Open the link; a given password is stored (0600), else the stored one is used."""
        stored = self.folder / "password"
        if password is not None:
            _write_private(stored, password.encode())
        self.link = DeviceLink(host, port, self.name, stored.read_text())
        return self.link

    def publish(self, records: Sequence[bytes], per_message: int = RECORDS_PER_MESSAGE) -> int:
        """Send records to the device's own topic; return the number of messages.

        A record that no message can hold is answered here, by the reason that the link gives: sent
        again and again it would hold back all that follow.
        """
        sent = 0
        for batch in self._batches(records, 1 if self.JOIN is None else per_message):
            try:
                sent += self.link.publish((self.JOIN or b"").join(batch), self.PROTOCOL)
            except Rejected as refusal:
                answer = {"outcome": str(refusal.reason), "event": ""}
                self._journal.answer([{"evidence": evidence_of(r).hex()} | answer for r in batch])
            self._sent_at |= dict.fromkeys(map(evidence_of, batch), time.monotonic())
        return sent

    def _batches(self, records: Sequence[bytes], most: int) -> Iterator[list[bytes]]:
        """Yield the records of each message: at most `most`, and no more bytes than one takes."""
        batch: list[bytes] = []
        for record in records:
            size = sum(map(len, batch)) + len(batch) + len(record)
            if batch and (len(batch) == most or size > MAX_MESSAGE_BYTES):
                yield batch
                batch = []
            batch.append(record)
        if batch:
            yield batch

    def collect(self, timeout_s: float = 0.0) -> int:
        """Read the receipts that arrived and return how many records they answered.

        A receipt that is not the rail's, or not for this device, answers nothing.

        Args:
            timeout_s: how long to wait for the first receipt.
        """
        answered = 0
        for receipt in self.link.receipts(timeout_s):
            try:
                content = self.read(receipt)
            except Rejected as error:
                self.refused_receipts[str(error.reason)] += 1
                continue
            if content["device"] != self.name:
                self.refused_receipts["other_device"] += 1
                continue
            answered += self._journal.answer(content["records"])
        self.collect_outcomes()
        return answered

    def collect_outcomes(self, timeout_s: float = 0.0) -> int:
        """Store later outcomes that arrived, acknowledge them, and return how many are new.

        What came before is acknowledged again: the rail has not heard it. Outcomes that are not
        the rail's, or not for this device, are not acknowledged.

        Args:
            timeout_s: how long to wait for the first message.
        """
        new = 0
        for message in self.link.outcomes(timeout_s):
            try:
                content = read_outcomes(message, self.receipt_key)
            except Rejected as error:
                self.refused_receipts[str(error.reason)] += 1
                continue
            if content["device"] != self.name:
                self.refused_receipts["other_device"] += 1
                continue
            new += self._journal.add_outcomes(content["outcomes"])
            self.link.acknowledge(acknowledgement([o["id"] for o in content["outcomes"]]))
        return new

    def ask_for_outcomes(self) -> None:
        """Ask the rail for all outcomes that are not acknowledged, without waiting for its turn."""
        self.link.acknowledge(acknowledgement([]))

    def read(self, receipt: bytes) -> dict[str, Any]:
        """Return the content of a receipt; raises Rejected if it is not the rail's."""
        return read_receipt(receipt, self.receipt_key)

    def resend(self, after_s: float = 5.0) -> int:
        """Resend unreceipted records sent at least `after_s` ago or before a restart."""
        now = time.monotonic()
        due = [r for r in self.unreceipted() if self._age(r, now) >= after_s]
        self.publish(due)
        return len(due)

    def close(self) -> None:
        """Close link and journal; no record is lost."""
        if self.link is not None:
            self.link.close()
        self._journal.close()

    # --- inside --------------------------------------------------------------------------------

    def _age(self, record: bytes, now: float) -> float:
        return now - self._sent_at.get(evidence_of(record), float("-inf"))

    def _random(self, counter: int) -> random.Random:
        """Return a random generator by seed, name and counter, so a restart changes nothing."""
        return random.Random(f"{self._seed}/{self.name}/{counter}")


def derived_key(name: str, seed: int) -> ec.EllipticCurvePrivateKey:
    """Return a development key derived from the seed.

    Warning: anyone who knows the seed has the key.
    """
    number = int.from_bytes(hashlib.sha512(f"proofrail/{seed}/{name}".encode()).digest(), "big")
    return ec.derive_private_key(number % (ORDER - 1) + 1, ec.SECP256R1())


def _key(path: Path, name: str, seed: int | None) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        return serialization.load_pem_private_key(path.read_bytes(), password=None)
    key_seed = secrets.randbits(256) if seed is None else seed
    key = derived_key(name, key_seed)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write_private(path, pem)
    return key


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
