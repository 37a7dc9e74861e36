"""The meters of a claim, one line each: for an invoice's annex, and for people who look closer."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.products.metered_fleet.abi import MINUTE, decode_facts, decode_terms


class MeterLine(NamedTuple):
    """What a claim says of a meter.

    device: its id (32 bytes). Registers are Wh. read_at: Unix seconds, in whole minutes; of a
    reading older than the contract counts minutes, the earliest time it can be.
    """

    device: bytes
    counter_before: int
    counter: int
    register_before: int
    register: int
    read_at: int


def meter_lines(terms: bytes, facts: bytes) -> tuple[MeterLine, ...]:
    """Return a line for each meter of a claim, in the order of the terms."""
    claim, devices = decode_facts(facts), (member.device for member in decode_terms(terms).members)
    end = claim.to_time // MINUTE
    return tuple(
        MeterLine(
            device, row.counter, new.counter, row.register, new.register, (end - new.age) * MINUTE
        )
        for device, row, new in zip(devices, claim.rows, claim.rows_after, strict=True)
    )
