"""Checks new events against stored ones: what they cite, and where their devices were.

Both are read once per batch, before its first event is judged. An accepted event of the batch
counts for the events after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from device_adapters.types import Event, Place
from oracles.places import LONGEST_TRIP_MS, Sighting, clash, sighting
from oracles.routing import Route
from oracles.rules import EventVerdict
from oracles.types import ClaimReason
from orchestrator.edges.store import Session, links

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

    def __init__(self, session: Session, events: Sequence[Event]) -> None:
        cited = {name for event in events for name in event.cites}
        self._bearers: dict[tuple[str, str], list[links.Bearer]] = (
            links.bearers(session, sorted(cited)) if cited else {}
        )
        self._sightings = _sightings(session, events)
        self.names: list[dict[str, Any]] = []
        self.citations: list[dict[str, Any]] = []
        self.clashes: dict[int, str] = {}

    def check(self, event: Event, route: Route) -> EventVerdict | None:
        """Return why an event that passed all other checks is refused; None accepts it."""
        verdict = self._unknown_citation(event) or self._two_places(event)
        if verdict is None:
            self._accept(event)
        return verdict

    def _unknown_citation(self, event: Event) -> EventVerdict | None:
        subject = hexed(event.subject_id)
        unknown = [name for name in event.cites if not self._bearers.get((name, subject))]
        if not unknown:
            return None
        detail = f"no event about this subject has the id {unknown[0][:120]}: send that event first"
        return EventVerdict(event, ClaimReason.CITED_EVENT_UNKNOWN, detail)

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

    def _accept(self, event: Event) -> None:
        identity, subject = hexed(event.event_id), hexed(event.subject_id)
        cited = self._cited(event, subject)
        self.citations += [
            {"event_id": identity, "position": n, "name": name, "cited_event_id": cited[name]}
            for n, name in enumerate(event.cites)
        ]
        for name in event.names:
            bearer = hexed(event.device_id), event.counter, identity
            self._bearers.setdefault((name, subject), []).append(bearer)
            self.names.append({"name": name, "event_id": identity, "subject_id": subject})
        if (current := sighting(event)) is not None:
            _add(self._sightings, event.device_id, current, identity)

    def _cited(self, event: Event, subject: str) -> dict[str, str]:
        """Return cited id -> event id: the event that arrived first, so that a copy replaces none.

        Among these the lowest is taken, as `oracles.citations.resolve` does, so that everyone who
        gets the chosen events resolves the ids in the same way.
        """
        by_name = {name: self._bearers[name, subject] for name in event.cites}
        chosen = {bearers[0] for bearers in by_name.values()}
        return {name: min(chosen.intersection(bearers))[2] for name, bearers in by_name.items()}


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
    rows = links.sighted_elsewhere(session, own_places, first, last)
    for device, event_id, place, from_ms, to_ms in rows:
        stored = Sighting(_place.decode(place), from_ms, to_ms)
        _add(sightings, bytes.fromhex(device[2:]), stored, event_id)
    return sightings


def _json(place: Place) -> str:
    return msgspec.json.encode(place).decode()
