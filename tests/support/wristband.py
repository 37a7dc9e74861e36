"""A simulated wearable with terms of its own, and the card that terminals keep of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from device_adapters.merchant.card import WearableCard
from orchestrator.products.wearable_voucher import product
from orchestrator.products.wearable_voucher.abi import VoucherTerms
from services.simulated_devices.wearable import SimulatedWearable

EURO, DAY = 1_000_000, 86_400
NOW = 1_790_000_000 // DAY * DAY + 3_600
MERCHANT = "0x" + "aa" * 20
OTHER = "0x" + "bb" * 20
TERMS = VoucherTerms(
    chain_id=31337,
    contract="0xc0C0C0c0C0C0c0C0c0C0c0C0c0C0c0c0c0c0C0C0",
    per_tap=25 * EURO,
    per_day=0,
    classes=(5814,),
    cool_off=0,
    offline_taps=5,
    offline_amount=60 * EURO,
    max_age=3 * DAY,
)


def band(folder: Path, cap: int = 1_000 * EURO, **terms: Any) -> SimulatedWearable:
    return SimulatedWearable(folder / "band", "BAND-1", 1, TERMS._replace(**terms), cap)


def card(wearable: SimulatedWearable, as_of: int = NOW, **terms: Any) -> WearableCard:
    """The card of it; `terms` where the terminal's differ from the secure element's."""
    raw = product.encode_terms(wearable.terms._replace(**terms))
    return product.make_card(wearable.name, wearable.public, raw, as_of)


def twin_of(record: bytes) -> bytes:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    fields = json.loads(record)
    r, s = fields["signature"][:66], int(fields["signature"][66:], 16)
    return json.dumps(
        fields | {"signature": f"{r}{order - s:064x}"}, separators=(",", ":")
    ).encode()
