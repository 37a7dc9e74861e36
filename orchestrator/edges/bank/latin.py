"""Write names in the character set every SEPA bank must take, or refuse them by name.

Rule: EPC217-08, the basic Latin set; umlauts in their German two-letter form, since payee names
are compared with the account holder's.
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
    """`text` in the basic Latin set, at most `limit` characters; raises Rejected otherwise.

    A name is never cut short: a shortened payee may be somebody else.
    """
    spelled = unicodedata.normalize("NFC", text).translate(_SPELLED)
    plain = "".join(
        each for each in unicodedata.normalize("NFKD", spelled) if not unicodedata.combining(each)
    )
    result = " ".join(plain.split())
    if not _ALLOWED.fullmatch(result):
        odd = sorted({each for each in result if not _ALLOWED.fullmatch(each)})
        raise Rejected(BankReason.NAME_NOT_LATIN, f"{what}: no bank spelling for {odd}")
    if len(result) > limit:
        raise Rejected(BankReason.NAME_TOO_LONG, f"{what}: {len(result)} of {limit} characters")
    return result
