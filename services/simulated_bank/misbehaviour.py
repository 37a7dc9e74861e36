"""The ways in which the simulated bank misbehaves on demand.

A misbehaviour waits until a matching order or file comes. It applies `times` times, to one order
(named by its EndToEndId or batch) or to the next one. The bank's own books stay correct.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from services.simulated_bank.books import BankAccounts

# name: (what the bank does, its options with their defaults)
MISBEHAVIOURS: dict[str, tuple[str, dict[str, str | int]]] = {
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


class Misbehaviours:
    """The misbehaviours that wait, kept in the bank's books so that they survive a kill."""

    def __init__(self, books: BankAccounts) -> None:
        self._books = books

    def add(self, instruction: dict[str, Any], origin: str | None = None) -> None:
        """Plan a misbehaviour.

        Args:
            instruction: {"what", "times", "for", and options of that misbehaviour}.
            origin: identifies an instruction of the configuration, which counts only once although
                it is read at each start.

        Raises:
            ValueError: the instruction is malformed.
        """
        what, times, target = (
            instruction.get("what"),
            instruction.get("times", 1),
            instruction.get("for", ""),
        )
        if (
            what not in MISBEHAVIOURS
            or type(times) is not int
            or times < 1
            or not isinstance(target, str)
        ):
            raise ValueError(f"no such misbehaviour: {instruction!r:.60}")
        defaults = MISBEHAVIOURS[what][1]
        options = {key: instruction.get(key, default) for key, default in defaults.items()}
        if any(type(value) is not type(defaults[key]) for key, value in options.items()):
            raise ValueError(f"the misbehaviour {what} takes {defaults}")
        self._books.db.execute(
            "INSERT OR IGNORE INTO misbehaviours (what, times, target, options, origin) "
            "VALUES (?,?,?,?,?)",
            (what, times, target, json.dumps(options), origin),
        )

    def trigger(self, what: str, *names: str) -> dict[str, Any] | None:
        """Use up one application of the first matching misbehaviour.

        Args:
            what: its name in `MISBEHAVIOURS`.
            names: of the order at hand (EndToEndId, batch) that it may be limited to.

        Returns:
            Its options, or None if no misbehaviour matches.
        """
        row = self._books.db.execute(
            "SELECT id, options FROM misbehaviours WHERE what = ? AND times > 0 "
            f"AND (target = '' OR target IN ({','.join('?' * len(names))})) ORDER BY id",
            (what, *names),
        ).fetchone()
        if row is None:
            return None
        self._books.db.execute(
            "UPDATE misbehaviours SET times = times - 1 WHERE id = ?", (row["id"],)
        )
        return json.loads(row["options"])

    def trigger_first(self, candidates: Iterable[str], *names: str) -> str:
        """Trigger the first candidate that matches; return its name, or "" if none does."""
        return next((what for what in candidates if self.trigger(what, *names) is not None), "")
