"""Verifies events in batches: the device's key, or its gateway's, of the event's time signed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from device_adapters.keys import genuine
from device_adapters.types import Assurance, DeviceKey, Event, Rejected, device_id

from .types import ClaimReason, KeyRing


def verify_events(events: Sequence[Event], keyring: KeyRing) -> list[Event | Rejected]:
    """Verify newly arrived events.

    The curve comes first: the registry on chain cannot hold keys of other curves, so such a record
    can never settle even if it is genuine. Then the state of the device, then the signature: of the
    device's own key, or of the gateway that the event names and that the device's owner assigned
    for that time. Then the state of both counts, and their compromise.

    Once a device is declared compromised, no event that arrives and that it signed is accepted any
    more, no matter which time it states: a thief can date back. Events accepted before the
    declaration stay, and are judged by the key of their time. The price: a record from before the
    compromise that arrives after the declaration is lost, also one that an oracle lacks for an
    older claim. A gateway that is compromised loses the records of all devices behind it.

    Returns:
        One entry per event, in order: the verified event, whose `gateway` and `assurance` say who
        signed it, or a rejection with a ClaimReason.
    """
    return [verify_event(event, keyring, is_new=True) for event in events]


def verify_event(event: Event, keyring: KeyRing, is_new: bool = False) -> Event | Rejected:
    """Verify one event by the keys of its time.

    Args:
        event: A decoded event.
        keyring: The registry.
        is_new: Whether it arrives now: then a declared compromise refuses it.
    """
    if not event.signed.curve.settles:
        return _rejected(event, ClaimReason.CURVE_NOT_SETTLED)
    own = keyring.key_at(event.device_id, event.observed_at_ms // 1000)
    if isinstance(own, ClaimReason) and own is not ClaimReason.DEVICE_WITHOUT_KEY:
        return _rejected(event, own)
    if is_new and keyring.compromised_since(event.device_id) is not None:
        return _rejected(event, ClaimReason.DEVICE_COMPROMISED)
    if isinstance(own, DeviceKey) and genuine(event.signed, own):
        return replace(event, gateway="") if event.gateway else event
    if event.gateway and (isinstance(own, ClaimReason) or _is_assigned(event, keyring)):
        return _by_gateway(event, keyring, is_new)
    if own is ClaimReason.DEVICE_WITHOUT_KEY:
        return _rejected(event, own)
    return _rejected(event, ClaimReason.SIGNATURE_FORGED)


def _is_assigned(event: Event, keyring: KeyRing) -> bool:
    """Return whether the device's owner assigned the gateway that the event names, at its time."""
    assigned = keyring.gateway_at(event.device_id, event.observed_at_ms // 1000)
    return assigned == device_id(event.gateway)


def _by_gateway(event: Event, keyring: KeyRing, is_new: bool) -> Event | Rejected:
    gateway, at = device_id(event.gateway), event.observed_at_ms // 1000
    if not _is_assigned(event, keyring):
        when = datetime.fromtimestamp(at, UTC).isoformat()
        detail = (
            f"the owner of {event.device} has not assigned the gateway {event.gateway} to it for "
            f"{when} (counter {event.counter})"
        )
        return Rejected(ClaimReason.GATEWAY_NOT_ASSIGNED, detail, event.evidence)
    key = keyring.key_at(gateway, at)
    reason = key if isinstance(key, ClaimReason) else None
    if reason is None and is_new and keyring.compromised_since(gateway) is not None:
        reason = ClaimReason.DEVICE_COMPROMISED
    if reason is None and not genuine(event.signed, key):
        reason = ClaimReason.SIGNATURE_FORGED
    if reason is not None:
        return _rejected(event, reason, f", by its gateway {event.gateway}")
    weaker = max(event.assurance, Assurance.GATEWAY, key=lambda assurance: assurance.number)
    return event if event.assurance is weaker else replace(event, assurance=weaker)


def _rejected(event: Event, reason: ClaimReason, further: str = "") -> Rejected:
    detail = f"device {event.device}, counter {event.counter}{further}"
    return Rejected(reason, detail, event.evidence)


def reason_now(event: Event, keyring: KeyRing) -> ClaimReason | None:
    """Return why a verified event no longer counts by the keys of its time; None if it does.

    A key may have been revoked since, from an earlier time on.
    """
    if event.gateway:
        outcome = verify_event(event, keyring)
        return outcome.reason if isinstance(outcome, Rejected) else None
    key = keyring.key_at(event.device_id, event.observed_at_ms // 1000)
    return key if isinstance(key, ClaimReason) else None
