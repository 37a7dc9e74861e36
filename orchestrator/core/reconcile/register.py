"""The identity of a break over time, and what two officers sign when they resolve it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from orchestrator.core.reconcile.results import Break


def break_ids(breaks: Iterable[Break]) -> dict[str, Break]:
    """Return {break id (0x-hex, 32 bytes): break}.

    The id is made from its kind, its leg and the ids of its records, never from amounts; several
    equal ones are distinguished by their order.
    """
    by_id: dict[str, Break] = {}
    alike: Counter[tuple] = Counter()
    for item in breaks:
        named = (str(item.kind), str(item.leg), *item.ids)
        alike[named] += 1
        # no id holds the separator, so two names never print alike
        text = "\x1f".join((*named, str(alike[named])))
        by_id["0x" + sha256(text.encode()).hexdigest()] = item
    return by_id


def facts(item: Break) -> dict[str, Any]:
    """Return everything that a resolution depends on: if any of it changes, the break is open
    again."""
    return {
        "kind": str(item.kind),
        "leg": str(item.leg),
        "ids": list(item.ids),
        "lines": list(item.lines),
        "expected": str(item.expected_minor),
        "found": str(item.found_minor),
        "asset": item.asset,
    }


def covers(detail: dict[str, Any], item: Break) -> bool:
    """Return whether a signed detail (the facts, and a note) is about a break as it is now."""
    return {name: value for name, value in detail.items() if name != "note"} == facts(item)
