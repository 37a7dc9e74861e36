"""Ids that live from the device to the bank, each computed before anything is sent."""

from __future__ import annotations

import sha3

from device_adapters.types import device_id, event_id

__all__ = ["credit_id", "device_id", "event_id", "payment_id", "payout_account"]


def payment_id(agreement: bytes, sequence: int) -> bytes:
    """keccak256(agreement_id, uint256 sequence), 32 bytes: the same number the contract keeps."""
    return sha3.keccak_256(agreement + sequence.to_bytes(32, "big")).digest()


def payout_account(iban: str) -> bytes:
    """keccak256 of the IBAN without spaces: what a payee puts on chain instead of the IBAN."""
    return sha3.keccak_256("".join(iban.split()).upper().encode()).digest()


def credit_id(account: str, bank_reference: str) -> bytes:
    """keccak256 of the booked account and the bank's own reference: mints exactly once."""
    return sha3.keccak_256(f"{account}|{bank_reference}".encode()).digest()
