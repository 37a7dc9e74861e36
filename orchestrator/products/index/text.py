"""Text form of an Index agreement's terms and facts: euro, percent, days; nothing is rounded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from device_adapters.types import Assurance
from orchestrator.products.index.tariff import (
    IndexTerms,
    Metric,
    TariffCurve,
    decode_facts,
    decode_terms,
    encode_terms,
    malformed,
)

TERMS = (
    ("about", "what is priced, such as policy:DE-4711; reports name it as their subject"),
    ("metrics", 'what reports count, and its range: "distance 0..10000000; night 0..10000"'),
    ("plus", 'euro by a metric, between knots in proportion: "distance: 0=0, 1000000=35.00"'),
    (
        "times",
        'a factor by a metric: "night: 0=100%, 5000=130%"; falling or rising may be declared',
    ),
    ("base", "euro that the curves are added to; left out: 0"),
    ("floor", "the least that a period costs, in euro; left out: 0"),
    ("ceiling", "the most that a period costs, in euro"),
    ("coverage", "how much of a period has to be observed, such as 90%; left out: any"),
    ("sources", "how many sources have to stand behind the numbers; left out: any"),
    ("period", "the length of a period, such as 30 days, 28..31 days or 24 hours"),
    ("signer", "name of the device whose signature the contract checks itself; left out: none"),
    ("assurance", "the least that is taken: device (or left out), gateway or file"),
)
_REQUIRED = ("about", "metrics", "ceiling", "period")
_MICRO, _BPS = 6, 2  # digits: euro to minor units, percent to basis points
_METRIC = re.compile(r"\s*(\S+)\s+(-?[0-9]{1,19})\.\.(-?[0-9]{1,19})\s*")
_CURVE = re.compile(r"\s*([^\s:]\S*?)(?:\s+(rising|falling))?\s*:\s+(.*)", re.DOTALL)
_KNOT = re.compile(r"\s*(-?[0-9]{1,19})\s*=\s*(\S+)\s*")
_PERIOD = re.compile(r"([0-9]{1,7})(?:\.\.([0-9]{1,7}))? (day|hour|second)s?")
_NUMBER = re.compile(r"(-?)([0-9]{1,13})(?:\.([0-9]{1,6}))?")
_SECONDS = {"day": 86_400, "hour": 3_600, "second": 1}


def parse_terms(
    words: Mapping[str, str], ways: Sequence[tuple[str, str]] = (), known: Sequence[str] = ()
) -> bytes:
    """Return the encoded terms for what a person typed, by the names in TERMS.

    Args:
        ways: (name, help) of the product's own terms, all of which are required.
        known: Names of the metrics that the product derives; empty: any that reports bear.

    Raises:
        Rejected: FACTS_MALFORMED; the detail names the term that is wrong.
    """
    helps = dict((*TERMS, *ways))
    for name in words:
        if name not in helps:
            raise malformed(f"{name} is not a term here. Use: {', '.join(helps)}")
    for name in (*_REQUIRED, *dict(ways)):
        if name not in words:
            raise malformed(f"{name} is missing: {helps[name]}")
    metrics = tuple(map(_metric, _parts(words["metrics"])))
    names = [metric.name for metric in metrics]
    if len(set(names)) < len(names):
        raise malformed("metrics names one twice")
    if strange := [name for name in names if known and name not in known]:
        raise malformed(f"metrics names {strange[0]}; records give {', '.join(known)}")
    plus, times = (
        [_curve(kind, part, names) for part in _parts(words.get(kind, ""))]
        for kind in ("plus", "times")
    )
    shortest, longest = _period(words["period"])
    return encode_terms(
        IndexTerms(
            words["about"],
            metrics,
            (*plus, *times),
            _euro("ceiling", words["ceiling"]),
            shortest,
            longest,
            _euro("base", words.get("base", "0")),
            _euro("floor", words.get("floor", "0")),
            _percent("coverage", words.get("coverage", "0%")),
            _whole("sources", words.get("sources", "0")),
            _assurance(words.get("assurance", Assurance.DEVICE)),
            tuple(sorted((name, words[name].strip()) for name in dict(ways))),
            words.get("signer", ""),
        )
    )


def format_terms(raw: bytes) -> dict[str, str]:
    """Return the terms as text with units, by label, as `parse_terms` takes them."""
    terms = decode_terms(raw)
    names = [metric.name for metric in terms.metrics]
    view = {
        "about": terms.about,
        "metrics": "; ".join(f"{m.name} {m.least}..{m.most}" for m in terms.metrics),
        "plus": "; ".join(_format(curve, names) for curve in terms.curves if not curve.factor),
        "times": "; ".join(_format(curve, names) for curve in terms.curves if curve.factor),
        "base": _format_euro(terms.base),
        "floor": _format_euro(terms.floor),
        "ceiling": _format_euro(terms.ceiling),
        "coverage": _format_percent(terms.coverage),
        "sources": str(terms.sources),
        "period": _format_period(terms),
        "signer": terms.signer,
        "assurance": terms.least_assurance.value,
        **dict(terms.ways),
    }
    return {label: text for label, text in view.items() if text}


def format_facts(raw: bytes) -> dict[str, str]:
    """Return the facts as text with units, by label."""
    facts = decode_facts(raw)
    return {
        "from": _moment(facts.begin),
        "to": _moment(facts.end),
        "coverage": _format_percent(facts.coverage),
        "sources": str(facts.sources),
        "metrics": ", ".join(map(str, facts.metrics)),
    }


def _parts(text: str) -> list[str]:
    return [part for part in text.split(";") if part.strip()]


def _metric(text: str) -> Metric:
    match = _METRIC.fullmatch(text)
    if match is None:
        raise malformed(f"metrics has {text.strip()!r}, not a name and a range: distance 0..1000")
    return Metric(match[1], int(match[2]), int(match[3]))


def _curve(kind: str, text: str, names: Sequence[str]) -> TariffCurve:
    match = _CURVE.fullmatch(text)
    if match is None:
        raise malformed(f"{kind} has {text.strip()!r}, not a metric and knots: distance: 0=0, 9=1")
    if match[1] not in names:
        raise malformed(f"{kind} names {match[1]}, which is none of the metrics {', '.join(names)}")
    value = _percent if kind == "times" else _euro
    knots = [_KNOT.fullmatch(part) for part in match[3].split(",")]
    if not all(knots):
        raise malformed(f"{kind} of {match[1]} has {match[3]!r}, not knots such as 0=0, 9=1")
    return TariffCurve(
        names.index(match[1]),
        tuple((int(knot[1]), value(kind, knot[2])) for knot in knots if knot),
        kind == "times",
        match[2] == "rising",
        match[2] == "falling",
    )


def _format(curve: TariffCurve, names: Sequence[str]) -> str:
    turn = " rising" if curve.rises else " falling" if curve.falls else ""
    value = _format_percent if curve.factor else _format_euro
    knots = ", ".join(f"{x}={value(y)}" for x, y in curve.knots)
    return f"{names[curve.metric]}{turn}: {knots}"


def _period(text: str) -> tuple[int, int]:
    match = _PERIOD.fullmatch(text.strip())
    if match is None:
        raise malformed(f"period is {text!r}, not a length such as 30 days, 28..31 days, 24 hours")
    unit = _SECONDS[match[3]]
    return int(match[1]) * unit, int(match[2] or match[1]) * unit


def _format_period(terms: IndexTerms) -> str:
    unit, seconds = next(
        (unit, seconds)
        for unit, seconds in _SECONDS.items()
        if not (terms.shortest % seconds or terms.longest % seconds)
    )
    lengths = dict.fromkeys(str(at // seconds) for at in (terms.shortest, terms.longest))
    return f"{'..'.join(lengths)} {unit}s"


def _euro(name: str, text: str) -> int:
    return _decimal(name, text, _MICRO, "an amount in euro with at most 6 decimals")


def _percent(name: str, text: str) -> int:
    if not text.endswith("%"):
        raise malformed(f"{name} has {text!r}, not a share such as 110%")
    return _decimal(name, text[:-1].strip(), _BPS, "a share with at most 2 decimals")


def _whole(name: str, text: str) -> int:
    return _decimal(name, text, 0, "a whole number")


def _decimal(name: str, text: str, digits: int, wanted: str) -> int:
    """Return the number typed times ten to the power of `digits`; it has no more decimals."""
    match = _NUMBER.fullmatch(text)
    if match is None or len(match[3] or "") > digits:
        raise malformed(f"{name} has {text!r}, not {wanted}")
    value = int(match[2] + (match[3] or "").ljust(digits, "0"))
    return -value if match[1] else value


def _assurance(word: str) -> int:
    if word not in tuple(Assurance):
        raise malformed(f"assurance is {word!r}, not {', '.join(Assurance)}")
    return Assurance(word).number


def _format_euro(micro: int) -> str:
    return _plain(micro, _MICRO, 2)


def _format_percent(bps: int) -> str:
    return f"{_plain(bps, _BPS, 0)}%"


def _plain(value: int, digits: int, least: int) -> str:
    """Return a decimal without trailing zeros, but with at least so many decimals."""
    whole, rest = divmod(abs(value), 10**digits)
    decimals = f"{rest:0{digits}}".rstrip("0").ljust(least, "0")
    return ("-" if value < 0 else "") + (f"{whole}.{decimals}" if decimals else str(whole))


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
