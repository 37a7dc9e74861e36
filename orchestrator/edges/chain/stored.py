"""The chain's logs from the store: what a Registry reads while no node answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from orchestrator.edges.chain.client import DecodedLog, SeenBlock
from orchestrator.edges.store import Store, blocks

_NO_BLOCK = SeenBlock(0, "", "", 0)


def log_of(row: blocks.ChainLogRow) -> DecodedLog:
    """Return a stored log in the form of the client."""
    return DecodedLog(
        row.name,
        json.loads(row.args),
        row.tx_hash,
        row.block_number,
        row.block_hash,
        row.log_index,
        row.address,
    )


class StoredLogs:
    """Answers the two questions of `reader.Registry` from the store; it has nothing newer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def newest(self) -> SeenBlock:
        """Return the newest stored block; one with the number 0 if there is none."""
        with self._store.read() as session:
            row = blocks.newest(session)
        return SeenBlock(row.number, row.hash, row.parent, row.timestamp) if row else _NO_BLOCK

    def logs_named(
        self, events: Mapping[str, Sequence[str]], first: int, last: int
    ) -> list[DecodedLog]:
        """Return the logs with these names in a range of blocks, oldest first."""
        names = [name for names in events.values() for name in names]
        with self._store.read() as session:
            rows = blocks.logs_named(session, names)
        return [log_of(row) for row in rows if first <= row.block_number <= last]
