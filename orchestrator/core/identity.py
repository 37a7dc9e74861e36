"""Ids and digests that are used from the device to the bank, each computed before it is sent."""

from __future__ import annotations

from hashlib import sha256

import sha3

from device_adapters.types import Curve, DeviceKey, device_id, event_id
from orchestrator.core.references import account_number

__all__ = [
    "CURVES",
    "credit_id",
    "device_id",
    "enrolment_digest",
    "event_id",
    "payment_id",
    "payout_account",
    "rotation_digest",
]

CURVES = {Curve.SECP256R1: 0, Curve.SECP256K1: 1}  # IDeviceRegistry.Curve


def payment_id(agreement: bytes, sequence: int) -> bytes:
    """Return keccak256(agreement id, uint256 sequence), 32 bytes, as the contract computes it."""
    return sha3.keccak_256(agreement + sequence.to_bytes(32, "big")).digest()


def payout_account(iban: str) -> bytes:
    """Return keccak256 of the electronic IBAN: what a payee stores on chain instead of it."""
    compact = "".join(account_number(iban).split()).upper()
    return sha3.keccak_256(compact.encode()).digest()


def credit_id(account: str, bank_reference: str) -> bytes:
    """Return keccak256 of the account and the bank's own reference; it mints exactly once."""
    return sha3.keccak_256(f"{account}|{bank_reference}".encode()).digest()


def enrolment_digest(chain_id: int, registry: str, name: str, owner: str) -> bytes:
    """Return the SHA-256 digest that a device signs to enrol (rule: IDeviceRegistry)."""
    return _registry_digest(
        "proofrail/enrol/v1",
        _word(chain_id),
        _word(int(registry, 16)),
        device_id(name),
        _word(int(owner, 16)),
    )


def rotation_digest(
    chain_id: int, registry: str, name: str, key: DeviceKey, expires_at: int, keys_so_far: int
) -> bytes:
    """Return the SHA-256 digest that a device's old key and new key both sign to rotate.

    Args:
        chain_id: The chain's id.
        registry: The address of DeviceRegistry.
        name: The device's name.
        key: The new key.
        expires_at: Unix seconds, 0 for never.
        keys_so_far: How many keys the device has had.
    """
    return _registry_digest(
        "proofrail/rotate/v1",
        _word(chain_id),
        _word(int(registry, 16)),
        device_id(name),
        _word(CURVES[key.curve]),
        _word(key.x),
        _word(key.y),
        _word(expires_at),
        _word(keys_so_far),
    )


def _registry_digest(purpose: str, *words: bytes) -> bytes:
    """Return sha256(abi.encode(purpose, words...)): a string of at most 32 bytes, then words."""
    text = purpose.encode()
    head = _word((len(words) + 1) * 32) + b"".join(words)
    return sha256(head + _word(len(text)) + text.ljust(32, b"\0")).digest()


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
