"""Reads our contracts' events out of proven logs, as contracts/interfaces declares them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eth_abi import decode
from eth_abi.exceptions import DecodingError

from .blocks import Log, Unproven, keccak

# name: (indexed arguments, the others), in the order of the declaration: indexed ones come first
EVENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "DeviceEnrolled": (
        ("bytes32",),
        ("uint8", "bytes32", "bytes32", "address", "bytes32", "uint40"),
    ),
    "KeyRotated": (("bytes32",), ("uint8", "bytes32", "bytes32", "uint40")),
    "DeviceSuspended": (("bytes32",), ("uint40",)),
    "DeviceResumed": (("bytes32",), ("uint40",)),
    "DeviceRevoked": (("bytes32",), ("uint40",)),
    "CompromiseDeclared": (("bytes32",), ("uint40", "uint40")),
    "MemberSeated": (("address",), ("uint8", "uint256")),
    "MemberUnseated": (("address",), ("uint256",)),
    "MemberBarred": (("address", "bytes32"), ("uint32",)),
    "AgreementOpened": (
        ("bytes32", "address", "address"),
        ("bytes32", "address", "uint32", "uint40", "bytes"),
    ),
    "Settled": (("uint256", "bytes32", "address"), ("uint32", "bytes")),
    "Released": (("address",), ("uint256", "uint32[]")),
    "Redeemed": (("bytes32", "address", "address"), ("bytes32", "uint256")),
}
# the opening without its last three arguments says all that is read of it here
_SHORT_OPENING = (EVENTS["AgreementOpened"][0], EVENTS["AgreementOpened"][1][:2])


def _topic(name: str, indexed: tuple[str, ...], others: tuple[str, ...]) -> bytes:
    return keccak(f"{name}({','.join(indexed + others)})".encode())


TOPICS = {_topic(name, *types): (name, *types) for name, types in EVENTS.items()}
TOPICS[_topic("AgreementOpened", *_SHORT_OPENING)] = ("AgreementOpened", *_SHORT_OPENING)


def events(logs: Iterable[Log], address: bytes) -> list[tuple[str, tuple[Any, ...]]]:
    """(event name, arguments) of the known events that `address` (20 bytes) emitted, in order.

    Arguments: bytes32 as bytes, integers as int, addresses as lower-case 0x-hex. Raises Unproven
    where a contract speaks one of our events with other data than declared.
    """
    found = []
    for log in logs:
        declared = TOPICS.get(log.topics[0]) if log.topics and log.address == address else None
        if declared:
            found.append((declared[0], _arguments(*declared, log)))
    return found


def _arguments(
    name: str, indexed: tuple[str, ...], others: tuple[str, ...], log: Log
) -> tuple[Any, ...]:
    if len(log.topics) != len(indexed) + 1:
        raise Unproven(f"a {name} log has {len(log.topics) - 1} indexed arguments")
    try:
        return (*decode(indexed, b"".join(log.topics[1:])), *decode(others, log.data))
    except (DecodingError, OverflowError) as error:
        raise Unproven(f"a {name} log holds other data than declared") from error
