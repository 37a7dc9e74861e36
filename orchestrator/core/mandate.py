"""The payer's consent: the EIP-712 mandate, its hash (the agreement id) and its signing form.

Version 2 is signed for the rails of today. Version 1 is of rails of 0.3.0 to 0.5.0: it is read, and
never signed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sha3

from orchestrator.core.typed_data import typed_document

VERSION = 2
_BEGIN = (
    ("payer", "address"),
    ("payee", "address"),
    ("device", "bytes32"),
    ("product", "address"),
    ("cap", "uint48"),
    ("periodDays", "uint16"),
    ("window", "uint32"),
)
_END = (("salt", "bytes32"), ("terms", "bytes"))
# version -> (name, Solidity type) of the struct's fields, in their order
FIELDS: dict[int, tuple[tuple[str, str], ...]] = {
    1: (
        *_BEGIN,
        ("expiry", "uint32"),
        ("firstCounter", "uint40"),
        ("requiredDomain", "uint8"),
        *_END,
    ),
    VERSION: (
        *_BEGIN,
        ("start", "uint32"),
        ("expiry", "uint32"),
        ("firstCounter", "uint40"),
        ("requiredDomain", "uint8"),
        ("bond", "uint48"),
        ("schedule", "uint64"),
        ("fleet", "bytes32"),
        ("cites", "bytes32"),
        *_END,
    ),
}
_ATTRIBUTES = {
    "periodDays": "period_days",
    "firstCounter": "first_counter",
    "requiredDomain": "required_domain",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """The terms that a payer signs: the struct IRailEvents.Mandate.

    Addresses are checksummed, amounts in micro-euro, times in Unix seconds; device, fleet, cites
    and salt have 32 bytes.

    Attributes:
        cap: The most to pay per period.
        window: The dispute window in seconds.
        start: Facts before it are refused; 0: the opening.
        expiry: The last second of facts.
        bond: What a dispute costs at most; 0 in version 1.
        schedule: When it settles: core/schedule.py; 0: at once.
        fleet: Zero: the agreement is about one device.
        cites: Zero: which devices a claim hears stands in the product's terms (ADR 24).
        version: 1 or 2: it decides about fields, hash and signing domain.
    """

    payer: str
    payee: str
    device: bytes
    product: str
    cap: int
    period_days: int
    window: int
    start: int = 0
    expiry: int
    first_counter: int
    required_domain: int
    bond: int = 0
    schedule: int = 0
    fleet: bytes = bytes(32)
    cites: bytes = bytes(32)
    salt: bytes
    terms: bytes
    version: int = VERSION

    def values(self) -> dict[str, Any]:
        """Return {field name in the contract: value}, in the contract's order."""
        return {name: getattr(self, attribute(name)) for name, _ in FIELDS[self.version]}

    def as_tuple(self) -> tuple[Any, ...]:
        """Return the values in the contract's order."""
        return tuple(self.values().values())

    def agreement_id(self) -> bytes:
        """Return the EIP-712 struct hash, 32 bytes."""
        return mandate_hash(self.values(), self.version)

    def typed_data(self, chain_id: int, rail: str) -> dict[str, Any]:
        """Return the EIP-712 document that a wallet shows and signs."""
        fields = FIELDS[self.version]
        return typed_document(
            "Mandate", fields, self.values(), chain_id, rail, version=str(self.version)
        )


def attribute(field: str) -> str:
    """Return the name in Python of a field of the contract's struct."""
    return _ATTRIBUTES.get(field, field)


def opened_mandate(args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the mandate's fields in the arguments of an AgreementOpened log.

    The log of version 2 holds the whole mandate; that of version 1 has some of its fields among its
    own arguments.
    """
    return args.get("mandate", args)


def type_hash(version: int) -> bytes:
    """Return the EIP-712 type hash of a version's struct, 32 bytes."""
    fields = ",".join(f"{kind} {name}" for name, kind in FIELDS[version])
    return sha3.keccak_256(f"Mandate({fields})".encode()).digest()


def mandate_hash(values: Mapping[str, Any], version: int) -> bytes:
    """Return the EIP-712 struct hash of a mandate's fields.

    Args:
        values: Field name in the contract -> value: whole numbers, bytes, or addresses as 0x-hex.
        version: 1 or 2.

    Raises:
        OverflowError: A number does not fit its type.
    """
    words = [type_hash(version)]
    for name, kind in FIELDS[version]:
        value = values[name]
        if kind == "bytes":
            words.append(sha3.keccak_256(value).digest())
        elif isinstance(value, bytes):
            words.append(value)
        else:
            number = int(value, 16) if isinstance(value, str) else value
            bits = 160 if kind == "address" else int(kind.removeprefix("uint"))
            if not 0 <= number < 1 << bits:
                raise OverflowError(f"{name} does not fit {kind}")
            words.append(number.to_bytes(32, "big"))
    return sha3.keccak_256(b"".join(words)).digest()


def salt_of(agreement: str) -> bytes:
    """Return the salt of the mandate that follows an agreement (0x-hex) on another rail.

    It says which one follows which.
    """
    raw = bytes.fromhex(agreement.removeprefix("0x"))
    return sha3.keccak_256(b"proofrail/move/v1" + raw).digest()
