"""What a protocol without signatures says: readings, which an envelope turns into evidence.

A protocol of this kind is a file or folder in `protocols/` with the name that users write, and has

    UNSIGNED = True
    FORMATS: tuple[str, ...]      # what it reads, with versions, for docs and messages
    recognise(data: bytes) -> bool
        Return whether bytes look like this protocol's, even if broken; quick, never raises.
    read(content: bytes) -> Content
        Return what the bytes say. Pure; raises only Rejected.
    EXAMPLES: (title, bytes, expected) as for every protocol; expected is a dict of fields of the
        first reading, or the Reason of the rejection.

`protocols/sealed` carries such bytes in an envelope that a device or its gateway signed; only then
are they evidence. `evidence check` lists the readings, and `genuine` is null.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from device_adapters.registers import Register
from device_adapters.verdicts import Finding


@dataclass(frozen=True, slots=True)
class Reading:
    """One value that a meter or sensor reports.

    device: the name in the content, trimmed; "" where the content names none.
    at_ms: Unix milliseconds, UTC; None where the content has no time of its own.
    register: canonical OBIS text (`Register.text`) for a meter's register, else the name of the
        quantity as the protocol writes it ("temperature").
    value: the exact decimal, as text without exponent ("123.456"); never a float.
    unit: as the field writes it ("kWh", "Wh", "m3", "Cel", "W"); "" for none.
    usable: False where the content itself says that the value must not be used (an error flag, an
        estimate where the protocol marks one, a value without time validity).
    """

    device: str
    at_ms: int | None
    register: str
    value: str
    unit: str
    usable: bool = True
    obis: Register | None = None

    def as_json(self) -> dict[str, Any]:
        """Return {device, at, register, value, unit, usable}; `at` in ISO 8601 or null."""
        return {
            "device": self.device,
            "at": None if self.at_ms is None else _iso(self.at_ms),
            "register": self.register,
            "value": self.value,
            "unit": self.unit,
            "usable": self.usable,
        }


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that the bytes of an unsigned protocol say.

    readings: in the order of the content. cautions: what an auditor should know. shown: members
    that are shown only and take part in no decision, JSON-ready. subject: what the content is
    about, if not the device itself.
    """

    readings: tuple[Reading, ...]
    cautions: tuple[Finding, ...] = ()
    shown: dict[str, Any] = field(default_factory=dict)
    subject: str = ""


def _iso(at_ms: int) -> str:
    """Return ISO 8601 in UTC with milliseconds; a time that no calendar holds as it is."""
    try:
        moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms after 1970"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
