"""Turns ids into the references that banks carry, and reads them back from what banks print.

Rules: the ids table of docs/ARCHITECTURE.md; ISO 11649 (creditor reference) for funding; at most
35 characters of the SEPA character set for the EndToEndId; RFC 9562 version 4 layout for the UETR.
"""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import sha256
from uuid import UUID

from stdnum import iso11649
from stdnum.iso7064 import mod_97_10

_MARK = "PR"  # marks our references among all that a bank may print
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FUNDING_BYTES, _FUNDING_CHARACTERS = 12, 19  # 96 bits always fit into 19 base-36 characters
_OURS = re.compile(r"RF[0-9]{2}PR[0-9A-Z]{19}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_PRINTED = re.compile(r"[\s./:,\-]+")  # what banks and people put between groups


def end_to_end_id(payout_id: bytes) -> str:
    """Return the EndToEndId (34 characters) of a payout id: its first 20 bytes in base32."""
    return _MARK + b32encode(_id(payout_id)[:20]).decode()


def attempted(payout_id: bytes, attempt: int) -> bytes:
    """Return the 32 bytes that EndToEndId and UETR of an attempt are made from.

    They are the payout id itself at first, and a different value each time it is ordered again.
    """
    if not attempt:
        return _id(payout_id)
    return sha256(b"attempt" + attempt.to_bytes(4, "big") + _id(payout_id)).digest()


def uetr(payout_id: bytes) -> str:
    """Return the UETR of a payout id: a version 4 UUID that is the same on every run."""
    digest = bytearray(sha256(b"uetr" + _id(payout_id)).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x40  # version 4
    digest[8] = digest[8] & 0x3F | 0x80  # the RFC's variant
    return str(UUID(bytes=bytes(digest)))


def funding_reference(agreement_id: bytes) -> str:
    """Return the ISO 11649 reference (25 characters) that a payer quotes to fund an agreement.

    It is "RF", two check digits, "PR", and the id's first 12 bytes, big-endian, in 19 digits of
    base 36.
    """
    number, digits = int.from_bytes(_id(agreement_id)[:_FUNDING_BYTES], "big"), ""
    while len(digits) < _FUNDING_CHARACTERS:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    body = _MARK + digits
    return f"RF{mod_97_10.calc_check_digits(body + 'RF')}{body}"


def normalise(text: str) -> str:
    """Return a reference as banks print it (groups of four, lower case) in its canonical form."""
    return _PRINTED.sub("", text).upper()


def account_number(text: str) -> str:
    """Return an IBAN in its electronic form (ISO 13616), and any other account number as printed.

    Accounts are compared in this form: banks print an IBAN in groups, in small letters, or after
    the word IBAN.
    """
    compact = normalise(text).removeprefix("IBAN")
    return compact if _IBAN.fullmatch(compact) else text.strip()


def is_reference(text: str) -> bool:
    """Return whether `text`, as printed, is a valid ISO 11649 reference, ours or another's."""
    compact = normalise(text)
    return compact.isascii() and compact.isalnum() and iso11649.is_valid(compact)


def find_reference(text: str) -> str:
    """Return our one funding reference inside free text; "" if there is none, or several."""
    compact = normalise(text)
    starts = (start.start() for start in re.finditer("(?=RF)", compact))
    references = {
        match[0] for at in starts if (match := _OURS.match(compact, at)) and is_reference(match[0])
    }
    return references.pop() if len(references) == 1 else ""


def _id(value: bytes) -> bytes:
    if len(value) != 32:
        raise ValueError(f"an id has 32 bytes, not {len(value)}")
    return value
