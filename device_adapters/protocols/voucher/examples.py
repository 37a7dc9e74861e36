"""Example vouchers of an invented wearable, each with the expected fields or rejection."""

from __future__ import annotations

from device_adapters.types import Reason

_GOOD = (
    b'{"device":"BAND-1","domain":{"name":"proofrail-voucher","version":"1","chain'
    b'Id":31337,"verifyingContract":"0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0"},'
    b'"message":{"wearable":"0x53dce29f2e3c6996e412db6f9b341506c96a864c5f3e0a43c88'
    b'b44f67adcf2ec","payee":"0xabababababababababababababababababababab","total":'
    b'4200000,"counter":7,"taps":2,"merchantClass":5814,"cap":100000000,"signedAt"'
    b':1800000000,"expiry":1800600000},"signature":"0xd7b0d9eca4920e284cd8116c4369'
    b"d6fb6876884c1c3c4a2426d9f515e03e12dc5d2bfeee8356f3f8dd942407d458771f8e7d6b25"
    b'afcdd23ab678c43df018e059"}'
)
_TWIN = (
    b"0xd7b0d9eca4920e284cd8116c4369d6fb6876884c1c3c4a2426d9f515e03e12dca2d401107c"
    b"a90c08226bdbf82ba788e02e698f87f749cc4a3d4106850c4a44f8"
)
_SIGNATURE = _GOOD[-132:-2]
_NUMBERS = b'"total":4200000,"counter":7'


def _with(old: bytes, new: bytes) -> bytes:
    assert old in _GOOD
    return _GOOD.replace(old, new)


_READ = {"device": "BAND-1", "counter": 7, "kind": "voucher", "observed_at_ms": 1_800_000_000_000}

EXAMPLES = (
    ("a voucher", _GOOD, _READ),
    ("the twin of its signature", _with(_SIGNATURE, _TWIN), _READ),
    ("another chain, which only the product refuses", _with(b"31337", b"1"), _READ),
    ("white space", _with(b'"total":', b'"total": '), Reason.MALFORMED),
    ("upper-case hex", _with(b"abab", b"ABAB"), Reason.WRONG_TYPE),
    ("another order", _with(_NUMBERS, b'"counter":7,"total":4200000'), Reason.MALFORMED),
    ("one key too many", _with(_NUMBERS, _NUMBERS + b',"tip":1'), Reason.MALFORMED),
    ("a key twice", _with(_NUMBERS, _NUMBERS + b',"counter":7'), Reason.DUPLICATE_KEY),
    ("another name", _with(b"BAND-1", b"BAND-2"), Reason.DEVICE_MISSING),
    ("no name", _with(b'"BAND-1"', b"null"), Reason.DEVICE_MISSING),
    ("no counter", _with(b'"counter":7,', b""), Reason.COUNTER_MISSING),
    ("counter 0", _with(b'"counter":7', b'"counter":0'), Reason.COUNTER_MISSING),
    ("a fraction", _with(b"4200000", b"4200000.5"), Reason.WRONG_TYPE),
    ("a total of zero", _with(b"4200000", b"0"), Reason.NUMBER_OUT_OF_RANGE),
    ("more than an int48", _with(b"4200000", b"140737488355328"), Reason.NUMBER_OUT_OF_RANGE),
    ("a negative total", _with(b"4200000", b"-1"), Reason.NUMBER_OUT_OF_RANGE),
    ("another domain", _with(b"proofrail-voucher", b"permit"), Reason.WRONG_TYPE),
    ("no time", _with(b"1800000000", b"0"), Reason.TIME_MALFORMED),
    ("half a signature", _with(_SIGNATURE, _SIGNATURE[:66]), Reason.SIGNATURE_MALFORMED),
    ("r of zero", _with(_SIGNATURE[:66], b"0x" + b"0" * 64), Reason.SIGNATURE_MALFORMED),
    ("s beyond the order", _with(_SIGNATURE[66:], b"f" * 64), Reason.SIGNATURE_MALFORMED),
    ("cut off", _GOOD[:-20], Reason.TRUNCATED),
    ("not an object", b"[1]", Reason.WRONG_TYPE),
    ("not UTF-8", b"\xff", Reason.NOT_UTF8),
)
