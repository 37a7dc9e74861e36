"""Which agreement an event belongs to, and as what. Pure.

The rail asks this of what comes in. An oracle need not: it vouches for a claim of the agreement
that the claim names, if that agreement's own device signed the events about its subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from device_adapters.types import Event

from .types import Agreement, Agreements


@dataclass(frozen=True, slots=True)
class Route:
    """Where an event goes.

    stream: it comes from the agreement's own device and may be claimed. Otherwise it is
    *supporting* evidence of somebody else: kept, citable, and never claimed by itself.
    """

    agreement: Agreement | None = None
    stream: bool = True


def candidates(event: Event, chain: Agreements) -> list[Agreement]:
    """All agreements that the event may belong to, as far as the chain knows: those of its device
    about its subject (none: the device itself), then those of others about it; the newest first.

    Warning: anyone may open an agreement with any device about any subject, as its payer. Whoever
    routes must leave out those that nobody vouches for, or a stranger's would draw the events off.
    """
    own = [a for a in chain.agreements_of(event.device_id) if a.subject == event.subject_id]
    about = chain.agreements_about(event.subject_id) if event.subject_id else []
    return own + [a for a in about if a.device_id != event.device_id]


def route(event: Event, found: Sequence[Agreement]) -> Route:
    """The first live one of these candidates with the event's own device; else the first live one
    with another, which it may only support.

    A device's agreement that has ended still takes its events where there is no live one, so that
    each is answered by why it is not taken. What was routed before stays where it is.
    """
    own = [a for a in found if a.device_id == event.device_id]
    others = [a for a in found if a.device_id != event.device_id]
    if (live := next((a for a in own if a.live), None)) is not None:
        return Route(live)
    if (about := next((a for a in others if a.live), None)) is not None:
        return Route(about, stream=False)
    return Route(own[0]) if own else Route()
