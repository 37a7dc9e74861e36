"""Card of a wearable for a merchant's terminal: its key and the terms that its payer agreed to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from device_adapters.keys import PublicKey, load_public_key
from device_adapters.strict_json import decode as decode_json
from device_adapters.types import DeviceKey, Reason, Rejected


@dataclass(frozen=True, slots=True)
class WearableCard:
    """The registry's key and the agreement's terms as of `as_of` (Unix seconds).

    Amounts in token minor units (6 decimals), times in seconds; per_day and cool_off 0: no such
    limit; classes: ISO 18245 codes, none: any. contract: 0x-prefixed lower-case hex.
    Warning: a terminal trusts its cards. Get a card from the rail only, over its own channel.
    """

    name: str
    key: DeviceKey
    chain_id: int
    contract: str
    per_tap: int
    per_day: int
    classes: tuple[int, ...]
    cool_off: int
    offline_taps: int
    offline_amount: int
    max_age: int
    as_of: int

    def to_json(self) -> str:
        """Return the card as JSON; the key as hex of its DER SubjectPublicKeyInfo."""
        row = asdict(self) | {"key": PublicKey.from_device_key(self.key).der.hex()}
        return json.dumps(row, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> WearableCard:
        """Return the card in a JSON text.

        Raises:
            Rejected: the text is not a card, or (with the reasons of a key) its key is not valid.
        """
        row = decode_json(text)
        names = [field.name for field in fields(cls)]
        if not isinstance(row, dict) or sorted(row) != sorted(names):
            raise Rejected(Reason.WRONG_TYPE, f"a card has exactly {', '.join(names)}")
        texts, classes = (row["name"], row["key"], row["contract"]), row["classes"]
        numbers = [row[name] for name in names[2:] if name not in ("contract", "classes")]
        if not all(isinstance(text, str) and text for text in texts):
            raise Rejected(Reason.WRONG_TYPE, "name, key and contract of a card are text")
        if not isinstance(classes, list) or not all(map(_natural, [*numbers, *classes])):
            raise Rejected(Reason.WRONG_TYPE, "a card's other fields are whole numbers")
        key = load_public_key(row["key"]).as_device_key()
        return cls(**row | {"key": key, "classes": tuple(classes)})


def _natural(value: Any) -> bool:
    return type(value) is int and value >= 0
