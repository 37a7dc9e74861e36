"""Citations: which other genuine events the events of a run refer to.

A run may cite what is about its own subject, and any event of a device that its terms name
(oracles.hearing). A cited id is one of the event's protocol, or the `ni` name of its bytes.

Pure. Several events may bear the same id, since an EPCIS Event Hash ID does not cover the signer.
Who derives a claim passes in the chosen events, and the claim's evidence root commits to them. The
rail chooses the event that it received first, so a copy published later replaces nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from device_adapters.types import Event


def cited_ids(run: Iterable[Event]) -> list[str]:
    """Return the ids that these events cite, in order of first citation, without repeats."""
    return list(dict.fromkeys(name for event in run for name in event.cites))


def resolve(
    run: Sequence[Event],
    candidates: Iterable[Event],
    devices: Collection[bytes] = (),
) -> dict[str, Event]:
    """Find the cited events among the candidates.

    Only candidates about the run's subject count, and those of the devices that its terms name.
    Where several bear an id, the one with the lowest (device_id, counter) is chosen.

    Args:
        run: The citing events.
        candidates: Genuine events.
        devices: Ids of the devices that the terms name (hearing.heard_devices).

    Returns:
        Cited id -> event, for every cited id that a candidate bears.
    """
    subject = run[0].subject_id if run else b""
    wanted, by_name = cited_ids(run), {}
    if not wanted:
        return {}
    citable = (e for e in candidates if e.subject_id == subject or e.device_id in devices)
    for event in sorted(citable, key=lambda event: (event.device_id, event.counter)):
        for name in event.all_names:
            by_name.setdefault(name, event)
    return {name: by_name[name] for name in wanted if name in by_name}


def unresolved(run: Sequence[Event], cited: Mapping[str, Event]) -> list[str]:
    """Return the cited ids for which no event is known."""
    return [name for name in cited_ids(run) if name not in cited]


def cited_events(run: Sequence[Event], cited: Mapping[str, Event]) -> list[Event]:
    """Return the events that a run cites, in order of first citation, then those that it hears.

    In the claim's evidence tree their evidence follows that of the run, each once. An event that is
    itself part of the run is left out: its evidence is in the tree already.

    Args:
        run: The citing events.
        cited: Id -> event: what `resolve` returned, then what `hearing.with_heard` added, in order.
    """
    in_run = {event.event_id for event in run}
    by_id: dict[bytes, Event] = {}
    for name in dict.fromkeys((*cited_ids(run), *cited)):
        event = cited[name]
        if event.event_id not in in_run:
            by_id.setdefault(event.event_id, event)
    return list(by_id.values())
