"""Each field of a bundle with other values of its form, and the stage that must name the change."""

from __future__ import annotations

import copy
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pytest

from orchestrator.core.audit import AuditStage, blocks, logs, verify
from orchestrator.products import products

# the first matching beginning of a field's path names its stage; {own} is the claim's position
STAGES = (
    ("version", AuditStage.FORMAT),
    ("digest", AuditStage.FORMAT),
    ("chain.registry", AuditStage.DEVICE_KEY),
    ("chain.committee", AuditStage.ATTESTATION),
    ("chain", AuditStage.MANDATE),
    ("devices", AuditStage.DEVICE_KEY),
    ("evidence", AuditStage.EVIDENCE),
    ("supporting", AuditStage.EVIDENCE),
    ("anchor", AuditStage.EVIDENCE),
    ("product", AuditStage.CLAIM),
    ("batch.position", AuditStage.CLAIM),
    ("batch.claims.{own}.agreement", AuditStage.MANDATE),
    ("batch.claims.{own}.sequence", AuditStage.ATTESTATION),
    ("batch.claims.{own}", AuditStage.CLAIM),
    ("batch", AuditStage.ATTESTATION),
    ("mandate.version", AuditStage.FORMAT),  # it decides about the fields
    ("mandate", AuditStage.MANDATE),
    ("committee", AuditStage.ATTESTATION),
    ("settlement", AuditStage.SETTLEMENT),
    ("effects", AuditStage.EFFECTS),
    ("ledger", AuditStage.LEDGER),
    ("payout", AuditStage.PAYOUT),
    ("bank_file", AuditStage.BANK_FILE),
    ("bank_line", AuditStage.BANK_LINE),
)
FILES = ("record", "content")  # fields in base64
EVERY_BYTE = ("evidence", "supporting")  # elsewhere long values are sampled
SAMPLES = 8


def stage_of(path: tuple, own: int, other: Any = 0) -> AuditStage:
    text = ".".join(map(str, path)) + "."
    if text.startswith(f"batch.claims.{own}.") and not _fits(other):
        return AuditStage.CLAIM  # what is no claim at all is not left to later stages
    return next(s for start, s in STAGES if text.startswith(start.format(own=own) + "."))


def _fits(value: Any) -> bool:
    if isinstance(value, int):
        return 0 <= value < 1 << 32
    return len(value) == 66 and value == value.lower()


def leaves(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            yield from leaves(part, (*path, key))
    elif value is not None:
        yield path, value


def lists(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, list]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    if isinstance(value, list) and value:
        yield path, value
    for key, part in items:
        if isinstance(part, dict | list):
            yield from lists(part, (*path, key))


def changes(path: tuple, value: Any) -> Iterator[Any]:
    """Other values of the same form: bytes changed one by one, or neighbouring numbers."""
    if isinstance(value, int):
        yield from (value + 1, value - 1, 0 if value else 2, value + (1 << 40), -value - 1)
    elif path[-1] in FILES:
        data = b64decode(value)
        for at in _places(len(data), path):
            yield b64encode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]).decode()
        yield from (b64encode(data + b"\n").decode(), b64encode(data[:-1]).decode(), value[:-1])
    elif value.startswith("0x") and ":" not in value:
        for at in _places(len(value) - 2, path):
            digit = f"{int(value[at + 2], 16) ^ 1:x}"
            yield value[: at + 2] + digit + value[at + 3 :]
        yield from (value + "00", value[:-2], value.upper())
    else:
        for at in _places(len(value), path):
            yield value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
        yield from (value + "x", value[:-1], "")


def _places(size: int, path: tuple) -> list[int]:
    if (path[0] in EVERY_BYTE and "opened" not in path) or size <= SAMPLES:
        return list(range(size))
    return [*range(0, size, size // SAMPLES), size - 1]


def changed(bundle: dict, path: tuple, value: Any) -> dict:
    """Return the bundle with another value at a path; all other parts are shared."""
    other = part = copy.copy(bundle)
    for key in path[:-1]:
        part[key] = part = copy.copy(part[key])
    part[path[-1]] = value
    return other


@contextmanager
def decoding_once() -> Iterator[None]:
    """Have equal bytes decoded once: thousands of bundles here differ in one field each."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((blocks, "rlp_list"), (logs, "_arguments")):
            patch.setattr(module, name, lru_cache(4_096)(getattr(module, name)))
        yield


def failing_stage(bundle: dict) -> AuditStage | None:
    report = verify(bundle, products())
    return report.failed.stage if report.failed else None
