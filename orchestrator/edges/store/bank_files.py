"""Bank files, whole, with their lines and statements; and which lines were acted on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from hashlib import sha256

from sqlmodel import Session, func, select

from orchestrator.core.payout import Stage
from orchestrator.core.reconcile import StatementBalances, StatementLine
from orchestrator.core.reconcile.lines import keys
from orchestrator.core.references import account_number
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


def add(session: Session, body: bytes, direction: str, name: str, kind: str, at: int) -> str:
    """Store a file whole and return its SHA-256; the same bytes again change nothing.

    Args:
        direction: "out" for orders, "in" for what the bank sends.
        kind: "pain.001", "pain.002" or "camt".
        at: Unix seconds.
    """
    digest = sha256(body).hexdigest()
    row = BankFileRow(file_hash=digest, direction=direction, name=name, kind=kind, body=body, at=at)
    add_new(session, [row])
    return digest


def order_file_name(message_id: str) -> str:
    """Return the name of the outgoing file with this message id."""
    return f"pain.001-{message_id}.xml"


def unanswered(session: Session) -> Sequence[tuple[str, str]]:
    """Return (hash, name) of outgoing files with a payout that the bank has not answered."""
    return session.exec(
        select(BankFileRow.file_hash, BankFileRow.name)
        .join(PayoutRow, PayoutRow.file_hash == BankFileRow.file_hash)
        .where(PayoutRow.stage == Stage.SENT)
        .distinct()
    ).all()


def get(session: Session, file_hash: str) -> BankFileRow | None:
    """Return a file by its SHA-256."""
    return session.get(BankFileRow, file_hash)


def add_lines(session: Session, lines: Sequence[StatementLine], file_hash: str) -> None:
    """Store the lines of a file, with the keys by which repeats of them are found."""
    rows = []
    for line in lines:
        identity, content, valued = keys(line)
        fields = {name: getattr(line, name) for name in StatementLine.__slots__}
        rows.append(
            {
                "file_hash": file_hash,
                "path": line.path,
                "end_to_end_id": line.end_to_end_id,
                "body": json.dumps(fields, default=_text),
                "identity": identity,
                "content": content,
                "valued": valued,
            }
        )
    add_values(session, BankLineRow, rows)


def _text(value: date | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else value.isoformat()


def all_lines(session: Session) -> list[StatementLine]:
    """Return every line of every file, as reported."""
    return [read_line(row.body) for row in session.exec(select(BankLineRow))]


def lines_like(session: Session, new: Iterable[StatementLine]) -> list[StatementLine]:
    """Return every stored line that may report the same booking as one of these lines.

    Lines that are connected with them through further lines are included. Rows from before keys
    were stored have none, so they may be like any line.
    """
    rows: dict[tuple[str, str], BankLineRow] = {}
    asked: set[str] = set()
    wanted = {"", *(key for line in new for key in keys(line))}
    while wanted:
        asked |= wanted
        like = _with_keys(session, sorted(wanted))
        rows |= {(row.file_hash, row.path): row for row in like}
        wanted = {key for row in like for key in (row.identity, row.content, row.valued)} - asked
    return [read_line(row.body) for row in rows.values()]


def _with_keys(session: Session, wanted: list[str]) -> list[BankLineRow]:
    """Return rows with one of these keys; two rows without an identity share nothing by that."""
    rows: list[BankLineRow] = []
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        rows += session.exec(select(BankLineRow).where(BankLineRow.content.in_(chunk)))
        named = [key for key in chunk if key]
        rows += session.exec(select(BankLineRow).where(BankLineRow.identity.in_(named)))
        rows += session.exec(select(BankLineRow).where(BankLineRow.valued.in_(named)))
    return rows


def lines_of(session: Session, end_to_end_id: str) -> list[StatementLine]:
    """Return every line with this EndToEndId."""
    rows = session.exec(select(BankLineRow).where(BankLineRow.end_to_end_id == end_to_end_id))
    return [read_line(row.body) for row in rows]


def read_line(body: str) -> StatementLine:
    """Return a stored line (`BankLineRow.body`)."""
    fields = json.loads(body)
    fields["source"] = bytes.fromhex(fields["source"])
    for name in ("booking_date", "value_date"):
        fields[name] = date.fromisoformat(fields[name])
    return StatementLine(**fields)


def booked_among(session: Session, ids: Sequence[str]) -> set[str]:
    """Return those of these line ids that were posted."""
    posted: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        posted.update(session.exec(select(BookingRow.line_id).where(BookingRow.line_id.in_(chunk))))
    return posted


def add_bookings(session: Session, booked: Iterable[tuple[str, StatementLine]]) -> None:
    """Record that lines were posted, under each of their ids; the first report of an id counts."""
    add_values(
        session,
        BookingRow,
        [
            {"line_id": line_id, "file_hash": line.source.hex(), "path": line.path}
            for line_id, line in booked
        ],
    )


def posted_lines(session: Session, ids: Sequence[str]) -> dict[str, StatementLine]:
    """Return {line id: the line that was posted under it, as it was reported first}."""
    lines: dict[str, StatementLine] = {}
    for start in range(0, len(ids), _CHUNK):
        rows = session.exec(
            select(BookingRow.line_id, BankLineRow.body)
            .join(
                BankLineRow,
                (BookingRow.file_hash == BankLineRow.file_hash)
                & (BookingRow.path == BankLineRow.path),
            )
            .where(BookingRow.line_id.in_(ids[start : start + _CHUNK]))
        )
        lines |= {line_id: read_line(body) for line_id, body in rows}
    return lines


def line_of(session: Session, line_id: str) -> StatementLine | None:
    """Return the line that was posted under this id, as it was reported first."""
    return posted_lines(session, [line_id]).get(line_id)


def add_statement(
    session: Session,
    account: str,
    statement: str,
    file_hash: str,
    balances: StatementBalances | None,
) -> None:
    """Store a statement with its balances, where it has them."""
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


def statement(session: Session, account: str, name: str) -> BankStatementRow | None:
    """Return the statement of an account that was taken under a name."""
    return session.get(BankStatementRow, (account, name))


def statements(session: Session) -> Sequence[BankStatementRow]:
    """Return all statements by day."""
    return session.exec(select(BankStatementRow).order_by(BankStatementRow.day)).all()


def newest_statement_day(session: Session, account: str) -> str:
    """Return the day of an account's newest statement with balances, ISO 8601; "" for none."""
    newest = select(func.max(BankStatementRow.day)).where(
        BankStatementRow.account == account_number(account)
    )
    return session.exec(newest).one() or ""


def first_at(session: Session) -> int | None:
    """Return when the first file went to or came from the bank, Unix seconds; None for never."""
    return session.exec(select(func.min(BankFileRow.at))).one()
