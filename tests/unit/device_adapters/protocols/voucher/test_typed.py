"""Vouchers as typed data: the digest any EIP-712 tool finds, one form of record, two signatures."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.evidence import check_file
from device_adapters.keys import genuine
from device_adapters.protocols import voucher as protocol
from device_adapters.protocols.voucher.typed import Domain, Voucher, digest_of, keccak
from device_adapters.types import Reason, Rejected
from oracles.rules import content_id
from orchestrator.edges.chain.ethereum import encode_typed_data
from tests.support.wristband import MERCHANT, NOW, band, twin_of

_VOUCHERS = st.builds(
    Voucher,
    wearable=st.just(keccak(b"BAND-1")),
    payee=st.binary(min_size=20, max_size=20).map(lambda raw: f"0x{raw.hex()}"),
    total=st.integers(1, 2**47 - 1),
    counter=st.integers(1, 2**40 - 1),
    taps=st.integers(1, 2**32 - 1),
    merchant_class=st.integers(0, 2**16 - 1),
    cap=st.integers(0, 2**48 - 1),
    signed_at=st.integers(1, 2**40 - 1),
    expiry=st.integers(0, 2**40 - 1),
)
_FIELDS = {
    "wearable": "bytes32",
    "payee": "address",
    "total": "uint48",
    "counter": "uint40",
    "taps": "uint32",
    "merchantClass": "uint16",
    "cap": "uint48",
    "signedAt": "uint40",
    "expiry": "uint40",
}
_TYPES = [{"type": kind, "name": name} for name, kind in _FIELDS.items()]


@given(voucher=_VOUCHERS, chain=st.integers(0, 2**63 - 1))
def test_digest__any_voucher__is_what_a_general_eip712_encoder_finds(voucher, chain):
    domain = Domain(chain, "0x" + "c0" * 20)
    document = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Voucher": _TYPES,
        },
        "primaryType": "Voucher",
        "domain": {
            "name": "proofrail-voucher",
            "version": "1",
            "chainId": chain,
            "verifyingContract": domain.contract,
        },
        "message": dict(zip((field["name"] for field in _TYPES), voucher, strict=True)),
    }
    signable = encode_typed_data(full_message=document)
    assert keccak(b"\x19\x01" + signable.header + signable.body) == digest_of(domain, voucher)


def test_record__of_a_wearable__is_read_as_it_was_signed(tmp_path):
    wearable = band(tmp_path)
    event = protocol.decode(wearable.tap(MERCHANT, 3_000_000, 5814, NOW))
    assert (event.device, event.counter, event.kind) == ("BAND-1", 1, "voucher")
    assert event.facts["total"] == 3_000_000 and event.facts["payee"] == MERCHANT
    assert genuine(event.signed, wearable.public)


def test_record__any_number_of_it_changed__is_no_longer_genuine(tmp_path):
    wearable = band(tmp_path)
    fields = json.loads(wearable.tap(MERCHANT, 3_000_000, 5814, NOW))
    for name, value in fields["message"].items():
        if isinstance(value, int):
            changed = fields | {"message": fields["message"] | {name: value + 1}}
            record = json.dumps(changed, separators=(",", ":")).encode()
            assert not genuine(protocol.decode(record).signed, wearable.public), name
    moved = fields | {"domain": fields["domain"] | {"chainId": 1}}
    record = json.dumps(moved, separators=(",", ":")).encode()
    assert not genuine(protocol.decode(record).signed, wearable.public)


def test_attack__high_s_twin_of_a_voucher__is_the_same_event_to_everyone(tmp_path):
    wearable = band(tmp_path)
    record = wearable.tap(MERCHANT, 3_000_000, 5814, NOW)
    twin = twin_of(record)
    assert twin != record
    event, other = protocol.decode(record), protocol.decode(twin)
    assert genuine(other.signed, wearable.public)
    assert content_id(event) == content_id(other) and event.event_id == other.event_id


@given(junk=st.sampled_from([b" ", b"\n", b",", b"0", b"}"]), at=st.floats(0, 1))
def test_record__one_character_too_many__is_not_the_canonical_form(junk, at):
    _, record, _ = protocol.EXAMPLES[0]
    place = int(at * len(record))
    longer = record[:place] + junk + record[place:]
    try:
        event = protocol.decode(longer)
    except Rejected as refusal:
        assert refusal.reason in Reason
    else:
        assert protocol.write_record(*protocol.read(longer)) == longer == event.evidence


# --- proofrail evidence check


@pytest.fixture
def records(tmp_path):
    wearable = band(tmp_path)
    first = wearable.tap(MERCHANT, 3_000_000, 5814, NOW)
    second = wearable.tap(MERCHANT, 2_500_000, 5814, NOW + 60)
    twice = wearable.spend_twice("0x" + "bb" * 20, 1_000_000, 5814, NOW + 70)
    key = "04" + "".join(f"{n:064x}" for n in (wearable.public.x, wearable.public.y))
    return first, second, twice, key


def test_check__vouchers_with_their_key__are_genuine_and_in_the_report(records):
    first, second, twice, key = records
    report = check_file(b"\n".join([first, second]), key)
    assert report.exit_code == 0 and report.summary["settleable"] == 2
    record = report.as_json()["records"][0]
    assert record["voucher"]["total"] == 3_000_000 and record["device"] == "BAND-1"
    codes = [[note["code"] for note in row["warnings"]] for row in report.as_json()["records"]]
    assert codes == [["superseded"], []]
    ((_, columns, rows),) = report.records[1].tables()
    assert len(columns) == len(rows[0]) and rows[0][2] == "5.500000"
    report = check_file(b"\n".join([second, twice]), key)
    assert [[note["code"] for note in row["warnings"]] for row in report.as_json()["records"]] == [
        ["double_spent"],
        ["double_spent"],
    ]


def test_check__no_key_other_key_broken_record__exit_code_and_reason(records):
    first, second, _, key = records
    assert check_file(first).as_json()["records"][0]["genuine_reasons"][0]["code"] == "no_key"
    forged = first.replace(b'"taps":1', b'"taps":2')
    report = check_file(b"\n".join([forged, second, second[:-1]]), key)
    reasons = [row["genuine_reasons"] for row in report.as_json()["records"]]
    assert [row[0]["code"] if row else "" for row in reasons] == [
        "signature_forged",
        "",
        "truncated",
    ]
    assert report.exit_code == 1
    assert check_file(first[:-1], key).exit_code == 2
