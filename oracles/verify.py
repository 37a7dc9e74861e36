"""Says of each event, in batches, whether the device's key of that time signed this content."""

from __future__ import annotations

from collections.abc import Sequence

from device_adapters.keys import genuine
from device_adapters.types import Event

from .types import ClaimReason, KeyRing


def verify_events(events: Sequence[Event], keyring: KeyRing) -> list[ClaimReason | None]:
    """One answer per newly arrived event, in order: None where it is genuine, else why it is not
    believed.

    CURVE_NOT_SETTLED comes first, since no registry on chain can hold such a key: the record may be
    genuine and still can never settle. Then the key's own state, then the signature.

    Once a compromise is declared for a device nothing that arrives is believed any more, whatever
    time it states: a thief can date back. What was taken before the declaration stays, and is
    judged by the key of its time. The price: a record of before the compromise that arrives after
    the declaration is lost, also one that an oracle lacks for an older claim.
    """
    devices = {event.device_id for event in events}
    stolen = {device for device in devices if keyring.compromised_since(device) is not None}
    return [_doubt(event, keyring, stolen) for event in events]


def _doubt(event: Event, keyring: KeyRing, stolen: set[bytes]) -> ClaimReason | None:
    if not event.signed.curve.settles:
        return ClaimReason.CURVE_NOT_SETTLED
    key = keyring.key_at(event.device_id, event.observed_at_ms // 1000)
    if isinstance(key, ClaimReason):
        return key
    if event.device_id in stolen:
        return ClaimReason.DEVICE_COMPROMISED
    return None if genuine(event.signed, key) else ClaimReason.SIGNATURE_FORGED
