"""Which agreement an event belongs to, and as what: decided from the chain's agreements alone.

Pure, so the rail and every oracle send the same event the same way.
"""

from __future__ import annotations

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


def route(event: Event, chain: Agreements) -> Route:
    """The newest live agreement of the event's device about its subject (none: the device itself);
    else the newest live one with another device about that subject, which it may only support.

    A device's agreement that has ended still takes its events where there is no live one, so that
    each is answered by why it is not taken.
    Warning: whoever opens a newer agreement about the same subject with the same device receives
    its further events. What was routed before stays where it is.
    """
    own = [a for a in chain.agreements_of(event.device_id) if a.subject == event.subject_id]
    if (live := next((a for a in own if a.live), None)) is not None:
        return Route(live)
    if event.subject_id and (about := chain.agreement_about(event.subject_id)) is not None:
        return Route(about, stream=about.device_id == event.device_id)
    return Route(own[0]) if own else Route()
