"""The hand-written EIP-712 encoding equals eth-account's, and each signature has one valid form."""

from __future__ import annotations

import contextlib

import pytest
from eth_account.messages import _hash_eip191_message
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.types import Rejected
from oracles.attest import address_of, batch_digest, claim_hash, recover, sign
from oracles.types import Batch, Claim
from orchestrator.edges.chain.ethereum import Account, encode_typed_data

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = bytes(range(1, 33))
RAIL, PRODUCT, COMMITTEE = ("0x" + digit * 40 for digit in "123")

words = st.binary(min_size=32, max_size=32)
claims = st.builds(
    Claim,
    agreement=words,
    sequence=st.integers(0, 2**32 - 1),
    first_counter=st.integers(0, 2**40 - 1),
    last_counter=st.integers(0, 2**40 - 1),
    evidence=words,
    facts=st.binary(max_size=200),
)


def _reference(batch: Batch, chain_id: int, committee: str, version: str) -> bytes:
    fields = "agreement:bytes32 sequence:uint32 firstCounter:uint40 lastCounter:uint40"
    fields += " evidence:bytes32 facts:bytes"
    claim_type = [dict(zip(("name", "type"), f.split(":"), strict=True)) for f in fields.split()]
    types = {
        "Claim": claim_type,
        "Attestation": [
            {"name": "rail", "type": "address"},
            {"name": "product", "type": "address"},
            {"name": "claims", "type": "Claim[]"},
        ],
    }
    names = [field["name"] for field in claim_type]
    message = {
        "rail": batch.rail,
        "product": batch.product,
        "claims": [
            dict(
                zip(
                    names,
                    (c.agreement, c.sequence, c.first_counter, c.last_counter, c.evidence, c.facts),
                    strict=True,
                )
            )
            for c in batch.claims
        ],
    }
    domain = {
        "name": "proofrail-oracles",
        "version": version,
        "chainId": chain_id,
        "verifyingContract": committee,
    }
    return _hash_eip191_message(encode_typed_data(domain, types, message))


@settings(max_examples=60, deadline=None)
@given(st.lists(claims, min_size=1, max_size=4), st.integers(1, 2**63), st.sampled_from("12"))
def test_batch_digest__any_batch__equals_the_general_encoder(batch_claims, chain_id, version):
    batch = Batch(RAIL, PRODUCT, tuple(batch_claims))
    reference = _reference(batch, chain_id, COMMITTEE, version)
    assert batch_digest(batch, chain_id, COMMITTEE, version) == reference


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_sign__any_digest__is_low_s_and_recovers_as_eth_account_does(digest):
    signature = sign(digest, KEY)
    assert signature[64] in (27, 28)
    assert int.from_bytes(signature[32:64], "big") <= ORDER // 2
    assert recover(digest, signature) == address_of(KEY) == Account.from_key(KEY).address
    assert Account._recover_hash(digest, signature=signature) == address_of(KEY)


@given(st.integers(0, 10**6))
def test_recover__the_high_s_twin__is_refused_though_eth_account_takes_it(number):
    digest = number.to_bytes(32, "big")
    good = sign(digest, KEY)
    s = ORDER - int.from_bytes(good[32:64], "big")
    twin = good[:32] + s.to_bytes(32, "big") + bytes([55 - good[64]])
    assert Account._recover_hash(digest, signature=twin) == address_of(KEY)
    with pytest.raises(Rejected):
        recover(digest, twin)


@pytest.mark.parametrize("v", [0, 1, 29, 255])
def test_recover__v_other_than_27_or_28__is_refused(v):
    digest = b"\x07" * 32
    with pytest.raises(Rejected):
        recover(digest, sign(digest, KEY)[:64] + bytes([v]))


@given(st.binary(max_size=70))
def test_recover__random_bytes__give_an_address_or_the_declared_error(signature):
    with contextlib.suppress(Rejected):
        assert recover(b"\x07" * 32, signature).startswith("0x")


@pytest.mark.parametrize(
    "change", [{"chain_id": 2}, {"committee": "0x" + "4" * 40}, {"rail": PRODUCT}]
)
def test_batch_digest__other_chain_or_contract__gives_another_digest(change):
    claim = Claim(b"\x01" * 32, 1, 1, 2, b"\x02" * 32, b"")
    ground = {"chain_id": 1, "committee": COMMITTEE, "rail": RAIL}
    digests = [
        batch_digest(Batch(case["rail"], PRODUCT, (claim,)), case["chain_id"], case["committee"])
        for case in (ground, ground | change)
    ]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    "field, value", [("sequence", 2**32), ("last_counter", 2**40), ("agreement", b"\x01" * 31)]
)
def test_claim_hash__a_field_that_does_not_fit__is_an_error_and_never_another_hash(field, value):
    fields = {"agreement": b"\x01" * 32, "sequence": 1, "first_counter": 1, "last_counter": 1}
    fields |= {"evidence": b"\x02" * 32, "facts": b"", field: value}
    with pytest.raises((ValueError, OverflowError)):
        claim_hash(Claim(**fields))
