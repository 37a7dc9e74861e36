"""Verifies events in batches: the device's key at the event's time must have signed its content."""

from __future__ import annotations

from collections.abc import Sequence

from device_adapters.keys import genuine
from device_adapters.types import Event

from .types import ClaimReason, KeyRing


def verify_events(events: Sequence[Event], keyring: KeyRing) -> list[ClaimReason | None]:
    """Verify newly arrived events.

    The curve comes first: the registry on chain cannot hold keys of other curves, so such a record
    can never settle even if it is genuine. Then the state of the key, then the signature.

    Once a device is declared compromised, no event that arrives is accepted any more, no matter
    which time it states: a thief can date back. Events accepted before the declaration stay, and
    are judged by the key of their time. The price: a record from before the compromise that arrives
    after the declaration is lost, also one that an oracle lacks for an older claim.

    Returns:
        One entry per event, in order: None if it is genuine, else the reason why not.
    """
    devices = {event.device_id for event in events}
    stolen = {device for device in devices if keyring.compromised_since(device) is not None}
    return [_reason(event, keyring, stolen) for event in events]


def _reason(event: Event, keyring: KeyRing, stolen: set[bytes]) -> ClaimReason | None:
    if not event.signed.curve.settles:
        return ClaimReason.CURVE_NOT_SETTLED
    key = keyring.key_at(event.device_id, event.observed_at_ms // 1000)
    if isinstance(key, ClaimReason):
        return key
    if event.device_id in stolen:
        return ClaimReason.DEVICE_COMPROMISED
    return None if genuine(event.signed, key) else ClaimReason.SIGNATURE_FORGED
