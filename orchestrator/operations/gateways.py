"""Assigns gateways to devices, and enrols devices without a key behind them.

The registry on chain is the authority; the stored row is a copy, written after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from device_adapters.types import device_id
from orchestrator.core.assignment import GatewayAssignment
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.ethereum import LocalAccount, encode_typed_data
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait
from orchestrator.edges.store import Store, add_new, agreements
from orchestrator.errors import Halt, Retry

_NOBODY = "0x" + "00" * 20


@dataclass(frozen=True, slots=True)
class SignedAssignment:
    """An assignment with its owner's consent.

    Attributes:
        device: The device's name.
        owner: The owner's address.
        assignment: What the owner signed.
        signature: 65 bytes.
    """

    device: str
    owner: str
    assignment: GatewayAssignment
    signature: bytes


def owner_of(chain: Chain, device: str) -> str | None:
    """Return the owner's address from the registry; None for an unknown device."""
    owner = chain.view("DeviceRegistry", "ownerOf", device_id(device))
    return None if owner == _NOBODY else owner


def next_assignment(
    chain: Chain, device: str, gateway: str, since: int, until: int
) -> GatewayAssignment:
    """Return the assignment that the owner has to sign now.

    Args:
        chain: The chain.
        device: The device's name.
        gateway: The gateway's name; "" for none any more.
        since: Unix seconds; 0: from when it is mined.
        until: Unix seconds; 0: no end.

    Raises:
        Halt: The deployed registry has no gateways.
    """
    try:
        number = chain.view("DeviceRegistry", "assignmentCount", device_id(device))
    except Retry as error:
        owner_of(chain, device)  # raises where the node does not answer
        raise Halt(
            "The registry of this deployment has no gateways: an earlier release deployed it. "
            "Nothing was sent. Next: enrol each device with its own key, or deploy a new rail. "
            f"Cause: {error}"
        ) from error
    gateway_id = device_id(gateway) if gateway else bytes(32)
    return GatewayAssignment(device_id(device), gateway_id, since, until, number)


def document(assignment: GatewayAssignment, deployment: Deployment) -> dict[str, Any]:
    """Return the EIP-712 document that the owner's wallet signs."""
    return assignment.typed_data(deployment.chain_id, deployment.addresses["DeviceRegistry"])


def sign(assignment: GatewayAssignment, deployment: Deployment, owner: LocalAccount) -> bytes:
    """Return the owner's signature over an assignment, 65 bytes."""
    message = encode_typed_data(full_message=document(assignment, deployment))
    return bytes(owner.sign_message(message).signature)


def assign(registrar: Sender, signed: SignedAssignment, now: int, wait: Any) -> None:
    """Send an assignment, and store a device that it enrolled.

    Args:
        registrar: Whose key enrols devices and pays for the transaction.
        signed: The assignment with the owner's signature.
        now: Unix seconds.
        wait: Called while the transaction waits for its block; may raise Retry.

    Raises:
        Retry: The contract refuses it, with the name of its error.
    """
    wanted = signed.assignment
    arguments = (
        wanted.device,
        signed.owner,
        wanted.gateway,
        wanted.since,
        wanted.until,
        signed.signature,
    )
    call = ChainCall(
        "assign",
        f"{signed.device}:{wanted.number}",
        Call("DeviceRegistry", "assign", arguments),
    )
    send_and_wait(registrar, [call], now, wait)
    remember(registrar.store, signed.device, signed.owner, now)


def remember(store: Store, device: str, owner: str, now: int) -> None:
    """Store a device that is enrolled without a key, unless it is stored.

    Args:
        store: The store.
        device: The device's name.
        owner: The owner's address.
        now: Unix seconds.
    """
    row = agreements.DeviceRow(
        device_id="0x" + device_id(device).hex(),
        name=device,
        owner=owner,
        enrolled_at=now,
        curve="",
        key_x="",
        key_y="",
    )
    with store.write() as session:
        if agreements.device_by_name(session, device) is None:
            add_new(session, [row])
