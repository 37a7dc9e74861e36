"""How terms and facts of an Index agreement are written (IndexTerms.sol, IndexFacts.sol).

Amounts are token minor units, times Unix seconds, lengths seconds, shares basis points.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from device_adapters.types import Assurance, Rejected
from oracles.types import ClaimReason

VERSION = 1
FULL = 10_000  # basis points
MOST_METRICS, MOST_CURVES, MOST_KNOTS = 6, 8, 16
MOST_MONEY = (1 << 44) - 1  # what a row of the rail can hold
MOST_FACTOR = 1_000_000  # basis points
_FACTOR, _RISES, _FALLS = 1, 2, 4  # of a curve's kind
_HEAD = struct.Struct(">BBHHII6s6s6s")
_BOUNDS = struct.Struct(">qq")
_CURVE = struct.Struct(">BBB")
_FACTS = struct.Struct(">IIHH")
_SEAL = struct.Struct(">II32s64s")
_SEAL_WORDS = _SEAL.size // 8  # more than there can be metrics
_MOST_TARIFF = (1 << 16) - 1
_INT64 = range(-(1 << 63), 1 << 63)


class Metric(NamedTuple):
    """A number that reports bear, and the least and most that it may be."""

    name: str
    least: int
    most: int


class TariffCurve(NamedTuple):
    """A piecewise linear function of a metric.

    metric: its place among the metrics. factor: whether it multiplies (basis points) or is added
    (token minor units). rises, falls: what its knots (x, y) must keep.
    """

    metric: int
    knots: tuple[tuple[int, int], ...]
    factor: bool = False
    rises: bool = False
    falls: bool = False


class ReportSeal(NamedTuple):
    """What a device signed with the numbers: IndexFacts.sol says how it is written.

    ordinal: number of the report. sealed_at: Unix seconds. commitment: 32 bytes. signature: r, s.
    """

    ordinal: int
    sealed_at: int
    commitment: bytes
    signature: bytes


class IndexTerms(NamedTuple):
    """Terms of an Index agreement: what it is about, its tariff, the least assurance (a number).

    ways: how records become metrics, as (name, value) in order of the names; a product's own.
    signer: the agreement's device, where the contract checks its signature; else "".
    """

    about: str
    metrics: tuple[Metric, ...]
    curves: tuple[TariffCurve, ...]
    ceiling: int
    shortest: int
    longest: int
    base: int = 0
    floor: int = 0
    coverage: int = 0
    sources: int = 0
    assurance: int = 0
    ways: tuple[tuple[str, str], ...] = ()
    signer: str = ""

    @property
    def least_assurance(self) -> Assurance:
        """Return who at least has to stand for a record."""
        return tuple(Assurance)[self.assurance]


class IndexFacts(NamedTuple):
    """One period: its times, how much of it was observed, by how many sources, its metrics."""

    begin: int
    end: int
    coverage: int
    sources: int
    metrics: tuple[int, ...]
    seal: ReportSeal | None = None


def encode_terms(terms: IndexTerms) -> bytes:
    """Return terms as a mandate has them; Rejected (FACTS_MALFORMED) where they are none."""
    tariff, about = encode_tariff(terms), terms.about.encode()
    if not 0 < len(about) < 256 or len(tariff) > _MOST_TARIFF:
        raise malformed("what the agreement is about takes 1 to 255 bytes")
    if not 0 <= terms.assurance < len(Assurance):
        raise malformed(f"assurance {terms.assurance} is none")
    if list(terms.ways) != sorted(dict(terms.ways).items()) or any(
        not name or "=" in name or "\n" in name + value for name, value in terms.ways
    ):
        raise malformed("the ways are no names with values, each once, in order")
    head, own = struct.pack(">BH", VERSION, len(tariff)), bytes([terms.assurance])
    ways = "\n".join(f"{name}={value}" for name, value in terms.ways).encode()
    return head + tariff + own + _texts([terms.about]) + ways


def encode_tariff(terms: IndexTerms) -> bytes:
    """Return the tariff, which agreements may share; Rejected where it is not sound."""
    _check(terms)
    head = _HEAD.pack(
        len(terms.metrics),
        len(terms.curves),
        terms.coverage,
        terms.sources,
        terms.shortest,
        terms.longest,
        *(_int48(value) for value in (terms.base, terms.floor, terms.ceiling)),
    )
    bounds = b"".join(_BOUNDS.pack(metric.least, metric.most) for metric in terms.metrics)
    curves = b"".join(map(_encode_curve, terms.curves))
    names = _texts([metric.name for metric in terms.metrics])
    sealed = _texts([terms.signer, terms.about]) if terms.signer else bytes(1)
    return head + bounds + curves + names + sealed


def decode_terms(raw: bytes) -> IndexTerms:
    """Return the terms in a mandate; Rejected where the contract would not take them."""
    try:
        version, length = struct.unpack_from(">BH", raw)
        if version != VERSION:
            raise malformed(f"terms of version {version}; this rail knows {VERSION}", raw)
        about = _read_text(raw, 4 + length)
        lines = raw[5 + length + len(about.encode()) :].decode().split("\n")
        terms = _decode(raw[3 : 3 + length], about)._replace(
            assurance=raw[3 + length],
            ways=tuple(
                (name, value) for name, _, value in (li.partition("=") for li in lines if li)
            ),
        )
        if encode_terms(terms) == raw:
            return terms
    except (struct.error, IndexError, UnicodeDecodeError):
        pass
    raise malformed("the terms cannot be read", raw)


def tariff_of(raw: bytes) -> bytes:
    """Return the tariff of encoded terms."""
    return raw[3 : 3 + struct.unpack_from(">BH", raw)[1]]


def encode_facts(facts: IndexFacts) -> bytes:
    """Return facts as a claim has them; Rejected where a number does not fit."""
    try:
        head = _FACTS.pack(*facts[:4])
        seal = _SEAL.pack(*facts.seal) if facts.seal else b""
        return head + struct.pack(f">{len(facts.metrics)}q", *facts.metrics) + seal
    except struct.error as error:
        raise malformed(f"{facts} does not fit: {error}") from None


def decode_facts(raw: bytes) -> IndexFacts:
    """Return the facts of a claim; Rejected where the bytes are none."""
    count, rest = divmod(len(raw) - _FACTS.size, 8)
    sealed = count > _SEAL_WORDS
    count -= _SEAL_WORDS * sealed
    if rest or not 0 < count <= MOST_METRICS:
        raise malformed(f"{len(raw)} bytes are no facts", raw)
    facts = IndexFacts(
        *_FACTS.unpack_from(raw),
        struct.unpack_from(f">{count}q", raw, _FACTS.size),
        ReportSeal(*_SEAL.unpack_from(raw, len(raw) - _SEAL.size)) if sealed else None,
    )
    if facts.end <= facts.begin or facts.coverage > FULL:
        raise malformed("a period has a length, and at most all of it was observed", raw)
    return facts


def malformed(detail: str, raw: bytes = b"") -> Rejected:
    return Rejected(ClaimReason.FACTS_MALFORMED, detail, raw)


def _check(terms: IndexTerms) -> None:
    """Refuse what the contract's `IndexTerms.isSound` refuses, by name."""
    if not 0 < len(terms.metrics) <= MOST_METRICS:
        raise malformed(f"{len(terms.metrics)} metrics, not 1 to {MOST_METRICS}")
    if len(terms.curves) > MOST_CURVES:
        raise malformed(f"{len(terms.curves)} curves, not up to {MOST_CURVES}")
    if not 0 <= terms.coverage <= FULL or not 0 <= terms.sources < 1 << 16:
        raise malformed("the coverage or the number of sources is out of range")
    if not 0 < terms.shortest <= terms.longest < 1 << 32:
        raise malformed("a period has a length, and the longest is not below the shortest")
    if not 0 <= terms.floor <= terms.ceiling <= MOST_MONEY or not terms.ceiling:
        raise malformed("0 <= floor <= ceiling, and the ceiling is not 0")
    if len(terms.signer.encode()) > 255:
        raise malformed("the name of the device that signs is too long")
    for metric in terms.metrics:
        if not 0 < len(metric.name.encode()) < 256:
            raise malformed("a metric has no name, or one of more than 255 bytes")
        in_range = metric.least in _INT64 and metric.most in _INT64
        if metric.least > metric.most or not in_range:
            raise malformed(f"{metric.name}: {metric.least} to {metric.most} is no range")
    for curve in terms.curves:
        _check_curve(curve, [metric.name for metric in terms.metrics])


def _check_curve(curve: TariffCurve, names: Sequence[str]) -> None:
    if not 0 <= curve.metric < len(names):
        raise malformed(f"a curve of metric {curve.metric}, and there are {len(names)}")
    name = names[curve.metric]
    if not 0 < len(curve.knots) <= MOST_KNOTS:
        raise malformed(f"{name}: {len(curve.knots)} knots, not 1 to {MOST_KNOTS}")
    for (x0, y0), (x1, y1) in pairwise(curve.knots):
        if x1 <= x0:
            raise malformed(f"{name}: the knots do not rise from {x0} to {x1}")
        if (curve.rises and y1 < y0) or (curve.falls and y1 > y0):
            raise malformed(f"{name}: between {x0} and {x1} the curve is not what it declares")
    if curve.rises and curve.falls:
        raise malformed(f"{name}: a curve rises or falls, not both")
    least, most = (0, MOST_FACTOR) if curve.factor else (-(1 << 47), (1 << 47) - 1)
    if not all(x in _INT64 and least <= y <= most for x, y in curve.knots):
        raise malformed(f"{name}: a knot is out of range")


def _encode_curve(curve: TariffCurve) -> bytes:
    kind = _FACTOR * curve.factor | _RISES * curve.rises | _FALLS * curve.falls
    head = _CURVE.pack(curve.metric, kind, len(curve.knots))
    return head + b"".join(struct.pack(">q", x) + _int48(y) for x, y in curve.knots)


def _decode(tariff: bytes, about: str) -> IndexTerms:
    metrics, curves, coverage, sources, shortest, longest, *money = _HEAD.unpack_from(tariff)
    base, floor, ceiling = money
    at = _HEAD.size + _BOUNDS.size * metrics
    read = []
    for _ in range(curves):
        metric, kind, count = _CURVE.unpack_from(tariff, at)
        at += _CURVE.size
        knots = tuple(_knot(tariff, at + 14 * number) for number in range(count))
        flags = (bool(kind & flag) for flag in (_FACTOR, _RISES, _FALLS))
        read.append(TariffCurve(metric, knots, *flags))
        at += 14 * count
    named = []
    for number in range(metrics):
        bounds = _BOUNDS.unpack_from(tariff, _HEAD.size + _BOUNDS.size * number)
        name = _read_text(tariff, at)
        named.append(Metric(name, *bounds))
        at += 1 + len(name.encode())
    signer = _read_text(tariff, at)
    return IndexTerms(
        about,
        tuple(named),
        tuple(read),
        int.from_bytes(ceiling, "big"),
        shortest,
        longest,
        int.from_bytes(base, "big", signed=True),
        int.from_bytes(floor, "big"),
        coverage,
        sources,
        signer=signer,
    )


def _knot(tariff: bytes, at: int) -> tuple[int, int]:
    (x,) = struct.unpack_from(">q", tariff, at)
    return x, int.from_bytes(tariff[at + 8 : at + 14], "big", signed=True)


def _int48(value: int) -> bytes:
    return value.to_bytes(6, "big", signed=value < 0)


def _texts(texts: Sequence[str]) -> bytes:
    return b"".join(bytes([len(raw)]) + raw for raw in (text.encode() for text in texts))


def _read_text(raw: bytes, at: int) -> str:
    length = raw[at]
    return raw[at + 1 : at + 1 + length].decode()
