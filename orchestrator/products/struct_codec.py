"""ABI codec of a flat Solidity struct, as strict when it decodes as when it encodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eth_abi import is_encodable
from eth_abi.decoding import ContextFramesBytesIO
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.registry import registry

from device_adapters.types import Rejected
from oracles.types import ClaimReason

WORD_BYTES = 32


class StructCodec:
    """Encode and decode the values of one struct whose fields are all static types.

    Every field takes one word of 32 bytes (Solidity ABI specification, "Formal Specification of
    the Encoding"). A value has one encoding only: longer or shorter bytes and padding that is not
    zero (for a negative integer: not ones) are rejected.

    Args:
        fields: Solidity type by field name, in the order of the struct; no arrays, no strings.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._names, self._types = tuple(fields), tuple(fields.values())
        # the decoder of a whole tuple reads each word twice, to follow pointers that a flat struct
        # does not have: one decoder for each field is twice as fast
        self._decoders = tuple(registry.get_decoder(kind) for kind in self._types)
        self._encoders = tuple(registry.get_encoder(kind) for kind in self._types)
        self._bytes32 = tuple(at for at, kind in enumerate(self._types) if kind == "bytes32")

    def encode(self, values: Iterable[Any]) -> bytes:
        """Return the words of a struct, one for each field.

        Raises:
            Rejected: FACTS_MALFORMED; names the first field whose value does not fit its type.
        """
        fields = tuple(values)
        try:
            # eth_abi pads shorter bytes, which would change what was signed
            if all(len(fields[at]) == WORD_BYTES for at in self._bytes32):
                pairs = zip(self._encoders, fields, strict=True)
                return b"".join(encoder(value) for encoder, value in pairs)
        except EncodingError:
            pass
        raise Rejected(ClaimReason.FACTS_MALFORMED, self._misfit(fields))

    def decode(self, raw: bytes) -> tuple[Any, ...]:
        """Return the values of a struct, one for each field.

        Raises:
            Rejected: FACTS_MALFORMED where `raw` is not exactly one encoding of the struct.
        """
        length = WORD_BYTES * len(self._types)
        if len(raw) != length:
            raise Rejected(ClaimReason.FACTS_MALFORMED, f"{len(raw)} bytes, not {length}", raw)
        stream = ContextFramesBytesIO(raw)
        try:
            return tuple(decoder(stream) for decoder in self._decoders)
        except DecodingError as error:
            detail = f"a word does not fit its type: {error}"
            raise Rejected(ClaimReason.FACTS_MALFORMED, detail, raw) from None

    def _misfit(self, fields: tuple[Any, ...]) -> str:
        for name, kind, value in zip(self._names, self._types, fields, strict=True):
            short = kind == "bytes32" and len(value) != WORD_BYTES
            if short or not is_encodable(kind, value):
                return f"{name} is {value!r}, which does not fit {kind}"
        return "the values do not fit the contract's types"
