"""The seven bytes of an outcome and the leaf of a settlement, for charges and for debts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from oracles.merkle import keccak
from orchestrator.core.outcome import (
    NOBODY,
    REFUSALS,
    ClaimOutcome,
    Window,
    leaf_of,
    outcome_leaf,
    pack,
    refusal_name,
    release_time,
    unpack,
)

INT48 = st.integers(-(1 << 47), (1 << 47) - 1)
PAYEE = "0x" + "ab" * 20


@given(st.lists(st.builds(ClaimOutcome, INT48, st.integers(0, 255))))
def test_outcomes__packed_and_read_again__are_the_same(outcomes):
    assert unpack(b"".join(map(pack, outcomes))) == outcomes


def test_outcome__below_zero__is_two_s_complement_as_the_contract_packs_it():
    assert pack(ClaimOutcome(-1, 0)) == b"\xff" * 6 + b"\x00"
    assert unpack(bytes.fromhex("ffffffe9a6c064")) == [ClaimOutcome(-1_464_640, 100)]


@pytest.mark.parametrize("amount", [1 << 47, -(1 << 47) - 1])
def test_outcome__beyond_48_bits__does_not_fit(amount):
    with pytest.raises(OverflowError):
        pack(ClaimOutcome(amount, 0))


def test_leaf__of_a_credit__has_its_payee_and_no_release_time():
    debt = ClaimOutcome(-900_000, 0)
    wanted = encode(
        ["bytes32", "bytes32", "address", "int48", "uint8", "uint32"],
        [b"\1" * 32, b"\2" * 32, PAYEE, -900_000, 0, 0],
    )
    assert leaf_of(b"\1" * 32, b"\2" * 32, debt, (PAYEE, Window(60)), 1_000) == keccak(
        keccak(wanted)
    )
    assert release_time(debt, 1_000, Window(60)) == 0


@pytest.mark.parametrize(
    ("window", "wanted"),
    [
        (Window(60, 1), 1_061),  # a rail of 0.5.0: the very end
        (Window(60), 1_065),  # a multiple of a quarter of the window
        (Window(59), 1_064),  # quarters of 14 seconds
        (Window(3), 1_004),
        (Window(0), 1_001),
    ],
)
def test_release__of_a_charge__is_due_at_the_end_of_its_quarter(window, wanted):
    assert release_time(ClaimOutcome(0, 0), 1_001, window) == wanted


def test_leaf__of_a_refused_claim__has_no_payee_and_no_amount():
    own = leaf_of(b"\1" * 32, b"\2" * 32, ClaimOutcome(0, 10), (PAYEE, Window(60)), 1_000)
    assert own == outcome_leaf(b"\1" * 32, b"\2" * 32, NOBODY, ClaimOutcome(0, 10), 0)


def test_refusals__of_the_interface__all_have_their_name_and_a_sentence_in_its_order():
    source = Path("contracts/interfaces/IPaymentRail.sol").read_text()
    [body] = re.findall(r"enum Refusal \{(.*?)\}", source, re.DOTALL)
    declared = re.findall(r"^\s*(\w+),?(?:\s*//.*)?$", body, re.MULTILINE)
    names = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in declared]
    assert [refusal_name(code) for code in range(len(names))] == list(REFUSALS) == names
    assert all(REFUSALS.values())
    assert refusal_name(103) == "product_3"
