"""What follows from final logs about stolen keys: declared ones, and the committee's rulings."""

from __future__ import annotations

import json

from orchestrator.core.payment import Fact
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.edges.store import Session, agreements, blocks, exposure, payments

# a log: the status of its device from then on
STATUSES = {
    "DeviceSuspended": "suspended",
    "DeviceResumed": "active",
    "DeviceRevoked": "retired",
}


def note_declared(session: Session, log: DecodedLog) -> None:
    """Mark a device as compromised since the time of a log."""
    row = agreements.device(session, log.args["device"])
    if row is not None:  # an earlier date may follow; a later one, or none, is a ruling's
        row.status, row.compromised_since = "compromised", log.args["since"]


def note_ruled(session: Session, log: DecodedLog, now: int) -> None:
    """Replace what was declared, and let what was refused for it be tried again.

    A payment that is still to be refused is refused again; the others are paid.

    Args:
        session: A write session.
        log: A final log CompromiseRuled.
        now: Unix seconds.
    """
    row = agreements.device(session, log.args["device"])
    if log.args["since"]:
        note_declared(session, log)
    elif row is not None:
        row.status, row.compromised_since = _status_before(session, log), None
    key = f"{log.block_hash}:{log.index}"
    refused = exposure.refused_as_compromised(session, _spoken_for(session, log.args["device"]))
    facts = [payments.NewFact(payment, Fact.REINSTATED, key) for payment in refused]
    payments.record_facts(session, facts, now)


def _status_before(session: Session, log: DecodedLog) -> str:
    """Return a device's status by the logs up to this one, compromises left out.

    Nothing else changes a device while it is compromised.
    """
    changes = blocks.logs_about(session, tuple(STATUSES), log.args["device"])
    earlier = [row for row in changes if row.block_number <= log.block_number]
    return STATUSES[earlier[-1].name] if earlier else "active"


def _spoken_for(session: Session, device: str) -> set[str]:
    """Return the device and those that it was ever the gateway of."""
    assigned = blocks.logs_about(session, ("GatewayAssigned",), device)
    return {device, *(json.loads(row.args)["device"] for row in assigned)}
