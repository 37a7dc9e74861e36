"""Arithmetic of a meter's register: its rise, its tariff band, the limit of a fuse.

Registers and energy are mWh, times seconds: all integers.
"""

from __future__ import annotations

from device_adapters.registers import Register

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


def band_of(register: Register) -> int:
    """Return the tariff band of a register: group E of its OBIS code, 0 for the total."""
    return register.code[4]


def total_of(register: Register) -> Register:
    """Return the register that counts the same in all tariff bands together."""
    return Register(register.code[:4] + b"\0" + register.code[5:])


def fits_fuse(energy: int, seconds: int, fuse_watts: int) -> bool:
    """Return whether the fuse allows this energy (mWh); one watt-second is 10/36 of a mWh."""
    return energy * 36 <= fuse_watts * seconds * 10
