"""The card that a merchant's terminal keeps of a wearable, made from the registry and the terms."""

from __future__ import annotations

from device_adapters.merchant.terminal import WearableCard
from device_adapters.types import DeviceKey
from orchestrator.products.wearable_voucher.abi import decode_terms


def card_of(name: str, key: DeviceKey, terms: bytes, as_of: int) -> WearableCard:
    """What a terminal must know of the wearable `name` to take its vouchers offline.

    key: the registry's, valid at `as_of` (Unix seconds); terms: the agreement's.
    """
    agreed = decode_terms(terms)
    return WearableCard(
        name=name,
        key=key,
        chain_id=agreed.chain_id,
        contract=agreed.contract.lower(),
        per_tap=agreed.per_tap,
        per_day=agreed.per_day,
        classes=agreed.classes,
        cool_off=agreed.cool_off,
        offline_taps=agreed.offline_taps,
        offline_amount=agreed.offline_amount,
        max_age=agreed.max_age,
        as_of=as_of,
    )
