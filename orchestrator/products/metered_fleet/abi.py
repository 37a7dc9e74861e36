"""Terms and facts of a metered fleet as the contract `MeteredFleet` encodes them.

Packed numbers (contracts/products/fleet/FleetBytes.sol). Facts repeat the rows that the contract
keeps a hash of, so that each of their steps can be checked there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from device_adapters.types import Assurance, Rejected
from oracles.types import ClaimReason

MOST_MEMBERS = 2_000
MOST_AGE = (1 << 16) - 1  # minutes; an age that would be higher stays there
MOST_COUNTER, MOST_REGISTER = 1 << 31, 1 << 39  # a row holds less: the highest bits stay free
MINUTE = 60
_VERSION, _REOPENED = 1, 0x80  # this bit is set in no signed terms


class FleetKind(IntEnum):
    """What a claim does, with the numbers of `FleetBytes.sol`."""

    CHARGED = 0
    READ = 1  # it only brings the rows up to date: the claim before it was passed over


class FleetRow(NamedTuple):
    """The last reading of a member that counted.

    counter: number within its stream, below MOST_COUNTER. register: whole Wh, below MOST_REGISTER.
    age: minutes that the reading lies before the rows' time, at most MOST_AGE.
    """

    counter: int
    register: int
    age: int = 0


class FleetStep(NamedTuple):
    """How far a member's counter and register (Wh) rose; all zero but the age: it was silent."""

    counters: int
    energy: int
    age: int


class FleetMember(NamedTuple):
    """A member in the terms: its device's id (32 bytes), and its row at `started`."""

    device: bytes
    counter: int
    register: int
    age: int = 0

    @property
    def row(self) -> FleetRow:
        """Return where its register begins."""
        return FleetRow(self.counter, self.register, self.age)


class FleetTerms(NamedTuple):
    """Terms of an agreement: token minor units per kWh, watts of each member's fuse, seconds.

    period: the least from one claim to the next. started: when the start registers were read (Unix
    seconds). register: `Register.number` of the one that counts, of every member. assurance:
    `Assurance.number`, the least that is taken. members: with rising ids. reopened: the claim to
    derive is the first one behind counters that were passed over; no signed terms say so.
    """

    price_per_kwh: int
    fuse_watts: int
    period: int
    started: int
    register: int
    assurance: int
    members: tuple[FleetMember, ...]
    reopened: bool = False

    @property
    def least_assurance(self) -> Assurance:
        """Return the least assurance of a record that is taken."""
        return tuple(Assurance)[self.assurance]

    @property
    def rows(self) -> tuple[FleetRow, ...]:
        """Return where the members' registers begin."""
        return tuple(member.row for member in self.members)


class FleetFacts(NamedTuple):
    """Facts of a claim: times in Unix seconds, then a row and a step for each member in order.

    from_time: the end of the claim before it, or `started`. rows: as they were then.
    """

    kind: int
    from_time: int
    to_time: int
    rows: tuple[FleetRow, ...]
    steps: tuple[FleetStep, ...]

    @property
    def energy(self) -> int:
        """Return how far all registers rose together, in Wh."""
        return sum(step[1] for step in self.steps)

    @property
    def rows_after(self) -> tuple[FleetRow, ...]:
        """Return the rows at the end of the claim."""
        return tuple(
            FleetRow(row.counter + step.counters, row.register + step.energy, step.age)
            for row, step in zip(self.rows, self.steps, strict=True)
        )


_TERMS_HEAD = struct.Struct(">BBIIIIHIH")  # a register's code in two parts
_FACTS_HEAD = struct.Struct(">BBII")
_ROW = struct.Struct(">IBIH")  # a register's 40 bits in two parts
_ID_BYTES = 32
ROW_BYTES = _ROW.size


def encode_terms(terms: FleetTerms) -> bytes:
    """Return the encoding of terms.

    Raises:
        Rejected: FACTS_MALFORMED where they are not valid.
    """
    members = [FleetMember(*member) for member in terms.members]
    version = _VERSION | _REOPENED * terms.reopened
    try:
        code = divmod(terms.register, 1 << 32)
        head = _TERMS_HEAD.pack(version, terms.assurance, *terms[:4], *code, len(members))
        rows = encode_rows(tuple(member.row for member in members))
    except struct.error as error:
        raise _malformed(f"the terms do not fit: {error}") from None
    raw = head + b"".join(member.device for member in members) + rows
    decode_terms(raw)
    return raw


@lru_cache(maxsize=64)
def decode_terms(raw: bytes) -> FleetTerms:
    """Return the terms.

    Raises:
        Rejected: FACTS_MALFORMED where the contract would not accept them.
    """
    if len(raw) < _TERMS_HEAD.size or raw[0] & ~_REOPENED != _VERSION:
        raise _malformed("no terms of version 1", raw)
    version, assurance, *numbers, high, low, count = _TERMS_HEAD.unpack_from(raw)
    ids = _TERMS_HEAD.size
    rows = ids + count * _ID_BYTES
    if len(raw) != rows + count * ROW_BYTES:
        raise _malformed(f"{len(raw)} bytes for {count} members", raw)
    devices = [raw[at : at + _ID_BYTES] for at in range(ids, rows, _ID_BYTES)]
    members = tuple(
        FleetMember(device, *row)
        for device, row in zip(devices, decode_rows(raw[rows:]), strict=True)
    )
    register, reopened = high << 32 | low, version != _VERSION
    terms = FleetTerms(*numbers, register, assurance, members, reopened)
    if flaw := _terms_flaw(terms, devices):
        raise _malformed(flaw, raw)
    return terms


def shared_terms(raw: bytes) -> int:
    """Return what the contract answers to `open`: the word in FleetBytes.sol."""
    terms = decode_terms(raw)
    fields = (
        (terms.price_per_kwh, 80),
        (terms.fuse_watts, 48),
        (terms.period, 16),
        (len(terms.members), 0),
    )
    return sum(value << shift for value, shift in fields)


def encode_facts(facts: FleetFacts) -> bytes:
    """Return the encoding of facts.

    Raises:
        Rejected: FACTS_MALFORMED where a value does not fit.
    """
    try:
        head = _FACTS_HEAD.pack(_VERSION, *facts[:3])
        return head + encode_rows(facts.rows) + encode_rows(facts.steps)
    except struct.error as error:
        raise _malformed(f"the facts do not fit: {error}") from None


def decode_facts(raw: bytes) -> FleetFacts:
    """Return the facts of a claim.

    Raises:
        Rejected: FACTS_MALFORMED where the bytes are not facts.
    """
    count, rest = divmod(len(raw) - _FACTS_HEAD.size, 2 * ROW_BYTES)
    if not 0 < count <= MOST_MEMBERS or rest or raw[0] != _VERSION or raw[1] > max(FleetKind):
        raise _malformed(f"{len(raw)} bytes are no facts", raw)
    _, kind, begin, end = _FACTS_HEAD.unpack_from(raw)
    steps_at = _FACTS_HEAD.size + count * ROW_BYTES
    steps = tuple(FleetStep(*step) for step in decode_rows(raw[steps_at:]))
    return FleetFacts(kind, begin, end, decode_rows(raw[_FACTS_HEAD.size : steps_at]), steps)


def encode_rows(rows: Iterable[FleetRow | FleetStep]) -> bytes:
    """Return rows as terms and facts hold them, and the contract hashes them; or steps."""
    return b"".join(
        _ROW.pack(counter, register >> 32, register & 0xFFFF_FFFF, age)
        for counter, register, age in rows
    )


def decode_rows(raw: bytes) -> tuple[FleetRow, ...]:
    """Return rows of their encoding."""
    return tuple(
        FleetRow(counter, high << 32 | low, age)
        for counter, high, low, age in _ROW.iter_unpack(raw)
    )


def minutes_between(begin: int, end: int) -> int:
    """Return the minutes from a time to another (Unix seconds), each in its whole minute."""
    return end // MINUTE - begin // MINUTE


def _terms_flaw(terms: FleetTerms, devices: list[bytes]) -> str:
    """Return what is wrong with the terms as a phrase, or "" if nothing is."""
    flaws = (
        (not terms.fuse_watts, "the terms have no fuse rating"),
        (terms.period < MINUTE, "the period is shorter than a minute"),
        (not terms.started, "the terms do not say when the start registers were read"),
        (terms.assurance >= len(Assurance), f"no assurance is {terms.assurance}"),
        (not devices, "the terms name no member"),
        (
            any(
                counter >= MOST_COUNTER or register >= MOST_REGISTER
                for counter, register, _ in terms.rows
            ),
            "a start counter or register is more than a row holds",
        ),
        (len(devices) > MOST_MEMBERS, f"more than {MOST_MEMBERS} members"),
        (
            any(a >= b for a, b in pairwise(devices)),
            "the members are not in order, or one is named twice",
        ),
    )
    return next((flaw for wrong, flaw in flaws if wrong), "")


def _malformed(detail: str, raw: bytes = b"") -> Rejected:
    return Rejected(ClaimReason.FACTS_MALFORMED, detail, raw)
