"""Which agreement an event belongs to, and in which role. Pure.

The rail routes the events that arrive. An oracle does not need to: a claim names its agreement, and
the oracle checks that this agreement's own device signed the events about its subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from device_adapters.types import Event

from .types import Agreement, Agreements


@dataclass(frozen=True, slots=True)
class Route:
    """The agreement that takes an event, if any.

    stream: the event comes from the agreement's own device and may be claimed. Otherwise it is
    *supporting* evidence of another device: stored and citable, but never claimed by itself.
    hearer: takes a stream event that `agreement` refuses, as supporting: its terms name the device.
    """

    agreement: Agreement | None = None
    stream: bool = True
    hearer: Agreement | None = None


def candidates(event: Event, chain: Agreements) -> list[Agreement]:
    """Return all agreements on chain that the event may belong to, the newest first.

    First those of its own device about its subject (without a subject: about the device itself),
    then those of other devices about that subject.

    Warning: anyone may open an agreement, as its payer, with any device about any subject. The
    caller must leave out the agreements that it does not know, or a stranger's agreement would
    divert the events.
    """
    own = [a for a in chain.agreements_of(event.device_id) if a.subject == event.subject_id]
    about = chain.agreements_about(event.subject_id) if event.subject_id else []
    return own + [a for a in about if a.device_id != event.device_id]


def hearers(event: Event, chain: Agreements) -> list[Agreement]:
    """Return all agreements on chain whose terms name the event's device to hear, newest first.

    Warning: as for `candidates`, the caller must leave out the agreements that it does not know.
    """
    return list(chain.agreements_hearing(event.device_id))


def route(
    event: Event, agreements: Sequence[Agreement], hearing: Sequence[Agreement] = ()
) -> Route:
    """Choose among the candidates: the first live agreement of the event's own device.

    Otherwise the first live agreement of another device, which the event can only support: one
    about its subject, else one that hears its device (`hearing`) and takes facts of its time. Live
    ones that take facts of the event's time come first: a device may serve an agreement in its
    grace and the one that follows it. If none is live, an ended agreement of the own device takes
    the event, so that the answer states why it is not accepted. Events that were routed before stay
    where they are.
    """
    own = [a for a in agreements if a.device_id == event.device_id]
    others = [a for a in agreements if a.device_id != event.device_id]
    hearer = next((a for a in hearing if a.live and a.covers(event.observed_at_ms)), None)
    if (live := _live(event, own)) is not None:
        return Route(live, hearer=hearer)
    about = _live(event, others)
    if hearer is not None and not (about and about.covers(event.observed_at_ms)):
        about = hearer
    if about is not None:
        return Route(about, stream=False)
    return Route(own[0]) if own else Route()


def _live(event: Event, agreements: Sequence[Agreement]) -> Agreement | None:
    live = [agreement for agreement in agreements if agreement.live]
    fitting = (agreement for agreement in live if agreement.covers(event.observed_at_ms))
    return next(fitting, live[0] if live else None)
