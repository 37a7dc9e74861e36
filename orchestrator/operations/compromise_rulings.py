"""Rulings on compromises as oracles sign them, one JSON document each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from device_adapters.types import Rejected, device_id
from oracles.attest import recover
from oracles.compromises import CompromiseRuling
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.errors import Halt

FORMAT = "proofrail/compromise-ruling/v1"


def document(
    ruling: CompromiseRuling, device: str, oracle: str, signature: bytes, decided_by: str
) -> dict[str, Any]:
    """Return a signed ruling as JSON."""
    return {
        "format": FORMAT,
        "device": device,
        "registry": ruling.registry,
        "since": ruling.since,
        "number": ruling.number,
        "oracle": oracle,
        "decided_by": decided_by,
        "signature": "0x" + signature.hex(),
    }


def read_ruling(
    texts: Sequence[str], deployment: Deployment, device: str, number: int
) -> tuple[CompromiseRuling, list[bytes]]:
    """Return the one ruling that all documents sign, and their signatures.

    Args:
        texts: The documents.
        deployment: Where the rail's contracts are.
        device: The device's name.
        number: How many rulings the device has had.

    Raises:
        Halt: A document cannot be read, is of another ruling than the first, was used before, or is
            not signed by the oracle that it names.
    """
    documents = [_read(text) for text in texts]
    since = documents[0]["since"]
    ruling = CompromiseRuling(
        deployment.addresses["DeviceRegistry"], device_id(device), since, number
    )
    wanted = {"device": device, "registry": ruling.registry, "since": since, "number": number}
    digest = ruling.digest(deployment.chain_id, deployment.addresses["OracleCommittee"])
    signatures = []
    for signed in documents:
        if other := {key: signed[key] for key in wanted if signed[key] != wanted[key]}:
            needed = {key: wanted[key] for key in other}
            raise Halt(
                f"The ruling of {signed['oracle']} says {other} where {device} needs {needed}. "
                "Nothing was sent. Next: ask that oracle to sign again with `proofrail-oracle "
                "ruling device`."
            )
        signature = bytes.fromhex(signed["signature"][2:])
        if _signer(digest, signature) != signed["oracle"]:
            raise Halt(
                f"The ruling of {signed['oracle']} is not signed by it. Nothing was sent. Next: "
                "get its file again."
            )
        signatures.append(signature)
    return ruling, signatures


def _signer(digest: bytes, signature: bytes) -> str:
    try:
        return recover(digest, signature)
    except Rejected:
        return ""


def _read(text: str) -> dict[str, Any]:
    try:
        signed = json.loads(text)
        if signed["format"] == FORMAT and isinstance(signed["since"], int):
            bytes.fromhex(signed["signature"].removeprefix("0x"))
            return {
                key: signed[key]
                for key in ("device", "registry", "since", "number", "oracle", "signature")
            }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise Halt(
        f"This is no ruling on a device: {text:.60}. Nothing was sent. Give files as "
        "`proofrail-oracle ruling device` prints them."
    )
