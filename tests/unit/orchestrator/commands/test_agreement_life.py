"""`proofrail agreement close | fund | skip | consent`: dry runs, documents, and what they send."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.ethereum import sign_document
from orchestrator.edges.chain.sender import ChainCall, send_and_wait
from orchestrator.edges.store import agreements
from tests.support.operators_home import PAYEE, PAYER, OperatorsHome, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
_MICRO = 5_000_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorsHome]:
    operators_home = OperatorsHome(tmp_path_factory.mktemp("rail"))
    yield operators_home
    operators_home.close()


def opening(device: str, *more: str) -> tuple[str, ...]:
    energy = ("--product", "metered_energy", "--term", "price=0.30", "--term", "fuse=22000")
    parties = ("--payer", "Ada Sommer", "--payee", "Nord eG")
    return ("agreement", "open", "--device", device, *parties, "--cap", "500", *energy, *more)


def opened(home: OperatorsHome, device: str) -> str:
    home.add(device)
    return home.run_json(*opening(device))["agreement_id"]


def state(home: OperatorsHome, identity: str) -> tuple[int, ...]:
    raw = bytes.fromhex(identity[2:])
    return home.chain.client.view("PaymentRail", "agreementState", raw)


def test_open__bond_schedule_and_start__are_in_the_mandate_and_in_words(home):
    home.add("ending-1")
    start = "2000-01-01T00:00:00Z"
    more = ("--bond", "2.50", "--settle-after", "records=10,day", "--start", start)
    view = home.run_json(*opening("ending-1", *more, "--dry-run"))
    assert view["bond"]["amount"] == "2500000" and view["version"] == 2
    assert view["settles"] == "after 10 records or the end of a day"
    assert (view["schedule"], view["start"]) == (10 | 1 << 57, 946_684_800)
    default = home.run_json(*opening("ending-1", "--dry-run"))
    assert (default["bond"]["amount"], default["settles"]) == ("10000000", "at once")
    for option, text, wanted in (
        ("--bond", "100.01", "at most 100.000000 EUR"),
        ("--settle-after", "weeks=2", "none of records"),
        ("--start", "yesterday", "no time such as"),
    ):
        assert wanted in home.refused(*opening("ending-1", option, text))


def test_close__dry_run_then_by_the_owner__ends_it_for_later_records(home):
    identity = opened(home, "ending-2")
    dry = home.run_json("agreement", "close", identity, "--dry-run")
    assert dry["calls"][0]["function"] == "close" and not dry["sent"]
    assert dry["calls"][0]["arguments"] == {"agreement": identity}
    assert state(home, identity)[4] > home.chain.now()
    shown = home.run("agreement", "close", identity, "--dry-run").stdout
    assert "would end with records of" in shown
    assert home.run_json("agreement", "close", identity, "--by", "Nord eG")["sent"]
    assert state(home, identity)[4] <= home.chain.now()


def test_fund__out_of_the_wallet__is_in_the_escrow(home):
    identity = opened(home, "ending-3")
    payer = keystore.development_account(PAYER).address
    more = (
        home.chain.client.view("EuroToken", "balanceOf", payer) + _MICRO
    )  # others left some there
    amount = f"{more // 10**6}.{more % 10**6:06}"
    assert "in its wallet" in home.refused("agreement", "fund", identity, amount)
    mint = Call("EuroToken", "mint", (bytes.fromhex(identity[2:]), payer, _MICRO))
    minter = home.chain.sender(home.store, 3)
    send_and_wait(minter, [ChainCall("mint", identity, mint)], 0, lambda: None)
    dry = home.run_json("agreement", "fund", identity, amount, "--dry-run")
    assert [call["function"] for call in dry["calls"]] == ["approve", "fund"]
    assert state(home, identity)[2] == 0
    assert home.run_json("agreement", "fund", identity, amount)["sent"]
    assert state(home, identity)[2] == more


def test_skip__with_a_signature_from_elsewhere__passes_over_the_next_claim(home):
    identity = opened(home, "ending-4")
    assert "give the last counter" in home.refused("agreement", "skip", identity)
    arguments = ("agreement", "skip", identity, "--last-counter", "0")
    document = json.loads(home.run(*arguments, "--document").stdout)
    assert document["message"] == {"agreement": identity, "sequence": 1, "lastCounter": 0}
    payee = sign_document(document, keystore.development_account(PAYEE)).hex()
    wrong = sign_document(document, keystore.development_account(PAYER)).hex()
    assert "and not of" in home.refused(*arguments, "--payee-signature", wrong)
    assert "65 bytes" in home.refused(*arguments, "--payer-signature", "0x12")
    dry = home.run_json(*arguments, "--payee-signature", payee, "--dry-run")
    assert dry["calls"][0]["function"] == "skip" and state(home, identity)[0] == 0
    view = home.run_json(*arguments, "--payee-signature", payee)
    assert (view["sent"], view["sequence"]) == (True, 1)
    assert state(home, identity)[0] == 1


def test_consent__of_an_owner_elsewhere__opens_the_agreement_that_waits(home):
    home.add("ending-5")
    owner_key = home.settings.keys / "parties" / "Nord eG.json"
    away = owner_key.rename(home.home / "owner.json")
    assert "has not consented" in home.refused(*opening("ending-5"))
    with home.store.read() as session:
        [row] = [a for a in agreements.all_agreements(session) if a.device == "ending-5"]
    assert row.stage == agreements.Stage.SIGNED
    arguments = ("agreement", "consent", row.agreement_id)
    document = json.loads(home.run(*arguments, "--document").stdout)
    assert document["message"]["agreement"] == row.agreement_id
    wrong = sign_document(document, keystore.development_account(PAYER)).hex()
    assert "the device's owner is" in home.refused(*arguments, "--signature", wrong)
    signature = sign_document(document, keystore.development_account(PAYEE)).hex()
    dry = home.run_json(*arguments, "--signature", signature, "--dry-run")
    assert not dry["stored"] and not dry["opened"]
    assert home.run_json(*arguments, "--signature", signature)["opened"]
    assert state(home, row.agreement_id)[-1] == 1
    away.rename(owner_key)


def test_consent__to_a_product_for_a_device__only_where_it_shares_devices(home):
    home.add("ending-6")
    asked = ("agreement", "consent", "--device", "ending-6", "--product")
    view = home.run_json(*asked, "proof_of_delivery")
    assert view["stored"] and view["agreement_id"] is None
    assert "consents to each one" in home.refused(*asked, "metered_energy")
    assert "Give an agreement" in home.refused("agreement", "consent")


def test_list__agreements__say_when_they_end_and_settle(home):
    identity = opened(home, "ending-7")
    [view] = [v for v in home.run_json("agreement", "list") if v["agreement_id"] == identity]
    assert (view["settles"], view["mandate_version"]) == ("at once", 2)
    assert view["ends_at"] >= view["expiry"] > time.time()
