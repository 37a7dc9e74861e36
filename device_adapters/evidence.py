"""Checks a file of evidence of any protocol, offline: genuine, billable, settleable, and why.

Exit codes: 0 every record is genuine, and no session lacks its begin or end; 1 a record is not, or
no key is known for it, or a session is not complete; 2 the file cannot be read (missing, of no
supported protocol, a broken container, or not one complete record). What a protocol implements for
it: `verdicts.py`.
"""

from __future__ import annotations

import codecs
import re
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import ModuleType

from device_adapters import protocols as protocol_package
from device_adapters.registry import protocols
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import RecordCheck, Report, Unproven, as_finding

__all__ = ["MAX_FILE_BYTES", "RecordCheck", "Report", "Unproven", "check_file"]

MAX_FILE_BYTES = 16 * 1024 * 1024
_SPACE = b" \t\r\n\0"
_UTF16_DECLARED = re.compile(r"encoding\s*=\s*[\"']utf-16(le|be)?[\"']", re.IGNORECASE)


def check_file(
    source: Path | str | bytes, key: str | bytes | None = None, export: bool = False
) -> Report:
    """Check every record of a file; no content of file or key makes it raise.

    Args:
        source: the path of the file, or its bytes.
        key: the public key in any form of `keys.load_public_key`; None: the keys in the file.
        export: whether energy that is fed back is billed, instead of consumption.

    Returns:
        A report with the exit code described above.
    """
    name = "<bytes>" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        report = _check(_text_of(data), key, export)
    except Rejected as refusal:
        report = Report(error=as_finding(refusal))
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        report = Report(error=(Reason.FILE_UNREADABLE, str(error)))
    report.file = name
    return report


def _check(data: bytes, key: str | bytes | None, export: bool) -> Report:
    for protocol in _checkers():
        if protocol.recognise(data):
            directed = "export" in signature(protocol.check).parameters
            return protocol.check(data, key, **({"export": export} if directed else {}))
    names = ", ".join(protocol.__name__.rpartition(".")[2] for protocol in _checkers())
    raise Rejected(Reason.MALFORMED, f"it has no evidence of a supported protocol ({names})")


def _checkers() -> list[ModuleType]:
    """Return the protocol modules that can check a file, by name."""
    modules = [import_module(f"{protocol_package.__name__}.{name}") for name in protocols()]
    return [m for m in modules if hasattr(m, "recognise") and hasattr(m, "check")]


def _text_of(data: bytes) -> bytes:
    """Return the file in UTF-8, otherwise unchanged; Rejected where it is empty or too large."""
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
