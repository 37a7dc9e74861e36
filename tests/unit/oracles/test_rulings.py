"""Rulings: the digest that members sign, the document, and never both answers by one oracle."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from eth_account.messages import _hash_eip191_message

from device_adapters.types import Rejected
from oracles.attest import address_of, recover, sign
from oracles.rulings import Ruling, RulingMemory, RulingReason, SignedRuling
from oracles.wire import read_ruling, read_rulings, ruling_to_json, write_rulings
from orchestrator.edges.chain.ethereum import encode_typed_data

KEY = bytes(range(1, 33))
RAIL, COMMITTEE = "0x" + "1" * 40, "0x" + "3" * 40
PAYMENT = b"\x07" * 32
CHAIN = 31337
REFUND, STAND = Ruling(RAIL, PAYMENT, True), Ruling(RAIL, PAYMENT, False)


def signature_of(ruling: Ruling) -> bytes:
    return sign(ruling.digest(CHAIN, COMMITTEE), KEY)


def decide(memory: RulingMemory, ruling: Ruling, by: str = "Mia Vogt") -> SignedRuling:
    return memory.sign(
        ruling, address_of(KEY), signature_of, by, "meter was swapped", 1_790_000_000
    )


@pytest.mark.parametrize("ruling", [REFUND, STAND])
def test_digest__of_a_ruling__equals_that_of_a_general_encoder(ruling):
    document = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Ruling": [
                {"name": "rail", "type": "address"},
                {"name": "payment", "type": "bytes32"},
                {"name": "refund", "type": "bool"},
            ],
        },
        "primaryType": "Ruling",
        "domain": {
            "name": "proofrail-oracles",
            "version": "2",
            "chainId": CHAIN,
            "verifyingContract": COMMITTEE,
        },
        "message": {"rail": RAIL, "payment": PAYMENT, "refund": ruling.refund},
    }
    expected = _hash_eip191_message(encode_typed_data(full_message=document))
    assert ruling.digest(CHAIN, COMMITTEE) == bytes(expected)


def test_digest__of_a_short_id__is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        replace(REFUND, payment=b"\x07" * 31).digest(CHAIN, COMMITTEE)


def test_sign__a_person_s_decision__is_stored_with_who_decided(tmp_path):
    memory = RulingMemory(tmp_path / "oracle.sqlite3")
    signed = decide(memory, REFUND)
    assert recover(REFUND.digest(CHAIN, COMMITTEE), signed.signature) == address_of(KEY)
    assert RulingMemory(tmp_path / "oracle.sqlite3").all() == [signed]
    assert (signed.decided_by, signed.reason) == ("Mia Vogt", "meter was swapped")


def test_sign__asked_again_for_the_same__returns_the_first_with_its_name(tmp_path):
    memory = RulingMemory(tmp_path / "oracle.sqlite3")
    first = decide(memory, REFUND)
    assert decide(memory, REFUND, by="somebody else") == first


def test_sign__both_answers_by_one_oracle__the_second_is_refused_also_after_a_restart(tmp_path):
    """On 0.3.0 nothing kept an oracle from signing refund for one party and stand for the other."""
    path = tmp_path / "oracle.sqlite3"
    decide(RulingMemory(path), STAND)
    with pytest.raises(Rejected, match="'stand'") as refusal:
        decide(RulingMemory(path), REFUND)
    assert refusal.value.reason is RulingReason.CONTRADICTS
    assert [signed.ruling for signed in RulingMemory(path).all()] == [STAND]


def test_sign__both_answers_at_the_same_moment__one_is_signed(tmp_path):
    memory, barrier = RulingMemory(tmp_path / "oracle.sqlite3"), threading.Barrier(2, timeout=60)
    results: list[object] = []

    def run(ruling: Ruling) -> None:
        barrier.wait()
        try:
            results.append(decide(memory, ruling))
        except Rejected as refusal:
            results.append(refusal)

    threads = [threading.Thread(target=run, args=(ruling,)) for ruling in (REFUND, STAND)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kinds = sorted(type(result).__name__ for result in results)
    assert kinds == ["Rejected", "SignedRuling"] and len(memory.all()) == 1


def test_sign__of_a_signer_that_fails__stores_nothing(tmp_path):
    memory = RulingMemory(tmp_path / "oracle.sqlite3")

    def broken(_: Ruling) -> bytes:
        raise OSError("no key")

    with pytest.raises(OSError, match="no key"):
        memory.sign(REFUND, address_of(KEY), broken, "Mia Vogt", "", 1)
    assert memory.all() == [] and decide(memory, STAND).ruling == STAND


def test_document__of_a_ruling__is_read_back_as_it_was(tmp_path):
    signed = decide(RulingMemory(tmp_path / "oracle.sqlite3"), REFUND)
    document = ruling_to_json(signed)
    assert (document["version"], document["decision"]) == (1, "refund")
    assert read_ruling(json.dumps(document).encode()) == signed
    assert read_rulings(write_rulings([signed, signed])) == (signed, signed)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": True},
        {"decision": "REFUND"},
        {"decision": True},
        {"payment": "0x07"},
        {"rail": "0x11"},
        {"signature": "0x" + "00" * 64},
        {"decided_at": -1},
        {"more": 1},
    ],
)
def test_document__with_another_form__is_refused(tmp_path, change):
    signed = decide(RulingMemory(tmp_path / "oracle.sqlite3"), REFUND)
    with pytest.raises(Rejected):
        read_ruling(json.dumps(ruling_to_json(signed) | change).encode())


def test_disputes__read_from_the_chain__are_kept_in_order_with_the_mark(tmp_path):
    memory = RulingMemory(tmp_path / "oracle.sqlite3")
    assert (memory.disputes_up_to(), memory.disputes()) == (0, {})
    memory.note_disputes([(b"\x02" * 32, 7), (b"\x01" * 32, 5)], 9)
    memory.note_disputes([(b"\x02" * 32, 8)], 12)  # mined again in another block
    assert list(memory.disputes().items()) == [(b"\x01" * 32, 5), (b"\x02" * 32, 8)]
    assert memory.disputes_up_to() == 12
