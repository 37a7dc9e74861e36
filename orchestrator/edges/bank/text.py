"""Decodes a bank file: by its byte order mark or XML declaration, else as UTF-8."""

from __future__ import annotations

import codecs
import re

from orchestrator.edges.bank.facts import FileProblem
from orchestrator.edges.bank.types import BankReason

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),  # a NUL that pads was removed before
)
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
# supersets of ASCII: in none of them can other bytes spell a document type
_KNOWN = re.compile(
    r"(utf-?8|us-ascii|ascii|iso-?8859-[0-9]{1,2}|latin-?[0-9]|"
    r"(windows-|cp)125[0-8]|utf-?16)",
    re.IGNORECASE,
)


def decode(data: bytes) -> tuple[str, FileProblem | None]:
    """Return the text and a problem with its encoding; with one, decoded as ISO 8859-1."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    declared = _DECLARED.match(data)
    name = encoding or (declared[1].decode() if declared else "utf-8")
    if not encoding and not _KNOWN.fullmatch(name):
        return data.decode("latin-1"), FileProblem(1, "", BankReason.ENCODING_UNKNOWN, name)
    if name.lower() == "iso-8859-1" and _is_windows(data):
        name = "cp1252"
    elif declared and not encoding and name.lower().replace("-", "") == "utf16":
        name = "utf-8"  # the file was converted, and its declaration was not
    try:
        return data.decode(name), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = f"not {name.removesuffix('-sig')} at byte {error.start}; read as iso-8859-1"
        return data.decode("latin-1"), FileProblem(line, "", BankReason.NOT_UTF8, why)
    except LookupError:
        return data.decode("latin-1"), FileProblem(1, "", BankReason.ENCODING_UNKNOWN, name)


def _is_windows(data: bytes) -> bool:
    """Return whether bytes declared as ISO 8859-1 use 0x80-0x9F and so are Windows-1252."""
    return not any(byte in data for byte in b"\x81\x8d\x8f\x90\x9d") and any(
        byte in data for byte in range(0x80, 0xA0)
    )
