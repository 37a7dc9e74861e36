"""Reads our contracts' events from proven logs, as contracts/interfaces declares them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eth_abi import decode
from eth_abi.exceptions import DecodingError

from orchestrator.core.mandate import FIELDS

from .blocks import ReceiptLog, keccak, unproven

# name: (indexed arguments, the others), in the order of the declaration: indexed ones come first
EVENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "DeviceEnrolled": (
        ("bytes32",),
        ("uint8", "bytes32", "bytes32", "address", "bytes32", "uint40", "uint40"),
    ),
    "KeyRotated": (("bytes32",), ("uint8", "bytes32", "bytes32", "uint40", "uint40")),
    "DeviceSuspended": (("bytes32",), ("uint40",)),
    "DeviceResumed": (("bytes32",), ("uint40",)),
    "DeviceRevoked": (("bytes32",), ("uint40",)),
    "CompromiseDeclared": (("bytes32",), ("uint40", "uint40")),
    "CompromiseRuled": (("bytes32",), ("uint40", "uint256", "uint40")),
    "GatewayAssigned": (("bytes32", "bytes32"), ("address", "uint40", "uint40", "uint40")),
    "DeviceAdopted": (("bytes32",), ("address", "uint40")),
    "MemberSeated": (("address",), ("uint8", "uint256")),
    "MemberUnseated": (("address",), ("uint256",)),
    "MemberBarred": (("address", "bytes32"), ("uint32",)),
    "MemberBarredForRulings": (("address", "address", "bytes32"), ()),
    "MemberBarredForFault": (("address", "address", "bytes32"), ()),
    "AgreementOpened": (
        ("bytes32", "address", "address"),
        ("uint32", "uint32", f"({','.join(kind for _, kind in FIELDS[2])})"),
    ),
    # of contracts of 0.3.0 to 0.5.0; its name there is AgreementOpened as well
    "FormerAgreementOpened": (
        ("bytes32", "address", "address"),
        ("bytes32", "address", "uint32", "uint40", "bytes"),
    ),
    "Settled": (("uint256", "bytes32", "address"), ("uint32", "bytes")),
    "DebtPaid": (("bytes32", "address"), ("uint256",)),
    "Repaid": (("address",), ("uint256",)),
    "Released": (("address",), ("uint256", "uint32[]")),
    "Withdrawn": (("address",), ("address", "uint256")),
    "Redeemed": (("bytes32", "address", "address"), ("bytes32", "uint256")),
}
# contracts of 0.3.0 emit these events under their former names
FORMER_NAMES = {"DebtPaid": "CreditPaid"}
_CONTRACT_NAMES = {"FormerAgreementOpened": "AgreementOpened"}


def _topic(name: str, declared_as: str) -> bytes:
    indexed, others = EVENTS[declared_as]
    return keccak(f"{name}({','.join(indexed + others)})".encode())


TOPICS = {_topic(_CONTRACT_NAMES.get(name, name), name): name for name in EVENTS}
TOPICS |= {_topic(former, name): name for name, former in FORMER_NAMES.items()}


def events(logs: Iterable[ReceiptLog], address: bytes) -> list[tuple[str, tuple[Any, ...]]]:
    """Return (event name, arguments) of the known events that `address` emitted, in order.

    Arguments: bytes32 as bytes, integers as int, addresses as lower-case 0x-hex.

    Args:
        logs: The logs of a receipt.
        address: The contract, 20 bytes.

    Raises:
        Rejected: An event has other data than declared.
    """
    decoded = []
    for log in logs:
        name = TOPICS.get(log.topics[0]) if log.topics and log.address == address else None
        if name:
            decoded.append((name, _arguments(name, log)))
    return decoded


def _arguments(name: str, log: ReceiptLog) -> tuple[Any, ...]:
    indexed, others = EVENTS[name]
    if len(log.topics) != len(indexed) + 1:
        raise unproven(f"a {name} log has {len(log.topics) - 1} indexed arguments")
    try:
        return (*decode(indexed, b"".join(log.topics[1:])), *decode(others, log.data))
    except (DecodingError, OverflowError) as error:
        raise unproven(f"a {name} log holds other data than declared") from error
