"""Reads what the contracts themselves hold at one block: the chain's own sums of all money."""

from __future__ import annotations

from orchestrator.core.reconcile import ContractTotals
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.rails import rails
from orchestrator.errors import Retry


def contract_totals(chain: Chain, number: int, block_hash: str) -> ContractTotals:
    """Return the sums of all rails and of EuroToken at a block.

    A rail that was made after this block has no sums yet. One node's word: state is not proven,
    unlike logs. A node that lies about it makes a break.

    Raises:
        Retry: The node does not answer, lacks the state of that block, or has another block there.
    """
    if chain.blocks([number])[0].hash != block_hash:
        raise Retry(f"the node has another block {number} than the one that was final here")
    deployment = chain.deployment
    names = [name for name in rails(deployment) if deployment.blocks[name] <= number]
    totals = [chain.view(name, "totals", at=number) for name in names]
    sums = [sum(parts) for parts in zip(*totals, strict=True)]
    escrow, pending, withdrawable, frozen, _, owed = sums
    balances = [
        chain.view("EuroToken", "balanceOf", deployment.addresses[name], at=number)
        for name in names
    ]
    return ContractTotals(
        block=block_hash,
        supply_micro=chain.view("EuroToken", "totalSupply", at=number),
        rail_micro=sum(balances),
        escrow_micro=escrow,
        pending_micro=pending,
        withdrawable_micro=withdrawable,
        frozen_micro=frozen,
        owed_micro=owed,
    )
