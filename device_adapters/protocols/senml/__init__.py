"""Reads SenML (Sensor Measurement Lists), JSON and CBOR, version 10: RFC 8428 and RFC 8798.

README.md says what is read and what is shown only.
"""

from __future__ import annotations

from device_adapters.protocols.senml.examples import EXAMPLES
from device_adapters.protocols.senml.pack import read, recognise

__all__ = ["EXAMPLES", "FORMATS", "UNSIGNED", "read", "recognise"]

UNSIGNED = True
FORMATS = ("SenML JSON, version 10", "SenML CBOR, version 10")
