"""Registers of electricity meters (OBIS codes): how they are written, and which one is billed.

A code has six groups A-B:C.D.E*F of one byte each (IEC 62056-61). OCMF writes all groups in hex
("01-00:B1.08.00*FF"; specification, "Extension to Billing Relevant OBIS Representation"); meters
and head-ends write them in decimal ("1-0:1.8.0*255", "1.8.0"). Group C says what is counted: 1
energy taken from the grid, 2 energy fed into it; Table 25 of the OCMF specification reserves B0 to
B3 (taken) and C0 to C3 (fed in), of which B1, B3, C1 and C3 are measured at the car (the loss of
the cable is deducted), and B2, B3, C2 and C3 begin at zero with each charging session. 98 (loss
deducted) and 9E are registers of vendors that the Transparenzsoftware accepts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_ELECTRICITY, _ENERGY = 1, 8  # group A; group D: a register that counts up
_IMPORT = {0x01, 0x98, 0x9E, 0xB0, 0xB1, 0xB2, 0xB3}
_EXPORT = {0x02, 0xC0, 0xC1, 0xC2, 0xC3}
_LOSS_DEDUCTED = {0x98, 0xB1, 0xB3, 0xC1, 0xC3}
_PER_SESSION = {0xB2, 0xB3, 0xC2, 0xC3}
_TOTAL_F = {0xFF, 0x00}  # the present value; any other F is a historical one
_DECIMAL_F = {"255": 0xFF, "200": 0x00}  # F in decimal within a hex code, as vendors write it
_CODE = re.compile(
    r"(?:([0-9a-f]{1,2})-([0-9a-f]{1,2}):)?([0-9a-f]{1,3})\.([0-9a-f]{1,3})\.([0-9a-f]{1,3})"
    r"(?:[*.&]([0-9a-f]{1,3}))?",
    re.IGNORECASE,
)


class Direction(StrEnum):
    """Which way the energy of a register flows, as seen from the meter's customer."""

    IMPORT = "import"  # consumption
    EXPORT = "export"  # fed back
    OTHER = "other"  # no register of active energy


@dataclass(frozen=True, slots=True)
class Register:
    """One register, by the six bytes of its OBIS code."""

    code: bytes

    @property
    def number(self) -> int:
        """Return the code as a uint48, as claims name it."""
        return int.from_bytes(self.code, "big")

    @property
    def text(self) -> str:
        """Return the canonical text, all groups in hex: "01-00:B1.08.00*FF"."""
        a, b, c, d, e, f = self.code
        return f"{a:02X}-{b:02X}:{c:02X}.{d:02X}.{e:02X}*{f:02X}"

    @property
    def direction(self) -> Direction:
        """Return which way its energy flows; OTHER for all that is not total active energy."""
        a, _, c, d, e, f = self.code
        if a != _ELECTRICITY or d != _ENERGY or e != 0 or f not in _TOTAL_F:
            return Direction.OTHER
        if c in _IMPORT:
            return Direction.IMPORT
        return Direction.EXPORT if c in _EXPORT else Direction.OTHER

    @property
    def per_session(self) -> bool:
        """Return whether it begins at zero with each charging session."""
        return self.code[2] in _PER_SESSION

    @property
    def loss_deducted(self) -> bool:
        """Return whether the loss of the cable is deducted: the energy that reached the car."""
        return self.code[2] in _LOSS_DEDUCTED


@lru_cache(maxsize=4_096)
def parse(text: str, decimal: bool = False) -> Register | None:
    """Return the register of an OBIS code; None where the text is no code.

    Args:
        text: the code; groups A and B may be left out (then 1-0), and F (then FF).
        decimal: whether the groups are decimal numbers (SML, DSMR, M-Bus, MSCONS); else hex, as
            OCMF has them.
    """
    match = _CODE.fullmatch("".join(text.split()))
    if match is None:
        return None
    base = 10 if decimal else 16
    a, b, c, d, e, f = match.groups()
    try:
        groups = [int(group, base) for group in (a or "1", b or "0", c, d, e)]
        last = 0xFF if f is None else _DECIMAL_F[f] if f in _DECIMAL_F else int(f, base)
        return Register(bytes([*groups, last]))
    except ValueError:  # a group above 255, or a letter in a decimal code
        return None


def of_number(number: int) -> Register:
    """Return the register that a claim names (uint48)."""
    return Register(number.to_bytes(6, "big"))


def choose(registers: Iterable[Register], direction: Direction) -> Register | None:
    """Return the register that is billed, of all that a record or a session shows.

    One rule for everybody: of the registers in this direction, one whose loss is deducted before
    one at the mains, and then one that runs on before one that begins with each session. Several
    that are equal in this (two channels) leave it open which one counts.

    Returns:
        None where there is no such register, or no single one.
    """
    ranked = sorted(
        {item for item in registers if item.direction is direction},
        key=lambda item: (not item.loss_deducted, item.per_session, item.code),
    )
    if not ranked:
        return None
    best = [r for r in ranked if _rank(r) == _rank(ranked[0])]
    return best[0] if len(best) == 1 else None


def _rank(register: Register) -> tuple[bool, bool]:
    return register.loss_deducted, register.per_session
