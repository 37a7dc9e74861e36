"""Checks a file of any protocol, offline: genuine, billable, settleable, and why.

Exit codes: 0 every record is genuine, or readable where its protocol has no signatures, and no
session lacks its begin or end; 1 one is not genuine, or no key is known for it, or a session is not
complete; 2 the file cannot be read (missing, of no supported protocol or of several, a broken
container, or not one complete record). What a protocol implements for it: `verdicts.py`, or
`content.py` for one without signatures.
"""

from __future__ import annotations

import codecs
import inspect
import re
from pathlib import Path
from types import ModuleType

from device_adapters.registers import Direction
from device_adapters.registry import is_unsigned, load_module, load_unsigned, protocol_names
from device_adapters.types import Reason, Rejected
from device_adapters.unsigned_check import check_unsigned
from device_adapters.verdicts import RecordCheck, Report, Unproven, as_finding

__all__ = ["MAX_FILE_BYTES", "RecordCheck", "Report", "Unproven", "check_file"]

MAX_FILE_BYTES = 16 * 1024 * 1024
_SPACE = b" \t\r\n\0"
_UTF16_DECLARED = re.compile(r"encoding\s*=\s*[\"']utf-16(le|be)?[\"']", re.IGNORECASE)


def check_file(
    source: Path | str | bytes,
    key: str | bytes | None = None,
    protocol: str = "",
    direction: Direction = Direction.IMPORT,
) -> Report:
    """Check every record of a file; no content of file or key makes it raise.

    Args:
        source: the path of the file, or its bytes.
        key: the public key in any form of `keys.load_public_key`; None: the keys in the file.
        protocol: the name of the file's protocol; "": the one that recognises it.
        direction: which registers are billed.

    Returns:
        A report with the exit code described above.
    """
    name = "<bytes>" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        report = _check(_text_of(data), key, protocol, direction)
    except Rejected as refusal:
        report = Report(error=as_finding(refusal), protocol=protocol)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        report = Report(error=(Reason.FILE_UNREADABLE, str(error)))
    report.file = name
    return report


def _check(data: bytes, key: str | bytes | None, protocol: str, direction: Direction) -> Report:
    readers = _readers()
    if protocol:
        names = [protocol]
        if protocol not in readers:
            detail = f"no protocol {protocol[:60]!r}; there are {', '.join(readers)}"
            raise Rejected(Reason.UNKNOWN_PROTOCOL, detail)
    else:
        names = _candidates(readers, data)
    if not names:
        detail = f"it has no evidence of a supported protocol ({', '.join(readers)})"
        raise Rejected(Reason.MALFORMED, detail)
    if len(names) > 1:
        detail = f"it may be {' or '.join(names)}; name the protocol (--protocol {names[0]})"
        error = (Unproven.PROTOCOL_AMBIGUOUS, detail)
        return Report(error=error, candidates=tuple(names))
    try:
        report = _report_of(names[0], readers[names[0]], data, key, direction)
    except Rejected as refusal:
        report = Report(error=as_finding(refusal))
    report.protocol = names[0]
    return report


def _report_of(
    name: str, reader: ModuleType, data: bytes, key: str | bytes | None, direction: Direction
) -> Report:
    if unsigned := load_unsigned(name):
        return check_unsigned(unsigned.read(data), data, direction)
    if "direction" in inspect.signature(reader.check).parameters:
        return reader.check(data, key, direction)
    return reader.check(data, key)


def _candidates(readers: dict[str, ModuleType], data: bytes) -> list[str]:
    """Return the protocols that a file may be of.

    A signed one that recognises it comes first, and alone: what it looks for occurs nowhere else,
    while formats without signatures can look alike.
    """
    names = [name for name, reader in readers.items() if reader.recognise(data)]
    signed = [name for name in names if not is_unsigned(readers[name])]
    return signed[:1] or names


def _readers() -> dict[str, ModuleType]:
    """Return the protocol modules that can check or read a file, by name."""
    modules = {name: load_module(name) for name in protocol_names()}
    return {
        name: module
        for name, module in modules.items()
        if is_unsigned(module) or (hasattr(module, "recognise") and hasattr(module, "check"))
    }


def _text_of(data: bytes) -> bytes:
    """Return text in UTF-8, and other bytes unchanged; Rejected where it is empty or too large."""
    if len(data) > MAX_FILE_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"a file of more than {MAX_FILE_BYTES} bytes")
    text = _in_utf8(data)
    if not text.strip(_SPACE):
        raise Rejected(Reason.EMPTY, "the file is empty")
    return text


def _in_utf8(data: bytes) -> bytes:
    """Return UTF-16, as some editors save it, as UTF-8 without its XML encoding declaration."""
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-16")
        head, rest = text[:100], text[100:]
        return (_UTF16_DECLARED.sub("", head) + rest).encode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise Rejected(Reason.NOT_UTF8, "broken UTF-16") from None
