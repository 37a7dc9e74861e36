"""Takes an EDIFACT interchange apart: service segments, counts, and the messages in it.

Syntax: ISO 9735, versions 1 to 3, read by `pydifact`. The trailers (UNT, UNZ) must count what is
there and repeat the references of their headers: so a file that was cut is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydifact.control import Characters
from pydifact.exceptions import EDISyntaxError
from pydifact.parser import Parser
from pydifact.tokenizer import Tokenizer

from device_adapters.types import Reason, Rejected

MAX_BYTES = 2 * 1024 * 1024
_HEAD = re.compile(rb"\s*(?:UNA[^\r\n]{6}\s*)?UNB[^A-Za-z0-9]")
_SPECIAL = set(":+,.?' *!\x1c\x1d\x1e\x1f~^|#;@/\\_-<>=")
_TAG = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its tag, and its elements as lists of components."""

    tag: str
    elements: list[list[str]]

    def at(self, element: int, component: int = 0) -> str:
        """Return a component (both from 0); "" where it is missing."""
        components = self.elements[element] if element < len(self.elements) else []
        return components[component] if component < len(components) else ""


@dataclass(frozen=True, slots=True)
class Interchange:
    """The messages of a file, each from UNH to UNT, and its decimal sign."""

    header: Segment
    messages: list[list[Segment]]
    decimal: str


def recognise(data: bytes) -> bool:
    """Return whether the bytes begin like an EDIFACT interchange with MSCONS messages."""
    return _HEAD.match(data[:200]) is not None and b"MSCONS" in data[:4_000]


def read_interchange(content: bytes) -> Interchange:
    """Return the messages of an interchange.

    Raises:
        Rejected: it is too large, no single interchange, or cut.
    """
    if len(content) > MAX_BYTES:
        detail = f"{len(content)} bytes, an interchange has at most {MAX_BYTES}"
        raise Rejected(Reason.TOO_LARGE, detail)
    if not content.strip():
        raise Rejected(Reason.EMPTY, "the file has no bytes")
    if not _HEAD.match(content[:200]):
        raise Rejected(
            Reason.MALFORMED, "no EDIFACT interchange: it begins with neither UNA nor UNB"
        )
    text = _decoded(content).strip()
    characters = _characters(text)
    body = text[9:].lstrip() if text.startswith("UNA") else text
    segments = _segments(body, characters)
    if [segment.tag for segment in segments].count("UNB") != 1:
        raise Rejected(Reason.MALFORMED, "send each interchange (UNB to UNZ) as a file of its own")
    return _checked(segments, ".," if characters.decimal_point in ".," else ".")


def _decoded(content: bytes) -> str:
    is_utf8 = re.search(rb"UNB[^A-Za-z0-9]UNO[WY]", content[:200]) is not None
    try:
        return content.decode("utf-8" if is_utf8 else "latin-1")
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the interchange declares UTF-8 and is not") from None


def _characters(text: str) -> Characters:
    """Return the separators of UNA, else those of the standard; a blank release sign means none."""
    if not text.startswith("UNA"):
        return Characters(decimal_point=".")
    given = text[3:9]
    separators = [given[0], given[1], given[5], *([given[3]] if given[3] != " " else [])]
    if len(set(separators)) != len(separators) or not set(given) <= _SPECIAL:
        raise Rejected(Reason.MALFORMED, f"UNA declares the separators {given!r}")
    characters = Characters.from_str(given)
    if given[3] == " ":
        characters.escape_character = "\0"
    return characters


def _segments(body: str, characters: Characters) -> list[Segment]:
    if "\0" in body:
        raise Rejected(Reason.MALFORMED, "a NUL in the interchange")
    try:
        tokens = Tokenizer().get_tokens(body, characters)
        raw = list(Parser().convert_tokens_to_raw_segments(tokens))
    except EDISyntaxError as error:
        raise Rejected(Reason.TRUNCATED, f"not EDIFACT to its end: {error}"[:200]) from None
    segments = []
    for name, *elements in raw:
        if not isinstance(name, str) or not _TAG.fullmatch(name):
            raise Rejected(Reason.MALFORMED, f"{name!r:.40} is no segment")
        lists = [[element] if isinstance(element, str) else list(element) for element in elements]
        segments.append(Segment(name, lists))
    return segments


def _checked(segments: list[Segment], decimal: str) -> Interchange:
    """Return the messages, if the trailers count them and their segments."""
    header, trailer = segments[0], segments[-1]
    if header.tag != "UNB" or trailer.tag != "UNZ":
        raise Rejected(Reason.TRUNCATED, "an interchange begins with UNB and ends with UNZ")
    messages: list[list[Segment]] = []
    for segment in segments[1:-1]:
        is_open = bool(messages) and messages[-1][-1].tag != "UNT"
        if (segment.tag == "UNH") == is_open:
            raise Rejected(Reason.MALFORMED, f"{segment.tag} does not belong after the one before")
        if segment.tag == "UNH":
            messages.append([])
        messages[-1].append(segment)
    for message in messages:
        counted = (str(len(message)), message[0].at(0))
        if (
            message[-1].tag != "UNT"
            or (message[-1].at(0).lstrip("0"), message[-1].at(1)) != counted
        ):
            detail = f"message {counted[1]!r:.20} has {counted[0]} segments; its UNT says otherwise"
            raise Rejected(Reason.TRUNCATED, detail)
    counted = (str(len(messages)), header.at(4))
    if (trailer.at(0).lstrip("0"), trailer.at(1)) != counted:
        detail = f"{counted[0]} messages in {counted[1]!r:.40}; its UNZ says otherwise"
        raise Rejected(Reason.TRUNCATED, detail)
    return Interchange(header, messages, decimal)
