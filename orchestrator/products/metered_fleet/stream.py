"""From records to claims: which record of the head ends a period, and what the members showed.

The contract prices what is derived here: a reading that it would refuse does not count, and its
member is silent in that claim. Registers only rise, so a later claim makes up for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from device_adapters.registers import of_number, parse
from device_adapters.sessions import is_unusable
from device_adapters.types import STREAM_BIT, Event, Rejected
from oracles.types import ClaimReason
from orchestrator.products.metered_fleet.abi import (
    MOST_AGE,
    FleetFacts,
    FleetKind,
    FleetRow,
    FleetStep,
    FleetTerms,
    decode_facts,
    decode_terms,
    encode_facts,
    encode_terms,
    minutes_between,
)
from orchestrator.products.metered_fleet.pricing import step_refusal

KIND = "meter.reading"
MOST_EVENTS = 20_000  # that one claim hears
_MWH_PER_WH = 1_000
_GOOD = "G"  # of the meter states in OCMF, table 7
_NUMBER = (1 << STREAM_BIT) - 1  # of a counter within its stream
Refusal = tuple[ClaimReason, str]


def hears(terms: bytes) -> frozenset[bytes]:
    """Return the ids of the members."""
    return frozenset(member.device for member in decode_terms(terms).members)


def heard_period(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> tuple[int, int]:
    """Return the first and last millisecond of a claim's period.

    It follows the claim before it. Behind counters that were passed over it is one period of the
    terms, since nothing is charged that the registers showed before.
    """
    agreed, end = decode_terms(terms), events[-1].observed_at_ms
    if anchor is not None:
        return anchor.observed_at_ms + 1, end
    return (end - agreed.period * 1000 + 1 if agreed.reopened else agreed.started * 1000), end


def admit(
    terms: bytes, previous: Event | None, event: Event, earlier: Sequence[Event] = ()
) -> Refusal | None:
    """Return why a record of the head ends no period, or None; it may be of any kind.

    Args:
        previous: the record that ended the last claim; None for a first claim.
    """
    agreed = decode_terms(terms)
    if refusal := _assurance_refusal(agreed, event):
        return refusal
    begin = agreed.started if previous is None else _seconds(previous)
    if agreed.reopened and previous is None:
        return None
    if _seconds(event) < begin:
        return ClaimReason.TIME_BACKWARDS, f"{_seconds(event)} s after {begin} s since 1970"
    if _seconds(event) - begin < agreed.period:
        detail = f"{_seconds(event) - begin} s after the last claim, and a period has at least "
        return ClaimReason.PERIOD_UNEXPECTED, f"{detail}{agreed.period} s"
    return None


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """Return how many records of the head make a claim: one."""
    return min(len(events), 1)


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
    before: bytes | None = None,
) -> bytes:
    """Return the encoded facts of a period.

    Args:
        before: facts whose rows these go on from: those of the last claim that was applied, or what
            `rows_before` returned. None: the rows of the terms.

    Raises:
        Rejected: ASSURANCE_TOO_LOW; TIME_BACKWARDS; FACTS_MALFORMED for rows of other terms.
    """
    agreed, closing = decode_terms(terms), events[-1]
    if refusal := _assurance_refusal(agreed, closing):  # also the auditor asks, without `admit`
        raise Rejected(*refusal)
    rows, begin, end = agreed.rows, agreed.started, _seconds(closing)
    if before is not None:
        last = decode_facts(before)
        rows, begin = last.rows_after, last.to_time
    if len(rows) != len(agreed.members):
        detail = f"{len(rows)} rows before, for {len(agreed.members)} members"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail)
    if end < begin:
        raise Rejected(ClaimReason.TIME_BACKWARDS, f"{end} s after {begin} s since 1970")
    heard = _by_device(cited.values(), closing.counter >> STREAM_BIT)
    steps = tuple(
        _step(agreed, row, heard.get(member.device, ()), begin, end)
        for member, row in zip(agreed.members, rows, strict=True)
    )
    kind = FleetKind.READ if agreed.reopened else FleetKind.CHARGED
    return encode_facts(FleetFacts(kind, begin, end, rows, steps))


def rows_before(facts: bytes) -> bytes:
    """Return facts that end with the rows, and at the time, from which a claim goes on.

    Raises:
        Rejected: FACTS_MALFORMED where the bytes are not facts.
    """
    claim = decode_facts(facts)
    still = tuple(FleetStep(0, 0, row.age) for row in claim.rows)
    return encode_facts(claim._replace(to_time=claim.from_time, steps=still))


def reopened(terms: bytes) -> bytes:
    """Return the terms behind counters that were passed over: the next claim charges nothing."""
    return encode_terms(decode_terms(terms)._replace(reopened=True))


def _step(
    agreed: FleetTerms, row: FleetRow, events: Iterable[Event], begin: int, end: int
) -> FleetStep:
    """Return what a member's newest plausible record showed; without one it was silent."""
    elapsed = minutes_between(begin, end)
    for event in sorted(events, key=lambda item: item.counter, reverse=True):
        reading = None if _assurance_refusal(agreed, event) else _reading(agreed, event)
        if reading is None:
            continue
        register, seconds = reading
        step = FleetStep(
            (event.counter & _NUMBER) - row.counter,
            register - row.register,
            minutes_between(seconds, end),
        )
        rises = step.counters > 0 and step.energy >= 0 and step.age >= 0
        if rises and not step_refusal(agreed.fuse_watts, elapsed, row, step):
            return step
    return FleetStep(0, 0, min(elapsed + row.age, MOST_AGE))


def _reading(agreed: FleetTerms, event: Event) -> tuple[int, int] | None:
    """Return a record's last register (whole Wh) and its time; None if it may not be charged."""
    if event.kind != KIND or event.not_billable:
        return None
    entries = event.facts["readings"]
    if any(map(is_unusable, (*entries, *event.facts.get("errors", ())))):
        return None
    wanted = _present(agreed.register)
    readings = [
        entry
        for entry in entries
        if (code := parse(entry["obis"])) and _present(code.number) == wanted
    ]
    if not readings or any(entry["status"] != _GOOD for entry in readings):
        return None
    return readings[-1]["register"] // _MWH_PER_WH, readings[-1]["at"] // 1000


def _present(register: int) -> bytes:
    """Return groups A to E of a register, and that it is the present value or a historical one."""
    code = of_number(register).code
    return code[:5] + (b"\xff" if code[5] in (0, 0xFF) else code[5:])


def _by_device(events: Iterable[Event], stream: int) -> dict[bytes, list[Event]]:
    """Return the records of one stream by their device's id."""
    heard: dict[bytes, list[Event]] = {}
    for event in events:
        if event.counter >> STREAM_BIT == stream:
            heard.setdefault(event.device_id, []).append(event)
    return heard


def _seconds(event: Event) -> int:
    return event.observed_at_ms // 1000


def _assurance_refusal(agreed: FleetTerms, event: Event) -> Refusal | None:
    """Return why less than the terms take stands for a record, or None."""
    if event.assurance.is_at_least(agreed.least_assurance):
        return None
    detail = f"a {event.assurance} stands for it, and the terms take at least a "
    return ClaimReason.ASSURANCE_TOO_LOW, f"{detail}{agreed.least_assurance}"
