"""The chain's logs from the store: what a Registry reads while no node answers."""

from __future__ import annotations

import json

from orchestrator.edges.chain.client import DecodedLog
from orchestrator.edges.store import Store, blocks

_LOGS = {
    "DeviceRegistry": (
        "DeviceEnrolled",
        "KeyRotated",
        "DeviceSuspended",
        "DeviceResumed",
        "DeviceRevoked",
        "CompromiseDeclared",
    ),
    "PaymentRail": ("AgreementOpened", "AgreementClosed", "EscrowReclaimed"),
}


def log_of(row: blocks.ChainLogRow) -> DecodedLog:
    """Return a stored log in the form of the client."""
    return DecodedLog(
        row.name, json.loads(row.args), row.tx_hash, row.block_number, row.block_hash, row.log_index
    )


class StoredLogs:
    """Answers the two questions of `reader.Registry` from the store; it has nothing newer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def head(self) -> int:
        """Return the newest stored block; 0 if there is none."""
        with self._store.read() as session:
            newest = blocks.newest(session)
        return newest.number if newest else 0

    def logs_between(self, contract: str, first: int, last: int) -> list[DecodedLog]:
        """Return the logs about devices and agreements in a range of blocks, oldest first."""
        with self._store.read() as session:
            rows = blocks.logs_named(session, _LOGS[contract])
        return [log_of(row) for row in rows if first <= row.block_number <= last]
