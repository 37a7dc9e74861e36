"""Example OCMF records, each with the expected fields or the reason of its rejection.

The device is invented; `PUBLIC_KEY` is its key (DER, hex), so the records are genuine.
"""

from __future__ import annotations

from typing import Any

from device_adapters.types import Reason

PUBLIC_KEY = (
    "3059301306072a8648ce3d020106082a8648ce3d0301070342000497df3aef706bea19efe51cc743e2184fd36a4"
    "d9dddec1f16704143f91f601c47d52cade845d7a7cab58f260efa5448bad029754f9dc78d7ded011614de502229"
)
BEGIN = (
    rb'OCMF|{"FV":"1.0","GI":"PROOFRAIL TEST","GS":"GW-7","GV":"1.2","PG":"T41","MV":"E'
    rb'xample","MM":"M1","MS":"EV-0001","MF":"1.0","IS":true,"IL":"VERIFIED","IF":["RFI'
    rb'D_RELATED","OCPP_AUTH_TLS"],"IT":"ISO14443","ID":"1F2D3A4F5506C7","TT":"day","RD'
    rb'":[{"TM":"2026-03-01T08:00:00,000+0100 S","TX":"B","RV":2935.600,"RI":"01-00:B2.'
    rb'08.00","RU":"kWh","RT":"AC","EF":"","ST":"G"}]}|{"SD":"3045022036725e89659631d88'
    rb"f85901fb56384cca25accbc1ea9ae7d6155918a6942f97d0221009b9d13276515c1d03172f99e850"
    rb'3c57f1ed0b9c8016a956a3189c31c61ca6d32"}'
)
SESSION = (
    rb'OCMF|{"FV":"1.0","GI":"PROOFRAIL TEST","GS":"GW-7","GV":"1.2","PG":"T42","MV":"E'
    rb'xample","MM":"M1","MS":"EV-0001","MF":"1.0","IS":true,"IL":"VERIFIED","IF":["RFI'
    rb'D_RELATED","OCPP_AUTH_TLS"],"IT":"ISO14443","ID":"1F2D3A4F5506C7","TT":"day","RD'
    rb'":[{"TM":"2026-03-01T08:00:00,000+0100 S","TX":"B","RV":2935600,"RI":"01-00:B2.0'
    rb'8.00","RU":"Wh","RT":"AC","EF":"","ST":"G"},{"TM":"2026-03-01T08:30:00,000+0100 '
    rb'S","TX":"E","RV":2947101}]}|{"SD":"3046022100e60d9b5726d1b4c9abea1397f2ee5814279'
    rb"972d41dc8b98e595b6192d0af4bd3022100da215fecc16c8ae3857534e233b43d87edfd7507d4e23"
    rb'678d8d4488cf6b26d08"}'
)
FISCAL = (
    rb'OCMF|{"FV":"1.4","PG":"F7","MS":"HM-0001","IS":false,"RD":[{"TM":"2026-03-01T00:'
    rb'15:00,250+0000 I","RV":0.000001,"RI":"1-0:1.8.0","RU":"kWh","ST":"G"}]}|{"SD":"3'
    rb"0460221008ec4ff7af2cab4e68b19896ce4d31cb1149f0309a26cb7d79a903e3c77d254c6022100a"
    rb'7158c798f76cb0b39a9d518e8f3ed2e8c663e8b97c6599b6a9f0e1ed37c6ed3"}'
)
OLD = (
    b'OCMF|{"FV":0.4,"PG":" T007 ","GS":"GW-7","MS":"",\n "TT":"a|b","IS":true,"RD":[{"'
    rb'TM":"2026-03-01T08:00:00,000+0100","TX":" B ","RV":"     3.988","RI":"1-b:1.8.0"'
    rb',"RU":"kWh","EI":3,"ST":"M"}]}|{"SD":"304402203e4fb75e507bbf8646cc02eafa4cc34d45'
    rb"2a659669a62c956eef04d28e6f1a6e02207cc047e5f691e5b0ae26992386a4d0a616af0d24be2107"
    rb'909ad1cf787732670a"}'
)
_EPOCH_MS = 1_772_348_400_000  # 2026-03-01T08:00:00+0100
_CUT = BEGIN[: BEGIN.index(b'|{"SD')]
EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    (
        "the begin of a session",
        BEGIN,
        {"device": "EV-0001", "counter": 41, "observed_at_ms": _EPOCH_MS, "not_billable": ()}
        | {"gateway": "GW-7"},
    ),
    (
        "a whole session in one record, in Wh, with inherited fields",
        SESSION,
        {"device": "EV-0001", "counter": 42, "observed_at_ms": _EPOCH_MS + 1_800_000},
    ),
    (
        "a household meter in the fiscal stream",
        FISCAL,
        {"device": "HM-0001", "counter": 2**39 + 7, "observed_at_ms": 1_772_324_100_250},
    ),
    (
        "an old record of a manipulated meter, with a pipe and a line break in the payload",
        OLD,
        {"device": "GW-7", "counter": 7, "not_billable": ("meter_status_not_ok",)},
    ),
    ("a record in hex", BEGIN.hex().encode(), {"device": "EV-0001", "counter": 41}),
    ("an empty record", b"", Reason.EMPTY),
    ("not OCMF", b"hello", Reason.MALFORMED),
    ("not UTF-8", BEGIN.replace(b"day", b"\xff\xff\xff"), Reason.NOT_UTF8),
    ("no signature", _CUT, Reason.TRUNCATED),
    ("cut in the payload", BEGIN[:200], Reason.TRUNCATED),
    ("no pagination", BEGIN.replace(b'"PG":"T41",', b""), Reason.COUNTER_MISSING),
    ("a key twice", BEGIN.replace(b'"GV"', b'"GS"'), Reason.DUPLICATE_KEY),
    (
        "a charge point as the only name",
        BEGIN.replace(b'"MS":"EV-0001"', b'"CT":"EVSEID","CI":"DE*ABC*E1*1"').replace(
            b'"GS":"GW-7",', b""
        ),
        {"device": "EVSEID:DE*ABC*E1*1", "gateway": "", "place": None},
    ),
    ("no serial", BEGIN.replace(b'"MS"', b'"XS"').replace(b'"GS"', b'"YS"'), Reason.DEVICE_MISSING),
    ("no zone", BEGIN.replace(b"+0100", b""), Reason.TIME_WITHOUT_ZONE),
    ("an invalid day", BEGIN.replace(b"2026-03-01", b"2026-02-30"), Reason.TIME_MALFORMED),
    ("another unit", BEGIN.replace(b'"kWh"', b'"sec"'), Reason.UNIT_UNKNOWN),
    ("a power", BEGIN.replace(b'"kWh"', b'"kW"'), Reason.UNIT_UNKNOWN),
    (
        "finer than a milliwatt-hour",
        BEGIN.replace(b"2935.600", b"2935.6000009"),
        {"device": "EV-0001", "counter": 41, "not_billable": ()},
    ),
    ("below zero", BEGIN.replace(b"2935.600", b"-1"), Reason.NUMBER_OUT_OF_RANGE),
    ("beyond 2^63", BEGIN.replace(b"2935.600", b"9" * 5_000), Reason.NUMBER_OUT_OF_RANGE),
    (
        "a huge exponent",
        BEGIN.replace(b"2935.600", b"1e99999999999999999999"),
        Reason.NUMBER_OUT_OF_RANGE,
    ),
    ("not a number", BEGIN.replace(b"2935.600", b"NaN"), Reason.MALFORMED),
    ("no readings", BEGIN.replace(b'"RD"', b'"XD"'), Reason.READING_MISSING),
    ("a number for a word", BEGIN.replace(b'"B"', b"[1]"), Reason.WRONG_TYPE),
    ("deep", BEGIN.replace(b'"day"', b"[" * 999 + b"]" * 999), Reason.TOO_DEEP),
    ("half a signature", BEGIN.replace(b'"SD":"30', b'"SD":"'), Reason.SIGNATURE_MALFORMED),
    (
        "another algorithm",
        BEGIN.replace(b'{"SD"', b'{"SA":"RSA-SHA256","SD"'),
        Reason.SIGNATURE_ALGORITHM_UNKNOWN,
    ),
)
