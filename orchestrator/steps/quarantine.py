"""Suspends a cloned device, and proves the conflict on chain if a contract takes the proof.

If one key signed two contents under one counter, or was in two places at once, two parties have it;
the records do not show which of them is honest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any, Protocol

from oracles.types import ClaimReason
from orchestrator.edges.chain.client import Call, Chain, Quote
from orchestrator.edges.chain.rails import emitter
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store, agreements, evidence
from orchestrator.edges.store import conflicts as store_conflicts
from orchestrator.errors import Retry
from orchestrator.products import Product
from orchestrator.steps import event_of

SUSPEND, PROVE = "quarantine", "prove_conflict"
_AT_ONCE = 100
_SILENT = (ClaimReason.DEVICE_SUSPENDED, ClaimReason.DEVICE_RETIRED, ClaimReason.DEVICE_COMPROMISED)


class QuarantineContext(Protocol):
    """What quarantine needs of the rail."""

    store: Store
    chain: Chain
    registry: Registry
    sender: Sender
    warden: Sender
    rules: Mapping[str, Product]
    now: Callable[[], int]  # Unix seconds
    log: Any


# (key, purpose, reference, quote)
_Due = tuple[Sender, str, str, Quote]


def quarantine(context: QuarantineContext) -> int:
    """Suspend devices against which a new conflict was found, once each; return how many.

    A device that is already suspended, retired or compromised needs no call. If a registrar resumes
    it, only a conflict that was found later suspends it again.
    """
    with context.store.read() as session:
        conflicts = store_conflicts.unreported(session, _AT_ONCE)
    conflicts.sort(key=lambda item: item[0].device_id)
    by_device = groupby(conflicts, key=lambda item: item[0].device_id)
    done = sum(_silence(context, device, list(items)) for device, items in by_device)
    if done:
        context.warden.broadcast()
        context.sender.broadcast()
    return done


def _silence(
    context: QuarantineContext, device: str, conflicts: list[store_conflicts.Unreported]
) -> int:
    now, first = context.now(), conflicts[0][0]
    try:
        due = _suspension(context, device, first) + _proofs(context, conflicts)
    except Retry as error:
        context.log.warning("quarantine waits", device=device, reason=str(error))
        return 0
    with context.store.write() as session:
        sent = {
            purpose: sender.prepare(session, purpose, ref, quote, now)
            for sender, purpose, ref, quote in due
        }
        store_conflicts.mark_reported(session, device, sent.get(SUSPEND, ""))
        if SUSPEND in sent:
            agreements.mark_device(session, device, "suspended")
    context.log.warning(
        "device quarantined",
        device=device,
        reason=first.reason,
        found=len(conflicts),
        tx=sent.get(SUSPEND, ""),
    )
    return 1


def _suspension(
    context: QuarantineContext, device: str, first: store_conflicts.ConflictRow
) -> list[_Due]:
    if context.registry.key_at(bytes.fromhex(device[2:]), context.now()) in _SILENT:
        return []
    quote = context.warden.quote(Call("DeviceRegistry", "suspend", (device,)))
    return [(context.warden, SUSPEND, f"{first.event_id}:{first.content_hash}", quote)]


def _proofs(context: QuarantineContext, conflicts: list[store_conflicts.Unreported]) -> list[_Due]:
    """Return the first proof that a product's contract takes now; one is enough for a device."""
    for conflict, body, protocol, other, other_protocol in conflicts:
        if conflict.reason != ClaimReason.COUNTER_REPLAYED:
            continue
        with context.store.read() as session:
            event = evidence.event(session, conflict.event_id)
            agreement = agreements.get(session, event.agreement_id)
        product = context.rules[agreement.product]
        proof = product.proof_of_conflict(
            bytes.fromhex(agreement.agreement_id[2:]),
            event_of(protocol, body),
            event_of(other_protocol, other),
        )
        if proof is None:
            continue
        try:
            contract = _contract(context, agreement.product_address, product.CONTRACT)
            quote = context.sender.quote(Call(contract, *proof))
        except Retry as refusal:
            if "would revert" not in str(refusal):
                raise
            context.log.info("no proof is taken", conflict=conflict.event_id, reason=str(refusal))
            continue
        return [(context.sender, PROVE, f"{conflict.event_id}:{conflict.content_hash}", quote)]
    return []


def _contract(context: QuarantineContext, product_address: str, contract: str) -> str:
    """Return the name of a product's contract in the version that is at an address."""
    deployment = context.chain.deployment
    return emitter(deployment, contract, product_address) or contract
