"""The findings of a rebuild: differences between the store and the raw material."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Progress = Callable[[str, int, int], None]  # (what is read, how far, of how many)


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the store differs from the raw material.

    Attributes:
        place: The kind of record ("evidence", "payment", "bank line", "ledger entry"...).
        name: Its id.
        what: The field, or a description of the difference.
        stored: What the store has, as text.
        rebuilt: What the raw material has, as text.
    """

    place: str
    name: str
    what: str
    stored: str = ""
    rebuilt: str = ""

    def __str__(self) -> str:
        sides = f": stored {self.stored}, rebuilt {self.rebuilt}" if self.rebuilt else ""
        return f"{self.place} {self.name}: {self.what}{sides}"


@dataclass
class Differences:
    """Collects differences, and reports progress."""

    progress: Progress = lambda what, done, total: None
    differences: list[Difference] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)  # what was read, and how much of it

    def add(
        self,
        place: str,
        name: object,
        what: str,
        stored: object = "",
        rebuilt: object = "",
    ) -> None:
        """Add a difference."""
        self.differences.append(Difference(place, str(name), what, str(stored), str(rebuilt)))

    def compare(self, place: str, name: object, row: object, wanted: Mapping[str, Any]) -> None:
        """Report every column of a stored row that differs from its recomputed value."""
        for column, value in wanted.items():
            stored_value = getattr(row, column)
            if stored_value != value:
                self.add(place, name, column, stored_value, value)

    def rows(
        self,
        place: str,
        stored: Iterable[Any],
        wanted: Mapping[Any, Mapping[str, Any]],
        key: Callable[[Any], Any],
    ) -> None:
        """Compare a whole table with its recomputed rows: none may differ, be missing or be too
        many.

        Args:
            place: The kind of record.
            stored: The rows of the table.
            wanted: Key -> column -> the value recomputed for it.
            key: Returns the key of a row.
        """
        seen = set()
        for row in stored:
            name = key(row)
            seen.add(name)
            if name in wanted:
                self.compare(place, _named(name), row, wanted[name])
            else:
                self.add(place, _named(name), "is stored, and nothing raw says it")
        for name in wanted:
            if name not in seen:
                self.add(place, _named(name), "is not stored, though the raw material says it")

    def count(self, what: str, number: int) -> None:
        """Add to the number of records read of a kind."""
        self.read[what] = self.read.get(what, 0) + number


def _named(name: Any) -> str:
    return " ".join(map(str, name)) if isinstance(name, tuple) else str(name)
