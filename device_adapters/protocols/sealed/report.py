"""The report: totals of a period that a device or its gateway signs in place of raw readings.

The commitment is the Merkle root over salt || record of what the totals were made of: raw records
and salts stay with the device, and the totals can still be proved.
"""

from __future__ import annotations

from typing import Any

from device_adapters.protocols.sealed.envelope import from_base64url
from device_adapters.types import Reason, Rejected, canonical_name

KIND = "report"
MAX_METRICS = 6
MAX_NAME = 100
_WORD, _COUNTER, _COUNT = 1 << 63, 1 << 40, 1 << 32
_FULL = 10_000  # basis points
_REQUIRED = ("device", "ordinal", "from", "to", "metrics", "coverage", "sources")
_MEMBERS = {*_REQUIRED, "subject", "commitment", "consent"}


def read_report(report: Any, sub: str) -> dict[str, Any]:
    """Return the facts of a report, the same for both forms.

    Returns:
        {"device", "subject", "ordinal", "from", "to", "metrics", "coverage", "sources",
        "commitment", "consent"}: times in Unix seconds, coverage (observed time / period) in basis
        points, metrics {name: integer}, commitment as 64 hex digits; "" for a text that is absent.

    Raises:
        Rejected: a member is missing, unknown, of another type or out of its range; or the report
            is not about `sub`.
    """
    if not isinstance(report, dict):
        raise Rejected(Reason.WRONG_TYPE, "the report is not a map")
    if unknown := [name for name in report if name not in _MEMBERS]:
        raise Rejected(Reason.MALFORMED, f"a report has no member {unknown[0]!r:.40}")
    if missing := [name for name in _REQUIRED if name not in report]:
        raise Rejected(Reason.MALFORMED, f"the report has no {missing[0]}")
    if not is_name(report["device"]) or canonical_name(report["device"]) != sub:
        detail = f"the report is about {report['device']!r:.60}, the envelope about {sub!r:.60}"
        raise Rejected(Reason.DEVICE_MISSING, detail)
    start, end = number(report, "from", _COUNTER), number(report, "to", _COUNTER)
    if not 0 < start < end:
        raise Rejected(Reason.TIME_MALFORMED, f"the period from {start} to {end} has no length")
    coverage = number(report, "coverage", _COUNT)
    if coverage > _FULL:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"a coverage of {coverage} basis points")
    return {
        "device": sub,
        "subject": _text(report, "subject"),
        "ordinal": number(report, "ordinal", _COUNTER),
        "from": start,
        "to": end,
        "metrics": _metrics(report["metrics"]),
        "coverage": coverage,
        "sources": number(report, "sources", _COUNT),
        "commitment": _commitment(report.get("commitment")),
        "consent": _text(report, "consent"),
    }


def number(fields: dict[str, Any], name: str, end: int) -> int:
    """Return a whole number from 0 to below `end`; Rejected otherwise."""
    value = fields.get(name)
    if type(value) is not int:
        raise Rejected(Reason.WRONG_TYPE, f"{name} is not an integer")
    if not 0 <= value < end:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"{name} is {value}, not from 0 to {end - 1}")
    return value


def is_name(value: Any) -> bool:
    """Return whether a value is a printable text of 1 to 100 characters without outer spaces."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_NAME
        and value.isprintable()
        and value == value.strip()
    )


def _metrics(metrics: Any) -> dict[str, int]:
    if not isinstance(metrics, dict) or not 0 < len(metrics) <= MAX_METRICS:
        raise Rejected(Reason.WRONG_TYPE, f"the metrics are not 1 to {MAX_METRICS} named numbers")
    for name, value in metrics.items():
        if not is_name(name):
            raise Rejected(Reason.WRONG_TYPE, f"{name!r:.40} is not the name of a metric")
        if type(value) is not int:
            raise Rejected(Reason.WRONG_TYPE, f"the metric {name} is not an integer")
        if not -_WORD < value < _WORD:
            raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"the metric {name} is beyond 2^63")
    return dict(metrics)


def _commitment(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        value = from_base64url(value, "the commitment")
    if not isinstance(value, bytes) or len(value) != 32:
        raise Rejected(Reason.WRONG_TYPE, "the commitment is not 32 bytes")
    return value.hex()


def _text(report: dict[str, Any], name: str) -> str:
    value = report.get(name)
    if value is None or value == "":
        return ""
    if not is_name(value):
        raise Rejected(Reason.WRONG_TYPE, f"{name} is not a text of 1 to {MAX_NAME} characters")
    return value
