"""Writes names in the character set that every SEPA bank must accept, or refuses them.

Rule: EPC217-08, the basic Latin set. Umlauts take their German two-letter form, because banks
compare payee names with the account holder's.
"""

from __future__ import annotations

import re
import unicodedata

from device_adapters.types import Rejected
from orchestrator.edges.bank.types import BankReason

_SPELLED = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "Ä": "Ae",
        "Ö": "Oe",
        "Ü": "Ue",
        "ß": "ss",
        "ẞ": "SS",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "þ": "th",
        "Þ": "Th",
        "ı": "i",
        "ħ": "h",
        "Ħ": "H",
        "&": "+",
        "_": "-",
        "’": "'",
        "‘": "'",
        "“": "'",
        "”": "'",
        '"': "'",
        "–": "-",
        "—": "-",
        "@": "(at)",
        ";": ",",
        "!": ".",
        "*": ".",
        "€": "EUR",
    }
)
_ALLOWED = re.compile(r"[A-Za-z0-9/\-?:().,'+ ]*")


def latin(text: str, limit: int, what: str) -> str:
    """Return the text in the basic Latin set.

    Names are never shortened, because a shortened payee may be another person.

    Raises:
        Rejected: a character has no spelling, or there are more than `limit` characters.
    """
    spelled = unicodedata.normalize("NFC", text).translate(_SPELLED)
    plain = "".join(
        character
        for character in unicodedata.normalize("NFKD", spelled)
        if not unicodedata.combining(character)
    )
    result = " ".join(plain.split())
    if not _ALLOWED.fullmatch(result):
        odd = sorted({character for character in result if not _ALLOWED.fullmatch(character)})
        raise Rejected(BankReason.NAME_NOT_LATIN, f"{what}: no bank spelling for {odd}")
    if len(result) > limit:
        raise Rejected(BankReason.NAME_TOO_LONG, f"{what}: {len(result)} of {limit} characters")
    return result
