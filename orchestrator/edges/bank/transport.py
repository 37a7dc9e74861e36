"""Removes what a transport adds to a file: control characters, padding, and SWIFT's blocks.

SOH, STX and ETX frame a message, Ctrl-Z ends a DOS file, NUL pads a record. SWIFT writes "{" and
"}" around its blocks; in a national 7-bit set (ISO 646) the same byte is a letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\r")) + b"\x7f"
_FRAMES = re.compile("[\x01-\x04\x17\x1a\x1c-\x1e]")  # between messages, like an end of line
_EDGE = "".join(map(chr, _CONTROLS)) + "\ufeff"
_UTF_16 = ([True, False, True, False], [False, True, False, True])  # Latin letters, which not NUL
_SEPARATOR = re.compile(r"\s*([-=*_#$~])\1+\s*")  # a row that only separates
_OPEN, _CLOSE = "äÄæÆéàã°", "åÅüÜèõç"  # a brace's byte read as a letter
_HEADER = re.compile(
    rf"\{{[123]:|[{_OPEN}](1:[AFL][0-9]{{2}}[A-Z]{{4}}|2:[IO]9[0-9]{{2}}|3:[{_OPEN}])"
)
_TEXT_BLOCK = re.compile(rf"(\{{|[{_OPEN}])4:(?=\s*(:|$))")
_END = re.compile(rf"\s*-\s*(\}}.*|[{_CLOSE}]\s*([{_OPEN}][15]:.*)?)?")
# the end of block 4 on the row of the last field; some systems leave out its "-" after a balance
_GLUED = re.compile(r"(?:(.*[0-9A-Za-z,])-|(:6[0245][FM]?:[^{}]*))\}(\{.*)?")
_TYPE = re.compile(rf"[{{{_OPEN}]2:[IO](94[0-9])")


def without_padding(data: bytes) -> bytes:
    """Return the bytes of a file without control characters before and after its content.

    Line ends stay, so that places keep their line numbers.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or [bool(b) for b in data[:4]] in _UTF_16:
        return data
    begin, end = 0, len(data)
    while begin < end and data[begin] in _CONTROLS:
        begin += 1
    while end > begin and data[end - 1] in _CONTROLS + b"\n\r\t ":
        end -= 1
    return data[begin:end]


def swift_rows(text: str) -> Iterator[tuple[int, str | None, str]]:
    """Yield (line from 1, row, type) of the content of SWIFT messages.

    A row is None where a message begins or ends; there the type is "940", "941" or "942" if the
    message's header gives it, else "".
    """
    for number, whole in enumerate(text.split("\n"), 1):
        for part in _FRAMES.split(whole):
            yield from ((number, *item) for item in _content(part.strip(_EDGE)))


def _content(row: str) -> Iterator[tuple[str | None, str]]:
    block = _TEXT_BLOCK.search(row)
    if _HEADER.match(row):
        kind = _TYPE.search(row)
        yield None, kind[1] if kind else ""
        row = row[block.end() :] if block else ""
    elif block and not block.start():
        row = row[block.end() :]
    glued = _GLUED.fullmatch(row)
    if _END.fullmatch(row):
        yield None, ""
    elif glued:
        yield from ((glued[1] or glued[2], ""), (None, ""))
    elif not _SEPARATOR.fullmatch(row):
        yield row, ""
