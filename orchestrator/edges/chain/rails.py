"""The rails of a deployment, and which contracts serve each: a moved rail has several.

Names are those of `Deployment`: a contract that another took the place of has the release whose
interface it has, `PaymentRail@0.5.0`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oracles.attest import DOMAIN_VERSION
from orchestrator.edges.chain.artifacts import Artifact
from orchestrator.edges.chain.deployment import Deployment

RAIL = "PaymentRail"
COMMITTEE = "OracleCommittee"
REGISTRY = "DeviceRegistry"
_FIRST_WITH_GROUPS = _FIRST_OF_SECOND_DOMAIN = (0, 6, 0)
MANY = ("Waterfall",)  # contracts of which there are many, at addresses that logs name


def abi_of(
    deployment: Deployment, artifacts: Mapping[str, Artifact], name: str
) -> list[dict[str, Any]]:
    """Return the interface of a contract: that of its release."""
    kind, _, named = name.partition("@")
    if instance_address(name):
        return artifacts[kind].abi
    try:
        return artifacts[f"{kind}@{named or deployment.release_of(name)}"].abi
    except KeyError:  # not of an earlier release
        return artifacts[kind].abi


def instance(kind: str, address: str) -> str:
    """Return the name by which calls address one of many contracts: `Waterfall@0x...`."""
    return f"{kind}@{address}"


def instance_address(name: str) -> str | None:
    """Return the address in the name of one of many contracts; None for any other name."""
    kind, _, address = name.partition("@")
    return address if kind in MANY and address else None


def address_of(deployment: Deployment, name: str) -> str:
    """Return where a contract is."""
    return instance_address(name) or deployment.addresses[name]


def release_of(name: str) -> tuple[int, ...]:
    """Return the release in a contract's name as numbers, so that 0.10.0 is after 0.9.0."""
    return tuple(int(part) for part in name.partition("@")[2].split(".") if part.isdigit())


def takes_groups(deployment: Deployment, rail: str) -> bool:
    """Return whether a rail's `settle` takes groups and packed claims (core/batch_bytes.py)."""
    return _interface_release(deployment, rail) >= _FIRST_WITH_GROUPS


def signing_version(deployment: Deployment, committee: str) -> str:
    """Return the version of a committee's signing domain (EIP-712)."""
    is_former = _interface_release(deployment, committee) < _FIRST_OF_SECOND_DOMAIN
    return "1" if is_former else DOMAIN_VERSION


def _interface_release(deployment: Deployment, name: str) -> tuple[int, ...]:
    named = name.partition("@")[2] or deployment.release_of(name)
    return release_of(f"{name.partition('@')[0]}@{named}")


def rails(deployment: Deployment) -> tuple[str, ...]:
    """Return the names of all rails, the present one first."""
    return deployment.named(RAIL)


def former_rails(deployment: Deployment) -> tuple[str, ...]:
    """Return the names of the rails whose place another took."""
    return tuple(name for name in rails(deployment) if name != RAIL)


def rail_addresses(deployment: Deployment) -> frozenset[str]:
    """Return the addresses of all rails, in lower case."""
    return frozenset(deployment.addresses[name].lower() for name in rails(deployment))


def rail_of(deployment: Deployment, product_address: str) -> str:
    """Return the name of a product's rail; the present one where the product is not known."""
    try:
        return deployment.rail_of(product_address)
    except KeyError:
        return RAIL


def attests(deployment: Deployment, product_address: str) -> bool:
    """Return whether oracles of this release sign claims of a product.

    They sign for the present rail, with contracts of version 2.
    """
    return deployment.version > 1 and rail_of(deployment, product_address) == RAIL


def serving(deployment: Deployment, rail: str, contract: str) -> str:
    """Return the name of the contract that serves a rail.

    Args:
        deployment: Where the contracts are.
        rail: The rail's name.
        contract: What is asked for, without a release: "OracleCommittee".
    """
    release = rail.partition("@")[2]
    own_contract = f"{contract}@{release}"
    return own_contract if release and own_contract in deployment.addresses else contract


def products_of(deployment: Deployment, rail: str) -> frozenset[str] | None:
    """Return the addresses (lower case) of a rail's products; None where it is the only rail."""
    if len(rails(deployment)) < 2:
        return None
    return frozenset(
        address.lower()
        for name, address in deployment.addresses.items()
        if deployment.rails.get(name, RAIL) == rail
    )


def emitter(deployment: Deployment, contract: str, address: str) -> str | None:
    """Return which contract of a kind made a log; None if none of this deployment did.

    Args:
        deployment: Where the contracts are.
        contract: The kind, without a release.
        address: As in the log; "" for logs that were stored before rails could move: those are of
            the first contract of its kind.
    """
    names = deployment.named(contract)
    if not address:
        former = [name for name in names if name != contract]
        return min(former, key=release_of) if former else contract
    makers = (name for name in names if deployment.addresses[name].lower() == address.lower())
    return next(makers, None)
