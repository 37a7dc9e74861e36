"""Citations: which other genuine events about the same subject the events of a run refer to.

Pure. Several events may bear the same id, since an EPCIS Event Hash ID does not cover the signer.
Who derives a claim passes in the chosen events, and the claim's evidence root commits to them. The
rail chooses the event that it received first, so a copy published later replaces nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from device_adapters.types import Event


def cited_ids(run: Iterable[Event]) -> list[str]:
    """Return the ids that these events cite, in order of first citation, without repeats."""
    return list(dict.fromkeys(name for event in run for name in event.cites))


def resolve(run: Sequence[Event], candidates: Iterable[Event]) -> dict[str, Event]:
    """Find the cited events among the candidates.

    Only candidates about the run's subject count. Where several bear an id, the one with the lowest
    (device_id, counter) is chosen.

    Returns:
        Cited id -> event, for every cited id that a candidate bears.
    """
    subject = run[0].subject_id if run else b""
    by_name: dict[str, Event] = {}
    same_subject = (event for event in candidates if event.subject_id == subject)
    for event in sorted(same_subject, key=lambda event: (event.device_id, event.counter)):
        for name in event.names:
            by_name.setdefault(name, event)
    return {name: by_name[name] for name in cited_ids(run) if name in by_name}


def unresolved(run: Sequence[Event], cited: Mapping[str, Event]) -> list[str]:
    """Return the cited ids for which no event is known."""
    return [name for name in cited_ids(run) if name not in cited]


def cited_events(run: Sequence[Event], cited: Mapping[str, Event]) -> list[Event]:
    """Return the events that a run cites, in order of first citation, without repeats.

    In the claim's evidence tree their evidence follows that of the run. An event that is itself
    part of the run is left out: its evidence is in the tree already.
    """
    in_run = {event.event_id for event in run}
    by_id: dict[bytes, Event] = {}
    for name in cited_ids(run):
        event = cited[name]
        if event.event_id not in in_run:
            by_id.setdefault(event.event_id, event)
    return list(by_id.values())
