"""Reads disputes from the chain: which payments were disputed, and what is open now.

The contract `Disputes` belongs to one rail, which names it; deployments before version 2 of the
contracts have none.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.ruling import Member, RulingRules
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.rails import rail_of, serving

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


def has_disputes(chain: Chain) -> bool:
    """Return whether this deployment has the contract."""
    return CONTRACT in chain.deployment.addresses


def disputes_of(chain: Chain, product_address: str) -> str:
    """Return the name of the contract that takes the disputes about a product's payments.

    Rails of 0.5.0 and before are it themselves.
    """
    rail = rail_of(chain.deployment, product_address)
    return rail if chain.knows(rail, "dispute") else serving(chain.deployment, rail, CONTRACT)


def dispute_of(chain: Chain, payment: str, contract: str = CONTRACT) -> DisputeState | None:
    """Return the open dispute of a payment (0x-hex); None if there is none.

    contract: as `disputes_of` names it.

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

    Raises:
        Retry: The node does not answer.
    """
    disputed: list[tuple[bytes, int]] = []
    first = max(above + 1, chain.deployment.blocks[CONTRACT])
    while first <= head:
        last = min(first + _BLOCKS_AT_ONCE - 1, head)
        disputed += [
            (bytes.fromhex(log.args["payment"][2:]), log.block_number)
            for log in chain.logs_named({CONTRACT: ("DisputeOpened",)}, first, last)
        ]
        first = last + 1
    return disputed


def ruling_rules(chain: Chain, state: DisputeState) -> RulingRules:
    """Return what a ruling on an open dispute needs of the committee now.

    Raises:
        Retry: The node does not answer.
    """
    committee = "OracleCommittee"
    members = []
    for address in all_members(chain):
        domain, seated, barred, silenced, bit = chain.view(committee, "memberOf", address)
        members.append(Member(address, domain, bit, seated and not barred and not silenced))
    return RulingRules(
        members,
        chain.view(committee, "quorum"),
        chain.view(committee, "minDomains"),
        state.required_domain,
        state.signers,
    )


def all_members(chain: Chain) -> list[str]:
    """Return the address of everyone who ever had a seat in the committee.

    Raises:
        Retry: The node does not answer.
    """
    committee = "OracleCommittee"
    count = chain.view(committee, "memberCount")
    return [chain.view(committee, "memberAt", index) for index in range(count)]


def dispute_end_call(function: str, payment: str, contract: str = CONTRACT) -> Call:
    """Return concede, retract or expire of a payment (0x-hex)."""
    return Call(contract, function, (bytes.fromhex(payment[2:]),))


def rule_call(payment: str, refund: bool, signatures: list[bytes]) -> Call:
    """Return Disputes.rule of a payment (0x-hex)."""
    return Call(CONTRACT, "rule", (bytes.fromhex(payment[2:]), refund, signatures))
