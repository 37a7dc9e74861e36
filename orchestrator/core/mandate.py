"""The payer's consent: the EIP-712 mandate, its hash (the agreement id) and its signing form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sha3

from orchestrator.core.typed_data import typed_document

_TYPE = (
    "Mandate(address payer,address payee,bytes32 device,address product,uint48 cap,"
    "uint16 periodDays,uint32 window,uint32 expiry,uint40 firstCounter,uint8 requiredDomain,"
    "bytes32 salt,bytes terms)"
)
_TYPE_HASH = sha3.keccak_256(_TYPE.encode()).digest()
_FIELDS = [tuple(reversed(field.split(" "))) for field in _TYPE[len("Mandate(") : -1].split(",")]


@dataclass(frozen=True, slots=True)
class Mandate:
    """The terms that a payer signs: the struct IPaymentRail.Mandate.

    Addresses are checksummed, cap is in micro-euro per period, window in seconds, expiry in Unix
    seconds; device and salt have 32 bytes.
    """

    payer: str
    payee: str
    device: bytes
    product: str
    cap: int
    period_days: int
    window: int
    expiry: int
    first_counter: int
    required_domain: int
    salt: bytes
    terms: bytes

    def as_tuple(self) -> tuple[Any, ...]:
        """Return the values in the contract's order."""
        return (
            self.payer,
            self.payee,
            self.device,
            self.product,
            self.cap,
            self.period_days,
            self.window,
            self.expiry,
            self.first_counter,
            self.required_domain,
            self.salt,
            self.terms,
        )

    def agreement_id(self) -> bytes:
        """Return the EIP-712 struct hash, 32 bytes."""
        words = [_TYPE_HASH]
        for value in self.as_tuple()[:-1]:
            if isinstance(value, bytes):
                words.append(value)
            else:
                number = int(value, 16) if isinstance(value, str) else value
                words.append(number.to_bytes(32, "big"))
        words.append(sha3.keccak_256(self.terms).digest())
        return sha3.keccak_256(b"".join(words)).digest()

    def typed_data(self, chain_id: int, rail: str) -> dict[str, Any]:
        """Return the EIP-712 document that a wallet shows and signs."""
        names = [name for name, _ in _FIELDS]
        message = dict(zip(names, self.as_tuple(), strict=True))
        return typed_document("Mandate", _FIELDS, message, chain_id, rail)
