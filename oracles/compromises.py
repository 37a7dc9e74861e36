"""Rulings on the compromise of a device: since when its key is stolen, or that it is not."""

from __future__ import annotations

from dataclasses import dataclass

from .attest import address_word, separator
from .merkle import keccak

_TYPE = keccak(b"Compromise(address registry,bytes32 device,uint40 since,uint256 number)")


@dataclass(frozen=True, slots=True)
class CompromiseRuling:
    """What the committee decides about one device.

    Attributes:
        registry: Checksummed address of the DeviceRegistry.
        device: Id of the device, 32 bytes.
        since: Unix seconds; 0: its key is not stolen.
        number: How many rulings on the device came before; each counts once.
    """

    registry: str
    device: bytes
    since: int
    number: int

    def digest(self, chain_id: int, committee: str) -> bytes:
        """Return what an oracle signs: the EIP-712 digest (32 bytes) for one committee."""
        words = [number.to_bytes(32, "big") for number in (self.since, self.number)]
        struct = keccak(_TYPE + address_word(self.registry) + self.device + b"".join(words))
        return keccak(b"\x19\x01" + separator(chain_id, committee) + struct)
