"""The arithmetic of a meter's register: what it counted, what that costs, what a fuse lets through.

Registers and energy are mWh, prices token minor units per kWh, times seconds: all integers.
"""

from __future__ import annotations

GRACE_SECONDS = 60  # meters stamp whole minutes
MWH_PER_KWH = 1_000_000


def counted(start: int, end: int, rollover_at: int) -> int:
    """What the register rose by, the way round where it began anew; below zero: it fell."""
    rise = end - start
    return rise + rollover_at if rise < 0 else rise


def owed(energy_total: int, price_per_kwh: int) -> int:
    """What a running total of mWh costs, rounded down in the payer's favour."""
    return energy_total * price_per_kwh // MWH_PER_KWH


def fits_fuse(energy: int, seconds: int, fuse_watts: int) -> bool:
    """Whether the fuse lets this much through: one watt-second is 10/36 of a mWh."""
    return energy * 36 <= fuse_watts * seconds * 10
