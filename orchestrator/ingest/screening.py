"""Checks new events against stored ones: what they cite, and where their devices were.

Both are read once per batch, before its first event is judged. An accepted event of the batch
counts for the events after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from device_adapters.registry import load
from device_adapters.types import Event, Place
from oracles.hearing import heard_devices
from oracles.places import LONGEST_TRIP_MS, Sighting, clash, sighting
from oracles.routing import Route
from oracles.rules import EventVerdict
from oracles.types import ClaimReason, ProductRules
from orchestrator.edges.store import Session, citations, evidence

_place = msgspec.json.Decoder(Place)
# device id -> place -> sightings there, each with its event id
_Sightings = defaultdict[bytes, dict[Place, list[tuple[Sighting, str]]]]


def hexed(value: bytes) -> str:
    """Return bytes as 0x-hex, the form of ids in the store."""
    return "0x" + value.hex()


class Screening:
    """The store's checks of one batch's events (rules.screen calls `check` for each in turn).

    names, citations: rows that the accepted events add. clashes: id() of a refused event -> the
    event id that it contradicts.
    """

    def __init__(
        self, session: Session, events: Sequence[Event], rules: Mapping[str, ProductRules]
    ) -> None:
        self._cited_names = {name for event in events for name in event.cites}
        self._rules = rules
        # name -> (subject id, event) of its bearers, the earliest stored first
        self._bearers = _bearers(session, sorted(self._cited_names))
        self._sightings = _sightings(session, events)
        self.names: list[dict[str, Any]] = []
        self.citations: list[dict[str, Any]] = []
        self.clashes: dict[int, str] = {}

    def check(self, event: Event, route: Route) -> EventVerdict | None:
        """Return why an event that passed all other checks is refused; None accepts it."""
        citable = self._citable(event, route)
        verdict = _unknown_citation(event, citable) or self._two_places(event)
        if verdict is None:
            self._accept(event, citable)
        return verdict

    def _citable(self, event: Event, route: Route) -> dict[str, list[citations.Bearer]]:
        """Return cited id -> the events that it may mean, the earliest stored first.

        They are about the event's subject, or of a device that the terms of its agreement name.
        """
        if not event.cites:
            return {}
        subject, agreement = hexed(event.subject_id), route.agreement
        heard = heard_devices(
            self._rules.get(agreement.product), agreement.terms, agreement.device_id
        )
        devices = {hexed(device) for device in heard}
        return {
            name: [
                bearer
                for about, bearer in self._bearers.get(name, ())
                if about == subject or bearer[0] in devices
            ]
            for name in event.cites
        }

    def _two_places(self, event: Event) -> EventVerdict | None:
        current = sighting(event)
        if current is None:
            return None
        for place, sightings in self._sightings[event.device_id].items():
            if place == current.place:
                continue
            for other, event_id in sightings:
                if detail := clash(current, other):
                    self.clashes[id(event)] = event_id
                    return EventVerdict(event, ClaimReason.TWO_PLACES, detail)
        return None

    def _accept(self, event: Event, citable: Mapping[str, list[citations.Bearer]]) -> None:
        identity, subject = hexed(event.event_id), hexed(event.subject_id)
        cited = _chosen(citable)
        self.citations += [
            {"event_id": identity, "position": n, "name": name, "cited_event_id": cited[name]}
            for n, name in enumerate(event.cites)
        ]
        if self._cited_names:
            bearer = hexed(event.device_id), event.counter, identity
            for name in self._cited_names.intersection(event.all_names):
                self._bearers[name].append((subject, bearer))
        self.names += [
            {"name": name, "event_id": identity, "subject_id": subject} for name in event.names
        ]
        if (current := sighting(event)) is not None:
            _add(self._sightings, event.device_id, current, identity)


def _unknown_citation(
    event: Event, citable: Mapping[str, Sequence[citations.Bearer]]
) -> EventVerdict | None:
    unknown = [name for name in event.cites if not citable[name]]
    if not unknown:
        return None
    detail = (
        "no event about this subject, or of a device that the terms name, has the id "
        f"{unknown[0][:120]}: send that event first"
    )
    return EventVerdict(event, ClaimReason.CITED_EVENT_UNKNOWN, detail)


def _chosen(citable: Mapping[str, Sequence[citations.Bearer]]) -> dict[str, str]:
    """Return cited id -> event id: the event that arrived first, so that a copy replaces none.

    Among these the lowest is taken, as `oracles.citations.resolve` does, so that everyone who gets
    the chosen events resolves the ids in the same way.
    """
    chosen = {bearers[0] for bearers in citable.values()}
    return {name: min(chosen.intersection(bearers))[2] for name, bearers in citable.items()}


def _bearers(
    session: Session, names: Sequence[str]
) -> defaultdict[str, list[tuple[str, citations.Bearer]]]:
    """Load which stored events bear these names: (subject id, event), the earliest first."""
    by_name: defaultdict[str, list[tuple[str, citations.Bearer]]] = defaultdict(list)
    if not names:
        return by_name
    for (name, subject), bearers in citations.bearers(session, names).items():
        by_name[name] += [(subject, bearer) for bearer in bearers]
    for record in citations.named_by_hash(session, names):
        event = load(record.protocol).decode(record.body)
        by_name[record.name].append((hexed(event.subject_id), record.bearer))
    return by_name


def place_columns(event: Event) -> dict[str, Any]:
    """Return the columns `place` and `began_ms` of an event's row."""
    current = sighting(event)
    if current is None:
        return {"place": None, "began_ms": None}
    return {"place": _json(current.place), "began_ms": current.from_ms}


def _add(sightings: _Sightings, device: bytes, new: Sighting, event_id: str) -> None:
    sightings[device].setdefault(new.place, []).append((new, event_id))


def _sightings(session: Session, events: Iterable[Event]) -> _Sightings:
    """Load where these events' devices were at other places, near enough in time to matter."""
    sightings: _Sightings = defaultdict(dict)
    placed = [(event, current) for event in events if (current := sighting(event)) is not None]
    if not placed:
        return sightings
    own_places = {(hexed(event.device_id), _json(current.place)) for event, current in placed}
    first = min(current.from_ms for _, current in placed) - LONGEST_TRIP_MS
    last = max(current.to_ms for _, current in placed) + LONGEST_TRIP_MS
    rows = evidence.sighted_elsewhere(session, own_places, first, last)
    for device, event_id, place, from_ms, to_ms in rows:
        stored = Sighting(_place.decode(place), from_ms, to_ms)
        _add(sightings, bytes.fromhex(device[2:]), stored, event_id)
    return sightings


def _json(place: Place) -> str:
    return msgspec.json.encode(place).decode()
