"""The consent of a device's owner to an agreement about the device: its EIP-712 document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.core.typed_data import typed_document

RAIL_DOMAIN = "2"  # version of the rail's signing domain since mandates of version 2
_FIELDS = (
    ("device", "bytes32"),
    ("product", "address"),
    ("agreement", "bytes32"),
    ("number", "uint256"),
)


@dataclass(frozen=True, slots=True)
class OwnerConsent:
    """What an owner signs, as IPaymentRail.open defines it.

    Attributes:
        device: The device's id, 32 bytes.
        product: Address of the product's contract.
        agreement: The agreement's id; 32 zero bytes: any agreement of the product.
        number: How often the owner has revoked its consents for the device.
    """

    device: bytes
    product: str
    agreement: bytes
    number: int

    def typed_data(self, chain_id: int, rail: str) -> dict[str, Any]:
        """Return the EIP-712 document that the owner's wallet shows and signs."""
        message = {
            "device": "0x" + self.device.hex(),
            "product": self.product,
            "agreement": "0x" + self.agreement.hex(),
            "number": self.number,
        }
        return typed_document("Consent", _FIELDS, message, chain_id, rail, RAIL_DOMAIN)
