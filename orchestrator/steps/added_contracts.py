"""Reads what contracts logged before this rail knew them: a deployment grows while the rail runs.

Blocks that are not final are read again with all contracts, as after a rewind. What final blocks
hold of the new contracts is added: their entries have a source of their own (`late:`), since the
journal already has the other entries of those blocks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.edges.chain.client import Chain, DecodedLog
from orchestrator.edges.chain.deployment import Deployment, first_name
from orchestrator.edges.store import Store, add_new, blocks
from orchestrator.products import Product
from orchestrator.settings import Settings
from orchestrator.steps import WorkerMemory
from orchestrator.steps.chain_context import read_claims
from orchestrator.steps.finalise import apply_final, prove

_BLOCKS_AT_ONCE = 1_000


class AddedContext(Protocol):
    """What reading the logs of added contracts needs of the rail."""

    settings: Settings
    store: Store
    chain: Chain
    rules: Mapping[str, Product]
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


def read_added(context: AddedContext) -> int | None:
    """Begin to follow every contract of the deployment.

    Returns:
        The last block that still stands: the caller reads those after it again. None where no
        contract is new, or all are newer than what was read.

    Raises:
        Retry: The node does not answer.
    """
    if context.memory.contracts_read:
        return None
    deployment = context.chain.deployment
    with context.store.read() as session:
        followed, newest = blocks.followed(session), blocks.newest(session)
        final = blocks.newest_final(session)
    head = newest.number if newest else 0
    missing = [
        name for name, address in deployment.addresses.items() if address.lower() not in followed
    ]
    began = first_added(deployment) if not followed else 0
    late = [name for name in missing if began <= deployment.blocks[name] <= head]
    _begin(context, missing, late, final)
    context.memory.contracts_read = True
    return final if late else None


def first_added(deployment: Deployment) -> int:
    """Return the first block of a contract that took the place of another; beyond all if none did.

    A store of an earlier release does not say which contracts it followed: those before.
    """
    return min(
        (
            block
            for name, block in deployment.blocks.items()
            if "@" not in name and len(deployment.named(first_name(name))) > 1
        ),
        default=1 << 62,
    )


def _begin(context: AddedContext, missing: list[str], late: list[str], final: int) -> None:
    if not missing:
        return
    deployment = context.chain.deployment
    logs = list(_logs(context, late, final)) if late else []
    proofs, claims = prove(context, logs), read_claims(context, logs)
    with context.store.write() as session:
        add_new(session, [_row(log) for log in logs])
        session.add_all(
            blocks.FollowedContractRow(
                address=deployment.addresses[name].lower(), since=final if name in late else 0
            )
            for name in missing
        )
        numbers = sorted({log.block_number for log in logs})
        rows = [row for number in numbers if (row := blocks.at(session, number)) is not None]
        apply_final(context, session, rows, logs, claims, "late")
        add_new(session, proofs)
    if late:
        context.log.info("contracts added", contracts=late, final=final, logs=len(logs))


def _logs(context: AddedContext, late: Sequence[str], final: int) -> Iterator[DecodedLog]:
    deployment = context.chain.deployment
    addresses = {deployment.addresses[name].lower() for name in late}
    first = min(deployment.blocks[name] for name in late)
    for start in range(first, final + 1, _BLOCKS_AT_ONCE):
        last = min(start + _BLOCKS_AT_ONCE - 1, final)
        yield from context.chain.logs_from(addresses, start, last)


def _row(log: DecodedLog) -> blocks.ChainLogRow:
    return blocks.ChainLogRow(
        block_hash=log.block_hash,
        log_index=log.index,
        block_number=log.block_number,
        tx_hash=log.tx_hash,
        name=log.name,
        args=json.dumps(log.args),
        address=log.address,
    )
