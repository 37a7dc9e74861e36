"""The two MQTT topics of a device: evidence and receipts."""

from __future__ import annotations

EVIDENCE_FILTER = "proofrail/+/evidence/+"


def evidence_topic(device: str, protocol: str) -> str:
    """Return the topic that a device publishes evidence to."""
    return f"proofrail/{device}/evidence/{protocol}"


def receipts_topic(device: str) -> str:
    """Return the topic that a device gets its receipts from."""
    return f"proofrail/{device}/receipts"


def owner_of(topic: str) -> tuple[str, str]:
    """Return (device, protocol) of an evidence topic, or ("", "") for any other topic."""
    levels = topic.split("/")
    if len(levels) != 4 or levels[::2] != ["proofrail", "evidence"] or not all(levels):
        return "", ""
    return levels[1], levels[3]
