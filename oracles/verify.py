"""Says of each event, in batches, whether the device's key of that time signed this content."""

from __future__ import annotations

from collections.abc import Sequence

from device_adapters.keys import genuine
from device_adapters.types import Event

from .types import Doubt, KeyRing


def verify_events(events: Sequence[Event], keyring: KeyRing) -> list[Doubt | None]:
    """One answer per event, in order: None where it is genuine, else why it is not believed.

    CURVE_NOT_SETTLED comes first, since no registry on chain can hold such a key: the record may be
    genuine and still can never settle. Then the key's own state, then the signature.
    """
    return [_doubt(event, keyring) for event in events]


def _doubt(event: Event, keyring: KeyRing) -> Doubt | None:
    if not event.signed.curve.settles:
        return Doubt.CURVE_NOT_SETTLED
    key = keyring.key_at(event.device_id, event.observed_at_ms // 1000)
    if isinstance(key, Doubt):
        return key
    return None if genuine(event.signed, key) else Doubt.SIGNATURE_FORGED
