"""A device with a clone falls silent: the warden suspends it, and who can be shown the proof is.

One key that signed two contents under one counter, or that was in two places at once, is in two
hands; which of them is honest nobody can tell from the records.
"""

from __future__ import annotations

from itertools import groupby

from oracles.types import ClaimReason
from orchestrator.edges.chain.client import Call, Quote
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import agreements, conflicts, evidence
from orchestrator.errors import Retry
from orchestrator.steps import StepContext, event_of

SUSPEND, PROVE = "quarantine", "prove_conflict"
_AT_ONCE = 100
_SILENT = (ClaimReason.DEVICE_SUSPENDED, ClaimReason.DEVICE_RETIRED, ClaimReason.DEVICE_COMPROMISED)
# (whose key, purpose, reference, what it costs)
_Due = tuple[Sender, str, str, Quote]


def quarantine(rail: StepContext) -> int:
    """Suspends devices against which something new was found, once each; returns how many.

    A device that was suspended, retired or declared compromised meanwhile needs no call of ours.
    A registrar who resumes it is heard: only a conflict that was not known then counts anew.
    """
    with rail.store.read() as session:
        found = conflicts.unreported(session, _AT_ONCE)
    found.sort(key=lambda item: item[0].device_id)
    by_device = groupby(found, key=lambda item: item[0].device_id)
    done = sum(_silence(rail, device, list(items)) for device, items in by_device)
    if done:
        rail.warden.broadcast()
        rail.sender.broadcast()
    return done


def _silence(rail: StepContext, device: str, found: list[conflicts.Unreported]) -> int:
    now, first = rail.now(), found[0][0]
    try:
        due = _suspension(rail, device, first) + _proofs(rail, found)
    except Retry as delay:
        rail.log.warning("quarantine waits", device=device, reason=str(delay))
        return 0
    with rail.store.write() as session:
        sent = {
            purpose: sender.prepare(session, purpose, ref, quote, now)
            for sender, purpose, ref, quote in due
        }
        conflicts.mark_reported(session, device, sent.get(SUSPEND, ""))
        if SUSPEND in sent:
            agreements.mark_device(session, device, "suspended")
    rail.log.warning(
        "device quarantined",
        device=device,
        reason=first.reason,
        found=len(found),
        tx=sent.get(SUSPEND, ""),
    )
    return 1


def _suspension(rail: StepContext, device: str, first: conflicts.ConflictRow) -> list[_Due]:
    if rail.registry.key_at(bytes.fromhex(device[2:]), rail.now()) in _SILENT:
        return []
    quote = rail.warden.quote(Call("DeviceRegistry", "suspend", (device,)))
    return [(rail.warden, SUSPEND, f"{first.event_id}:{first.content_hash}", quote)]


def _proofs(rail: StepContext, found: list[conflicts.Unreported]) -> list[_Due]:
    """The first proof that a product's contract takes now; one is enough for each device."""
    for conflict, body, protocol, other, other_protocol in found:
        if conflict.reason != ClaimReason.COUNTER_REPLAYED:
            continue
        with rail.store.read() as session:
            event = evidence.event(session, conflict.event_id)
            agreement = agreements.get(session, event.agreement_id)
        product = rail.rules[agreement.product]
        told = product.proof_of_conflict(
            bytes.fromhex(agreement.agreement_id[2:]),
            event_of(protocol, body),
            event_of(other_protocol, other),
        )
        if told is None:
            continue
        try:
            quote = rail.sender.quote(Call(product.CONTRACT, *told))
        except Retry as refusal:
            if "would revert" not in str(refusal):
                raise
            rail.log.info("no proof is taken", of=conflict.event_id, reason=str(refusal))
            continue
        return [(rail.sender, PROVE, f"{conflict.event_id}:{conflict.content_hash}", quote)]
    return []
