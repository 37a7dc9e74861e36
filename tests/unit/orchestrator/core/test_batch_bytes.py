"""The bytes of a batch: packed as contracts/libraries/ClaimBytes.sol reads them, and read again.

pack, unpack
├── given any claims: they should come back, under any group
├── given the sample of the released form: both should agree with it to the byte
└── given bytes that end early: they should be refused
call
├── given one of this release, or of 0.5.0: the auditor should read the same claims
└── given another function, or claims that are cut off: the auditor should not take it
"""

from __future__ import annotations

import pytest
import rlp
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.types import Rejected
from oracles.merkle import keccak
from oracles.types import Claim
from orchestrator.core.audit.settlement import settle_call
from orchestrator.core.batch_bytes import (
    Group,
    batch_argument,
    called_claims,
    claim_fields,
    pack_claim,
    unpack_claims,
)
from orchestrator.errors import Halt

RAIL, PRODUCT, PAYEE = b"\x11" * 20, "0x" + "22" * 20, "0x" + "33" * 20
GROUPS = "(address,uint48,uint16,uint32,uint8,uint256)[]"
STRUCTS = "(bytes32,uint32,uint40,uint40,bytes32,bytes)[]"
FISCAL = 1 << 39
CLAIM = Claim(b"\xaa" * 32, 7, FISCAL + 1, FISCAL + 96, b"\xbb" * 32, b"\x03\x00\xff")
# never change it: settlements on chain have this form
SAMPLE = (
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    "0002 00000007 8000000001 8000000060 0003 0300ff"
).replace(" ", "")

WORD = st.binary(min_size=32, max_size=32)
COUNTER = st.integers(0, (1 << 40) - 1)
CLAIMS = st.lists(
    st.builds(
        Claim, WORD, st.integers(0, (1 << 32) - 1), COUNTER, COUNTER, WORD, st.binary(max_size=300)
    ),
    max_size=5,
)


def group(window: int) -> Group:
    return Group(PAYEE, 50_000_000, 30, window, 0, 1 << 200)


@given(CLAIMS, st.integers(0, (1 << 16) - 1))
def test_claims__packed_and_read_again__are_the_same(claims, number):
    assert unpack_claims(b"".join(pack_claim(claim, number) for claim in claims)) == claims


def test_sample__of_the_released_form__is_what_both_ways_give():
    assert pack_claim(CLAIM, 2).hex() == SAMPLE
    assert unpack_claims(bytes.fromhex(SAMPLE * 2)) == [CLAIM, CLAIM]


@pytest.mark.parametrize("kept", range(1, 85))
def test_unpack__bytes_that_end_early__halts(kept):
    whole = bytes.fromhex(SAMPLE)
    assert len(whole) == 85
    for before in (b"", whole):
        with pytest.raises(Halt, match="cut off"):
            unpack_claims(before + whole[:kept])


def test_batch__equal_groups__are_named_once_and_each_claim_names_its_own():
    groups = [group(9), group(5), group(9)]
    product, named, packed = batch_argument(PRODUCT, [CLAIM] * 3, groups)
    assert (product, named) == (PRODUCT, [tuple(group(5)), tuple(group(9))])
    size = len(packed) // 3
    numbers = [int.from_bytes(packed[at + 64 : at + 66]) for at in (0, size, 2 * size)]
    assert [named[number] for number in numbers] == [tuple(wanted) for wanted in groups]


def test_batch__more_groups_than_claims__is_refused():
    with pytest.raises(ValueError, match="zip"):
        batch_argument(PRODUCT, [CLAIM], [group(1), group(2)])


def test_called_claims__structs_of_0_5_0__are_the_claims():
    names = ("agreement", "sequence", "firstCounter", "lastCounter", "evidence", "facts")
    fields = dict(zip(names, claim_fields(CLAIM), strict=True))
    assert called_claims({"batch": {"claims": [fields]}}) == [CLAIM]
    assert called_claims({"batch": {"claims": bytes.fromhex(SAMPLE)}}) == [CLAIM]


def transaction(kinds: str, batch: tuple, rail: bytes = RAIL, name: str = "settle") -> bytes:
    types = (f"(address,{kinds})", "bytes[]")
    selector = keccak(f"{name}({','.join(types)})".encode())[:4]
    data = selector + encode(types, [batch, [b"\x01\x02"]])
    return rlp.encode([b"\x01", b"\x01", b"\x01", rail, b"", data, b"", b"", b""])


def current(packed: bytes = bytes.fromhex(SAMPLE)) -> tuple[str, tuple]:
    return f"{GROUPS},bytes", (PRODUCT, [tuple(group(1))], packed)


FORMER = STRUCTS, (PRODUCT, [claim_fields(CLAIM)])


@pytest.mark.parametrize("call", [current(), FORMER])
def test_settle_call__of_either_release__has_its_claims(call):
    assert settle_call(transaction(*call), RAIL) == (PRODUCT, [CLAIM], [b"\x01\x02"])


@pytest.mark.parametrize(
    ("bytes_", "why"),
    [
        (transaction(*current(), name="settled"), "not a settlement"),
        (transaction(*current(), rail=b"\x12" * 20), "not a settlement"),
        (transaction(*current(bytes.fromhex(SAMPLE)[:-1])), "cannot be decoded"),
    ],
)
def test_settle_call__other_function_other_rail_or_cut_off__proves_nothing(bytes_, why):
    with pytest.raises(Rejected, match=why):
        settle_call(bytes_, RAIL)
