"""The two topics of a device, in one place. Rule: docs/ARCHITECTURE.md, Wire."""

from __future__ import annotations

EVIDENCE_FILTER = "proofrail/+/evidence/+"


def evidence_topic(device: str, protocol: str) -> str:
    """Where a device publishes."""
    return f"proofrail/{device}/evidence/{protocol}"


def receipts_topic(device: str) -> str:
    """Where a device is answered."""
    return f"proofrail/{device}/receipts"


def owner_of(topic: str) -> tuple[str, str]:
    """(device, protocol) of an evidence topic; ("", "") of any other, also a nameless one."""
    levels = topic.split("/")
    if len(levels) != 4 or levels[::2] != ["proofrail", "evidence"] or not all(levels):
        return "", ""
    return levels[1], levels[3]
