"""Blocks and logs as the chain reported them, by hash, so that a rewind is noticed and undone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlmodel import Session, delete, func, select, update

from orchestrator.edges.store import Head
from orchestrator.edges.store.tables import (
    BlockRow,
    ChainLogRow,
    FollowedContractRow,
    ProofRow,
)

__all__ = ["BlockRow", "ChainLogRow", "FollowedContractRow", "ProofRow"]

_CHUNK = 500


def newest(session: Session) -> BlockRow | None:
    """Return the newest block that was seen."""
    return session.exec(select(BlockRow).order_by(BlockRow.number.desc()).limit(1)).first()


def at(session: Session, number: int) -> BlockRow | None:
    """Return the block with a number; None if it was not seen."""
    return session.get(BlockRow, number)


def not_final(session: Session, up_to: int) -> Sequence[BlockRow]:
    """Return blocks up to a number that are not marked final, oldest first, at most 200."""
    return session.exec(
        select(BlockRow)
        .where(BlockRow.final == False, BlockRow.number <= up_to)  # noqa: E712
        .order_by(BlockRow.number)
        .limit(200)
    ).all()


def mark_final(session: Session, numbers: Sequence[int]) -> None:
    """Mark blocks as final."""
    session.exec(update(BlockRow).where(BlockRow.number.in_(numbers)).values(final=True))


def forget_from(session: Session, first: int) -> list[ChainLogRow]:
    """Remove blocks and logs from a block number on; return the removed logs."""
    orphaned = session.exec(select(ChainLogRow).where(ChainLogRow.block_number >= first)).all()
    session.exec(delete(ChainLogRow).where(ChainLogRow.block_number >= first))
    session.exec(delete(BlockRow).where(BlockRow.number >= first))
    return list(orphaned)


def followed(session: Session) -> dict[str, int]:
    """Return {address of a contract, lower case: the block up to which its logs were read late}."""
    return {row.address: row.since for row in session.exec(select(FollowedContractRow))}


def logs_in(session: Session, numbers: Sequence[int]) -> Sequence[ChainLogRow]:
    """Return logs of these blocks in chain order."""
    return session.exec(
        select(ChainLogRow)
        .where(ChainLogRow.block_number.in_(numbers))
        .order_by(ChainLogRow.block_number, ChainLogRow.log_index)
    ).all()


def newest_final(session: Session) -> int:
    """Return the number of the newest final block, 0 if none."""
    return session.exec(select(func.max(BlockRow.number)).where(BlockRow.final)).one() or 0


def times(session: Session) -> dict[int, int]:
    """Return {number: Unix seconds} of every block seen."""
    return dict(session.exec(select(BlockRow.number, BlockRow.timestamp)).all())


def has_log(session: Session, tx_hash: str, name: str) -> bool:
    """Return whether a transaction has a log of this name."""
    return log_of(session, tx_hash, name) is not None


def log_of(session: Session, tx_hash: str, name: str) -> ChainLogRow | None:
    """Return the first log of this name in a transaction."""
    return session.exec(
        select(ChainLogRow)
        .where(ChainLogRow.tx_hash == tx_hash, ChainLogRow.name == name)
        .order_by(ChainLogRow.log_index)
        .limit(1)
    ).first()


def logs_named(session: Session, names: Sequence[str]) -> Sequence[ChainLogRow]:
    """Return all logs with these names, in chain order."""
    return session.exec(
        select(ChainLogRow)
        .where(ChainLogRow.name.in_(names))
        .order_by(ChainLogRow.block_number, ChainLogRow.log_index)
    ).all()


def proof(session: Session, tx_hash: str) -> str | None:
    """Return the archived proof of a transaction (JSON), or None while its block is not final."""
    row = session.get(ProofRow, tx_hash)
    return row.body if row else None


def logs_about(session: Session, names: Sequence[str], subject: str) -> Sequence[ChainLogRow]:
    """Return logs with these names that have `subject` (0x-hex) as an argument, in chain order."""
    return session.exec(
        select(ChainLogRow)
        .where(ChainLogRow.name.in_(names), ChainLogRow.args.contains(f'"{subject}"'))
        .order_by(ChainLogRow.block_number, ChainLogRow.log_index)
    ).all()


def logs_of_devices(
    session: Session, names: Sequence[str], devices: Sequence[str]
) -> dict[str, list[ChainLogRow]]:
    """Return {device id (0x-hex): its logs with these names, in chain order}.

    A claim may rest on 2,000 devices: each of them with a scan of its own would take minutes.
    """
    logs: dict[str, list[ChainLogRow]] = {device: [] for device in devices}
    device = func.json_extract(ChainLogRow.args, "$.device")
    for start in range(0, len(devices), _CHUNK):
        rows = session.exec(
            select(device, ChainLogRow)
            .where(ChainLogRow.name.in_(names), device.in_(devices[start : start + _CHUNK]))
            .order_by(ChainLogRow.block_number, ChainLogRow.log_index)
        )
        for named, row in rows:
            logs[named].append(row)
    return logs


def logs_in_transaction(session: Session, tx_hash: str) -> Sequence[ChainLogRow]:
    """Return the logs of one transaction, in order."""
    return session.exec(
        select(ChainLogRow).where(ChainLogRow.tx_hash == tx_hash).order_by(ChainLogRow.log_index)
    ).all()


def final_before(session: Session, at: int) -> Head:
    """Return the newest final block of an earlier time (Unix seconds)."""
    row = session.exec(
        select(BlockRow)
        .where(BlockRow.final, BlockRow.timestamp < at)
        .order_by(BlockRow.number.desc())
        .limit(1)
    ).first()
    return Head(row.number, row.hash) if row else Head(0, "")


def settlements(session: Session, up_to: int) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Yield the settlements up to a block, in chain order.

    Returns:
        (transaction hash, arguments of its Settled log, its archived proof as JSON or None) of
        each.
    """
    rows = session.exec(
        select(ChainLogRow.tx_hash, ChainLogRow.args, ProofRow.body)
        .outerjoin(ProofRow, ProofRow.tx_hash == ChainLogRow.tx_hash)
        .where(ChainLogRow.name == "Settled", ChainLogRow.block_number <= up_to)
        .order_by(ChainLogRow.block_number, ChainLogRow.log_index)
    )
    for tx_hash, args, body in rows:
        yield tx_hash, json.loads(args), body
