"""The register of breaks: records what a reconciliation finds, with its age and its owner.

A break ends in one of three ways: a later record explains it, it is no longer found, or two
officers sign a resolution. A resolution covers the amounts: if they change, the break is open
again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

from orchestrator.approvals import takes_effect
from orchestrator.core.approval import Approval, Office
from orchestrator.core.reconcile import Break, Reconciliation
from orchestrator.core.reconcile.register import break_ids, covers, facts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.totals import contract_totals
from orchestrator.edges.store import Session, Store, approvals, blocks
from orchestrator.edges.store import breaks as register
from orchestrator.steps import WorkerMemory
from orchestrator.steps.reconcile import reconcile_store

OPEN, RESOLVED, CLOSED = "open", "resolved", "closed"
_GONE = "found no more"


class BreaksContext(Protocol):
    """What registering breaks needs of the rail."""

    store: Store
    chain: Chain
    office: Callable[[], Office]
    safeguarding: Mapping[str, Any]
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


@dataclass(frozen=True, slots=True)
class Standing:
    """A break as it stands.

    Attributes:
        difference: What the comparison found.
        state: "open", "resolved" or "closed".
        since: When it was first seen, Unix seconds.
        resolved_by: The approval that covers it as it is; "" for none.
    """

    break_id: str
    difference: Break
    state: str
    since: int
    resolved_by: str = ""


def register_breaks(context: BreaksContext) -> int:
    """Reconcile after each bank file, rewind and resolution, and record the result.

    Returns:
        How many breaks are new or gone.

    Raises:
        Retry: The node does not answer.
    """
    office = context.office()
    with context.store.read() as session:
        has_final = blocks.newest_final(session) > 0
        causes = (context.memory.files_taken, *register.causes(session), has_final)
        if context.memory.break_causes == causes:
            return 0
        result = reconcile_store(
            session,
            context.safeguarding["iban"],
            context.now(),
            partial(contract_totals, context.chain),
        )
        standings = standing(session, office, result, context.now())
    changed = _record(context, office, standings)
    context.memory.break_causes = causes
    return changed


def _record(context: BreaksContext, office: Office, standings: list[Standing]) -> int:
    now = context.now()
    with context.store.write() as session:
        registered = {row.break_id for row in register.listed(session)}
        for item in standings:
            body = asdict(item.difference) | {"resolved_by": item.resolved_by or None}
            register.note(session, item.break_id, body, now)
            if item.break_id not in registered and item.state == OPEN:
                context.log.warning(
                    "break",
                    kind=item.difference.kind,
                    ids=item.difference.ids,
                    owner=item.difference.owner,
                )
        gone = register.leave(session, {item.break_id for item in standings}, _GONE)
        for row in register.resolutions(session):
            if row.executed_at is None and takes_effect(session, office, row):
                approvals.mark_executed(session, row.approval_id, now)
    return len({item.break_id for item in standings} - registered) + gone


def standing(session: Session, office: Office, result: Reconciliation, now: int) -> list[Standing]:
    """Return every break of a reconciliation, the oldest first.

    Raises:
        Halt: A stored resolution does not hold.
    """
    since = {row.break_id: row.first_seen for row in register.listed(session)}
    signed = _signed(session, office)
    standings = []
    for break_id, item in break_ids((*result.breaks, *result.closed)).items():
        resolution = signed.get(break_id)
        is_resolved = resolution is not None and covers(dict(resolution[1]), item)
        state = CLOSED if item.closed else RESOLVED if is_resolved else OPEN
        first = since.get(break_id) or item.since or now
        standings.append(
            Standing(break_id, item, state, first, resolution[0] if is_resolved else "")
        )
    return sorted(standings, key=lambda s: (s.since, s.difference.kind, s.break_id))


def _signed(session: Session, office: Office) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return {break id: (approval id, detail)}: the newest resolution of each, verified."""
    signed = {}
    for row in register.resolutions(session):
        if takes_effect(session, office, row):
            signed[row.subject] = (row.approval_id, approvals.content_of(row).detail)
    return signed


def to_resolve(item: Standing, note: str, now: int) -> Approval:
    """Return the approval that states how a break, exactly as it is, was resolved.

    Args:
        item: The break.
        note: How it was resolved.
        now: Unix seconds.
    """
    return Approval(register.RESOLVE, item.break_id, facts(item.difference) | {"note": note}, now)
