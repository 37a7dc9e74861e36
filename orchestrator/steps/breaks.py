"""Keeps the register of breaks: notes what a reconciliation names, with its age and its owner.

A break ends in one of three ways: a later record explains it, it is found no more, or two officers
sign a resolution. A resolution covers the amounts: should they change, the break is open again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from weakref import WeakKeyDictionary

from orchestrator import approvals
from orchestrator.core.approval import Approval
from orchestrator.core.reconcile import Break, Reconciliation
from orchestrator.core.reconcile.register import break_ids, covers, facts
from orchestrator.edges.store import Session, Store, blocks
from orchestrator.edges.store import approvals as decided
from orchestrator.edges.store import breaks as register
from orchestrator.steps import StepContext
from orchestrator.steps.reconcile import reconcile_store

OPEN, RESOLVED, CLOSED = "open", "resolved", "closed"
_GONE = "found no more"
_DONE: WeakKeyDictionary[Store, tuple[int, ...]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Standing:
    """A break as it stands. since: Unix seconds when it was first seen; resolved_by: the approval
    that covers it as it is, "" for none."""

    break_id: str
    found: Break
    state: str  # open | resolved | closed
    since: int
    resolved_by: str = ""


def register_breaks(rail: StepContext) -> int:
    """Reconciles after each bank file, rewind and resolution; returns how many breaks are new or
    gone."""
    with rail.store.read() as session:
        causes = (*register.causes(session), blocks.newest_final(session) > 0)
        if _DONE.get(rail.store) == causes:
            return 0
        found = reconcile_store(session, rail.safeguarding["iban"], rail.now())
        stands = standing(session, rail.chain.deployment.chain_id, found, rail.now())
    changed = _note(rail, stands)
    _DONE[rail.store] = causes
    return changed


def _note(rail: StepContext, stands: list[Standing]) -> int:
    now = rail.now()
    with rail.store.write() as session:
        known = {row.break_id for row in register.listed(session)}
        for each in stands:
            told = asdict(each.found) | {"resolved_by": each.resolved_by or None}
            register.note(session, each.break_id, told, now)
            if each.break_id not in known and each.state == OPEN:
                rail.log.warning(
                    "break", kind=each.found.kind, ids=each.found.ids, owner=each.found.owner
                )
        gone = register.leave(session, {each.break_id for each in stands}, _GONE)
        for row in register.resolutions(session):
            if row.executed_at is None:
                decided.mark_executed(session, row.approval_id, now)
    return len({each.break_id for each in stands} - known) + gone


def standing(session: Session, chain_id: int, found: Reconciliation, now: int) -> list[Standing]:
    """Every break of a reconciliation, the oldest first. Raises Halt where a stored resolution
    does not hold."""
    since = {row.break_id: row.first_seen for row in register.listed(session)}
    signed = _signed(session, chain_id)
    stands = []
    for break_id, item in break_ids((*found.breaks, *found.closed)).items():
        approval = signed.get(break_id)
        is_resolved = approval is not None and covers(dict(approval[1]), item)
        state = CLOSED if item.closed else RESOLVED if is_resolved else OPEN
        first = since.get(break_id) or item.since or now
        stands.append(Standing(break_id, item, state, first, approval[0] if is_resolved else ""))
    return sorted(stands, key=lambda each: (each.since, each.found.kind, each.break_id))


def _signed(session: Session, chain_id: int) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """{break id: (approval id, detail)}: the newest resolution of each, its signatures checked."""
    found = {}
    for row in register.resolutions(session):
        approvals.verify(session, chain_id, row)
        found[row.subject] = (row.approval_id, decided.said(row).detail)
    return found


def to_resolve(stands: Standing, note: str, now: int) -> Approval:
    """The approval that a break, just as it is, is dealt with; note: how. now: Unix seconds."""
    return Approval(register.RESOLVE, stands.break_id, facts(stands.found) | {"note": note}, now)
