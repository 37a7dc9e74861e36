"""From the bank to the chain: mint tokens for booked credits of known agreements, into escrow.

A credit that two officers allocated to a party goes to that party's wallet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from orchestrator.core import ledger
from orchestrator.core.funding import Fact, Stage
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.rails import rail_of
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store, agreements, fundings
from orchestrator.errors import Retry
from orchestrator.steps import WorkerMemory
from orchestrator.steps.unallocated_credits import wallet_of

_AT_ONCE = 200


class MintContext(Protocol):
    """What minting needs of the rail."""

    store: Store
    chain: Chain
    minter: Sender  # the key that mints
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


def mint(context: MintContext) -> int:
    """Mint tokens for booked credits of known agreements or parties; return how many.

    A credit that the contract does not take yet holds up no other: the next turn begins behind it.
    """
    now, sent = context.now(), 0
    with context.store.read() as session:
        due = fundings.at_stage(session, Stage.BOOKED, _AT_ONCE, context.memory.last_credit)
    for row in due:
        context.memory.last_credit = row.credit_id
        try:
            quote = context.minter.quote(_call(context, row))
        except Retry as delay:
            context.log.warning("mint waits", credit=row.credit_id, reason=str(delay))
            continue
        with context.store.write() as session:
            context.minter.prepare(session, "mint", row.credit_id, quote, now)
            fundings.record_fact(session, row.credit_id, Fact.MINT_SIGNED)
        sent += 1
    if sent:
        context.minter.broadcast()
    return sent


def _call(context: MintContext, row: fundings.FundingRow) -> Call:
    amount = row.cents * ledger.MICRO_PER_CENT
    if row.agreement_id is None:
        with context.store.read() as session:
            wallet = wallet_of(session, row.credit_id)
        return Call("EuroToken", "mint", (row.credit_id, wallet, amount))
    rail_address = _rail_address(context, row.agreement_id)
    arguments = (row.credit_id, rail_address, row.agreement_id, amount)
    return Call("EuroToken", "mintToEscrow", arguments)


def _rail_address(context: MintContext, agreement_id: str) -> str:
    """Return the address of the rail that an agreement is on, the former one where it moved."""
    deployment = context.chain.deployment
    with context.store.read() as session:
        agreement = agreements.get(session, agreement_id)
    product = agreement.product_address if agreement else ""
    return deployment.addresses[rail_of(deployment, product)]
