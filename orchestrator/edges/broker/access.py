"""Decides what a name may do at the broker in its role; everything not granted here is denied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from device_adapters.registry import protocol_names
from device_adapters.topics import (
    DEVICE_SUBJECTS,
    EVIDENCE_SUBJECTS,
    LOG_INFO,
    LOG_READ,
    STORED,
    acknowledgements_topic,
    client_id_of,
    evidence_topic,
    inbox_of,
    outcomes_topic,
    receipts_topic,
    subject_of,
)

# A name is part of topics, subjects and client ids: no separator and no wildcard.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class CredentialRole(StrEnum):
    """What a credential may do (docs/ARCHITECTURE.md, Wire)."""

    DEVICE = "device"  # publishes its own evidence, reads its own receipts and outcomes
    ORACLE = "oracle"  # reads all evidence, publishes nothing
    RAIL = "rail"  # reads all that devices publish, publishes receipts and outcomes
    COLLECTOR = "collector"  # adds evidence from another broker, reads nothing


@dataclass(frozen=True, slots=True)
class Rights:
    """The subjects of one connection.

    Attributes:
        protocol: The only protocol that the connection may speak.
        publish: Subjects, with NATS wildcards, that it may publish to.
        subscribe: Subjects that it may subscribe to.
    """

    protocol: Literal["mqtt", "nats"]
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def is_valid_name(name: str) -> bool:
    """Return whether a name can be a username: 1 to 64 of A-Za-z0-9._-, not starting with ._-."""
    return _NAME.fullmatch(name) is not None


def rights_of(name: str, role: CredentialRole) -> Rights:
    """Return the rights of a name in its role.

    Readers get no right to make consumers in the log: a consumer delivers to any subject that its
    maker names, and so would be a right to publish.
    """
    inbox = f"{inbox_of(name)}.>"
    if role is CredentialRole.DEVICE:
        published = [evidence_topic(name, protocol) for protocol in protocol_names()]
        published.append(acknowledgements_topic(name))
        read = receipts_topic(name), outcomes_topic(name)
        return Rights("mqtt", tuple(map(subject_of, published)), tuple(map(subject_of, read)))
    if role is CredentialRole.COLLECTOR:
        subjects = [f"{STORED}proofrail.*.evidence.{protocol}" for protocol in protocol_names()]
        return Rights("nats", tuple(subjects), (inbox,))
    reading = (LOG_READ, LOG_INFO)
    if role is CredentialRole.RAIL:
        answers = f"{STORED}proofrail.*.receipts", f"{STORED}proofrail.*.outcomes"
        return Rights("nats", (*reading, *answers), (DEVICE_SUBJECTS, inbox))
    return Rights("nats", reading, (EVIDENCE_SUBJECTS, inbox))


def may_connect(name: str, role: CredentialRole, protocol: str, client_id: str) -> bool:
    """Return whether a name may connect with this protocol ("mqtt" or "nats") and client id.

    With a client id of its own choice a device could end, or continue, another's session.
    """
    if protocol != rights_of(name, role).protocol:
        return False
    return protocol != "mqtt" or client_id == client_id_of(name)
