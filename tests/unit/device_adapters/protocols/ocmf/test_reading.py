"""OCMF records in every vendor's form become exact events."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from device_adapters.keys import ORDERS, genuine, read_der
from device_adapters.protocols import ocmf
from device_adapters.protocols.ocmf.sections import open_record
from device_adapters.types import Curve, Event, Reason, Rejected
from tests.support.signing_meter import SigningMeter, payload, raw_of

METER = SigningMeter()
END = {"TM": "2026-03-01T08:30:00,000+0100 S", "TX": "E", "RV": 2947.101}


def _genuine(record: bytes, meter: SigningMeter = METER) -> Event:
    event = ocmf.decode(record)
    assert genuine(event.signed, meter.key)
    return event


def _registers(event: Event) -> list[int]:
    return [reading["register"] for reading in event.facts["readings"]]


def _reason(record: bytes) -> Reason:
    with pytest.raises(Rejected) as caught:
        ocmf.decode(record)
    return caught.value.reason


@pytest.mark.parametrize("curve", list(Curve))
@pytest.mark.parametrize("encoding", ["", "hex", "base64"])
def test_decode__every_curve_and_signature_encoding__is_genuine(
    curve: Curve, encoding: str
) -> None:
    meter = SigningMeter(curve)
    event = _genuine(meter.record(encoding=encoding), meter)
    assert event.signed.curve is curve
    assert _registers(event) == [2_935_600_000]


@pytest.mark.parametrize(
    "value", ["2935.600", '"     2935.6"', '"2935.6"', "2.9356e3", "2935600E-3"]
)
def test_decode__numbers_as_strings_or_with_exponents__are_the_same_register(value: str) -> None:
    content = payload().replace("2935.6", value)
    assert _registers(_genuine(METER.record(content))) == [2_935_600_000]


def test_decode__line_breaks_and_spaces_in_the_payload__are_signed_as_received() -> None:
    pretty = "\r\n " + json.dumps(json.loads(payload()), indent=2).replace("\n", "\r\n") + " \n"
    event = _genuine(METER.record(pretty))
    assert event.signed.content == pretty.encode()
    assert _registers(event) == [2_935_600_000]


def test_decode__several_readings__inherit_what_they_leave_out() -> None:
    bare = {key: None for key in ("RI", "RU", "RT", "EF", "ST")}
    middle = {"TM": "2026-03-01T08:10:00,000+0100 S", "TX": "C", "RV": 2940}
    event = _genuine(METER.record(payload({}, middle | bare, END | bare)))
    assert _registers(event) == [2_935_600_000, 2_940_000_000, 2_947_101_000]
    assert [reading["mark"] for reading in event.facts["readings"]] == ["B", "C", "E"]
    assert {reading["obis"] for reading in event.facts["readings"]} == {"01-00:B0.08.00*FF"}
    assert event.observed_at_ms == event.facts["readings"][-1]["at"]
    assert event.not_billable == ()


@pytest.mark.parametrize(
    "algorithm", [None, "", "ECDSA-secp256r1-SHA256", "ecdsa-SECP256R1-sha256"]
)
def test_decode__algorithm_absent_or_in_any_case__is_secp256r1(algorithm: str | None) -> None:
    assert _genuine(METER.record(SA=algorithm)).signed.curve is Curve.SECP256R1


def test_decode__sha512_and_synonym_of_a_curve__are_known() -> None:
    meter = SigningMeter(Curve.BRAINPOOLP256R1)
    content = payload()
    data = meter.sign(content, "SHA512").hex()
    record = meter.record(content, SA="ECDSA-brainpool256r1-SHA512", SD=data)
    assert _genuine(record, meter).signed.digest == "sha512"


@pytest.mark.parametrize("wrap", [bytes.hex, lambda r: base64.b64encode(r).decode()])
def test_decode__whole_record_in_hex_or_base64__is_the_same_event(wrap) -> None:
    record = METER.record()
    wrapped = wrap(record)
    broken = "\n".join(wrapped[i : i + 76] for i in range(0, len(wrapped), 76))
    for text in (wrapped, wrapped + "\n", broken):
        event = _genuine(text.encode())
        assert event.evidence == text.encode()
        assert event.facts == ocmf.decode(record).facts


def test_decode__high_s_and_low_s__are_both_genuine() -> None:
    content = payload()
    r, s = read_der(METER.sign(content))
    for twin in (s, ORDERS[Curve.SECP256R1] - s):
        _genuine(METER.record(content, SD=encode_dss_signature(r, twin).hex()))


def test_decode__raw_r_and_s__is_genuine_and_named() -> None:
    content = payload()
    event = _genuine(METER.record(content, SD=raw_of(METER.sign(content))))
    assert "signature_not_der" in event.facts["cautions"]


def _unsigned(der: bytes, width: int = 32) -> bytes:
    """Return a signature as meters write it that leave out the octet for the sign."""
    body = b"".join(b"\x02" + bytes([width]) + n.to_bytes(width, "big") for n in read_der(der))
    head = b"\x30" + (b"\x81" if len(body) > 127 else b"")
    return head + bytes([len(body)]) + body


@pytest.mark.parametrize("curve", [Curve.SECP256R1, Curve.SECP384R1, Curve.SECP521R1])
def test_decode__der_integers_of_fixed_width_without_sign__are_genuine_and_named(
    curve: Curve,
) -> None:
    meter, width = SigningMeter(curve), (ORDERS[curve].bit_length() + 7) // 8
    named = 0
    for number in range(12):
        content = payload(PG=f"T{number}")
        der = _unsigned(meter.sign(content), width)
        record = meter.record(content, SD=der.hex())
        named += "signature_der_unsigned" in _genuine(record, meter).facts["cautions"]
        other = meter.record(payload(PG="T99"), SD=der.hex())
        assert not genuine(ocmf.decode(other).signed, meter.key)
    assert named or curve is Curve.SECP521R1  # whose integers seldom need an octet for the sign


def test_decode__der_with_zeros_that_der_leaves_out__is_the_same_number() -> None:
    """A secure element that writes at least 32 octets gives a leading zero once in 256 times."""
    number = bytes.fromhex("00" + "7f" * 31)
    der = b"\x30\x44\x02\x20" + number + b"\x02\x20" + b"\xfe" * 32
    event = ocmf.decode(METER.record(SD=der.hex()))
    assert read_der(event.signed.signature_der) == (
        int.from_bytes(number, "big"),
        int.from_bytes(b"\xfe" * 32, "big"),
    )


@pytest.mark.parametrize(
    "broken",
    [
        lambda der: der + b"\0",
        lambda der: der[:-1],
        lambda der: b"\x30\x45" + der[2:],
        lambda der: b"\x31" + der[1:],
        lambda der: der[:2] + b"\x03" + der[3:],
        lambda der: b"\x30\x22" + der[2:36],
        lambda der: b"\x30\x66" + der[2:] + der[36:],
        lambda der: b"\x30\x46" + b"\x02\x22\0\0" + der[4:],
    ],
)
def test_decode__der_without_sign_and_with_another_fault__is_refused(broken) -> None:
    der = b"\x30\x44\x02\x20" + b"\xff" * 32 + b"\x02\x20" + b"\xfe" * 32
    assert ocmf.decode(METER.record(SD=der.hex())).signed
    assert _reason(METER.record(SD=broken(der).hex())) is Reason.SIGNATURE_MALFORMED


def test_decode__encoding_not_declared_or_declared_wrongly__is_still_read() -> None:
    content = payload()
    der = METER.sign(content)
    _genuine(METER.record(content, SD=base64.b64encode(der).decode()))
    _genuine(METER.record(content, SD=der.hex(), SE="base64"))


def test_decode__public_key_as_fourth_section__is_separated() -> None:
    record = METER.record() + b"|" + METER.key.der.hex().encode()
    assert _registers(_genuine(record)) == [2_935_600_000]
    assert open_record(record).key == METER.key.der.hex()


def test_decode__pipes_and_braces_within_strings__are_ignored() -> None:
    for text in ("a|b", "}|{", '}|{"SD":"00"}', "\\", '"', "OCMF|{"):
        event = _genuine(METER.record(payload(TT=text)))
        assert event.facts["tariff"] == text.strip()


def test_decode__old_record_with_event_counter__is_read() -> None:
    content = payload({"EI": 567, "TX": " B ", "ST": "G"}, FV=0.4)
    event = _genuine(METER.record(content))
    assert event.facts["format"] == "0.4"
    assert event.facts["readings"][0]["mark"] == "B"
    assert event.not_billable == ()


def test_decode__event_counter_changed_within_an_old_session__is_not_billable() -> None:
    content = payload({"EI": 567}, END | {"EI": 568}, FV="0.4")
    assert _genuine(METER.record(content)).not_billable == ("event_counter_mismatch",)


@pytest.mark.parametrize(
    ("pagination", "counter"),
    [("T0", 0), ("T41", 41), (" T007 ", 7), ("F7", 2**39 + 7), (f"T{2**39 - 1}", 2**39 - 1)],
)
def test_decode__pagination__gives_the_counter(pagination: str, counter: int) -> None:
    assert _genuine(METER.record(payload(PG=pagination))).counter == counter


def test_decode__bad_pagination__has_a_named_reason() -> None:
    assert _reason(METER.record(payload(PG=None))) is Reason.COUNTER_MISSING
    for pagination in ("", "41", "T", "X41", "T-1", "T1.5", "T٣", 41, ["T41"]):
        assert _reason(METER.record(payload(PG=pagination))) in (
            Reason.COUNTER_MISSING,
            Reason.WRONG_TYPE,
        )
    assert _reason(METER.record(payload(PG=f"T{2**39}"))) is Reason.NUMBER_OUT_OF_RANGE


def test_decode__register_finer_than_a_mwh__is_rounded_down_and_named() -> None:
    fine = _genuine(METER.record(payload({"RV": "2.1234567"})))
    assert (_registers(fine), fine.facts["cautions"]) == ([2_123_456], ["register_floored"])
    exact = _genuine(METER.record(payload({"RV": "2.1234560"})))
    assert (_registers(exact), exact.facts["cautions"]) == ([2_123_456], [])


def test_decode__device_name__is_the_meter_serial_else_the_gateway_serial() -> None:
    assert ocmf.decode(METER.record(payload(MS=" EV-7 "))).device == "EV-7"
    for absent in (None, "", "  "):
        assert ocmf.decode(METER.record(payload(MS=absent))).device == "GW-1"
    assert ocmf.decode(METER.record(payload(MS=4711))).device == "4711"
    assert _reason(METER.record(payload(MS=None, GS=None))) is Reason.DEVICE_MISSING
    assert _reason(METER.record(payload(MS="a\x07b", GS="\n"))) is Reason.DEVICE_MISSING


def test_decode__device_name__has_one_form_however_it_is_written() -> None:
    for spelling in ("Z\u00e4hler 7", " Za\u0308hler 7 ", "\u00a0Z\u00e4hler 7"):
        assert ocmf.decode(METER.record(payload(MS=spelling))).device == "Z\u00e4hler 7"
    assert ocmf.decode(METER.record(payload(MS="ev-7"))).device == "ev-7"


def test_decode__charge_point__names_a_device_without_serial_numbers() -> None:
    bare = {"MS": None, "GS": None, "CT": " EVSEID ", "CI": "DE*ABC*E1*1 "}
    event = ocmf.decode(METER.record(payload(**bare)))
    assert (event.device, event.gateway, event.place) == ("EVSEID:DE*ABC*E1*1", "", None)
    assert ocmf.decode(METER.record(payload(**bare | {"MS": "EV-7"}))).device == "EV-7"
    for missing in ({"CI": None}, {"CT": None}, {"CT": ""}, {"CI": " "}, {"CT": 0}):
        assert _reason(METER.record(payload(**bare | missing))) is Reason.DEVICE_MISSING


@pytest.mark.parametrize(
    ("meter", "gateway", "expected"),
    [
        ("EV-7", "GW-1", ("EV-7", "GW-1")),
        ("EV-7", "EV-7", ("EV-7", "")),
        ("EV-7", None, ("EV-7", "")),
        (None, "GW-1", ("GW-1", "")),
        ("EV-7", "GW\x07", ("EV-7", "")),
    ],
)
def test_decode__gateway__is_named_where_the_meter_has_another_name(
    meter: str | None, gateway: str | None, expected: tuple[str, str]
) -> None:
    event = ocmf.decode(METER.record(payload(MS=meter, GS=gateway)))
    assert (event.device, event.gateway) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("0.000001", "kWh", 1),
        ("0.0000010000", "kWh", 1),
        ("7753", "Wh", 7_753_000),
        ("0.001", "Wh", 1),
        ("9223372036854.775807", "kWh", 2**63 - 1),
        ("0.0000019", "kWh", 1),
        ("0.0009999", "Wh", 0),
        ("1709.539307", "Wh", 1_709_539),
        ("9223372036854.775808", "kWh", Reason.NUMBER_OUT_OF_RANGE),
        ("9223372036854775808", "Wh", Reason.NUMBER_OUT_OF_RANGE),
        ("1e300", "kWh", Reason.NUMBER_OUT_OF_RANGE),
        ("-0.1", "kWh", Reason.NUMBER_OUT_OF_RANGE),
        ("true", "kWh", Reason.WRONG_TYPE),
        ('"1_0"', "kWh", Reason.WRONG_TYPE),
        ('"12,5"', "kWh", Reason.WRONG_TYPE),
        ('"NaN"', "kWh", Reason.WRONG_TYPE),
        *(("1", unit, Reason.UNIT_UNKNOWN) for unit in ("sec", "kW", "MWh", "mOhm", "kvarh", "")),
    ],
)
def test_decode__register__is_rounded_down_to_mwh_or_has_a_named_reason(
    value: str, unit: str, expected: int | Reason
) -> None:
    record = METER.record(payload({"RU": unit}).replace("2935.6", value))
    if isinstance(expected, Reason):
        assert _reason(record) is expected
    else:
        assert _registers(_genuine(record)) == [expected]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("1970-01-01T00:00:00,001+0000 S", (1, "S")),
        ("1970-01-01T01:00:00.5+01:00 I", (500, "I")),
        ("1970-01-01T00:00:00Z R", (0, "R")),
        ("1970-01-01T00:00:00,1239999Z", (123, "U")),
        ("1970-01-01T00:00:00Z  X", (0, "U")),
        ("2026-03-01T08:00:00,000 S", Reason.TIME_WITHOUT_ZONE),
        ("2026-02-29T08:00:00,000+0100 S", Reason.TIME_MALFORMED),
        ("2026-03-01T24:00:00,000+0100 S", Reason.TIME_MALFORMED),
        ("2026-03-01T08:00:00,000+9900 S", Reason.TIME_MALFORMED),
        ("1969-12-31T23:59:59,999+0000 S", Reason.TIME_MALFORMED),
        ("0001-01-01T00:00:00,000+1400 S", Reason.TIME_MALFORMED),
        ("2026-W09-7T08:00:00,000+0100 S", Reason.TIME_MALFORMED),
        ("", Reason.TIME_MALFORMED),
        (1772348400, Reason.TIME_MALFORMED),
        ([], Reason.TIME_MALFORMED),
    ],
)
def test_decode__time__is_exact_or_has_a_named_reason(time, expected) -> None:
    record = METER.record(payload({"TM": time}))
    if isinstance(expected, Reason):
        assert _reason(record) is expected
    else:
        reading = _genuine(record).facts["readings"][0]
        assert (reading["at"], reading["clock"]) == expected


@pytest.mark.parametrize("data", ["", "zz", "30", "00" * 63, "00" * 65, "3003020101", 7, None])
def test_decode__signature_that_cannot_be_one__has_a_named_reason(data) -> None:
    assert _reason(METER.record(SD=data)) is Reason.SIGNATURE_MALFORMED
