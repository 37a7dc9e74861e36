"""Decides which topics a name may use in its role; everything not granted here is denied."""

from __future__ import annotations

import re
from enum import StrEnum

from device_adapters.topics import EVIDENCE_FILTER, receipts_topic

# A name is part of topics, client ids and mosquitto's files: no separator and no wildcard.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LEVEL = re.compile(r"[A-Za-z0-9_-]{1,32}")


class CredentialRole(StrEnum):
    """What a credential may do (docs/ARCHITECTURE.md, Wire)."""

    DEVICE = "device"  # publishes its own evidence, reads its own receipts
    ORACLE = "oracle"  # reads all evidence, publishes nothing
    RAIL = "rail"  # reads all evidence, publishes receipts


def is_valid_name(name: str) -> bool:
    """Return whether a name can be a username: 1 to 64 of A-Za-z0-9._-, not starting with ._-."""
    return _NAME.fullmatch(name) is not None


def may_publish(name: str, role: CredentialRole, topic: str) -> bool:
    """Return whether `name` may publish to `topic`; a topic with a wildcard is refused."""
    levels = topic.split("/")
    if levels[0] != "proofrail" or len(levels) < 3 or not is_valid_name(levels[1]):
        return False
    if role is CredentialRole.DEVICE:
        own = levels[1] == name and levels[2] == "evidence"
        return own and len(levels) == 4 and _LEVEL.fullmatch(levels[3]) is not None
    return role is CredentialRole.RAIL and levels[2:] == ["receipts"]


def may_subscribe(name: str, role: CredentialRole, topic_filter: str) -> bool:
    """Return whether `name` may subscribe to exactly this filter."""
    if role is CredentialRole.DEVICE:
        return topic_filter == receipts_topic(name)
    return role in (CredentialRole.ORACLE, CredentialRole.RAIL) and topic_filter == EVIDENCE_FILTER
