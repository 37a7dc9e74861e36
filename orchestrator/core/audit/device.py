"""Stages device_key, evidence and events: who signed what, under which key, without a gap."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from device_adapters import registry
from device_adapters.keys import genuine
from device_adapters.types import Curve, DeviceKey, Event, Message, Rejected

from .blocks import unproven
from .case import Case
from .reading import unbase64, unhex

_CURVES = (Curve.SECP256R1, Curve.SECP256K1)
_KEYS = ("DeviceEnrolled", "KeyRotated")
_STATES = {
    "DeviceSuspended": "suspended",
    "DeviceResumed": "",
    "DeviceRevoked": "retired",
}
_LIFE = (*_KEYS, *_STATES, "CompromiseDeclared")

History = Sequence[tuple[str, tuple[Any, ...]]]


def device_key(case: Case) -> str:
    """The device's key history is proven, and each record's key was the valid one at its time."""
    case.device_id = unhex(case.bundle["device"]["id"], "device.id", 32)
    proofs = case.bundle["device"]["history"]
    case.history = case.history_of(proofs, "registry", _LIFE, case.device_id)
    if not case.history or case.history[0][0] != "DeviceEnrolled":
        raise unproven("the registry's history does not begin with the device's enrolment")
    for event in _readable(case.bundle["evidence"]):
        signed_by = [key for key in _keys(case.history) if genuine(event.signed, key)]
        if signed_by and key_at(case.history, event.observed_at_ms // 1000) not in signed_by:
            raise unproven(f"record {event.counter} is signed by a key not valid at its time")
    return f"{len(case.history)} registry events of device 0x{case.device_id.hex()}"


def evidence(case: Case) -> str:
    """Each record is genuine: signed by the device over exactly these bytes."""
    records = case.bundle["evidence"]
    if not records:
        raise unproven("there is no evidence")
    case.events = [_genuine(case, record, f"record {n}") for n, record in enumerate(records)]
    if case.bundle["anchor"] is not None:
        case.anchor = _genuine(case, case.bundle["anchor"], "the anchor record")
    return f"{len(records)} records signed by {case.events[0].device}"


def events(case: Case) -> str:
    """The counters rise by one from record to record, and the anchor comes before them."""
    counters = [event.counter for event in case.events]
    if counters != list(range(counters[0], counters[0] + len(counters))):
        raise unproven(f"the counters have a gap or are out of order: {counters[:20]}")
    if case.anchor is not None and case.anchor.counter >= counters[0]:
        raise unproven("the anchor record does not come before the claim's records")
    unbillable = next((event for event in case.events if event.not_billable), None)
    if unbillable is not None:
        raise unproven(f"record {unbillable.counter}: {', '.join(unbillable.not_billable)}")
    return f"counters {counters[0]} to {counters[-1]}"


def key_at(history: History, at: int) -> DeviceKey | str:
    """The key valid at `at` (Unix seconds), or why there is none; as `DeviceRegistry.keyAt`."""
    key, barred = None, "not enrolled yet"
    for name, arguments in history:
        if name == "CompromiseDeclared" and at >= arguments[1]:
            return "compromised"
        if arguments[-1] > at:
            continue
        if name in _KEYS:
            key, barred = _key(arguments), ""
        elif name in _STATES:
            barred = _STATES[name]
    return barred or key or "not enrolled yet"


def _keys(history: History) -> list[DeviceKey]:
    return [_key(arguments) for name, arguments in history if name in _KEYS]


def _key(arguments: tuple[Any, ...]) -> DeviceKey:
    curve, x, y = arguments[1:4]
    if curve >= len(_CURVES):
        raise unproven(f"curve {curve} of the registry is not known")
    return DeviceKey(_CURVES[curve], int.from_bytes(x, "big"), int.from_bytes(y, "big"))


def _readable(records: Sequence[dict[str, str]]) -> list[Event]:
    """The records that can be read; stage `evidence` names those that cannot."""
    found = []
    for record in records:
        try:
            found.append(_read(record, "record"))
        except Rejected:
            continue
    return found


def _read(record: dict[str, str], what: str) -> Event:
    body = unbase64(record["record"], what)
    # a seal's spelling can change under a valid signature: the name of the record is its hash
    if "0x" + sha256(body).hexdigest() != record["sha256"]:
        raise unproven(f"{what} does not have the SHA-256 that names it")
    message = Message(protocol=record["protocol"], device="", body=body, source="file")
    outcomes = registry.read(message)
    if len(outcomes) != 1 or isinstance(outcomes[0], Rejected):
        raise unproven(f"{what} cannot be read: {outcomes[0] if outcomes else 'empty'}")
    if outcomes[0].evidence != body:
        raise unproven(f"{what} holds bytes beside the record")
    return outcomes[0]


def _genuine(case: Case, record: dict[str, str], what: str) -> Event:
    event = _read(record, what)
    if event.device_id != case.device_id:
        raise unproven(f"{what} is of device {event.device}, not of the enrolled one")
    key = key_at(case.history, event.observed_at_ms // 1000)
    if isinstance(key, str):
        raise unproven(f"{what}: the device was {key} at its time")
    if not genuine(event.signed, key):
        raise unproven(f"{what} is not signed by the device's key of its time")
    return event
