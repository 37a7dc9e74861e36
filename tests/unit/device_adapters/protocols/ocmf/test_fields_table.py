"""Every field of OCMF either takes part in a decision or is listed as shown only."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import fields as struct_fields
from pyocmf.core import Payload, Reading
from pyocmf.core.signature import Signature
from pyocmf.models.cable_loss import CableLossCompensation

import device_adapters.protocols.ocmf as package
from device_adapters.protocols.ocmf.plain import PlainPayload, PlainReading

README = Path(package.__path__[0]) / "README.md"
_ROW = re.compile(r"\| ([A-Z]{2}) \| [^|]+ \| (decides|caution|shown only)\b")


def test_readme__the_table_of_fields__covers_every_field_that_the_decoder_knows() -> None:
    listed = {match[1] for match in map(_ROW.match, README.read_text().splitlines()) if match}
    models = (Payload, Reading, Signature, CableLossCompensation)
    known = {name for model in models for name in model.model_fields}
    known |= {
        field.name for struct in (PlainPayload, PlainReading) for field in struct_fields(struct)
    }
    assert listed == known | {"EI"}  # EI: before 0.5, an extra of the reading
