"""Reads disputes from the chain: which payments were disputed, and what is open now.

The contract `Disputes` belongs to one rail, which names it. Rails of 0.5.0 and before have none:
they take disputes and rulings themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.ruling import Member, RulingRules
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.rails import (
    COMMITTEE,
    RAIL,
    rail_of,
    rails,
    serving,
    signing_version,
)

CONTRACT = "Disputes"
_NOBODY = "0x" + "00" * 20
_BLOCKS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class DisputeState:
    """An open dispute as the contract has it.

    Attributes:
        challenger: Checksummed address of who disputes; "" where the contract does not say.
        bond_micro: What it left, in token minor units.
        deadline: Unix seconds, pauses so far included; after it anyone may end the dispute. 0:
            never, on a rail of 0.5.0.
        required_domain: Trust domain that a ruling needs; 0: none.
        signers: Members that attested the payment: bit n for the member with index n.
    """

    challenger: str
    bond_micro: int
    deadline: int
    required_domain: int
    signers: int


@dataclass(frozen=True, slots=True)
class DisputeContracts:
    """The contracts, by name, that disputes about the payments of one rail go through.

    Attributes:
        rail: The rail; its address is in each ruling.
        disputes: What takes disputes and rulings; rails of 0.5.0 and before are it themselves.
        committee: Whose members sign rulings.
        version: Of the committee's signing domain.
        has_deadlines: Whether a dispute has a bond, and ends at a deadline.
    """

    rail: str
    disputes: str
    committee: str
    version: str
    has_deadlines: bool


def dispute_contracts(chain: Chain, rail: str) -> DisputeContracts:
    """Return what disputes about payments of a rail go through."""
    deployment = chain.deployment
    disputes = rail if chain.knows(rail, "dispute") else serving(deployment, rail, CONTRACT)
    committee = serving(deployment, rail, COMMITTEE)
    version = signing_version(deployment, committee)
    return DisputeContracts(rail, disputes, committee, version, chain.knows(disputes, "disputeOf"))


def contracts_of_product(chain: Chain, product_address: str) -> DisputeContracts:
    """Return what disputes about a product's payments go through."""
    return dispute_contracts(chain, rail_of(chain.deployment, product_address))


def contracts_of_rails(chain: Chain) -> list[DisputeContracts]:
    """Return what disputes go through on each rail of the deployment, the present one first."""
    return [dispute_contracts(chain, rail) for rail in rails(chain.deployment)]


def dispute_of(chain: Chain, payment: str, contract: str = CONTRACT) -> DisputeState | None:
    """Return the open dispute of a payment (0x-hex); None if there is none.

    contract: what takes the rail's disputes, by name.

    Raises:
        Retry: The node does not answer.
    """
    if not chain.knows(contract, "disputeOf"):  # a rail of 0.5.0: no bond, no deadline
        _, frozen_micro, _ = chain.view(contract, "frozen", bytes.fromhex(payment[2:]))
        return DisputeState("", 0, 0, 0, 0) if frozen_micro else None
    state = DisputeState(*chain.view(contract, "disputeOf", bytes.fromhex(payment[2:])))
    return None if state.challenger == _NOBODY else state


def disputed_since(chain: Chain, above: int, head: int) -> list[tuple[bytes, int]]:
    """Return (payment, block) of each dispute that began in the blocks above one, oldest first.

    Those on former rails are among them.

    Raises:
        Retry: The node does not answer.
    """
    disputed: list[tuple[bytes, int]] = []
    first = max(above + 1, chain.deployment.block_number)
    while first <= head:
        last = min(first + _BLOCKS_AT_ONCE - 1, head)
        disputed += [
            (bytes.fromhex(log.args["payment"][2:]), log.block_number)
            for log in chain.logs_named({RAIL: ("PaymentDisputed",)}, first, last)
        ]
        first = last + 1
    return disputed


def ruling_rules(
    chain: Chain, contracts: DisputeContracts, state: DisputeState, members: Sequence[str]
) -> RulingRules:
    """Return what a ruling on an open dispute needs of its committee now.

    Args:
        chain: The node's client.
        contracts: What the dispute goes through.
        state: The dispute.
        members: Everyone who ever had a seat in the committee, in its order.

    Raises:
        Retry: The node does not answer.
    """
    committee = contracts.committee
    return RulingRules(
        [_member(chain, committee, address, index) for index, address in enumerate(members)],
        chain.view(committee, "quorum"),
        chain.view(committee, "minDomains"),
        state.required_domain,
        state.signers,
    )


def _member(chain: Chain, committee: str, address: str, index: int) -> Member:
    domain, seated, barred, *rest = chain.view(committee, "memberOf", address)
    silenced, bit = rest or (False, index)  # committees of 0.5.0 silence nobody
    return Member(address, domain, bit, seated and not barred and not silenced)


def lists_members(chain: Chain, committee: str) -> bool:
    """Return whether a committee lists its members: those of 0.5.0 and before do not."""
    return chain.knows(committee, "memberAt")


def all_members(chain: Chain, committee: str = COMMITTEE) -> list[str]:
    """Return the address of everyone who ever had a seat in a committee that lists them.

    Raises:
        Retry: The node does not answer.
    """
    count = chain.view(committee, "memberCount")
    return [chain.view(committee, "memberAt", index) for index in range(count)]


def dispute_end_call(function: str, payment: str, contract: str = CONTRACT) -> Call:
    """Return concede, retract or expire of a payment (0x-hex)."""
    return Call(contract, function, (bytes.fromhex(payment[2:]),))


def rule_call(
    payment: str, refund: bool, signatures: list[bytes], contract: str = CONTRACT
) -> Call:
    """Return the ruling on a payment (0x-hex)."""
    return Call(contract, "rule", (bytes.fromhex(payment[2:]), refund, signatures))
