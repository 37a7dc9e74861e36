"""Reads SML files (Smart Message Language 1.04): what German household meters send by infrared.

Source: BSI TR-03109-1, annex "Feinspezifikation SML"; DIN 43863-5 for the meter's name. README.md
says what is read and what is shown only. No maintained library with a permissive licence reads
SML, so this reader is ours: small, strict, and without guesses.
"""

from __future__ import annotations

from device_adapters.protocols.sml.examples import EXAMPLES
from device_adapters.protocols.sml.messages import SmlCautionReason, read, recognise

__all__ = ["EXAMPLES", "FORMATS", "UNSIGNED", "SmlCautionReason", "read", "recognise"]

UNSIGNED = True
FORMATS = ("SML 1.03 and 1.04, transport version 1",)
