"""Reads energy attestation tokens (EAT): signed energy with a sequence and a chain of hashes.

README.md says which text was implemented, what is read, and what is shown only.
"""

from __future__ import annotations

from device_adapters.protocols.eat.check import ChainReason, check_tokens
from device_adapters.protocols.eat.examples import EXAMPLES
from device_adapters.protocols.eat.token import event_of, holds_token, open_token, split
from device_adapters.registers import Direction
from device_adapters.types import Event
from device_adapters.verdicts import Report

__all__ = ["EXAMPLES", "INLET", "ChainReason", "check", "decode", "recognise", "split"]

INLET = "proofrail/+/evidence/eat"  # the topic; + stands for the device's own name


def decode(record: bytes) -> Event:
    """Return the event of one token. Pure; Rejected where its encoding or a claim is not valid."""
    return event_of(open_token(record), record)


def recognise(data: bytes) -> bool:
    """Return whether a file begins with a token (see `verdicts`)."""
    return holds_token(data)


def check(data: bytes, key: str | bytes | None, direction: Direction = Direction.IMPORT) -> Report:
    """Check every token in a file, and the chain of their hashes (see `verdicts`)."""
    return check_tokens(data, key, direction)
