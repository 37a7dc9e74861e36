"""Reads identifiers of EPCIS events: EPC URIs (TDS 2.0), GS1 Digital Link URIs, and others.

Every GS1 key becomes a canonical GS1 Digital Link URI: domain id.gs1.org, the key with its finest
qualifier only, no query (EPCIS Event Hash, CBV 2.0 section 8.9.4). EPC URIs hold no check digit, so
it is computed; a Digital Link holds one, and it is checked (GS1 General Specifications, 7.9.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

ROOT = "https://id.gs1.org"
_MAX_CODE = 1_000  # characters; no GS1 key is longer than a tenth of it


@dataclass(frozen=True, slots=True)
class IdentifierCode:
    """An identifier: as written, canonical, its GS1 key ("" for no GS1 key), and its flaw.

    flaw: "" where it is valid, or where no rule is known (then `key` is "" too).
    hashed: its text in an Event Hash ID where that differs from `canonical`: GS1's published tool
        keeps the percent-encoding of a Digital Link.
    """

    written: str
    canonical: str
    key: str = ""
    flaw: str = ""
    hashed: str = ""

    @property
    def sscc(self) -> str:
        """Return the 18 digits of a valid SSCC, else ""."""
        return self.canonical.rpartition("/")[2] if self.key == "sscc" and not self.flaw else ""

    @property
    def identity(self) -> str:
        """Return a text that is equal for every written form of one identifier (RFC 3986, 6.2.2).

        A URI that is no GS1 key keeps its written form as `canonical`: agreements name it so.
        """
        return self.canonical if self.key else _normal_uri(self.written)

    @property
    def is_instance(self) -> bool:
        """Return whether it names one object: no class, no pattern, no logistic unit."""
        if self.key == "sscc" or _is_class(self.written):
            return False
        path = self.canonical.removeprefix(ROOT).split("/")[2:]
        serials = _SERIALS.get(self.key)
        if serials is None:
            return True
        return len(path[0]) > serials if isinstance(serials, int) else bool({*path} & serials)


@dataclass(frozen=True, slots=True)
class _Key:
    """A GS1 key: application identifier, number of fixed digits with the check digit (0: free text
    of prefix and reference), pattern of the rest, and qualifiers, the finest first."""

    ai: str
    digits: int = 0
    tail: str = ""
    qualifiers: tuple[str, ...] = ()


_SERIAL = r"[!%-?A-Z_a-z\"]"  # AI encodable character set 82, as URIs write it
_KEYS = {
    "sscc": _Key("00", 18),
    "gtin": _Key("01", 14, qualifiers=("21", "235", "10")),
    "gdti": _Key("253", 13, rf"{_SERIAL}{{0,51}}"),
    "gcn": _Key("255", 13, r"\d{0,12}"),
    "ginc": _Key("401"),
    "gsin": _Key("402", 17),
    "gln": _Key("414", 13, qualifiers=("254",)),
    "pgln": _Key("417", 13),
    "grai": _Key("8003", 14, rf"{_SERIAL}{{0,48}}"),
    "giai": _Key("8004"),
    "itip": _Key("8006", 14, r"\d{4}", qualifiers=("21", "10")),
    "cpid": _Key("8010", qualifiers=("8011",)),
    "gsrnp": _Key("8017", 18),
    "gsrn": _Key("8018", 18),
}
# keys of classes, and what makes one an object: a serial after so many digits, or a qualifier
_SERIALS: dict[str, int | frozenset[str]] = {
    "gtin": frozenset(("21", "235")),
    "itip": frozenset(("21",)),
    "cpid": frozenset(("8011",)),
    "grai": 14,
    "gdti": 13,
    "gcn": 13,
}
_BY_AI = {key.ai: name for name, key in _KEYS.items()}
_NAMES = {  # short names of Digital Link 1.1; older documents use the alphabetic ones
    **_BY_AI,
    "gtin": "gtin",
    "itip": "itip",
    "cpid": "cpid",
    "gln": "gln",
    "party": "pgln",
    "gsrnp": "gsrnp",
    "gsrn": "gsrn",
    "gcn": "gcn",
    "sscc": "sscc",
    "gdti": "gdti",
    "ginc": "ginc",
    "gsin": "gsin",
    "grai": "grai",
    "giai": "giai",
}
_QUALIFIERS = {"cpv": "22", "lot": "10", "ser": "21"}
# EPC scheme -> (key, digits of prefix and reference together, the qualifier its serial becomes;
# "+" for a serial that is part of the key's own value). 0 digits: free text.
_SCHEMES = {
    "id:sgtin": ("gtin", 13, "21"),
    "id:sscc": ("sscc", 17, ""),
    "id:sgln": ("gln", 12, "254"),
    "id:grai": ("grai", 12, "+"),
    "id:giai": ("giai", 0, ""),
    "id:gsrn": ("gsrn", 17, ""),
    "id:gsrnp": ("gsrnp", 17, ""),
    "id:gdti": ("gdti", 12, "+"),
    "id:cpi": ("cpid", 0, "8011"),
    "id:sgcn": ("gcn", 12, "+"),
    "id:ginc": ("ginc", 0, ""),
    "id:gsin": ("gsin", 16, ""),
    "id:itip": ("itip", 13, "21"),
    "id:upui": ("gtin", 13, "235"),
    "id:pgln": ("pgln", 12, ""),
    "class:lgtin": ("gtin", 13, "10"),
    "idpat:sgtin": ("gtin", 13, "*"),
    "idpat:grai": ("grai", 12, "*"),
    "idpat:gdti": ("gdti", 12, "*"),
    "idpat:sgcn": ("gcn", 12, "*"),
    "idpat:cpi": ("cpid", 0, "*"),
    "idpat:itip": ("itip", 13, "*"),
    "idpat:upui": ("gtin", 13, "*"),
}
_INDICATED = ("gtin", "sscc", "itip")  # the first digit of the reference goes before the prefix
_PREFIX = re.compile(r"\d{6,12}")
_FREE = re.compile(r"(?:%[0-9A-Fa-f]{2}|[!'()*+,\-.0-9:;=A-Z_a-z])+")  # TDS 2.0, section 6.3
_LITERAL = "';="  # not escaped in a key, as well as letters, digits, - . _ ~
_RESERVED = "/:@!$&'()*+,;="  # what a path may hold unescaped
_ESCAPED = str.maketrans({char: f"%{ord(char):02X}" for char in "!()*+,:"})


@lru_cache(maxsize=65_536)
def read_code(text: str) -> IdentifierCode:
    """Return the identifier in `text`. Pure; never raises: an error is in `flaw`."""
    written = text.strip()
    start = written[:8].lower()  # scheme and namespace are case-insensitive (RFC 3986, RFC 8141)
    if len(written) > _MAX_CODE:
        return IdentifierCode(written, written, "", f"longer than {_MAX_CODE} characters")
    if start == "urn:epc:":
        return _from_urn(written)
    if start.startswith(("https://", "http://")):
        return _from_link(written)
    scheme = written.partition(":")[0]
    bare = not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) or ":" not in written
    return IdentifierCode(written, written, "", "not a URI" if bare or " " in written else "")


def check_digit(digits: str) -> int:
    """Return the GS1 check digit for these digits."""
    from biip.checksums import gs1_standard_check_digit  # slow to import

    return gs1_standard_check_digit(digits)


def _is_class(uri: str) -> bool:
    return uri[:8].lower() == "urn:epc:" and uri[8:].startswith(("idpat:", "class:"))


def _from_urn(written: str) -> IdentifierCode:
    kind, _, rest = written[8:].partition(":")
    name, _, value = rest.partition(":")
    scheme = f"{kind}:{name}"
    if scheme not in _SCHEMES:  # gid, usdod, adi, bic, imovn, raw, tag have no GS1 key
        supported = kind in ("id", "class", "idpat", "raw", "tag", "pat") and name and value
        return IdentifierCode(written, written, "", "" if supported else "not an EPC URI scheme")
    key, digits, serial_in = _SCHEMES[scheme]
    prefix, _, rest = value.partition(".")
    if not _PREFIX.fullmatch(prefix):
        flaw = f"{name}: the company prefix {prefix[:20]!r} is not of 6 to 12 digits"
        return IdentifierCode(written, written, key, flaw)
    body = _urn_body(key, prefix, rest, digits, serial_in)
    if body is None:
        return IdentifierCode(written, written, key, f"{name}: {value[:60]!r} is malformed")
    start = f"{ROOT}/{_KEYS[key].ai}/"
    return IdentifierCode(written, start + _normal(body), key, hashed=start + body)


def _urn_body(key: str, prefix: str, rest: str, digits: int, serial_in: str) -> str | None:
    """Return the text after the application identifier in canonical form, or None if malformed."""
    if digits == 0:
        return _free_body(prefix, rest, serial_in)
    width = digits - len(prefix)
    reference, rest = rest[:width], rest[width:]
    if len(reference) != width or not (reference + "0").isdecimal() or not reference.isascii():
        return None
    number = reference[:1] + prefix + reference[1:] if key in _INDICATED else prefix + reference
    number = "0" + number if key == "grai" else number
    number += str(check_digit(number))
    if key == "itip":
        pieces = re.match(r"\.(\d\d)\.(\d\d)", rest)
        if pieces is None:
            return None
        number, rest = number + pieces[1] + pieces[2], rest[pieces.end() :]
    if serial_in in ("", "*"):
        return number if rest == {"": "", "*": ".*"}[serial_in] else None
    serial = rest.removeprefix(".")
    if rest == serial or not _FREE.fullmatch(serial) or (key == "gcn" and not serial.isdecimal()):
        return None
    serial = serial.translate(_ESCAPED)
    if serial_in == "+":
        return number + serial
    absent = serial_in == "254" and serial == "0"  # an SGLN without extension
    return number if absent else f"{number}/{serial_in}/{serial}"


def _free_body(prefix: str, rest: str, serial_in: str) -> str | None:
    serial = ""
    if serial_in:  # a component or part: its reference ends before the last dot
        rest, _, serial = rest.rpartition(".")
        if (serial_in == "*" and serial != "*") or (serial_in != "*" and not serial.isdecimal()):
            return None
    if not _FREE.fullmatch(rest) or len(prefix + rest) > 90:
        return None
    value = prefix + rest.translate(_ESCAPED)
    return f"{value}/{serial_in}/{serial}" if serial_in not in ("", "*") else value


def _from_link(written: str) -> IdentifierCode:
    try:
        parts = urlsplit(written).path.split("/")[1:]
    except ValueError:
        return IdentifierCode(written, written, "", "not a URI")
    plain = [_normal(part) for part in parts]
    for index, part in enumerate(plain[:-1]):
        if part in _NAMES and re.match(r"[0-9]{4}", plain[index + 1]):
            name, rest = _NAMES[part], slice(index + 1, None)
            code = _from_pairs(written, name, [p for p in plain[rest] if p])
            hashed = _from_pairs(written, name, [p for p in parts[rest] if p]).canonical
            return replace(code, hashed=hashed)
    return IdentifierCode(written, written)


def _normal(text: str) -> str:
    """Return a part of a path with one percent-encoding (RFC 3986, 6.2.2.2; Digital Link, 7.1)."""
    if "/" in text:
        return "/".join(map(_normal, text.split("/")))
    return quote(unquote_to_bytes(text), safe=_LITERAL)


def _normal_uri(text: str) -> str:
    """Return a URI with scheme and host in lower case and one percent-encoding."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    if not parts.scheme:
        return text
    path = quote(unquote_to_bytes(parts.path), safe=_RESERVED) if parts.netloc else parts.path
    return urlunsplit(parts._replace(netloc=parts.netloc.lower(), path=path))


def _from_pairs(written: str, name: str, parts: list[str]) -> IdentifierCode:
    key, value = _KEYS[name], parts[0]
    if name == "gtin" and value.isdecimal() and len(value) in (8, 12, 13):
        value = value.zfill(14)
    named = [_QUALIFIERS.get(part, part) for part in parts[1::2]]
    qualifiers = dict(zip(named, parts[2::2], strict=False))
    unknown = len(parts) % 2 == 0 or set(qualifiers) - {*key.qualifiers, "22"}
    if unknown or not _has_form(key, value):
        return IdentifierCode(
            written, written, name, f"{name}: {'/'.join(parts)[:60]!r} is malformed"
        )
    canonical = f"{ROOT}/{key.ai}/{value}"
    finest = next((ai for ai in key.qualifiers if qualifiers.get(ai)), None)
    if finest:
        canonical += f"/{finest}/{qualifiers[finest]}"
    return IdentifierCode(written, canonical, name, _digit_flaw(name, value[: key.digits]))


def _has_form(key: _Key, value: str) -> bool:
    if not key.digits:
        return re.fullmatch(rf"[0-9]{{4}}{_SERIAL}{{0,86}}", value) is not None
    return re.fullmatch(rf"[0-9]{{{key.digits}}}(?:{key.tail})", value) is not None


def _digit_flaw(name: str, number: str) -> str:
    """Return the flaw of a key's check digit; "" also for keys without one."""
    check = number and str(check_digit(number[:-1]))
    return "" if number[-1:] == check else f"{name}: the check digit of {number} is {check}"
