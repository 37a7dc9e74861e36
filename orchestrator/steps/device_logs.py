"""What a final log of a registry says about a device: the store's copy follows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orchestrator.core.identity import CURVES
from orchestrator.edges.chain.client import Chain, DecodedLog
from orchestrator.edges.chain.rails import REGISTRY, emitter
from orchestrator.edges.store import Session, agreements, blocks
from orchestrator.steps.compromises import STATUSES, note_declared, note_ruled


class DeviceLogContext(Protocol):
    """What following the registries needs of the rail."""

    chain: Chain
    now: Callable[[], int]  # Unix seconds


_Handler = Callable[[DeviceLogContext, Session, DecodedLog, int], None]


def _counts(context: DeviceLogContext, session: Session, log: DecodedLog) -> bool:
    """Return whether a registry's log about a device counts.

    What a former registry says of a device that the new one has taken over does not.
    """
    if emitter(context.chain.deployment, REGISTRY, log.address) == REGISTRY:
        return True
    adopted = blocks.logs_about(session, ("DeviceAdopted",), log.args["device"])
    place = log.block_number, log.index
    return all((row.block_number, row.log_index) > place for row in adopted)


def _device(status: str) -> _Handler:
    def mark(context: DeviceLogContext, session: Session, log: DecodedLog, at: int) -> None:
        row = agreements.device(session, log.args["device"])
        if not _counts(context, session, log):
            return
        if row is not None and row.compromised_since is None:  # a stolen key stays stolen
            row.status = status

    return mark


def _rotated(context: DeviceLogContext, session: Session, log: DecodedLog, at: int) -> None:
    row = agreements.device(session, log.args["device"])
    if row is not None and _counts(context, session, log):
        row.curve = next(curve for curve, code in CURVES.items() if code == log.args["curve"])
        row.key_x, row.key_y = (hex(int(log.args[part], 16)) for part in ("x", "y"))
        row.expires_at = log.args["expiresAt"]


def _compromised(context: DeviceLogContext, session: Session, log: DecodedLog, at: int) -> None:
    note_declared(session, log)


def _compromise_ruled(
    context: DeviceLogContext, session: Session, log: DecodedLog, at: int
) -> None:
    note_ruled(session, log, context.now())


DEVICE_LOGS: dict[str, _Handler] = {
    **{name: _device(status) for name, status in STATUSES.items()},
    "KeyRotated": _rotated,
    "CompromiseDeclared": _compromised,
    "CompromiseRuled": _compromise_ruled,
}
