"""Example interchanges, each with fields of its first reading or the reason of its rejection."""

from __future__ import annotations

from typing import Any

from device_adapters.types import Reason


def interchange(*values: str, decimal: str = ".", function: str = "9", head: str = "") -> bytes:
    """Return an interchange of one message with these segments after UNS."""
    message = [
        "UNH+1+MSCONS:D:04B:UN:2.4c",
        f"BGM+7+DOC1+{function}",
        "DTM+137:202611301000?+00:303",
        "RFF+Z13:13002",
        "NAD+MS+9900000000001::293",
        "NAD+MR+9900000000002::293",
        "UNS+D",
        "NAD+DP",
        *values,
    ]
    message.append(f"UNT+{len(message) + 1}+1")
    header = "UNB+UNOC:3+9900000000001:500+9900000000002:500+261130:1000+REF1++TL"
    segments = [header, *message, "UNZ+1+REF1"]
    return (f"UNA:+{decimal}? '" + head + "'".join(segments) + "'").encode("latin-1")


METER = "LOC+172+DE0001112223334445556667778889990"
REGISTER = ("LIN+1", "PIA+5+1-0?:1.8.0:SRW")
NEXT = ("LIN+2", "PIA+5+1-0?:2.8.0:SRW", "QTY+220:7:KWH", "DTM+7:202611292300?+00:303")
TRUE = (METER, *REGISTER, "QTY+220:1234.567:KWH", "DTM+7:202611292300?+00:303")
_READING = {"device": METER[8:], "register": "01-00:01.08.00*FF", "at_ms": 1_795_993_200_000}
EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    (
        "two registers of a meter",
        interchange(*TRUE, *NEXT),
        _READING | {"value": "1234.567", "unit": "kWh", "usable": True},
    ),
    (
        "a decimal comma",
        interchange(*(part.replace("1234.567", "1234,567") for part in TRUE), decimal=","),
        _READING | {"value": "1234.567"},
    ),
    (
        "local time with its offset",
        interchange(*(part.replace("2611292300?+00", "2611300100?+02") for part in TRUE)),
        _READING,
    ),
    (
        "a substitute value",
        interchange(METER, *REGISTER, "QTY+67:5:KWH", "DTM+7:202611292300?+00:303"),
        _READING | {"value": "5", "usable": False},
    ),
    (
        "an amount of an interval",
        interchange(
            METER,
            *REGISTER,
            "QTY+220:0.25:KWH",
            "DTM+163:202611292245?+00:303",
            "DTM+164:202611292300?+00:303",
        ),
        _READING | {"value": "0.25", "obis": None, "usable": True},
    ),
    (
        "a cancelled message",
        interchange(*TRUE, function="1"),
        _READING | {"value": "1234.567", "usable": False},
    ),
    (
        "a date without time",
        interchange(METER, "DTM+9:20261130:102", *REGISTER, "QTY+220:7000:KWH"),
        {"at_ms": None, "value": "7000", "usable": False},
    ),
    ("no time zone", interchange(*TRUE[:-1], "DTM+7:202611292300:203"), Reason.TIME_WITHOUT_ZONE),
    ("no location", interchange(*TRUE[1:]), Reason.DEVICE_MISSING),
    ("no register", interchange(METER, "LIN+1", *TRUE[3:]), Reason.CODE_MALFORMED),
    ("thousands", interchange(METER, *REGISTER, "QTY+220:1.234.567"), Reason.NUMBER_OUT_OF_RANGE),
    ("an unknown qualifier", interchange(METER, *REGISTER, "QTY+999:1"), Reason.VOCABULARY_UNKNOWN),
    ("no value", interchange(METER), Reason.READING_MISSING),
    ("cut off", interchange(*TRUE)[:-30], Reason.TRUNCATED),
    ("a segment lost", interchange(*TRUE).replace(b"UNS+D'", b""), Reason.TRUNCATED),
    ("two interchanges", interchange(*TRUE) + interchange(*TRUE)[9:], Reason.MALFORMED),
    ("another message", interchange(*TRUE).replace(b"MSCONS", b"UTILMD"), Reason.MALFORMED),
)
