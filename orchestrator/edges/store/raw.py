"""Whole tables in a fixed order, for whoever recomputes them: rows as stored, nothing judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from sqlmodel import Session, SQLModel, func, literal_column, select

Row = TypeVar("Row", bound=SQLModel)
_AT_ONCE = 500


def count(session: Session, table: type[Row]) -> int:
    return session.exec(select(func.count()).select_from(table)).one()


def rows(session: Session, table: type[Row], *order: Any) -> Iterator[Row]:
    """All rows of a table by these columns, or in the order in which they were stored."""
    by = order or (literal_column(f"{table.__tablename__}.rowid"),)
    found = session.exec(select(table).order_by(*by).execution_options(yield_per=_AT_ONCE))
    for row in found:
        yield row
        session.expunge(row)  # a report over millions keeps none of them
