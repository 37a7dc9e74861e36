"""Reads OCMF (Open Charge Metering Format) 0.4 to 1.4: one signed record gives one meter reading.

Source: OCMF specification of the SAFE initiative. How a record is read: `_ocmf_record`. Why it may
not be billed is `Unbillable`, what an auditor should know is `Caution`; both are explained in
`_ocmf_rules`.
"""

from __future__ import annotations

from ..verdicts import Report
from ._ocmf_check import check_ocmf
from ._ocmf_containers import holds_ocmf
from ._ocmf_examples import EXAMPLES
from ._ocmf_record import decode
from ._ocmf_rules import Caution, Unbillable
from ._ocmf_sections import split

__all__ = ["EXAMPLES", "INLET", "Caution", "Unbillable", "check", "decode", "recognise", "split"]

INLET = "proofrail/+/evidence/ocmf"  # the topic; + stands for the device's own name


def recognise(data: bytes) -> bool:
    """Whether a file is meant to hold OCMF (see `verdicts`)."""
    return holds_ocmf(data)


def check(data: bytes, key: str | bytes | None) -> Report:
    """Judges every record in a file of any wrapping (see `verdicts`)."""
    return check_ocmf(data, key)
