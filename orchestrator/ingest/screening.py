"""What the store knows that speaks for or against a new event: what it cites, where its device was.

Both are read once per batch, before its first event is judged; events of the batch itself count
from their turn on.
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
from orchestrator.edges.store import Session, citations, evidence

_place = msgspec.json.Decoder(Place)
# device -> place -> what was seen of it there, with the event that says so
_Sightings = defaultdict[bytes, dict[Place, list[tuple[Sighting, str]]]]


def hexed(value: bytes) -> str:
    """0x-hex, as the store has ids."""
    return "0x" + value.hex()


class Screening:
    """The further questions about the events of one batch (rules.screen asks them in turn).

    names, citations, places: column values of what the taken ones add, to be stored with them.
    clashes: id() of a refused event -> the event that it cannot be true together with.
    """

    def __init__(self, session: Session, events: Sequence[Event]) -> None:
        cited = {name for event in events for name in event.cites}
        self._bearers: dict[tuple[str, str], list[citations.Bearer]] = (
            citations.bearers(session, sorted(cited)) if cited else {}
        )
        self._sightings = _sightings(session, events)
        self.names: list[dict[str, Any]] = []
        self.citations: list[dict[str, Any]] = []
        self.clashes: dict[int, str] = {}

    def ask(self, event: Event, route: Route) -> EventVerdict | None:
        """Why an event that nothing else speaks against is not taken; None: it is."""
        verdict = self._uncited(event) or self._elsewhere(event)
        if verdict is None:
            self._take(event)
        return verdict

    def _uncited(self, event: Event) -> EventVerdict | None:
        subject = hexed(event.subject_id)
        unknown = [name for name in event.cites if not self._bearers.get((name, subject))]
        if not unknown:
            return None
        detail = f"nothing known about this subject bears {unknown[0][:120]}: send it first"
        return EventVerdict(event, ClaimReason.CITED_EVENT_UNKNOWN, detail)

    def _elsewhere(self, event: Event) -> EventVerdict | None:
        mine = sighting(event)
        if mine is None:
            return None
        for place, seen in self._sightings[event.device_id].items():
            if place == mine.place:
                continue
            for other, event_id in seen:
                if why := clash(mine, other):
                    self.clashes[id(event)] = event_id
                    return EventVerdict(event, ClaimReason.TWO_PLACES, why)
        return None

    def _take(self, event: Event) -> None:
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
        if (mine := sighting(event)) is not None:
            _note(self._sightings, event.device_id, mine, identity)

    def _cited(self, event: Event, subject: str) -> dict[str, str]:
        """Each cited id's event: the one that was here first, so that a copy displaces nothing;
        among those so chosen as `oracles.citations.resolve` does, so that everyone else who is
        given them comes to the same."""
        known = {name: self._bearers[name, subject] for name in event.cites}
        chosen = {bearers[0] for bearers in known.values()}
        return {name: min(chosen.intersection(bearers))[2] for name, bearers in known.items()}


def place_columns(event: Event) -> dict[str, Any]:
    """`place` and `began_ms` of an event's row."""
    seen = sighting(event)
    if seen is None:
        return {"place": None, "began_ms": None}
    return {"place": _written(seen.place), "began_ms": seen.from_ms}


def _note(known: _Sightings, device: bytes, seen: Sighting, event_id: str) -> None:
    known[device].setdefault(seen.place, []).append((seen, event_id))


def _sightings(session: Session, events: Iterable[Event]) -> _Sightings:
    """What is stored of these events' devices at other places, near enough in time to matter."""
    found: _Sightings = defaultdict(dict)
    placed = [(event, seen) for event in events if (seen := sighting(event)) is not None]
    if not placed:
        return found
    here = {(hexed(event.device_id), _written(seen.place)) for event, seen in placed}
    first = min(seen.from_ms for _, seen in placed) - LONGEST_TRIP_MS
    last = max(seen.to_ms for _, seen in placed) + LONGEST_TRIP_MS
    for device, event_id, place, began, ended in evidence.sighted_elsewhere(
        session, here, first, last
    ):
        seen = Sighting(_place.decode(place), began, ended)
        _note(found, bytes.fromhex(device[2:]), seen, event_id)
    return found


def _written(place: Place) -> str:
    return msgspec.json.encode(place).decode()
