"""Calls for parties who sign with their own wallet, over HTTP: nothing is signed or sent here."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from eth_account.messages import encode_typed_data

from device_adapters.types import Rejected
from orchestrator.core.party_call import (
    ChallengeReason,
    DisputeReason,
    PayeeMoneyReason,
    SkipReason,
)
from orchestrator.core.registration import RegistrationReason
from orchestrator.edges.chain import keystore
from orchestrator.operations.party_calls import PartyCalls
from tests.support.operators_home import PAYEE, PAYER, OperatorsHome, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
ADA, NORD = keystore.development_account(PAYER), keystore.development_account(PAYEE)
ENERGY = ("--product", "metered_energy", "--term", "price=0.30", "--term", "fuse=22000")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorsHome]:
    operators_home = OperatorsHome(tmp_path_factory.mktemp("rail"))
    yield operators_home
    operators_home.close()


@pytest.fixture(scope="module")
def calls(home: OperatorsHome) -> PartyCalls:
    return PartyCalls(home.store, home.chain.client, time.time)


@pytest.fixture(scope="module")
def agreement(home: OperatorsHome) -> str:
    home.add("wallet-1")
    parties = ("--payer", "Ada Sommer", "--payee", "Nord eG", "--cap", "500")
    opened = home.run_json("agreement", "open", "--device", "wallet-1", *parties, *ENERGY)
    return opened["agreement_id"]


def wallet_sends(home: OperatorsHome, account, call: dict) -> int:
    """Sign a call as a wallet does that knows nothing of this rail, and return its status."""
    eth = home.chain.client.web3.eth
    request = {"to": call["to"], "data": call["data"], "value": 0, "gas": 1_000_000}
    fees = {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9}
    nonce = eth.get_transaction_count(account.address)
    signed = account.sign_transaction({**request, **fees, "nonce": nonce, "chainId": 31337})
    return eth.wait_for_transaction_receipt(eth.send_raw_transaction(signed.raw_transaction)).status


def refusal(action, *arguments: object) -> object:
    with pytest.raises(Rejected) as caught:
        action(*arguments)
    return caught.value.reason


def test_skip__signed_in_two_wallets__then_has_its_call(home, calls, agreement):
    none = {"payer": None, "payee": None}
    assert refusal(calls.skip, agreement, None, none) is SkipReason.NO_CLAIM
    assert refusal(calls.skip, agreement, 7, none) is SkipReason.COUNTER_UNKNOWN
    asked = calls.skip(agreement, 0, none)
    assert asked["calls"] == []
    assert asked["signers"] == {"payer": ADA.address, "payee": NORD.address}
    message = encode_typed_data(full_message=asked["document"])
    signed = {
        name: account.sign_message(message).signature.hex()
        for name, account in (("payer", ADA), ("payee", NORD))
    }
    swapped = {"payer": signed["payee"], "payee": None}
    assert refusal(calls.skip, agreement, 0, swapped) is SkipReason.UNSIGNED
    short = {"payer": "0x12", "payee": None}
    assert refusal(calls.skip, agreement, 0, short) is RegistrationReason.HEX_MALFORMED
    [call] = calls.skip(agreement, 0, signed)["calls"]
    assert wallet_sends(home, NORD, call) == 1
    raw = bytes.fromhex(agreement[2:])
    assert home.chain.client.view("PaymentRail", "agreementState", raw)[0] == 1


def test_fund_and_close__calls__are_those_the_contract_takes(home, calls, agreement):
    asked = calls.fund(agreement, 5_000_000, None)
    assert [call["function"] for call in asked["calls"]] == ["approve", "fund"]
    assert (asked["chain_id"], asked["calls"][1]["from"]) == (31337, ADA.address)
    stranger = keystore.development_account(30).address
    assert refusal(calls.close, agreement, stranger) is RegistrationReason.CONTRACT_REFUSES
    [call] = calls.close(agreement, None)["calls"]
    assert call["arguments"] == {"agreement": agreement}
    assert wallet_sends(home, ADA, call) == 1
    raw = bytes.fromhex(agreement[2:])
    expiry = home.chain.client.view("PaymentRail", "agreementState", raw)[4]
    assert expiry <= home.chain.now()


def test_payee__without_money_or_debts__is_refused_by_name(calls):
    assert refusal(calls.release, NORD.address) is PayeeMoneyReason.NOTHING
    assert refusal(calls.repay, NORD.address, None) is PayeeMoneyReason.NOTHING
    assert refusal(calls.withdraw, NORD.address, 1, ADA.address) is PayeeMoneyReason.TOO_MUCH
    assert refusal(calls.release, "0x12") is RegistrationReason.ADDRESS_MALFORMED


def test_codes__of_parties__do_not_change():
    kinds = (ChallengeReason, DisputeReason, PayeeMoneyReason, SkipReason)
    codes = {code.value for kind in kinds for code in kind}
    assert codes == {
        "no_contract_for_disputes",
        "not_disputable",
        "dispute_window_over",
        "bond_not_covered",
        "settlement_unreadable",
        "not_disputed",
        "deadline_not_over",
        "ruling_short",
        "nothing_due",
        "more_than_available",
        "no_claim_to_skip",
        "counter_unknown",
        "skip_unsigned",
        "no_contract_for_challenges",
        "not_settled",
        "fault_not_proven",
        "already_challenged",
        "dispute_ended",
        "records_incomplete",
        "record_unknown",
        "record_needed",
        "bundle_of_another_chain",
    }
