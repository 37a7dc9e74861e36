"""What a run's events cite: ids of other genuine events about the same subject.

Pure. Several events may bear one id (an EPCIS Event Hash ID says nothing of who signed); whoever
derives a claim says which ones it stands on by handing them over, and the claim's evidence root
names them. The rail takes the one it had first, so a copy published later displaces nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from device_adapters.types import Event


def cited_ids(run: Iterable[Event]) -> list[str]:
    """The ids that these events cite, in order of first citation, without repeats."""
    return list(dict.fromkeys(name for event in run for name in event.cites))


def resolve(run: Sequence[Event], candidates: Iterable[Event]) -> dict[str, Event]:
    """id -> the candidate that bears it, for every cited id that one bears.

    A candidate must speak of the same subject as the run. Where several bear an id, the one with
    the lowest (device_id, counter) does.
    """
    subject = run[0].subject_id if run else b""
    bearers: dict[str, Event] = {}
    fitting = (event for event in candidates if event.subject_id == subject)
    for event in sorted(fitting, key=lambda event: (event.device_id, event.counter)):
        for name in event.names:
            bearers.setdefault(name, event)
    return {name: bearers[name] for name in cited_ids(run) if name in bearers}


def unresolved(run: Sequence[Event], cited: Mapping[str, Event]) -> list[str]:
    """The cited ids that nothing bears."""
    return [name for name in cited_ids(run) if name not in cited]


def cited_events(run: Sequence[Event], cited: Mapping[str, Event]) -> list[Event]:
    """The events that a run cites, in order of first citation, without repeats.

    Their evidence follows that of the run in the claim's evidence tree. One that is itself part of
    the run stands there already.
    """
    taken = {event.event_id for event in run}
    found: dict[bytes, Event] = {}
    for name in cited_ids(run):
        event = cited[name]
        if event.event_id not in taken:
            found.setdefault(event.event_id, event)
    return list(found.values())
