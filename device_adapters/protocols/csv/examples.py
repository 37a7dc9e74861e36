"""Example tables, each with fields of its first reading or the reason of its rejection."""

from __future__ import annotations

from typing import Any

from device_adapters.types import Reason

_GERMAN = (
    "#proofrail csv/1 device=Zähler;at=Zeit;register=OBIS;value=Stand;unit=Einheit;"
    "zone=Europe/Berlin;format=DD.MM.YYYY hh:mm;decimal=,;separator=;\r\n"
    "Zähler;Zeit;OBIS;Stand;Einheit;Bemerkung\r\n"
    "1EMH0012345678;30.11.2026 00:00;1-0:1.8.0;1234,567;kWh;\r\n"
    "1EMH0012345678;30.11.2026 00:00;1-0:2.8.0;7;kWh;x\r\n"
)
_ISO = (
    '#proofrail csv/1 device="M-1";at=time;register="1-0:1.8.0";value=reading;unit="kWh";'
    "status=quality;good=W|G;zone=UTC;decimal=.;separator=,\n"
    "time,reading,quality\n2026-11-29T23:00:00,1234.567,W\n2026-11-29 23:15,1234.8,E\n"
)
_READING = {"register": "01-00:01.08.00*FF", "at_ms": 1_795_993_200_000, "value": "1234.567"}
EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    (
        "columns with German names",
        _GERMAN.encode(),
        _READING | {"device": "1EMH0012345678", "unit": "kWh", "usable": True},
    ),
    ("a byte order mark", b"\xef\xbb\xbf" + _GERMAN.encode(), _READING),
    ("one meter, ISO times, a status", _ISO.encode(), _READING | {"device": "M-1", "usable": True}),
    (
        "a status that is not good",
        _ISO.replace(",W\n", ",E\n").encode(),
        _READING | {"usable": False},
    ),
    (
        "an offset with each time",
        _ISO.replace("zone=UTC", "zone=offset")
        .replace("23:00:00", "23:00:00Z")
        .replace("2026-11-29 23:15", "2026-11-30T01:15+02:00")
        .encode(),
        _READING,
    ),
    (
        "tabs",
        _ISO.replace("separator=,", "separator=tab").replace(",", "\t").encode(),
        _READING,
    ),
    (
        "an hour that stands twice",
        _GERMAN.replace("30.11.2026 00:00", "25.10.2026 02:30").encode(),
        {"at_ms": None, "usable": False, "value": "1234.567"},
    ),
    ("no declaration", _ISO.partition("\n")[2].encode(), Reason.MALFORMED),
    ("no zone", _ISO.replace("zone=UTC;", "").encode(), Reason.MALFORMED),
    ("a zone that does not exist", _ISO.replace("UTC", "Moon/Crater").encode(), Reason.MALFORMED),
    ("a column that is not there", _ISO.replace("at=time", "at=when").encode(), Reason.MALFORMED),
    ("another version", _ISO.replace("csv/1", "csv/2").encode(), Reason.MALFORMED),
    ("a word that is not known", _ISO.replace("good=", "god=").encode(), Reason.MALFORMED),
    (
        "no sign for a separator",
        _ISO.replace("separator=,", "separator=").encode(),
        Reason.MALFORMED,
    ),
    ("several signs", _ISO.replace("tor=,\n", "tor=").encode(), Reason.MALFORMED),
    ("a word twice", _ISO.replace("zone=UTC", "zone=UTC;zone=UTC").encode(), Reason.DUPLICATE_KEY),
    ("thousands", _GERMAN.replace("1234,567", "1.234,567").encode(), Reason.NUMBER_OUT_OF_RANGE),
    (
        "a point for the comma",
        _GERMAN.replace("4,567", "4.567").encode(),
        Reason.NUMBER_OUT_OF_RANGE,
    ),
    ("another form of time", _GERMAN.replace("30.11.", "11/30/").encode(), Reason.TIME_MALFORMED),
    ("a row with fewer cells", _GERMAN.replace(";kWh;x", ";kWh").encode(), Reason.MALFORMED),
    ("cut off", _GERMAN[:-4].encode(), Reason.TRUNCATED),
    ("no register", _GERMAN.replace("1-0:1.8.0", "").encode(), Reason.CODE_MALFORMED),
    ("no device", _GERMAN.replace("\n1EMH0012345678", "\n").encode(), Reason.DEVICE_MISSING),
    ("no row", _ISO.partition("2026")[0].encode(), Reason.READING_MISSING),
    ("Latin-1", _GERMAN.encode("latin-1"), Reason.NOT_UTF8),
)
