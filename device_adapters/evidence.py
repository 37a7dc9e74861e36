"""Checks a file of evidence of any protocol, offline: genuine, billable, settleable, and why.

Exit codes: 0 every record is genuine; 1 one is not, or no key is known for it; 2 the file cannot
be read (not there, of no protocol known here, a broken container, or not one whole record). How a
protocol takes part: `verdicts.py`.
"""

from __future__ import annotations

import codecs
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

from . import protocols as _folder
from .registry import protocols
from .types import Reason, Rejected
from .verdicts import RecordCheck, Report, Unproven, as_finding

__all__ = ["MAX_FILE_BYTES", "RecordCheck", "Report", "Unproven", "check_file"]

MAX_FILE_BYTES = 16 * 1024 * 1024
_SPACE = b" \t\r\n\0"
_UTF16_DECLARED = re.compile(r"encoding\s*=\s*[\"']utf-16(le|be)?[\"']", re.IGNORECASE)


def check_file(source: Path | str | bytes, key: str | bytes | None = None) -> Report:
    """Checks a file (a path, or its bytes) with `key`, else with the keys it brings along.

    Never raises for what a file or key may hold; see the module for the exit codes.
    """
    name = "<bytes>" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        report = _check(_text_of(data), key)
    except Rejected as refusal:
        report = Report(error=as_finding(refusal))
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        report = Report(error=(Reason.FILE_UNREADABLE, str(error)))
    report.file = name
    return report


def _check(data: bytes, key: str | bytes | None) -> Report:
    for protocol in _checkers():
        if protocol.recognise(data):
            return protocol.check(data, key)
    known = ", ".join(protocol.__name__.rpartition(".")[2] for protocol in _checkers())
    raise Rejected(Reason.MALFORMED, f"no evidence of a protocol known here ({known}) is in it")


def _checkers() -> list[ModuleType]:
    """The protocol files that take part, by name."""
    files = [import_module(f"{_folder.__name__}.{name}") for name in protocols()]
    return [file for file in files if hasattr(file, "recognise") and hasattr(file, "check")]


def _text_of(data: bytes) -> bytes:
    """The file in UTF-8, with nothing else changed; Rejected where it is empty or too large."""
    if len(data) > MAX_FILE_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"a file of more than {MAX_FILE_BYTES} bytes")
    text = _in_utf8(data)
    if not text.strip(_SPACE):
        raise Rejected(Reason.EMPTY, "the file is empty")
    return text


def _in_utf8(data: bytes) -> bytes:
    """UTF-16, as some editors save it, becomes UTF-8 (also in what an XML file says of itself)."""
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-16")
        head, rest = text[:100], text[100:]
        return (_UTF16_DECLARED.sub("", head) + rest).encode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise Rejected(Reason.NOT_UTF8, "broken UTF-16") from None
