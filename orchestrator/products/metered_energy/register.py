"""Arithmetic of a meter's register: its rise, the price of energy, the limit of a fuse.

Registers and energy are mWh, prices token minor units per kWh, times seconds: all integers.
"""

from __future__ import annotations

GRACE_SECONDS = 60  # meters stamp whole minutes
MWH_PER_KWH = 1_000_000


def register_rise(start: int, end: int, rollover_at: int) -> int:
    """Return the rise of a register in mWh, through its rollover if `end` is below `start`.

    Args:
        rollover_at: mWh at which the register begins at zero again; 0: it never does.

    Returns:
        A negative number where the register fell.
    """
    rise = end - start
    return rise + rollover_at if rise < 0 else rise


def price_of(energy_total: int, price_per_kwh: int) -> int:
    """Return the price of a running total of mWh, rounded down in the payer's favour."""
    return energy_total * price_per_kwh // MWH_PER_KWH


def fits_fuse(energy: int, seconds: int, fuse_watts: int) -> bool:
    """Return whether the fuse allows this energy (mWh); one watt-second is 10/36 of a mWh."""
    return energy * 36 <= fuse_watts * seconds * 10
