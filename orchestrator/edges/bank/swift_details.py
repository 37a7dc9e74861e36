"""Reads a field :86: of MT940: German subfields, code words with + or :, or slashed ones.

Rules: German banking industry, DFÜ agreement annex 3 (subfields ?00 to ?63, code words such as
EREF+); Dutch and Belgian banks write /EREF/ and so on. Everything else is free text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.core.references import account_number, normalise
from orchestrator.edges.bank.details import creditor_reference
from orchestrator.edges.bank.facts import NO_REFERENCES, NOBODY, Counterparty, References

_GERMAN = re.compile(r"([0-9]{3})([^0-9A-Za-z\s/])(?=[0-9]{2})")
_WIDTH, _PURPOSE_WIDTH = 65, 27  # a piece of this length continues in the next one
_WORD = re.compile(
    r"(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|IBAN|BIC|COAM|OAMT|PURP|MDAT|SQTP|"
    r"ORCR|ORMR|DDAT|RREF|UETR)(?:\+|:\s?)"
)
_SLASH = re.compile(
    r"(?:^|/|(?<=\s))(EREF|PREF|KREF|MARF|CSID|CNTP|REMI|PURP|ULTC|ULTD|ULTB|RTRN|IBAN|BIC|NAME|"
    r"ORDP|BENM|TRTP|TRCD|ISDT|SVCL|INIT|OCMT|EXCH|CHGS|UETR|ID|ADDR|ACCW|TXT)/"
)
_RETURNS = {"108", "109", "111", "158", "159", "181", "182", "183", "184"}
_ISO_REASON = re.compile(
    r"\b(AC0[1-9]|AC1[0-9]|AG0[1-9]|AM0[1-9]|BE0[1-8]|CNOR|DNOR|ED05|FOCR|"
    r"FR01|MD0[1-7]|MS0[23]|NARR|RC0[1-9]|RR0[1-4]|SL0[1-9]|TM01|CUST|DUPL|"
    r"TECH|FRAD|UPAY)\b"
)  # ISO 20022 external return reasons
_NOT_GIVEN = {"NOTPROVIDED", "NONREF"}


@dataclass(frozen=True, slots=True)
class SwiftDetails:
    """The content of one :86:; `number` is the bank's three-digit booking code (GVC)."""

    references: References = NO_REFERENCES
    counterparty: Counterparty = NOBODY
    text: str = ""
    info: str = ""
    number: str = ""
    return_reason: str = ""


def parse_details(rows: list[str], *, is_debit: bool = False) -> SwiftDetails:
    """Return the content of a field :86:; unknown parts are text.

    Args:
        rows: The lines of the field.
        is_debit: Whether we are the payer.
    """
    # many banks cut a blank at the end of a full line
    joined = "".join(row + " " if len(row) == _WIDTH - 1 else row for row in rows).strip()
    german = _GERMAN.match(joined)
    if german:
        return _german(joined[german.end() - 1 :], german[1], german[2])
    if joined.startswith("/") and _SLASH.search(joined):
        return _slashed(joined, is_debit)
    return _purpose(_pieced([row.strip() for row in rows], _WIDTH))


def _german(text: str, number: str, separator: str) -> SwiftDetails:
    """Read subfields; the bank chooses their separator, mostly "?"."""
    fields: dict[str, list[str]] = {}
    for part in re.split(re.escape(separator) + r"(?=[0-9]{2})", text)[1:]:
        fields.setdefault(part[:2], []).append(part[2:])
    purpose = [
        piece
        for key, pieces in fields.items()
        if "20" <= key <= "29" or "60" <= key <= "63"
        for piece in pieces
    ]
    purpose_details = _purpose(_pieced(purpose, _PURPOSE_WIDTH, words=True))
    account = "".join(fields.get("38", []) or fields.get("31", []))  # 38: Polish banks' IBAN
    name = " ".join(_pieced(fields.get("32", []) + fields.get("33", []), _PURPOSE_WIDTH).split())
    extension = "".join(fields.get("34", [])).strip()
    counterparty = purpose_details.counterparty
    reason = purpose_details.return_reason
    if number in _RETURNS:
        reason = reason or _iso_reason(purpose_details.text) or extension
    return SwiftDetails(
        purpose_details.references,
        Counterparty(
            name or counterparty.name,
            account_number(normalise(account)) or counterparty.account,
            "".join(fields.get("30", [])).strip() or counterparty.bic,
        ),
        purpose_details.text,
        "".join(fields.get("00", [])).strip(),
        number,
        reason,
    )


def _purpose(text: str) -> SwiftDetails:
    """Read free text with optional code words for references."""
    before, named = _by_word(_WORD, text)
    words = " ".join(f"{before} {named.get('SVWZ', '')}".split())
    return SwiftDetails(
        _references(
            end_to_end_id=named.get("EREF", ""),
            mandate_id=named.get("MREF", ""),
            creditor_id=named.get("CRED", ""),
            customer_reference=named.get("KREF", ""),
            uetr=named.get("UETR", "").lower(),
            text=words,
        ),
        Counterparty(
            named.get("ABWA", "") or named.get("ABWE", ""),
            account_number(normalise(named.get("IBAN", ""))),
            named.get("BIC", ""),
        ),
        words,
    )


def _slashed(text: str, is_debit: bool) -> SwiftDetails:
    _, values = _by_word(_SLASH, text)
    named = {word: value.strip("/") for word, value in values.items()}
    account, bic, name = (*named.get("CNTP", "").split("/"), "", "", "")[:3]
    if not account:
        account, _, bic = named.get("ACCW", "").partition(",")  # account with institution
    name = named.get("NAME", "") or name or named.get("BENM" if is_debit else "ORDP", "")
    words, structured = named.get("REMI", ""), ""
    if words.startswith("USTD/"):
        words = words.removeprefix("USTD/").strip("/")
    elif words.startswith("STRD/"):  # STRD/<issuer>/<reference>
        structured, words = words.rpartition("/")[2], ""
    return SwiftDetails(
        _references(
            end_to_end_id=named.get("EREF", ""),
            mandate_id=named.get("MARF", ""),
            creditor_id=named.get("CSID", ""),
            batch=named.get("PREF", ""),
            customer_reference=named.get("KREF", ""),
            uetr=named.get("UETR", "").lower(),
            text=words,
            structured=structured,
        ),
        Counterparty(
            name,
            account_number(normalise(named.get("IBAN", "") or account)),
            named.get("BIC", "") or bic,
        ),
        words,
        named.get("TRTP", ""),
        return_reason=named.get("RTRN", "").partition("/")[0],
    )


def _by_word(pattern: re.Pattern, text: str) -> tuple[str, dict[str, str]]:
    """Return (text before the first code word, text after each word).

    Repeated SVWZ are joined; of all others the first counts.
    """
    marks = list(pattern.finditer(text))
    ends = [*(mark.start() for mark in marks), len(text)]
    named: dict[str, str] = {}
    for mark, end in zip(marks, ends[1:], strict=True):
        value = text[mark.end() : end].strip()
        if mark[1] == "SVWZ" and "SVWZ" in named:
            named["SVWZ"] += f" {value}"
        named.setdefault(mark[1], value)
    return text[: ends[0]].strip(), named


def _references(*, text: str, structured: str = "", **named: str) -> References:
    given = {key: "" if value.upper() in _NOT_GIVEN else value for key, value in named.items()}
    reference = creditor_reference(structured, text, given.get("end_to_end_id", ""))
    return References(**given, reference=reference)


def _pieced(pieces: list[str], width: int, *, words: bool = False) -> str:
    """Join pieces: no space after one of full width, a space after a shorter one.

    Args:
        words: Whether a piece after a complete reference is always text.
    """
    joined: list[str] = []
    full = named = False
    for piece in pieces:
        word = _WORD.match(piece)
        if words and named and not full and not word:
            joined.append("SVWZ+")
        elif joined and not full and not word:
            joined.append(" ")
        named = word[1] not in ("SVWZ", "ABWA", "ABWE") if word else named and full
        joined.append(piece)
        full = len(piece) >= width
    return "".join(joined)


def _iso_reason(text: str) -> str:
    match = _ISO_REASON.search(text)
    return match[0] if match else ""
