"""Finds the charging sessions among the records of one file.

Records with one transaction id of their container belong together. Others are taken per meter, in
the order of their pages, as the rail takes them: a begin opens a session, an end closes it. A file
may hold a part of a session only: what is missing is named, and the rest is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from device_adapters.registers import Direction
from device_adapters.sessions import BEGIN, CLOSING, Entry, Facts, chosen, readings_of

_CONTEXTS = ("Transaction.Begin", "Transaction.End")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A record of a file. facts: None where its readings cannot be read."""

    index: int
    meter: str
    counter: int | None  # without the bit of its stream
    facts: Facts | None
    direction: Direction
    transaction_id: str | None = None
    context: str | None = None

    @property
    def fiscal(self) -> bool:
        """Return whether its page is one of the fiscal stream."""
        return self.facts is not None and self.facts["pagination"].startswith("F")

    @property
    def marks(self) -> list[str]:
        """Return the letters of the register that is billed, as the rail reads them.

        Where it has no such register all its letters count; a fiscal record has no session.
        """
        if self.facts is None or self.fiscal:
            return []
        register = chosen(self.facts, self.direction)
        readings = readings_of(self.facts, register) if register else _readings(self.facts)
        return [reading["mark"] for reading in readings if reading["mark"]]

    @property
    def opens(self) -> bool:
        """Return whether it has the begin of a session."""
        return BEGIN in self.marks

    @property
    def closes(self) -> bool:
        """Return whether it has the end of a session."""
        return not CLOSING.isdisjoint(self.marks)


@dataclass(slots=True)
class FileSession:
    """A session: its records in order, and those that only repeat readings of one of them."""

    transaction_id: str | None
    records: list[FileRecord]
    repeated: list[FileRecord] = field(default_factory=list)

    @property
    def members(self) -> list[int]:
        """Return the indices of all its records, in file order."""
        return sorted(record.index for record in (*self.records, *self.repeated))


def find_sessions(records: Sequence[FileRecord]) -> list[FileSession]:
    """Return every session of which a file has a record, in file order."""
    by_id: dict[str, list[FileRecord]] = {}
    by_meter: dict[str, list[FileRecord]] = {}
    for record in records:
        if record.transaction_id is not None:
            by_id.setdefault(record.transaction_id, []).append(record)
        elif record.meter:
            by_meter.setdefault(record.meter, []).append(record)
    sessions = [item for name, group in by_id.items() for item in _of_one_id(name, group)]
    for group in by_meter.values():
        sessions.extend(_of_one_meter(_in_order(group)))
    return sorted(sessions, key=lambda session: session.members)


def _of_one_id(name: str, group: list[FileRecord]) -> list[FileSession]:
    """Return the session of one transaction id; a record of a whole session is one by itself."""
    ordered = _in_order(group)
    whole = [FileSession(name, [item]) for item in ordered if item.opens and item.closes]
    rest = [item for item in ordered if not (item.opens and item.closes)]
    rest = [item for item in rest if not _repeats(item, whole)]
    named = any(item.context in _CONTEXTS for item in rest)
    if rest and (len(rest) > 1 or named or any(item.marks for item in rest)):
        return [*whole, FileSession(name, rest)]
    return whole


def _of_one_meter(ordered: list[FileRecord]) -> list[FileSession]:
    """Return the sessions of one meter; what lies between begin and end is part of the session."""
    sessions: list[FileSession] = []
    pending: list[FileRecord] = []
    for record in ordered:
        if record.opens and pending:
            sessions.append(FileSession(None, pending))
            pending = []
        closes = record.closes or (bool(pending) and _closes_fiscally(record))
        if record.marks or closes or (pending and not record.fiscal):
            pending.append(record)
        if closes:
            sessions.append(FileSession(None, pending))
            pending = []
    if pending:
        sessions.append(FileSession(None, pending))
    whole = [session for session in sessions if session.records[0].closes]
    return [session for session in sessions if session in whole or not _folded(session, whole)]


def _closes_fiscally(record: FileRecord) -> bool:
    """Return whether an end has a page of the fiscal stream: wrong, and named as that."""
    readings = record.facts["readings"] if record.facts else []
    return any(reading["mark"] in CLOSING for reading in readings)


def _folded(session: FileSession, whole: list[FileSession]) -> bool:
    """Return whether all records of a session only repeat readings of a whole one, and add them."""
    if not all(_repeats(record, whole, add=False) for record in session.records):
        return False
    return all(_repeats(record, whole) for record in session.records)


def _repeats(record: FileRecord, whole: list[FileSession], add: bool = True) -> bool:
    """Return whether a record's readings are all in a record of a whole session.

    Some meters sign the begin, and at the end both readings in one record.
    """
    own = _shown(record)
    for session in whole:
        if own and own <= _shown(session.records[0]):
            if add:
                session.repeated.append(record)
            return True
    return False


def _shown(record: FileRecord) -> set[tuple[Any, ...]]:
    """Return what the readings of a record show, in whichever unit."""
    names = ("at", "mark", "obis", "register", "flags")
    readings = _readings(record.facts) if record.facts else []
    return {tuple(reading.get(name) for name in names) for reading in readings}


def _in_order(group: list[FileRecord]) -> list[FileRecord]:
    """Return records by their page, where each has one of its own; else in file order."""
    pages = [record.counter for record in group]
    if None in pages or len(set(pages)) < len(pages):
        return group
    return sorted(group, key=lambda record: record.counter or 0)


def _readings(facts: Facts) -> list[Entry]:
    return [*facts.get("readings", ()), *facts.get("errors", ())]
