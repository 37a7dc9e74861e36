"""Reads DSMR P1 telegrams (NL, BE, LU, SE): what a household meter prints on its customer port.

Source: Dutch Smart Meter Requirements, P1 Companion Standard 5.0.2 (and 2.2 to 4.2, eMUCs 1.7).
README.md says what is read and what is shown only.
"""

from __future__ import annotations

from device_adapters.protocols.dsmr.examples import EXAMPLES
from device_adapters.protocols.dsmr.telegram import DsmrCautionReason, read, recognise

__all__ = ["EXAMPLES", "FORMATS", "UNSIGNED", "DsmrCautionReason", "read", "recognise"]

UNSIGNED = True
FORMATS = ("DSMR P1 2.2 to 5.0", "eMUCs P1 1.7 (BE)", "LU and SE P1")
