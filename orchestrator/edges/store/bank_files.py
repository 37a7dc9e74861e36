"""Bank files, whole, with their lines and statements; and which lines were acted on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date

from sqlmodel import Session, select

from orchestrator.core.reconcile import StatementBalances, StatementLine
from orchestrator.core.reconcile.lines import keys
from orchestrator.edges.store import add_new, add_values
from orchestrator.edges.store.tables import (
    BankFileRow,
    BankLineRow,
    BankStatementRow,
    BookingRow,
    PayoutRow,
)

__all__ = ["BankFileRow", "BankStatementRow", "BookingRow"]

_CHUNK = 500  # SQLite's default limit of bound variables is far above


def order_file_name(message_id: str) -> str:
    """The name of the outgoing file with this message id."""
    return f"pain.001-{message_id}.xml"


def unanswered(session: Session) -> Sequence[tuple[str, str]]:
    """(hash, name) of outgoing files of which the bank has said nothing about some payout."""
    return session.exec(
        select(BankFileRow.file_hash, BankFileRow.name)
        .join(PayoutRow, PayoutRow.file_hash == BankFileRow.file_hash)
        .where(PayoutRow.stage == "sent")
        .distinct()
    ).all()


def get(session: Session, file_hash: str) -> BankFileRow | None:
    return session.get(BankFileRow, file_hash)


def all_files(session: Session, direction: str) -> Sequence[BankFileRow]:
    return session.exec(
        select(BankFileRow).where(BankFileRow.direction == direction).order_by(BankFileRow.at)
    ).all()


def add_lines(session: Session, lines: Sequence[StatementLine], file_hash: str) -> None:
    rows = []
    for line in lines:
        identity, content, valued = keys(line)
        told = {name: getattr(line, name) for name in StatementLine.__slots__}
        rows.append(
            {
                "file_hash": file_hash,
                "path": line.path,
                "end_to_end_id": line.end_to_end_id,
                "body": json.dumps(told, default=_text),
                "identity": identity,
                "content": content,
                "valued": valued,
            }
        )
    add_values(session, BankLineRow, rows)


def _text(value: date | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else value.isoformat()


def all_lines(session: Session) -> list[StatementLine]:
    """Every line of every file, as reported."""
    return [read_line(row.body) for row in session.exec(select(BankLineRow))]


def lines_like(session: Session, new: Iterable[StatementLine]) -> list[StatementLine]:
    """Every stored line that these, or lines like them, may be reports of one booking with.

    Rows without keys, from before there were any, may be like anything.
    """
    found: dict[tuple[str, str], BankLineRow] = {}
    known: set[str] = set()
    wanted = {"", *(key for line in new for key in keys(line))}
    while wanted:
        known |= wanted
        rows = _with_keys(session, sorted(wanted))
        found |= {(row.file_hash, row.path): row for row in rows}
        wanted = {key for row in rows for key in (row.identity, row.content, row.valued)} - known
    return [read_line(row.body) for row in found.values()]


def _with_keys(session: Session, wanted: list[str]) -> list[BankLineRow]:
    """Rows with one of these keys; to have no identity is nothing in common."""
    rows: list[BankLineRow] = []
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        rows += session.exec(select(BankLineRow).where(BankLineRow.content.in_(chunk)))
        named = [key for key in chunk if key]
        rows += session.exec(select(BankLineRow).where(BankLineRow.identity.in_(named)))
        rows += session.exec(select(BankLineRow).where(BankLineRow.valued.in_(named)))
    return rows


def lines_of(session: Session, end_to_end_id: str) -> list[StatementLine]:
    rows = session.exec(select(BankLineRow).where(BankLineRow.end_to_end_id == end_to_end_id))
    return [read_line(row.body) for row in rows]


def read_line(body: str) -> StatementLine:
    """A stored line (`BankLine.body`)."""
    fields = json.loads(body)
    fields["source"] = bytes.fromhex(fields["source"])
    for name in ("booking_date", "value_date"):
        fields[name] = date.fromisoformat(fields[name])
    return StatementLine(**fields)


def booked_among(session: Session, ids: Sequence[str]) -> set[str]:
    """Those of these line ids that were acted on."""
    found: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        found.update(session.exec(select(BookingRow.line_id).where(BookingRow.line_id.in_(chunk))))
    return found


def add_bookings(session: Session, booked: Iterable[tuple[str, StatementLine]]) -> None:
    """Notes that lines were acted on, under each of their ids: the first report of each counts."""
    add_values(
        session,
        BookingRow,
        [{"line_id": i, "file_hash": line.source.hex(), "path": line.path} for i, line in booked],
    )


def booking(session: Session, line_id: str) -> BookingRow | None:
    return session.get(BookingRow, line_id)


def add_statement(
    session: Session,
    account: str,
    statement: str,
    file_hash: str,
    balances: StatementBalances | None,
) -> None:
    values = (
        {}
        if balances is None
        else {
            "day": balances.day.isoformat(),
            "opening_minor": balances.opening_minor,
            "closing_minor": balances.closing_minor,
        }
    )
    add_new(
        session,
        [BankStatementRow(account=account, statement=statement, file_hash=file_hash, **values)],
    )


def statements(session: Session) -> Sequence[BankStatementRow]:
    return session.exec(select(BankStatementRow).order_by(BankStatementRow.day)).all()


def line_of(session: Session, line_id: str) -> StatementLine | None:
    """The line that was acted on under this id, as it was reported first."""
    body = session.exec(
        select(BankLineRow.body)
        .join(
            BookingRow,
            (BookingRow.file_hash == BankLineRow.file_hash) & (BookingRow.path == BankLineRow.path),
        )
        .where(BookingRow.line_id == line_id)
    ).first()
    return read_line(body) if body else None
