"""Makes the card of a wearable that a merchant's terminal keeps, from registry and terms."""

from __future__ import annotations

from device_adapters.merchant.terminal import WearableCard
from device_adapters.types import DeviceKey
from orchestrator.products.wearable_voucher.abi import decode_terms


def make_card(name: str, key: DeviceKey, terms: bytes, as_of: int) -> WearableCard:
    """Return what a terminal must know about a wearable to accept its vouchers offline.

    Args:
        name: the wearable's device name.
        key: its key in the registry, valid at `as_of`.
        terms: the agreement's encoded terms.
        as_of: Unix seconds of the look-up.
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
