"""How an oracle reads records: with the decoders of this project, or with a library alone.

One decoder for all oracles would let one bug pass the quorum. So at least one trust domain reads
with another one, and no reader alone has enough oracles for a quorum (services.development).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from device_adapters.protocols.ocmf import independent
from device_adapters.types import Event


@dataclass(frozen=True, slots=True)
class RecordReader:
    """A set of decoders. decoders: protocol -> what decodes its records in place of ours."""

    name: str
    decoders: Mapping[str, Callable[[bytes], Event]] = field(default_factory=dict)


OWN = RecordReader("own")
LIBRARY = RecordReader("library", {"ocmf": independent.decode})
READERS = {reader.name: reader for reader in (OWN, LIBRARY)}
