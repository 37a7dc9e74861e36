"""Reads M-Bus: long frames of wired meters (EN 13757-3), and what wmbusmeters writes for radio.

pyMeterBus reads the records of a frame; the frame itself and every number that becomes money are
checked here, exactly. README.md says what is read and what is shown only.
"""

from __future__ import annotations

from device_adapters.protocols.mbus.examples import EXAMPLES
from device_adapters.protocols.mbus.reading import read, recognise

__all__ = ["EXAMPLES", "FORMATS", "UNSIGNED", "read", "recognise"]

UNSIGNED = True
FORMATS = ("M-Bus variable data, long frame (EN 13757-3)", "JSON of wmbusmeters 1.x")
