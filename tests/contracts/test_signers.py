"""Who can sign, as the committee keeps it for `requireQuorum`.

requireQuorum
├── given several signatures in one element, in any order: each counts once
├── given an element that is no whole number of signatures: none of it counts
├── given as many members as there can be: each counts, with its domain
└── given any change of who can sign: the next answer follows it
the contract that holds the list: a call of it does nothing
"""

from __future__ import annotations

from itertools import islice, permutations

import rlp
from web3 import Web3

from oracles.quorum import quorum
from tests.support.contracts.contract_rail import ORACLE_KEYS, _address
from tests.support.contracts.powers_alone import PAYMENT
from tests.support.contracts.quorum_checks import (
    HASHES,
    STRANGER_KEY,
    answered,
    bits,
    checked,
    junk,
)


def test_quorum__several_signatures_in_one_element__count_one_by_one(powers):
    good = powers.attest_hashes(HASHES, powers.oracles)
    stranger, *_ = powers.attest_hashes(HASHES, [STRANGER_KEY])
    everyone = answered(powers, good)
    for shares in ([4], [1, 3], [2, 2]):
        for order in permutations(good):
            signed = iter(order)
            elements = [b"".join(islice(signed, share)) for share in shares]
            assert answered(powers, elements) == everyone
    assert checked(powers, [good[0] * 3, good[0] + good[1]]) == ("QuorumMissing", (2, 3))
    for bad in (bytes(65), b"\xff" * 65, stranger, junk(good[3])[0], junk(good[3])[1]):
        for mixed in ([bad, *good[:2]], [good[0], bad, good[1]], [*good[:2], bad]):
            assert checked(powers, [b"".join(mixed)]) == ("QuorumMissing", (2, 3)), bad.hex()
            assert checked(powers, [b"".join([*mixed, good[2]])]) == ("", ())
    for bad in (good[3][:64], b"\0", good[3][1:]):
        uneven = b"".join([*good[:3], bad])
        assert checked(powers, [uneven]) == ("QuorumMissing", (0, 3)), bad.hex()
        assert checked(powers, [uneven, b"".join(good[:3])]) == ("", ())


def test_quorum__as_many_members_as_there_can_be__counts_each_with_its_domain(powers):
    keys = [bytes([14]) * 31 + bytes([index + 1]) for index in range(216)]
    committee = powers.deploy_committee(keys, list(range(40, 256)))
    signed = powers.attest_hashes(HASHES, keys, committee=committee)
    need = quorum(216)
    for have in (0, 1, 31, 127, need - 1):
        assert checked(powers, signed[:have], committee) == ("QuorumMissing", (have, need))
        assert checked(powers, [b"".join(signed[:have])], committee)[1] == (have, need)
    assert answered(powers, [b"".join(signed)], committee)[1] == (1 << 216) - 1
    domains, signers = answered(powers, signed[-need:], committee)
    assert domains == (1 << 256) - (1 << (256 - need))
    assert signers == (1 << 216) - (1 << (216 - need))


def test_quorum__each_change_of_who_can_sign__is_followed(powers):
    """The list of who can sign is written again by each of them."""
    committee, (first, second, *_) = powers.committee, powers.oracles
    fresh = ORACLE_KEYS[5]
    everyone = powers.attest_hashes(HASHES, [*powers.oracles, fresh])

    def signing():
        return answered(powers, everyone)[1]

    assert signing() == bits(powers, *powers.oracles)
    powers.do(committee.seat, _address(fresh), 2)
    assert signing() == bits(powers, *powers.oracles, fresh)
    committee.silence(_address(first), sender=powers.guardian)
    assert signing() == bits(powers, *powers.oracles[1:], fresh)
    powers.do(committee.seat, _address(first), 3)
    assert signing() == bits(powers, *powers.oracles, fresh)
    assert answered(powers, everyone)[0] >> 3 & 1 == 1
    powers.do(committee.unseat, _address(first))
    assert signing() == bits(powers, *powers.oracles[1:], fresh)
    both = [powers.ruling(PAYMENT, answer, [second])[0] for answer in (True, False)]
    committee.reportRulings(powers.rail, PAYMENT, *both, sender=powers.stranger)
    assert signing() == bits(powers, *powers.oracles[2:], fresh)


def test_list__contract_of_who_can_sign__does_nothing_when_called(powers):
    """Its code begins with STOP, even where a member's address begins with other instructions."""
    first_contract = Web3.keccak(rlp.encode([bytes.fromhex(powers.committee.address[2:]), 1]))[12:]
    at = "0x" + first_contract.hex()
    code = bytes.fromhex(powers.node.rpc("eth_getCode", at, "latest")[2:])
    entries = [code[start : start + 32] for start in range(0, len(code), 32)]
    assert entries == sorted(entries) and len(code) == 32 * len(powers.oracles)
    assert [entry[:10] for entry in entries] == [bytes(10)] * len(entries)
    listed = {"0x" + entry[10:30].hex() for entry in entries}
    assert listed == {_address(key).lower() for key in powers.oracles}
    call = {"from": str(powers.stranger), "to": at, "data": code[10:].hex()}
    assert powers.node.rpc("eth_call", call, "latest") == "0x"
