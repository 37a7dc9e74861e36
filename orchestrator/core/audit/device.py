"""Stages device_key, evidence and events: which device signed what, and with which key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from device_adapters import registry
from device_adapters.keys import genuine
from device_adapters.types import Curve, DeviceKey, Event, Message, Rejected, device_id
from oracles.citations import cited_events, resolve, unresolved
from oracles.hearing import heard_devices, hearing, with_heard
from oracles.types import Agreement, ClaimReason
from oracles.verify import verify_event

from .blocks import unproven
from .case import BEFORE, Case, History
from .reading import unbase64, unhex

_CURVES = (Curve.SECP256R1, Curve.SECP256K1)
_KEYS = ("DeviceEnrolled", "KeyRotated")
_STATES = {
    "DeviceSuspended": "suspended",
    "DeviceResumed": "",
    "DeviceRevoked": "retired",
}
_STOLEN = ("CompromiseDeclared", "CompromiseRuled")
_LIFE = (*_KEYS, *_STATES, *_STOLEN, "GatewayAssigned")
_ADOPTED, _STOLEN_BEFORE = "DeviceAdopted", "StolenBefore"
_KEYLESS = "without a key of its own"
# the words of `key_at` as the rules of records have them
_REASONS = {
    "not enrolled yet": ClaimReason.DEVICE_NOT_YET_ENROLLED,
    "suspended": ClaimReason.DEVICE_SUSPENDED,
    "retired": ClaimReason.DEVICE_RETIRED,
    "compromised": ClaimReason.DEVICE_COMPROMISED,
    "expired": ClaimReason.KEY_EXPIRED,
    _KEYLESS: ClaimReason.DEVICE_WITHOUT_KEY,
}


@dataclass(frozen=True, slots=True)
class _ProvenKeys:
    """The keys and gateways that the bundle's registry events prove (oracles.types.KeyRing)."""

    histories: dict[bytes, History]

    def key_at(self, device: bytes, at: int) -> DeviceKey | ClaimReason:
        if device not in self.histories:
            return ClaimReason.DEVICE_UNKNOWN
        key = key_at(self.histories[device], at)
        return _REASONS[key] if isinstance(key, str) else key

    def gateway_at(self, device: bytes, at: int) -> bytes | None:
        return gateway_at(self.histories.get(device, []), at)

    def compromised_since(self, device: bytes) -> int | None:
        return None  # what was accepted before a declaration stays; `key_at` knows the dates


def device_key(case: Case) -> str:
    """Check each device's proven key history, and that each record's key was valid at its time."""
    for entry in case.bundle["devices"]:
        device = unhex(entry["id"], "a device's id", 32)
        if device in case.histories:
            raise unproven(f"the history of device 0x{device.hex()} is given twice")
        history = _life_of(case, entry["history"], device)
        if not history or history[0][0] not in ("DeviceEnrolled", "GatewayAssigned"):
            raise unproven("the registry's history does not begin with the device's enrolment")
        case.histories[device] = history
    if not case.histories:
        raise unproven("there is no device's history")
    case.device_id = next(iter(case.histories))
    for event in _readable([*case.bundle["evidence"], *case.bundle["supporting"]]):
        history = case.histories.get(event.device_id, [])
        signed_by = [key for key in _keys(history) if genuine(event.signed, key)]
        if signed_by and key_at(history, event.observed_at_ms // 1000) not in signed_by:
            raise unproven(f"record {event.counter} is signed by a key not valid at its time")
    count = sum(map(len, case.histories.values()))
    return f"{count} registry events of {len(case.histories)} device(s)"


def _life_of(case: Case, proofs: list[dict[str, Any]], device: bytes) -> History:
    """Return a device's registry events, in order.

    Those of the registry before this one are among them, where this one took the device over from
    it. What it said later counts no more, but for a stolen key: that counts for the time before.
    """
    adopted = (
        arguments
        for proof in proofs
        for name, arguments in case.events_of(proof, "registry", "the registry's history")
        if name == _ADOPTED and arguments[0] == device
    )
    _, predecessor, adopted_at = next(adopted, (b"", "0x", 0))
    before = bytes.fromhex(predecessor[2:])
    life, is_adopted = [], False
    for name, arguments in case.history_of(proofs, "registry", (*_LIFE, _ADOPTED), device, before):
        plain = name.removeprefix(BEFORE)
        if name == _ADOPTED:
            is_adopted = True
        elif name == plain or not is_adopted:
            life.append((plain, arguments))
        elif plain == "CompromiseDeclared":
            life.append((_STOLEN_BEFORE, (device, arguments[1], adopted_at)))
    return life


def evidence(case: Case) -> str:
    """Check that each record is genuine: signed by its device over exactly these bytes."""
    records, supporting = case.bundle["evidence"], case.bundle["supporting"]
    if not records:
        raise unproven("there is no evidence")
    case.events = [_own(case, record, f"record {number}") for number, record in enumerate(records)]
    if case.bundle["anchor"] is not None:
        case.anchor = _own(case, case.bundle["anchor"], "the anchor record")
    case.supporting = [
        _genuine(case, record, f"supporting record {number}")
        for number, record in enumerate(supporting)
    ]
    signed = [*case.events, *([case.anchor] if case.anchor else []), *case.supporting]
    gateways = [device_id(event.gateway) for event in signed if event.gateway]
    devices = [case.device_id, *(event.device_id for event in case.supporting)]
    if list(dict.fromkeys(devices + gateways)) != list(case.histories):
        raise unproven("the devices are not those that signed the records, in their order")
    more = f", {len(supporting)} that they cite" if supporting else ""
    return f"{len(records)} records signed by {_signers(case.events)}{more}"


def _signers(events: Sequence[Event]) -> str:
    """Return the device, or its gateways, with the weakest assurance of these records."""
    names = dict.fromkeys(event.gateway or event.device for event in events)
    least = max((event.assurance for event in events), key=lambda assurance: assurance.number)
    behind = "" if events[0].device in names else f" for {events[0].device}"
    return f"{', '.join(names)}{behind} (assurance: {least})"


def events(case: Case) -> str:
    """Check that the counters rise, by one where the product requires it.

    The anchor comes before them. The supporting records are exactly those that they cite, then
    those of the devices and the time that their terms hear.
    """
    counters = [event.counter for event in case.events]
    rules = case.products.get(case.bundle["product"])
    gapless = rules is not None and rules.GAPLESS
    if counters != (_contiguous(counters) if gapless else sorted(set(counters))):
        raise unproven(f"the counters have a gap or are out of order: {counters[:20]}")
    if case.anchor is not None and case.anchor.counter >= counters[0]:
        raise unproven("the anchor record does not come before the claim's records")
    unbillable = next((event for event in case.events if event.not_billable), None)
    if unbillable is not None:
        raise unproven(f"record {unbillable.counter}: {', '.join(unbillable.not_billable)}")
    _check_citations(case)
    return f"counters {counters[0]} to {counters[-1]}"


def _contiguous(counters: Sequence[int]) -> list[int]:
    return list(range(counters[0], counters[0] + len(counters)))


def _check_citations(case: Case) -> None:
    rules, candidates = case.products.get(case.bundle["product"]), [*case.events, *case.supporting]
    hearer = _hearer(case) if hasattr(rules, "hears") else None
    devices = heard_devices(rules, hearer.terms, hearer.device_id) if hearer else ()
    case.cited = resolve(case.events, candidates, devices)
    missing = unresolved(case.events, case.cited)
    if missing:
        raise unproven(f"{missing[0]} is cited, and no record of the bundle bears that id")
    span = hearing(hearer, rules, case.anchor, case.events) if hearer else None
    case.cited = with_heard(case.events, case.cited, span, case.supporting)
    wanted = [event.event_id for event in cited_events(case.events, case.cited)]
    if wanted != [event.event_id for event in case.supporting]:
        raise unproven(
            "the supporting records are not those that the claim's records cite, then those that "
            "its terms hear"
        )


def _hearer(case: Case) -> Agreement:
    """Return what decides about hearing: device and terms, which stage `mandate` checks.

    Times before the agreement's start are not left out here: the oracles judged those.
    """
    fields = case.bundle["mandate"]["fields"]
    return Agreement(
        agreement=b"",
        device="",
        device_id=case.device_id,
        product=case.bundle["product"],
        terms=unhex(fields["terms"], "mandate.terms"),
        start=0,
        expires_at=0,
        first_counter=0,
    )


def key_at(history: History, at: int) -> DeviceKey | str:
    """Return the key valid at `at` (Unix seconds), or why there is none, as the registry does."""
    key, barred, ends = None, "not enrolled yet", 0
    started, stolen = False, _stolen_since(history)
    for name, arguments in history:
        if arguments[-1] > at:
            continue
        if name in _KEYS:
            key, barred, ends = _key(arguments), "", arguments[-2]
        elif name in _STATES:
            barred = _STATES[name]
        elif name == "GatewayAssigned" and not started:
            barred = ""  # of an unknown device: it is enrolled without a key
        started = True
    if started and ((stolen and at >= stolen) or _was_stolen(history, at)):
        return "compromised"
    if barred or key is None:
        return barred or _KEYLESS
    return "expired" if ends and at >= ends else key


def _stolen_since(history: History) -> int:
    """Return since when the key is stolen; 0: never. A ruling replaces what came before it."""
    since = 0
    for name, arguments in history:
        if name == "CompromiseDeclared":
            since = min(since, arguments[1]) if since else arguments[1]
        elif name == "CompromiseRuled":
            since = arguments[1]
    return since


def _was_stolen(history: History, at: int) -> bool:
    """Return whether a former registry said later that the key was stolen then."""
    spans = [arguments[1:] for name, arguments in history if name == _STOLEN_BEFORE]
    return any(since <= at < until for since, until in spans)


def gateway_at(history: History, at: int) -> bytes | None:
    """Return the gateway assigned to a device at `at` (Unix seconds), as the registry does."""
    gateway = None
    for name, arguments in history:
        if name == "GatewayAssigned" and arguments[3] <= at:
            _, named, _, _, until, _ = arguments
            gateway = named if any(named) and (not until or at < until) else None
    return gateway


def _keys(history: History) -> list[DeviceKey]:
    return [_key(arguments) for name, arguments in history if name in _KEYS]


def _key(arguments: tuple[Any, ...]) -> DeviceKey:
    curve, x, y = arguments[1:4]
    if curve >= len(_CURVES):
        raise unproven(f"curve {curve} of the registry is not known")
    return DeviceKey(_CURVES[curve], int.from_bytes(x, "big"), int.from_bytes(y, "big"))


def _readable(records: Iterable[dict[str, str]]) -> list[Event]:
    """Return the records that can be read; stage `evidence` names those that cannot."""
    events = []
    for record in records:
        try:
            events.append(_read(record, "record"))
        except Rejected:
            continue
    return events


def _read(record: dict[str, str], what: str) -> Event:
    body = unbase64(record["record"], what)
    # a seal can be respelled under a valid signature, so the hash names the record
    if "0x" + sha256(body).hexdigest() != record["sha256"]:
        raise unproven(f"{what} does not have the SHA-256 that names it")
    message = Message(protocol=record["protocol"], device="", body=body, source="file")
    outcomes = registry.read(message)
    if len(outcomes) != 1 or isinstance(outcomes[0], Rejected):
        raise unproven(f"{what} cannot be read: {outcomes[0] if outcomes else 'empty'}")
    if outcomes[0].evidence != body:
        raise unproven(f"{what} holds more bytes than the record")
    return outcomes[0]


def _own(case: Case, record: dict[str, str], what: str) -> Event:
    """Return a genuine record of the agreement's own device."""
    event = _read(record, what)
    if event.device_id != case.device_id:
        raise unproven(f"{what} is of device {event.device}, not of the enrolled one")
    return _genuine(case, record, what)


def _genuine(case: Case, record: dict[str, str], what: str) -> Event:
    event = _read(record, what)
    history = case.histories.get(event.device_id)
    if history is None:
        raise unproven(f"{what} is of device {event.device}, whose history is not here")
    key = key_at(history, event.observed_at_ms // 1000)
    if event.gateway and (key == _KEYLESS or isinstance(key, DeviceKey)):
        verified = verify_event(event, _ProvenKeys(case.histories))
        if isinstance(verified, Rejected):
            raise unproven(f"{what}: {verified}")
        return verified
    if isinstance(key, str):
        raise unproven(f"{what}: the device was {key} at its time")
    if not genuine(event.signed, key):
        raise unproven(f"{what} is not signed by the device's key of its time")
    return event
