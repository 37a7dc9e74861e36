"""The owner's consent that a gateway signs for a device: its EIP-712 document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.core.typed_data import typed_document

_FIELDS = (
    ("device", "bytes32"),
    ("gateway", "bytes32"),
    ("since", "uint40"),
    ("until", "uint40"),
    ("number", "uint256"),
)


@dataclass(frozen=True, slots=True)
class GatewayAssignment:
    """What an owner signs, as IDeviceRegistry defines it.

    Attributes:
        device: The device's id, 32 bytes.
        gateway: The gateway's id; 32 zero bytes: none any more.
        since: Unix seconds; 0: from when it is mined.
        until: Unix seconds; 0: no end.
        number: How many assignments the device had before, so that each signature counts once.
    """

    device: bytes
    gateway: bytes
    since: int
    until: int
    number: int

    def typed_data(self, chain_id: int, registry: str) -> dict[str, Any]:
        """Return the EIP-712 document that the owner's wallet shows and signs."""
        message = {
            "device": "0x" + self.device.hex(),
            "gateway": "0x" + self.gateway.hex(),
            "since": self.since,
            "until": self.until,
            "number": self.number,
        }
        return typed_document("Assignment", _FIELDS, message, chain_id, registry)
