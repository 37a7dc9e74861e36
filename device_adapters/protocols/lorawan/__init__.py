"""Reads LoRaWAN uplinks of ChirpStack v4 and The Things Stack v3 (JSON).

README.md says which fields are registers, and what is shown only.
"""

from __future__ import annotations

from device_adapters.protocols.lorawan.examples import EXAMPLES
from device_adapters.protocols.lorawan.uplink import read, recognise

__all__ = ["EXAMPLES", "FORMATS", "UNSIGNED", "read", "recognise"]

UNSIGNED = True
FORMATS = ("ChirpStack v4 uplink (JSON)", "The Things Stack v3 uplink (JSON)")
