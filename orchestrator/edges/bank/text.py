"""The text of a bank file: in the encoding that its mark or its prolog declares, or UTF-8."""

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
    (b"\0<", "utf-16-be"),
)
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
# Fixed-size supersets of ASCII: in none of them can other bytes spell a document type.
_KNOWN = re.compile(
    r"(utf-?8|us-ascii|ascii|iso-?8859-[0-9]{1,2}|latin-?[0-9]|"
    r"(windows-|cp)125[0-8]|utf-?16)",
    re.IGNORECASE,
)


def decode(data: bytes) -> tuple[str, FileProblem | None]:
    """The text, and what is wrong with the encoding: then the text is the bytes as ISO 8859-1."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    declared = _DECLARED.match(data)
    name = encoding or (declared[1].decode() if declared else "utf-8")
    if not encoding and not _KNOWN.fullmatch(name):
        return data.decode("latin-1"), FileProblem(1, "", BankReason.ENCODING_UNKNOWN, name)
    if name.lower() == "iso-8859-1" and _is_windows(data):
        name = "cp1252"
    elif declared and not encoding and name.lower().replace("-", "") == "utf16":
        name = "utf-8"  # a prolog that is read byte by byte says that of the file it came from
    try:
        return data.decode(name), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = f"not {name.removesuffix('-sig')} at byte {error.start}; read as iso-8859-1"
        return data.decode("latin-1"), FileProblem(line, "", BankReason.NOT_UTF8, why)
    except LookupError:
        return data.decode("latin-1"), FileProblem(1, "", BankReason.ENCODING_UNKNOWN, name)


def _is_windows(data: bytes) -> bool:
    """ISO 8859-1 has no letters at 0x80-0x9F; what declares it and uses them is Windows-1252."""
    return not any(byte in data for byte in b"\x81\x8d\x8f\x90\x9d") and any(
        byte in data for byte in range(0x80, 0xA0)
    )
