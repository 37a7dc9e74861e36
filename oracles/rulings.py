"""Rulings on disputed payments: what an oracle signs once a person of its trust domain decided.

An oracle stores a ruling before it signs it, and never signs the other answer: two contradicting
rulings of one oracle are proof enough to bar it for ever (OracleCommittee.reportRulings).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from device_adapters.types import Rejected

from .attest import DOMAIN_VERSION, address_word, separator
from .merkle import keccak

_RULING_TYPE = keccak(b"Ruling(address rail,bytes32 payment,bool refund)")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rulings (
    rail TEXT NOT NULL, payment BLOB NOT NULL, refund INTEGER NOT NULL, oracle TEXT NOT NULL,
    signature BLOB NOT NULL, decided_by TEXT NOT NULL, reason TEXT NOT NULL,
    decided_at INTEGER NOT NULL, PRIMARY KEY (rail, payment)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS disputed (
    payment BLOB PRIMARY KEY, block INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = "rail, payment, refund, oracle, signature, decided_by, reason, decided_at"


@dataclass(frozen=True, slots=True)
class Ruling:
    """How a dispute ends.

    Attributes:
        rail: Checksummed address of the PaymentRail.
        payment: Id of the payment, 32 bytes.
        refund: True: back to the agreement's escrow; False: the payment stands.
    """

    rail: str
    payment: bytes
    refund: bool

    @property
    def decision(self) -> str:
        """Return the answer in one word."""
        return "refund" if self.refund else "stand"

    def digest(self, chain_id: int, committee: str, version: str = DOMAIN_VERSION) -> bytes:
        """Return what an oracle signs: the EIP-712 digest (32 bytes) for one committee.

        Args:
            chain_id: Of the committee's chain.
            committee: Its address.
            version: Of its signing domain.

        Raises:
            ValueError: The payment is not 32 bytes long.
        """
        if len(self.payment) != 32:
            raise ValueError("a payment's id is 32 bytes")
        refund = int(self.refund).to_bytes(32, "big")
        struct = keccak(_RULING_TYPE + address_word(self.rail) + self.payment + refund)
        return keccak(b"\x19\x01" + separator(chain_id, committee, version) + struct)


@dataclass(frozen=True, slots=True)
class SignedRuling:
    """A ruling with an oracle's signature, and the person who decided it.

    Attributes:
        ruling: What was decided.
        oracle: Checksummed address of the key that signed.
        signature: 65 bytes.
        decided_by: The name that the person gave.
        reason: Why, in the person's words; perhaps "".
        decided_at: Unix seconds.
    """

    ruling: Ruling
    oracle: str
    signature: bytes
    decided_by: str
    reason: str
    decided_at: int


class RulingReason(StrEnum):
    """Why an oracle refuses to sign a ruling. The codes are stable."""

    CONTRADICTS = "ruling_contradicts"  # it signed the other answer before


class RulingMemory:
    """The rulings in an oracle's database; several processes may use it at the same time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as db:
            db.executescript(_SCHEMA)

    def sign(
        self,
        ruling: Ruling,
        oracle: str,
        make: Callable[[Ruling], bytes],
        decided_by: str,
        reason: str,
        decided_at: int,
    ) -> SignedRuling:
        """Store a ruling and return it signed; one that is stored already stays as it is.

        Args:
            ruling: What was decided.
            oracle: Address of the signing key.
            make: Signs a ruling; ECDSA with RFC 6979, so that it always makes the same signature.
            decided_by: Who decided.
            reason: Why.
            decided_at: Unix seconds.

        Raises:
            Rejected: CONTRADICTS, where the other answer was signed before.
        """
        with self._opened() as db:
            db.execute("BEGIN IMMEDIATE")
            row = db.execute(
                f"SELECT {_COLUMNS} FROM rulings WHERE rail = ? AND payment = ?",
                (ruling.rail, ruling.payment),
            ).fetchone()
            if row is not None:
                db.execute("ROLLBACK")
                signed = _signed(row)
                if signed.ruling != ruling:
                    raise Rejected(
                        RulingReason.CONTRADICTS,
                        f"this oracle signed {signed.ruling.decision!r} for payment "
                        f"0x{ruling.payment.hex()} before, as {signed.decided_by} decided",
                    )
                return signed
            signed = SignedRuling(ruling, oracle, make(ruling), decided_by, reason, decided_at)
            db.execute(f"INSERT INTO rulings ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", _row(signed))
            db.execute("COMMIT")  # nobody sees a signature that is not stored
        return signed

    def all(self) -> list[SignedRuling]:
        """Return the rulings that this oracle signed, of every rail, oldest first."""
        query = f"SELECT {_COLUMNS} FROM rulings ORDER BY decided_at, payment"
        with self._opened() as db:
            return [_signed(row) for row in db.execute(query)]

    # --- which payments were ever disputed, from the chain's logs

    def note_disputes(self, payments: list[tuple[bytes, int]], block: int) -> None:
        """Store disputed payments with the number of their block, read up to a block."""
        with self._opened() as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT OR REPLACE INTO disputed VALUES (?, ?)", payments)
            db.execute("INSERT OR REPLACE INTO marks VALUES ('disputes', ?)", (block,))
            db.execute("COMMIT")

    def disputes_up_to(self) -> int:
        """Return the block up to which disputes are stored; 0 if none are."""
        with self._opened() as db:
            row = db.execute("SELECT at FROM marks WHERE name = 'disputes'").fetchone()
        return row[0] if row else 0

    def disputes(self) -> dict[bytes, int]:
        """Return payment -> number of its dispute's block, oldest first; ended ones too."""
        with self._opened() as db:
            return dict(db.execute("SELECT payment, block FROM disputed ORDER BY block").fetchall())

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Open a connection of its own, so that any thread and any process may ask."""
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=30)) as db:
            db.execute("PRAGMA synchronous=FULL")
            yield db


def _row(signed: SignedRuling) -> tuple[object, ...]:
    ruling = signed.ruling
    return (
        ruling.rail,
        ruling.payment,
        int(ruling.refund),
        signed.oracle,
        signed.signature,
        signed.decided_by,
        signed.reason,
        signed.decided_at,
    )


def _signed(row: tuple) -> SignedRuling:
    rail, payment, refund, oracle, signature, decided_by, reason, decided_at = row
    ruling = Ruling(rail, payment, bool(refund))
    return SignedRuling(ruling, oracle, signature, decided_by, reason, decided_at)
