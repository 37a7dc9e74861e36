"""How the bank misbehaves on demand: each mood waits until what it is about comes by, then strikes.

A mood strikes `times` times, for one order (its EndToEndId or its batch) or for whichever comes
first. The bank's own books tell the truth of what it did all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from scripts.simulated_bank.books import BankAccounts

# what: (what the bank then does, what may be said of it, and what holds if nothing is said)
MOODS: dict[str, tuple[str, dict[str, str | int]]] = {
    "reject_order": ("refuses an order in its pain.002", {"reason": "AC04"}),
    "reject_file": ("refuses a whole file", {"reason": "FF01"}),
    "forget": ("accepts an order and never books it", {}),
    "delay": ("books an order some bank days late", {"days": 1}),
    "return_later": (
        "books an order, and the money comes back bank days later",
        {"days": 2, "reason": "AC04"},
    ),
    "batch_sum": ("books a batch as one sum with its PmtInfId", {}),
    "batch_bare": ("books a batch as one sum without any reference", {}),
    "batch_details": ("books a batch with details that lack the EndToEndId", {}),
    "split": ("books an order in two lines", {}),
    "duplicate": ("books an order twice", {}),
    "wrong_amount": ("books an order with some cents more (or less)", {"cents": 1}),
    "charge_inside": ("takes a charge within an order's line", {"cents": 25}),
    "charge_line": ("takes a charge in a line of its own after an order", {"cents": 90}),
    "reverse_credit": ("takes a credit back, bank days later", {"days": 1}),
    "camt052": ("notifies by camt.052 instead of camt.054", {}),
    "silence": ("sends no notification", {}),
    "mt940": ("writes a day's statement as MT940", {}),
    "other_references": ("gives a day's lines other references on the statement", {}),
    "resend_statement": ("sends a day's statement twice, the same bytes", {}),
    "renamed_statement": ("sends a day's statement again under another id", {}),
    "skip_statement": ("never sends a day's statement", {}),
    "late_statement": ("sends a day's statement bank days later, after newer ones", {"days": 1}),
}


class Moods:
    """The moods that wait, kept in the bank's books: a kill changes no mood."""

    def __init__(self, books: BankAccounts) -> None:
        self._books = books

    def add(self, wish: dict[str, Any], origin: str | None = None) -> None:
        """wish: {"what", "times", "for", and what its mood lets one say}; ValueError for others.

        origin: of a wish that is told anew at each start; it counts once.
        """
        what, times, target = wish.get("what"), wish.get("times", 1), wish.get("for", "")
        if what not in MOODS or type(times) is not int or times < 1 or not isinstance(target, str):
            raise ValueError(f"no such mood: {wish!r:.60}")
        said = {key: wish.get(key, usual) for key, usual in MOODS[what][1].items()}
        if any(type(value) is not type(MOODS[what][1][key]) for key, value in said.items()):
            raise ValueError(f"the mood {what} takes {MOODS[what][1]}")
        self._books.db.execute(
            "INSERT OR IGNORE INTO moods (what, times, target, said, origin) VALUES (?,?,?,?,?)",
            (what, times, target, json.dumps(said), origin),
        )

    def strike(self, what: str, *names: str) -> dict[str, Any] | None:
        """What was said of the first mood of this kind that is about one of these names, or about
        none; it has then struck once more. None where there is no such mood."""
        row = self._books.db.execute(
            "SELECT id, said FROM moods WHERE what = ? AND times > 0 AND (target = '' OR target IN "
            f"({','.join('?' * len(names))})) ORDER BY id",
            (what, *names),
        ).fetchone()
        if row is None:
            return None
        self._books.db.execute("UPDATE moods SET times = times - 1 WHERE id = ?", (row["id"],))
        return json.loads(row["said"])

    def first(self, whats: Iterable[str], *names: str) -> str:
        """The first of these moods that strikes; "" where none does."""
        return next((what for what in whats if self.strike(what, *names) is not None), "")
