"""The one builder of a rail's context for tests: over a real chain, or over stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from orchestrator.assembly import RailParts, assemble
from orchestrator.core.approval import Office
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.store import Store
from orchestrator.products import products
from orchestrator.settings import Settings
from orchestrator.steps import StepContext


def file_log(settings: Settings) -> Any:
    """A logger that appends to the file `log` in the rail's home."""
    return structlog.wrap_logger(structlog.PrintLogger((settings.home / "log").open("a")))


def context_on_chain(
    settings: Settings, store: Store, now: Callable[[], int], **parts: Any
) -> StepContext:
    """A context over a real chain, by `orchestrator.assembly`; bank and log are folder and file.

    parts: the other fields of `RailParts`.
    """
    return assemble(
        RailParts(
            settings=settings,
            store=store,
            now=now,
            bank=Folder(settings.to_bank, settings.from_bank),
            log=file_log(settings),
            **parts,
        )
    )


def context_of_stand_ins(
    settings: Settings, store: Store, now: Callable[[], int], **parts: Any
) -> StepContext:
    """A context over a real store; what `parts` does not name is missing (None or empty)."""
    missing: dict[str, Any] = dict.fromkeys(
        ("chain", "registry", "sender", "minter", "warden", "committee", "bank")
    )
    empty = {
        "office": lambda: Office(31337, frozenset(), now(), 7 * 86_400),
        "oracles": [],
        "rules": products(),
        "safeguarding": {},
        "log": structlog.get_logger(),
    }
    return StepContext(settings=settings, store=store, now=now, **missing | empty | parts)
