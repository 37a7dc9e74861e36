"""Reads MSCONS (UN/EDIFACT D.04B, profile EDI@Energy): meter values in a head-end's file.

README.md says what is read and what is shown only.
"""

from __future__ import annotations

from device_adapters.protocols.mscons.examples import EXAMPLES
from device_adapters.protocols.mscons.interchange import recognise
from device_adapters.protocols.mscons.values import MsconsCautionReason, read

__all__ = ["EXAMPLES", "FILE", "FORMATS", "UNSIGNED", "MsconsCautionReason", "read", "recognise"]

UNSIGNED = True
FILE = True  # the sender of the file stands for it
FORMATS = ("MSCONS D.04B, EDI@Energy 2.2 to 2.5",)
