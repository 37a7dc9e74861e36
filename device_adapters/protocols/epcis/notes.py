"""Collects the errors of a document while it is read, so that a check can report all of them.

An *error* breaks EPCIS 2.0 or CBV 2.0 in something that payments need: times, identifiers, standard
words, types of fields; a record is rejected with its first error. A *flaw* is structure that the
standard requires and the document lacks: a new record is refused with its first flaw, one that was
settled before is still read (`structure`). A *warning* is for people: private words that look like
a mistake, ids that are not URIs, an eventID that is not its hash, what does not count.
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
    """What an auditor should know about a document that is accepted. Stable codes."""

    NOT_A_URI = "not_a_uri"  # an identifier without scheme
    MEASURE_UNKNOWN = "measure_unknown"  # a measurement type that the GS1 vocabulary lacks
    EVENT_ID_DIFFERS = "event_id_differs"  # an eventID in hash form that is not this event's hash
    DRAFT_SYNTAX = "draft_syntax"  # isA, as drafts of EPCIS 2.0 had it
    DUPLICATE_IDENTIFIER = "duplicate_identifier"  # one object twice, counted once
    UNITS_NOT_COUNTED = "units_not_counted"  # a part of the objects counts nothing
    FIELD_EXPECTED = "field_expected"  # the standard expects a field that is missing
    FIELD_MISPLACED = "field_misplaced"  # a field where the standard has none


class Notes:
    """Findings of one document: errors, flaws and warnings in order, and every identifier in it.

    codes_read: (event, field, identifier). event: number of the event being read, from 1; 0: the
    document. several: whether findings name the event.
    """

    def __init__(self) -> None:
        self.errors: list[Finding] = []
        self.flaws: list[Finding] = []
        self.warnings: list[Finding] = []
        self.codes_read: list[tuple[int, str, IdentifierCode]] = []
        self.event, self.several = 0, False

    @property
    def place(self) -> str:
        """Return the event as the begin of a sentence, or ""."""
        return f"event {self.event}: " if self.several and self.event else ""

    def error(self, reason: StrEnum, detail: str) -> None:
        """Add an error."""
        self.errors.append((reason, self.place + detail))

    def flaw(self, reason: StrEnum, detail: str) -> None:
        """Add structure that is required and missing."""
        self.flaws.append((reason, self.place + detail))

    def warn(self, caution: EpcisCautionReason, detail: str) -> None:
        """Add a warning."""
        self.warnings.append((caution, self.place + detail))

    def out_of_range(self, quantity: str) -> None:
        """Add the error of a number that is too large."""
        self.error(Reason.NUMBER_OUT_OF_RANGE, f"{quantity[:60]} is too large")

    def text(self, fields: dict[str, Any], name: str) -> str:
        """Return a text field, or "" if it is missing."""
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            self.error(Reason.WRONG_TYPE, f"{name} is not a text")
            return ""
        return (value or "").strip()

    def items(self, fields: dict[str, Any], name: str) -> list[Any]:
        """Return a list field; a single value counts as a list of one, as in JSON-LD."""
        value = fields.get(name)
        if value is None:
            return []
        return value if isinstance(value, list) else [value]

    def texts(self, fields: dict[str, Any], name: str) -> list[str]:
        """Return a list of texts."""
        items = self.items(fields, name)
        if all(isinstance(item, str) for item in items):
            return [item.strip() for item in items]
        self.error(Reason.WRONG_TYPE, f"{name} is not a list of texts")
        return []

    def objects(self, fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
        """Return a list of objects."""
        items = self.items(fields, name)
        if all(isinstance(item, dict) for item in items):
            return items
        self.error(Reason.WRONG_TYPE, f"{name} is not a list of objects")
        return []

    def time_ms(self, fields: dict[str, Any], name: str) -> int:
        """Return a time as Unix milliseconds; add an error and return 0 if it is not valid."""
        try:
            milliseconds = read_time(self.text(fields, name)) // 1_000
        except Rejected as refusal:
            self.error(refusal.reason, f"{name}: {refusal.detail}")
            return 0
        if milliseconds < 0:
            self.error(Reason.TIME_MALFORMED, f"{name} is before 1970")
        return max(milliseconds, 0)

    def code(self, name: str, text: str) -> IdentifierCode:
        """Return an identifier; add an error or a warning if it is not valid."""
        code = read_code(text)
        self.codes_read.append((self.event, name, code))
        if code.flaw and (code.key or text.startswith("urn:epc:")):
            self.error(Reason.CODE_MALFORMED, f"{name}: {code.flaw}")
        elif code.flaw:
            self.warn(EpcisCautionReason.NOT_A_URI, f"{name}: {text[:60]!r} is {code.flaw}")
        return code

    def codes(self, fields: dict[str, Any], name: str) -> list[IdentifierCode]:
        """Return a list of identifiers, each once; one that is written twice adds a warning."""
        codes = [self.code(name, text) for text in self.texts(fields, name)]
        unique = {code.identity: code for code in reversed(codes)}
        if len(unique) < len(codes):
            detail = f"{name}: {len(codes)} identifiers of {len(unique)} objects, each counts once"
            self.warn(EpcisCautionReason.DUPLICATE_IDENTIFIER, detail)
        return list(reversed(unique.values()))

    def word(self, vocabulary: Vocabulary, fields: dict[str, Any], name: str) -> str:
        """Return a bare word of a standard vocabulary, or the URI of a private one."""
        text = self.text(fields, name)
        if not text:
            return ""
        word, _, is_known = read_word(vocabulary, text)
        if not is_known:
            detail = f"{text[:60]!r} is not a {vocabulary.name} of CBV 2.0"
            self.error(Reason.VOCABULARY_UNKNOWN, detail)
        return word

    def warn_word(self, vocabulary: Vocabulary, text: str) -> None:
        """Add the warning of a word that is not in a GS1 vocabulary."""
        detail = f"{text[:60]!r} is not a {vocabulary.name} of the GS1 vocabulary"
        self.warn(EpcisCautionReason.MEASURE_UNKNOWN, detail)
