"""The owner's consent that a gateway signs for a device: its EIP-712 document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        return {
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                "Assignment": [{"name": name, "type": kind} for name, kind in _FIELDS],
            },
            "primaryType": "Assignment",
            "domain": {
                "name": "proofrail",
                "version": "1",
                "chainId": chain_id,
                "verifyingContract": registry,
            },
            "message": {
                "device": "0x" + self.device.hex(),
                "gateway": "0x" + self.gateway.hex(),
                "since": self.since,
                "until": self.until,
                "number": self.number,
            },
        }
