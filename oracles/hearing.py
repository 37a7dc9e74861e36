"""Hearing: what a run takes from devices that its agreement's terms name. Pure.

Such an event may be about anything, and nobody needs to cite it: within the run's period all of
them are part of the claim, so that nobody chooses among them. In the claim they are treated like
cited events, under their `ni` names, and so evidence root, bundle and audit hold them as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from device_adapters.types import Event, Rejected

from .types import Agreement, ClaimReason, ProductRules

# for a product that states no others (MOST_DEVICES, MOST_EVENTS)
MAX_DEVICES = 100  # that terms may name
MAX_EVENTS = 2_000  # that one run hears


@dataclass(frozen=True, slots=True)
class Hearing:
    """Which events a run hears, and how many at most.

    Times are Unix milliseconds, both inclusive.
    """

    devices: frozenset[bytes]
    first_ms: int
    last_ms: int
    most_events: int

    def covers(self, event: Event) -> bool:
        """Return whether the run hears this event."""
        in_period = self.first_ms <= event.observed_at_ms <= self.last_ms
        return in_period and event.device_id in self.devices


def heard_devices(rules: ProductRules | None, terms: bytes, own: bytes) -> frozenset[bytes]:
    """Return the ids of the devices that terms name; none where they name more than the limit.

    Args:
        rules: The product's rules; None for a product that is not known here.
        terms: The agreement's terms.
        own: Id of the agreement's device: what it says is in the run, and is never heard.
    """
    hears = getattr(rules, "hears", None)
    try:
        devices = frozenset(hears(terms)) if hears else frozenset()
    except Rejected:  # the contract accepted terms that the rules cannot read
        return frozenset()
    most = getattr(rules, "MOST_DEVICES", MAX_DEVICES)
    return devices - {own} if len(devices) <= most else frozenset()


def hearing(
    agreement: Agreement, rules: ProductRules, anchor: Event | None, run: Sequence[Event]
) -> Hearing | None:
    """Return what a run hears; None where its product hears nothing that is not cited.

    Nothing counts from before the agreement's start, nor from after the run's last event: that is
    what the device signed once the period was over.
    """
    period = getattr(rules, "heard_period", None)
    devices = heard_devices(rules, agreement.terms, agreement.device_id)
    bounds = period(agreement.terms, anchor, run) if period and devices and run else None
    if bounds is None:
        return None
    first, last = bounds
    most = getattr(rules, "MOST_EVENTS", MAX_EVENTS)
    start_ms, end_ms = agreement.start * 1000, run[-1].observed_at_ms
    return Hearing(devices, max(first, start_ms), min(last, end_ms), most)


def with_heard(
    run: Sequence[Event],
    cited: Mapping[str, Event],
    span: Hearing | None,
    candidates: Iterable[Event],
) -> dict[str, Event]:
    """Return what a run cites, and after it what it hears, by (device_id, counter).

    Args:
        run: The events of the claim.
        cited: Id -> event, from `citations.resolve`.
        span: From `hearing`; None adds nothing.
        candidates: Genuine events. Of several with one event id the first counts.

    Raises:
        Rejected: HEARD_TOO_MANY: the run would hear more than its product allows.
    """
    if span is None:
        return dict(cited)
    by_id: dict[bytes, Event] = {}
    present = {event.event_id for event in (*run, *cited.values())}
    for event in candidates:
        if span.covers(event) and event.event_id not in present:
            by_id.setdefault(event.event_id, event)
    if len(by_id) > span.most_events:
        detail = (
            f"more than {span.most_events} events of the devices in its terms are in its period"
        )
        raise Rejected(ClaimReason.HEARD_TOO_MANY, detail)
    heard = sorted(by_id.values(), key=lambda event: (event.device_id, event.counter))
    return {**cited, **{event.evidence_name: event for event in heard}}
