"""What came into a waterfall, each time with the payments that it is made of.

So each holder's cent leads to payments, and by `proofrail trace` to the records of devices. Amounts
are micro-euro.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.plan import checksum
from orchestrator.edges.chain.rails import rail_addresses
from orchestrator.edges.chain.stored import log_of
from orchestrator.edges.store import Session, Store, blocks, releases
from orchestrator.operations.waterfalls import KnownWaterfall

_Place = tuple[int, int]  # block, index of the log


@dataclass(frozen=True, slots=True)
class IncomePart:
    """A payment in an income: its id, the device and the amount that was settled."""

    payment_id: str
    device: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Income:
    """Tokens that came in at once.

    Attributes:
        tx_hash: The transaction.
        block: Its block.
        giver: Who sent them: a rail, or anyone.
        amount_micro: The amount.
        parts: Holder -> what it earned by it.
        payments: What a rail had released until then; none for tokens of anyone else.
        debts_micro: What the rail kept of these payments for debts to agreements.
    """

    tx_hash: str
    block: int
    giver: str
    amount_micro: int
    parts: Mapping[str, int]
    payments: tuple[IncomePart, ...]
    debts_micro: int


def income_of(store: Store, deployment: Deployment, item: KnownWaterfall) -> list[Income]:
    """Return all that came into a waterfall, oldest first, as far as the rail has read."""
    with store.read() as session:
        return _income(session, rail_addresses(deployment), item)


def _income(session: Session, rails: frozenset[str], item: KnownWaterfall) -> list[Income]:
    moves = map(log_of, blocks.logs_about(session, ("Transfer",), checksum(item.address)))
    released = _released(session, item.address)
    received, incomes = 0, []
    for move in moves:
        if move.args["to"].lower() != item.address.lower():
            continue
        amount = move.args["value"]
        is_rail = move.args["from"].lower() in rails
        place = (move.block_number, move.index)
        own = [part for at, part in released if at < place] if is_rail else []
        released = [row for row in released if not (is_rail and row[0] < place)]
        before, after = item.terms.earned(received), item.terms.earned(received + amount)
        received += amount
        incomes.append(
            Income(
                move.tx_hash,
                move.block_number,
                move.args["from"],
                amount,
                {person: after[person] - before[person] for person in after},
                tuple(own),
                max(0, sum(part.amount_micro for part in own) - amount),
            )
        )
    return incomes


def _released(session: Session, payee: str) -> list[tuple[_Place, IncomePart]]:
    """Return a payee's payments with the place of the log that released them, in that order."""
    rows = []
    for payment, device in releases.released_with_devices(session, payee):
        log = blocks.log_of(session, payment.release_tx, "Released")
        if log is not None:  # not in a block that was taken back
            part = IncomePart(payment.payment_id, device, payment.amount_micro)
            rows.append(((log.block_number, log.log_index), part))
    return sorted(rows, key=lambda row: (row[0], row[1].payment_id))
