"""Reads what the contracts themselves hold at one block: the chain's own sums of all money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from orchestrator.core import ledger
from orchestrator.core.reconcile import ContractTotals
from orchestrator.core.waterfall import WaterfallTerms
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.rails import instance, rail_addresses, rails
from orchestrator.errors import Retry


def contract_totals(
    chain: Chain,
    number: int,
    block_hash: str,
    waterfalls: Mapping[str, WaterfallTerms] = MappingProxyType({}),
) -> ContractTotals:
    """Return the sums of all rails and of EuroToken at a block, and what waterfalls hold.

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
        outside=dict(_outside(chain, number, waterfalls)),
    )


def _outside(
    chain: Chain, number: int, waterfalls: Mapping[str, WaterfallTerms]
) -> Iterator[tuple[str, int]]:
    """Yield what each sub-account of tokens outside the rails holds, as the contracts say."""
    people: set[str] = set()
    for address, terms in waterfalls.items():
        name, left = instance("Waterfall", address), balance_of(chain, address, number)
        for person in terms.everyone:
            owed = chain.view(name, "owedTo", person, at=number)
            left -= owed
            yield ledger.share(address, person), owed
        yield ledger.undivided(address), left
        people |= set(terms.everyone)
    others = rail_addresses(chain.deployment) | {address.lower() for address in waterfalls}
    for person in sorted(people):
        if person.lower() not in others:
            yield ledger.holder(person), balance_of(chain, person, number)


def balance_of(chain: Chain, address: str, number: int | None = None) -> int:
    """Return the tokens of an address in micro-euro; number: a block, None for the newest."""
    return chain.view("EuroToken", "balanceOf", address, at=number)
