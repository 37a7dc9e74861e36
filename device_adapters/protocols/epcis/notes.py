"""Collects what is wrong with a document while it is read, so that a check can tell all of it.

An *error* is against EPCIS 2.0 or CBV 2.0 in what payments build on: times, identifiers, standard
words, types of fields; a record with one is rejected by the first. A *warning* is for people:
private vocabularies that look like a mistake, ids that are no URI, an eventID that is not its hash.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from device_adapters.protocols.epcis.codes import IdentifierCode, read_code
from device_adapters.protocols.epcis.text import Vocabulary, read_word
from device_adapters.protocols.epcis.times import read_time
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import Finding


class EpcisCautionReason(StrEnum):
    """What an auditor should know of a document that can be taken all the same. Stable codes."""

    NOT_A_URI = "not_a_uri"  # an identifier without scheme
    MEASURE_UNKNOWN = "measure_unknown"  # a measurement type that the GS1 vocabulary lacks
    EVENT_ID_DIFFERS = "event_id_differs"  # an eventID in hash form that is not this event's hash
    DRAFT_SYNTAX = "draft_syntax"  # isA, as drafts of EPCIS 2.0 had it


class Notes:
    """errors, warnings: findings in order. codes: every identifier, with event and field.

    `event` is the one being read, from 1; 0 stands for the document. `several`: sentences name it.
    """

    def __init__(self, several: bool = False) -> None:
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []
        self.codes_read: list[tuple[int, str, IdentifierCode]] = []
        self.event, self._several = 0, several

    @property
    def place(self) -> str:
        return f"event {self.event}: " if self._several and self.event else ""

    def error(self, reason: StrEnum, detail: str) -> None:
        self.errors.append((reason, self.place + detail))

    def warn(self, caution: EpcisCautionReason, detail: str) -> None:
        self.warnings.append((caution, self.place + detail))

    def out_of_range(self, what: str) -> None:
        self.error(Reason.NUMBER_OUT_OF_RANGE, f"{what[:60]} is beyond what is counted here")

    def text(self, fields: dict[str, Any], name: str) -> str:
        """A text field, "" where it is not there."""
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            self.error(Reason.WRONG_TYPE, f"{name} is no text")
            return ""
        return (value or "").strip()

    def items(self, fields: dict[str, Any], name: str) -> list[Any]:
        """A list field; one value alone counts as a list of one, as in JSON-LD."""
        value = fields.get(name)
        if value is None:
            return []
        return value if isinstance(value, list) else [value]

    def texts(self, fields: dict[str, Any], name: str) -> list[str]:
        """A list of texts."""
        found = self.items(fields, name)
        if all(isinstance(item, str) for item in found):
            return [item.strip() for item in found]
        self.error(Reason.WRONG_TYPE, f"{name} is no list of texts")
        return []

    def objects(self, fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
        """A list of objects."""
        found = self.items(fields, name)
        if all(isinstance(item, dict) for item in found):
            return found
        self.error(Reason.WRONG_TYPE, f"{name} is no list of objects")
        return []

    def time_ms(self, fields: dict[str, Any], name: str) -> int:
        """A time as Unix milliseconds; 0, and an error, where it is none."""
        try:
            found = read_time(self.text(fields, name)) // 1_000
        except Rejected as refusal:
            self.error(refusal.reason, f"{name}: {refusal.detail}")
            return 0
        if found < 0:
            self.error(Reason.TIME_MALFORMED, f"{name} is before 1970")
        return max(found, 0)

    def code(self, name: str, text: str) -> IdentifierCode:
        """An identifier, its rules checked."""
        code = read_code(text)
        self.codes_read.append((self.event, name, code))
        if code.flaw and (code.key or text.startswith("urn:epc:")):
            self.error(Reason.CODE_MALFORMED, f"{name}: {code.flaw}")
        elif code.flaw:
            self.warn(EpcisCautionReason.NOT_A_URI, f"{name}: {text[:60]!r} is {code.flaw}")
        return code

    def codes(self, fields: dict[str, Any], name: str) -> list[IdentifierCode]:
        """A list of identifiers."""
        return [self.code(name, text) for text in self.texts(fields, name)]

    def word(self, vocabulary: Vocabulary, fields: dict[str, Any], name: str) -> str:
        """A word of a standard vocabulary, told bare; the URI of a private one stays a URI."""
        text = self.text(fields, name)
        if not text:
            return ""
        word, _, known = read_word(vocabulary, text)
        if not known:
            detail = f"{text[:60]!r} is no {vocabulary.name} of CBV 2.0"
            self.error(Reason.VOCABULARY_UNKNOWN, detail)
        return word

    def warn_word(self, vocabulary: Vocabulary, text: str) -> None:
        detail = f"{text[:60]!r} is no {vocabulary.name} of the GS1 vocabulary"
        self.warn(EpcisCautionReason.MEASURE_UNKNOWN, detail)
