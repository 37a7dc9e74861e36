"""Example envelopes, each with the expected fields or the reason of its rejection.

Devices and gateway are invented; `PUBLIC_KEY` is the key of both signers (DER, hex), so the first
two records are genuine. The signatures of the others are not.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import cbor2

from device_adapters.cose import SIGN1
from device_adapters.protocols.sealed.envelope import LABELS
from device_adapters.types import STREAM_BIT, Assurance, Reason

PUBLIC_KEY = (
    "3059301306072a8648ce3d020106082a8648ce3d03010703420004f3ae3341ec2d70059acfb64270c5b1"
    "d6de47e2ec014c9a7fe0138b527d4d0b7c2121e39d894a6ee8bd3cbe561d3976184cee791c8ace691a69"
    "ca46e891c3b523"
)
BY_GATEWAY = bytes.fromhex(
    "d28443a10126a058f8a7016447572d3702781c75726e3a6465763a6d61633a3030323462656666666538"
    "3034666631061a69a3e42c3a0001116f013a000111701b00000080000000013a000111716573656e6d6c"
    "3a0001117258a65b7b22626e223a2275726e3a6465763a6d61633a303032346265666666653830346666"
    "313a222c226274223a313737323334383430302c226275223a226b5768222c226e223a22312d303a312e"
    "382e30222c2276223a313233342e3536377d2c7b226e223a22312d303a322e382e30222c2276223a337d"
    "2c7b226e223a2274656d7065726174757265222c2275223a2243656c222c2276223a32332e312c227422"
    "3a2d357d5d584074242738b7c12a234f91d39e7faaddda608c3d6c01f4d7217918babbe20ea8d15186ce"
    "481e30afb7a764dbdc01d747a5baffc183fcd253312a7ac37525cb1099"
)
REPORT = (
    b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJDQVItMSIsInN1YiI6IkNBUi0xIiwiaWF0IjoxNzcyMzQ4NDYwLCJ"
    b"2ZXJzaW9uIjoxLCJjb3VudGVyIjozLCJyZXBvcnQiOnsiZGV2aWNlIjoiQ0FSLTEiLCJzdWJqZWN0IjoicG9"
    b"saWN5OjciLCJvcmRpbmFsIjozLCJmcm9tIjoxNzY5OTA0MDAwLCJ0byI6MTc3MjMyMzIwMCwibWV0cmljcyI"
    b"6eyJWZWhpY2xlLlRyYXZlbGVkRGlzdGFuY2UiOjEyNDAwMDAsIm5pZ2h0X3NoYXJlIjoxMjAwfSwiY292ZXJ"
    b"hZ2UiOjk4MDAsInNvdXJjZXMiOjEsImNvbW1pdG1lbnQiOiJBQUVDQXdRRkJnY0lDUW9MREEwT0R4QVJFaE1"
    b"VRlJZWEdCa2FHeHdkSGg4IiwiY29uc2VudCI6IkMtOSJ9fQ.aKrCqNLKxJtrOaqinefhgDhXowZ3XToMEWzm"
    b"5ALPDy5qRIsMSEbpDFd-tDYOLOSdEVrm8Kr3cx0Nh0N-BSrDGQ"
)
_METER = "urn:dev:mac:0024befffe804ff1"
_CLAIMS: dict[str, Any] = {
    "iss": "GW-7",
    "sub": "M-1",
    "iat": 1_772_348_460,
    "version": 1,
    "counter": 4,
    "protocol": "senml",
    "content": b'[{"n":"1-0:1.8.0","u":"Wh","v":1500.5}]',
}
_TOTALS: dict[str, Any] = {
    "device": "M-1",
    "ordinal": 1,
    "from": 1_772_262_000,
    "to": 1_772_348_400,
    "metrics": {"energy": -5},
    "coverage": 10_000,
    "sources": 1,
}


def cose(header: Any = None, unprotected: Any = None, **changes: Any) -> bytes:
    """Return a COSE envelope with some claims replaced (None removes one), signed by no key."""
    claims = {LABELS.get(name, name): value for name, value in _changed(changes).items()}
    protected = cbor2.dumps({1: -7} if header is None else header)
    parts = [protected, unprotected or {}, cbor2.dumps(claims), b"\1" * 64]
    return cbor2.dumps(cbor2.CBORTag(SIGN1, parts))


def jws(header: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """Return a JWS envelope likewise; bytes are texts in base64url."""
    claims = {
        name: _base64url(value).decode() if isinstance(value, bytes) else value
        for name, value in _changed(changes).items()
    }
    parts = [json.dumps(part).encode() for part in (header or {"alg": "ES256K"}, claims)]
    return b".".join([*map(_base64url, parts), _base64url(b"\1" * 64)])


def report(**changes: Any) -> bytes:
    """Return a JWS that carries a report with some members replaced; None removes one."""
    members = {k: v for k, v in (_TOTALS | changes).items() if v is not None}
    return jws(protocol=None, content=None, report=members)


def _changed(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (_CLAIMS | changes).items() if value is not None}


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


_SENSOR = b'[{"bn":"M-1/","n":"temperature","u":"Cel","v":21.5}]'
_READING = {
    "at": 1_772_348_460_000,
    "mark": "",
    "register": 1_500_500,
    "obis": "01-00:01.08.00*FF",
    "clock": "U",
    "status": "G",
    "flags": "",
}
EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    (
        "a meter's registers, sealed by its gateway",
        BY_GATEWAY,
        {
            "device": _METER,
            "gateway": "GW-7",
            "counter": (1 << STREAM_BIT) + 1,
            "observed_at_ms": 1_772_348_400_000,
            "kind": "meter.reading",
            "assurance": Assurance.DEVICE,
        },
    ),
    (
        "a report that a device signs itself",
        REPORT,
        {
            "device": "CAR-1",
            "gateway": "",
            "subject": "policy:7",
            "observed_at_ms": 1_772_323_200_000,
            "kind": "report",
        },
    ),
    (
        "a content without time",
        cose(),
        {
            "observed_at_ms": 1_772_348_460_000,
            "facts": {
                "readings": [_READING],
                "others": [],
                "other_meters": [],
                "cautions": [],
                "content": "senml",
            },
        },
    ),
    ("the same as JWS on secp256k1", jws(), {"device": "M-1", "gateway": "GW-7", "counter": 4}),
    ("tagged as CWT", b"\xd8\x3d" + cose(), {"device": "M-1", "counter": 4}),
    ("without a tag", cose()[1:], {"device": "M-1", "counter": 4}),
    ("sealed by the device itself", cose(iss="M-1"), {"device": "M-1", "gateway": ""}),
    ("a sensor", cose(content=_SENSOR), {"kind": "sensor.reading", "counter": 4}),
    ("a key id", cose({1: -47, 4: b"k1"}), {"device": "M-1"}),
    ("the smallest report", report(), {"kind": "report", "subject": ""}),
    ("no counter", cose(counter=None), Reason.COUNTER_MISSING),
    ("a counter beyond uint40", cose(counter=1 << 40), Reason.NUMBER_OUT_OF_RANGE),
    ("a counter that is a text", jws(counter="4"), Reason.WRONG_TYPE),
    ("no device", cose(sub=None), Reason.DEVICE_MISSING),
    ("a device with an outer space", cose(sub="M-1 "), Reason.DEVICE_MISSING),
    ("no issuer", jws(iss=""), Reason.DEVICE_MISSING),
    ("no time", cose(iat=None), Reason.TIME_MALFORMED),
    ("a time with decimals", jws(iat=1.5), Reason.TIME_MALFORMED),
    ("another version", cose(version=2), Reason.MALFORMED),
    ("true for a version", jws(version=True), Reason.MALFORMED),
    ("an unknown claim", cose(exp=1), Reason.MALFORMED),
    ("content and report", cose(report=_TOTALS), Reason.MALFORMED),
    ("neither content nor report", jws(content=None, protocol=None), Reason.MALFORMED),
    ("content of no protocol", cose(protocol=None), Reason.UNKNOWN_PROTOCOL),
    ("content of a protocol that signs itself", cose(protocol="ocmf"), Reason.UNKNOWN_PROTOCOL),
    ("protocol without content", cose(content=None), Reason.WRONG_TYPE),
    ("an empty content", jws(content=b""), Reason.EMPTY),
    ("a broken content", cose(content=b"[{"), Reason.TRUNCATED),
    ("a content of another meter", cose(content=_SENSOR, sub="M-2"), Reason.READING_MISSING),
    (
        "a register in kilowatts",
        cose(content=b'[{"n":"1-0:1.8.0","u":"kW","v":1}]'),
        Reason.UNIT_UNKNOWN,
    ),
    (
        "a register below zero",
        cose(content=b'[{"n":"1-0:1.8.0","u":"J","v":-1}]'),
        Reason.NUMBER_OUT_OF_RANGE,
    ),
    ("no algorithm", cose({}), Reason.SIGNATURE_ALGORITHM_UNKNOWN),
    ("the algorithm none", jws({"alg": "none"}), Reason.SIGNATURE_ALGORITHM_UNKNOWN),
    ("a critical header", jws({"alg": "ES256", "crit": ["b64"]}), Reason.MALFORMED),
    ("the algorithm outside the signed header", cose({}, {1: -7}), Reason.MALFORMED),
    ("a header that is not read", cose({1: -7, 33: b"x"}), Reason.MALFORMED),
    ("a header outside the signature that is not read", cose(None, {5: b"x"}), Reason.MALFORMED),
    ("a key id that is a text", cose({1: -7, 4: "k1"}), Reason.WRONG_TYPE),
    ("a header that is no map", cose([1]), Reason.WRONG_TYPE),
    ("a claim by its name in COSE", cose(note=1), Reason.MALFORMED),
    ("claims that are no object", b"eyJhbGciOiJFUzI1NiJ9.W10." + b"AQ" * 43, Reason.WRONG_TYPE),
    ("a signature cut off", jws()[:-4], Reason.SIGNATURE_MALFORMED),
    ("a signature of zeros", jws()[:-86] + b"A" * 86, Reason.SIGNATURE_MALFORMED),
    ("padding in a JWS", jws() + b"=", Reason.MALFORMED),
    ("two parts", jws().rpartition(b".")[0], Reason.MALFORMED),
    ("a COSE cut off", cose()[:-1], Reason.TRUNCATED),
    ("something after a COSE", cose() + b"\0", Reason.MALFORMED),
    ("a report about another device", report(device="M-2"), Reason.DEVICE_MISSING),
    ("a report without coverage", report(coverage=None), Reason.MALFORMED),
    ("a coverage above the period", report(coverage=10_001), Reason.NUMBER_OUT_OF_RANGE),
    ("a period that ends before it begins", report(to=5), Reason.TIME_MALFORMED),
    ("seven metrics", report(metrics=dict.fromkeys("abcdefg", 1)), Reason.WRONG_TYPE),
    ("a metric with decimals", report(metrics={"m": 1.5}), Reason.WRONG_TYPE),
    ("a commitment of 31 bytes", report(commitment="A" * 42), Reason.WRONG_TYPE),
    ("an unknown member", report(note="x"), Reason.MALFORMED),
)
