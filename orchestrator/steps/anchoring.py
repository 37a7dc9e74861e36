"""Calls that carry the journal's newest hash, so that the chain keeps it (core/anchors.py)."""

from __future__ import annotations

from typing import Protocol

from orchestrator.core.anchors import suffix
from orchestrator.edges.chain.client import Call, Quote
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store, ledger


class AnchoringContext(Protocol):
    """What a call that carries an anchor needs of the rail."""

    store: Store
    sender: Sender


def quote_with_anchor(context: AnchoringContext, call: Call) -> Quote:
    """Return a quote for a call that carries the journal's newest hash."""
    with context.store.read() as session:
        head = ledger.head(session)
    return context.sender.quote(call, suffix(*head))
