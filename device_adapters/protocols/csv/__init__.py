"""Reads tables (CSV) of meter values that declare in their first line what their columns mean.

README.md says how a table is declared, what is read and what is shown only.
"""

from __future__ import annotations

from device_adapters.protocols.csv.examples import EXAMPLES
from device_adapters.protocols.csv.table import CsvCautionReason, read, recognise

__all__ = ["EXAMPLES", "FILE", "FORMATS", "UNSIGNED", "CsvCautionReason", "read", "recognise"]

UNSIGNED = True
FILE = True  # the sender of the file stands for it
FORMATS = ("CSV with the declaration #proofrail csv/1",)
