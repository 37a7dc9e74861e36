"""Checks every stored record again: its hash, its content, its signer, and the row made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from device_adapters.registry import protocols
from device_adapters.types import Assurance, Event, Rejected
from oracles.citations import resolve
from oracles.hearing import heard_devices, hearing, with_heard
from oracles.rules import content_id
from oracles.types import Agreement, ClaimReason, KeyRing, ProductRules
from oracles.verify import verify_event
from orchestrator.edges.store import Session, all_rows, citations, count_rows
from orchestrator.edges.store.evidence import STREAM
from orchestrator.edges.store.evidence import EventRow as EventRow
from orchestrator.edges.store.evidence import EvidenceRow as EvidenceRow
from orchestrator.rebuild.findings import Differences

_REPORT_EVERY = 200


@dataclass
class Archive:
    """The events, decoded from their own bytes.

    Attributes:
        by_id: Event id (0x-hex) -> event.
        of_payment: Payment id -> the events that the store says it claims.
        at_counter: (agreement id, counter) -> the agreement's own event.
        cites: Id of a citing event -> ids of the cited events, in order of citation.
        heard: Payment id -> ids of the events that its claim hears, in order.
    """

    by_id: dict[str, Event] = field(default_factory=dict)
    of_payment: dict[str, list[Event]] = field(default_factory=dict)
    at_counter: dict[tuple[str, int], Event] = field(default_factory=dict)
    cites: dict[str, list[str]] = field(default_factory=dict)
    heard: dict[str, list[str]] = field(default_factory=dict)

    def cited_by(
        self,
        payment: str,
        agreement: Agreement,
        rules: ProductRules,
        anchor: Event | None,
        run: Sequence[Event],
    ) -> dict[str, Event]:
        """Return {id: event} of what a payment's run cites and hears, as the store chose it."""
        ids = [
            event_id
            for event in run
            for event_id in self.cites.get("0x" + event.event_id.hex(), ())
        ]
        devices = heard_devices(rules, agreement.terms, agreement.device_id)
        cited = resolve(run, self._stored(ids), devices)
        span = hearing(agreement, rules, anchor, run)
        return with_heard(run, cited, span, self._stored(self.heard.get(payment, ())))

    def _stored(self, ids: Iterable[str]) -> list[Event]:
        return [self.by_id[event_id] for event_id in ids if event_id in self.by_id]


def read_archive(session: Session, keys: KeyRing, findings: Differences) -> Archive:
    """Return all evidence and events.

    A record whose bytes do not have the hash they are stored under is left out, so that no claim
    can be derived from it.
    """
    decoded = _decode_all(session, findings)
    archive, total = Archive(), count_rows(session, EventRow)
    for done, row in enumerate(all_rows(session, EventRow, EventRow.counter), 1):
        if not done % _REPORT_EVERY or done == total:
            findings.progress("events", done, total)
        event = decoded.get(row.evidence_hash)
        if event is None:
            findings.add("event", row.event_id, f"there is no evidence {row.evidence_hash} for it")
            continue
        event = _check(row, event, keys, findings)
        archive.by_id["0x" + event.event_id.hex()] = event
        if row.role == STREAM:
            archive.at_counter[row.agreement_id, event.counter] = event
        if row.payment_id is not None:
            archive.of_payment.setdefault(row.payment_id, []).append(event)
    for row in all_rows(
        session,
        citations.CitationRow,
        citations.CitationRow.event_id,
        citations.CitationRow.position,
    ):
        archive.cites.setdefault(row.event_id, []).append(row.cited_event_id)
    heard = all_rows(
        session,
        citations.HeardRow,
        citations.HeardRow.payment_id,
        citations.HeardRow.position,
    )
    for row in heard:
        archive.heard.setdefault(row.payment_id, []).append(row.event_id)
    findings.count("events", len(archive.by_id))
    return archive


def _decode_all(session: Session, findings: Differences) -> Mapping[str, Event]:
    decoded: dict[str, Event] = {}
    total, decoders = count_rows(session, EvidenceRow), protocols()
    for done, row in enumerate(all_rows(session, EvidenceRow), 1):
        if not done % _REPORT_EVERY or done == total:
            findings.progress("evidence", done, total)
        digest = sha256(row.body).hexdigest()
        if digest != row.evidence_hash:
            findings.add(
                "evidence",
                row.evidence_hash,
                "its bytes were changed: their SHA-256",
                row.evidence_hash,
                digest,
            )
            continue
        try:
            decoded[digest] = decoders[row.protocol].decode(row.body)
        except (Rejected, KeyError) as error:
            findings.add("evidence", digest, f"it cannot be read as {row.protocol}: {error}")
    findings.count("evidence", total)
    return decoded


# what signature and assignment show by themselves, no matter what became of the device since
_NOT_GENUINE = (
    ClaimReason.SIGNATURE_FORGED,
    ClaimReason.DEVICE_WITHOUT_KEY,
    ClaimReason.GATEWAY_NOT_ASSIGNED,
)


def _check(row: EventRow, event: Event, keys: KeyRing, findings: Differences) -> Event:
    """Compare the stored row with the record, and check the signature where the key of its time is
    known.

    Nothing can be said of a key that was revoked back in time: `proofrail device risk` does.

    Returns:
        The event with the gateway and the assurance that the chain's final data give; those of the
        row where the chain gives none any more.
    """
    name = f"{event.device}, counter {event.counter} ({row.event_id})"
    verified = verify_event(event, keys)
    if isinstance(verified, Event):
        findings.compare("event", name, row, _columns(verified))
        return verified
    stored = replace(event, gateway=row.gateway, assurance=Assurance(row.assurance))
    findings.compare("event", name, row, _columns(stored))
    if verified.reason in _NOT_GENUINE:
        findings.add("event", name, "its record was not signed by the device's key of its time")
    return stored


def _columns(event: Event) -> dict[str, Any]:
    return {
        "event_id": "0x" + event.event_id.hex(),
        "device_id": "0x" + event.device_id.hex(),
        "counter": event.counter,
        "observed_at_ms": event.observed_at_ms,
        "content_hash": content_id(event).hex(),
        "gateway": event.gateway,
        "assurance": str(event.assurance),
    }
