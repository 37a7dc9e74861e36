"""Challenges for parties who sign with their own wallet: the real API on a real chain.

POST /v1/payments/ID/calls/challenge
├── given a payment whose records are good
│   └── it should say by name that nothing can be proved
├── given a payment that cannot be challenged: unsettled, out of its window
│   └── it should say which of these it is
└── given a claim that its record contradicts
    ├── it should return the calls that win, to all who may see the payment
    └── given an ended dispute: it should say that they refund nothing
"""

from __future__ import annotations

import pytest

from orchestrator.edges.chain.keystore import development_account
from orchestrator.edges.store.access import issue_key
from orchestrator.operations import challenges, party_calls
from orchestrator.operations.party_calls import PartyCalls
from orchestrator.products.metered_energy import product as metered_energy
from services.simulated_devices.device import DeviceKind
from tests.support.api_rail import ApiRail
from tests.support.lying_quorum import attest_more_than_the_meter_showed
from tests.support.purse_rail import BOND, PAYEE, PAYER, STRANGER, WINDOW_S, PurseRail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
CALLERS = {
    "operator": ("operator", ""),
    "auditor": ("auditor", ""),
    "partner": ("partner", "lamp-"),
    "stranger": ("partner", "other-"),
}


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    """A rail of these tests alone: their last test bars its oracles."""
    rail = PurseRail(tmp_path_factory.mktemp("challenges") / "home").start()
    yield rail
    rail.stop()


@pytest.fixture(scope="module")
def api(rail, tmp_path_factory):
    """The API of that rail, with a key for each caller."""
    api = ApiRail(tmp_path_factory.mktemp("api"))
    calls = PartyCalls(rail.store, rail.chain, lambda: rail.clock)
    api.start(store=rail.store, party_calls=calls)
    with rail.store.write() as session:
        api.keys = {name: issue_key(session, name, *caller) for name, caller in CALLERS.items()}
    yield api
    api.close()


@pytest.fixture(autouse=True)
def whole(rail):
    """After each test nothing is halted and the ledger is the chain, to the last unit."""
    rail.with_oracles_down()
    yield
    assert rail.worker.halted == {}
    rail.agree_with_the_chain()


def asked(api: ApiRail, payment: str, caller: str = "operator", **body: object) -> tuple[int, dict]:
    answer = api.client(caller).post(f"/v1/payments/{payment}/calls/challenge", json=body)
    return answer.status_code, answer.json()


def refusal(api: ApiRail, payment: str, **body: object) -> tuple[int, str]:
    status, problem = asked(api, payment, **body)
    assert problem["title"] and problem["next_step"]
    return status, problem["code"]


def wallet_sends(rail: PurseRail, index: int, calls: list[dict]) -> None:
    """Sign calls as a wallet does that knows nothing of this rail, and have them mined."""
    eth, account = rail.chain.web3.eth, development_account(index)
    fees = {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9}
    for call in calls:
        assert call["from"] == account.address
        request = {"to": call["to"], "data": call["data"], "value": 0, "gas": 3_000_000}
        nonce = eth.get_transaction_count(account.address)
        signed = account.sign_transaction({**request, **fees, "nonce": nonce, "chainId": 31337})
        tx_hash = eth.send_raw_transaction(signed.raw_transaction)
        rail.mine()
        assert eth.get_transaction_receipt(tx_hash).status == 1


def test_challenge__of_an_honest_payment__says_what_the_contract_says_of_each_fault(rail, api):
    payment = rail.paid("lamp-honest")
    for caller in ("operator", "auditor", "partner"):
        status, problem = asked(api, payment, caller)
        assert (status, problem["code"]) == (409, "fault_not_proven")
        assert "signature of record 1: the device signed it" in problem["detail"]
        assert "register of record 1: the register is what the claim says" in problem["detail"]
        assert "key of record 1: the key was active at that time" in problem["detail"]
    _, one = asked(api, payment, fault="key", record=1)
    assert one["detail"].endswith("(key of record 1: the key was active at that time)")
    assert refusal(api, payment, record=2) == (422, "record_unknown")
    assert refusal(api, payment, by="0x12") == (422, "address_malformed")


def test_challenge__by_who_may_not_see_the_payment__is_answered_like_an_unknown_one(rail, api):
    payment, foreign, nowhere = rail.paid("lamp-seen"), rail.paid("other-1"), "0x" + "00" * 32
    assert asked(api, payment, "")[0] == 401
    answers = [asked(api, identity, "stranger")[1] for identity in (payment, nowhere)]
    assert [answer["code"] for answer in answers] == ["not_found"] * 2
    assert asked(api, foreign, "stranger")[1]["code"] == "fault_not_proven"
    assert asked(api, payment, "partner", other=foreign)[1]["code"] == "not_found"
    status, problem = asked(api, payment, "auditor", fault="counter", other=foreign)
    assert (status, problem["code"]) == (409, "fault_not_proven")
    assert "counter of record 1: " in problem["detail"]


def test_challenge__of_what_is_not_settled__is_refused_by_name(rail, api):
    rail.join("lamp-early", 5_000, DeviceKind.CHARGE_POINT, window_s=WINDOW_S, bond_micro=BOND)
    rail.oracles_down()
    rail.charge("lamp-early", "2")
    rail.until("lamp-early", "verified")
    payment = rail.payment("lamp-early").payment_id
    assert refusal(api, payment) == (409, "not_settled")
    rail.with_oracles_down()
    rail.until("lamp-early", "posted")
    assert refusal(api, payment) == (409, "fault_not_proven")


def test_challenge__on_contracts_that_take_none__is_refused_by_name(rail, api, monkeypatch):
    payment = rail.paid("lamp-former")
    monkeypatch.setattr(challenges, "rail_of", lambda *_: "PaymentRail@0.5.0")
    assert refusal(api, payment) == (409, "no_contract_for_challenges")


def test_challenge__of_more_records_than_one_request_looks_at__asks_for_one(rail, api, monkeypatch):
    payment = rail.paid("lamp-many")
    monkeypatch.setattr(party_calls, "_MOST_RECORDS", 0)
    assert refusal(api, payment) == (422, "record_needed")
    assert refusal(api, payment, record=1) == (409, "fault_not_proven")


def concede(rail: PurseRail, api: ApiRail, payment: str) -> None:
    """Have the payer dispute a payment and the payee concede."""
    client = api.client("operator")
    for function, party in (("dispute", PAYER), ("concede", PAYEE)):
        answer = client.post(f"/v1/payments/{payment}/calls/{function}")
        wallet_sends(rail, party, answer.json()["calls"])


def test_challenge__of_an_honest_payment_after_its_dispute__proves_nothing(rail, api):
    payment = rail.paid("lamp-conceded")
    concede(rail, api, payment)
    rail.until("lamp-conceded", "refunded")
    assert refusal(api, payment) == (409, "fault_not_proven")


def test_challenge__outside_the_dispute_window__is_refused_by_name(rail, api):
    payment = rail.paid("lamp-late", window_s=3_600)
    assert refusal(api, payment) == (409, "fault_not_proven")
    rail.mine(3_600 * 5 // 4)  # its end is rounded up by a quarter at most
    assert refusal(api, payment) == (409, "dispute_window_over")


def test_challenge__of_a_wrong_claim__is_won_with_a_wallet_by_an_auditor_s_proof(
    rail, api, monkeypatch
):
    """Attack: a hostile quorum attests a register that the meter never showed."""
    with monkeypatch.context() as hostile:
        attest_more_than_the_meter_showed(hostile, metered_energy)
        ended, payment = rail.paid("lamp-spared"), rail.paid("lamp-wronged")
    concede(rail, api, ended)
    stranger = development_account(STRANGER).address
    poor = refusal(api, payment, by=stranger)
    assert poor == (409, "bond_not_covered")
    before = rail.tokens(rail.payer.address)
    status, answer = asked(api, payment, "auditor")
    assert (status, answer["fault"], answer["record"]) == (200, "register", 1)
    assert [call["function"] for call in answer["calls"]] == ["approve", "challenge"]
    assert answer["calls"][0]["arguments"]["value"] == BOND and answer["barred"] >= 3
    assert answer["refunds"]
    wallet_sends(rail, PAYER, answer["calls"])
    rail.until("lamp-wronged", "refunded")
    assert rail.tokens(rail.payer.address) == before
    [record] = rail.life(payment)["challenges"]
    assert (record["fault"], record["verdict"]) == ("register", "proven")
    assert refusal(api, payment) == (409, "already_challenged")
    status, answer = asked(api, ended)
    assert (status, answer["fault"], answer["refunds"]) == (200, "register", False)
    assert answer["barred"] >= 3  # what the payee conceded to spare
    wallet_sends(rail, PAYER, answer["calls"])
    assert rail.tokens(rail.payer.address) == before
    assert refusal(api, ended) == (409, "already_challenged")
    rail.work(3)
    [record] = rail.life(ended)["challenges"]
    assert (record["fault"], record["verdict"]) == ("register", "proven")
