"""`proofrail agreement` for any product: its own terms, with a payee or without, and the refund."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from device_adapters.types import Rejected
from orchestrator.commands import agreement_open as command
from orchestrator.commands import home as homes
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.sender import ChainCall, send_and_wait
from orchestrator.edges.store import agreements
from orchestrator.errors import Halt
from orchestrator.operations.agreements import NOBODY, AgreementOps
from orchestrator.products import products
from orchestrator.products.metered_energy.product import decode_terms
from tests.support.operators_home import PAYER, OperatorsHome, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
DAY = 86_400
ENERGY = ("--product", "metered_energy", "--term", "price=0.30", "--term", "fuse=22000")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorsHome]:
    operators_home = OperatorsHome(tmp_path_factory.mktemp("rail"))
    yield operators_home
    operators_home.close()


def opening(device: str, *more: str) -> tuple[str, ...]:
    return (
        "agreement",
        "open",
        "--device",
        device,
        "--payer",
        "Ada Sommer",
        "--payee",
        "Nord eG",
        "--cap",
        "500.00",
        *ENERGY,
        *more,
    )


def row_of(home: OperatorsHome, identity: str) -> agreements.AgreementRow:
    with home.store.read() as session:
        return agreements.get(session, identity)


def test_open__terms_by_name__are_parsed_and_formatted_by_the_product(home):
    home.add("agree-1")
    view = home.run_json(*opening("agree-1", "--term", "continuous=yes"))
    row = row_of(home, view["agreement_id"])
    terms = decode_terms(bytes.fromhex(row.terms[2:]))
    assert (terms.price_per_kwh, terms.fuse_watts, terms.continuous) == (300_000, 22_000, True)
    assert view["terms"] == products()["metered_energy"].format_terms(bytes.fromhex(row.terms[2:]))
    assert view["cap"] == {"amount": "500000000", "asset": "tEUR/6"}
    assert view["terms_hex"] == row.terms
    [listed] = [
        listed_view
        for listed_view in home.run_json("agreement", "list")
        if listed_view["device"] == "agree-1"
    ]
    assert listed["terms_hex"] == row.terms


def test_open__dry_run__shows_the_mandate_and_sends_nothing(home):
    home.add("agree-2")
    before = home.sent()
    view = home.run_json(*opening("agree-2", "--dry-run"))
    assert home.sent() == before and row_of(home, view["agreement_id"]) is None
    assert "nothing was sent" in home.run(*opening("agree-2", "--dry-run")).stdout


def test_open__fiscal_records_after_one__begin_behind_it(home):
    home.add("agree-3")
    assert (
        home.run_json(*opening("agree-3", "--fiscal", "--after", "7", "--dry-run"))["first_counter"]
        == (1 << 39) + 7
    )


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("--term", "price=0.40"), "given twice"),
        (("--term", "colour"), "not name=value"),
        (("--term", "colour=red"), "colour"),
        (("--cap", "0"), "not an amount in euro"),
        (("--payer", "Nobody"), "no party"),
        (("--device", "nobody"), "is not enrolled"),
        (("--product", "gift"), "metered_energy"),
    ],
)
def test_open__wrong__sends_nothing_and_says_what(home, change, wanted):
    home.add("agree-4")
    assert wanted in home.refused(*opening("agree-4"), *change)


def test_open__payee_missing_where_the_mandate_names_one__is_refused(home):
    home.add("agree-5")
    words = [word for word in opening("agree-5") if word not in ("--payee", "Nord eG")]
    assert "give --payee" in home.refused(*words)


@pytest.mark.parametrize(
    ("any_payee", "payee", "wanted"),
    [
        (True, "Nord eG", "Leave --payee out"),
        (False, None, "give --payee"),
    ],
)
def test_require_payee__as_the_products_contract_asks__or_refused(
    home, monkeypatch, any_payee, payee, wanted
):
    agreement_ops, product = homes.Home(home.home).agreement_ops(), products()["metered_energy"]
    monkeypatch.setattr(AgreementOps, "names_payee", lambda _self, _product: not any_payee)
    with pytest.raises(Halt, match=wanted):
        command._require_payee(agreement_ops, product, payee and object())
    command._require_payee(agreement_ops, product, None if any_payee else object())


@pytest.mark.parametrize("name", sorted(products()))
def test_names_payee__every_product__is_what_its_contract_says(home, name):
    agreement_ops, product = homes.Home(home.home).agreement_ops(), products()[name]
    if product.CONTRACT not in home.chain.deployment.addresses:
        pytest.fail(f"{product.CONTRACT} is not deployed")
    traits = home.chain.client.view(product.CONTRACT, "traits")
    assert agreement_ops.names_payee(product) is (traits & 4 == 0)


def test_list__mandate_without_a_payee__says_so(home):
    home.add("agree-6")
    identity = home.run_json(*opening("agree-6"))["agreement_id"]
    with home.store.write() as session:
        agreements.get(session, identity).payee = NOBODY
    listed = {a["agreement_id"]: a for a in home.run_json("agreement", "list")}
    assert listed[identity]["payee"] == "named by each claim"


@pytest.mark.parametrize("name", sorted(products()))
def test_terms__of_each_product__are_listed_with_help(home, name):
    [view] = home.run_json("agreement", "terms", name)
    assert [(t["name"], t["help"]) for t in view["terms"]] == list(products()[name].TERMS)
    with pytest.raises(Rejected):
        products()[name].parse_terms({"no such term": "1"})
    address = home.chain.deployment.addresses[products()[name].CONTRACT]
    assert view["address"] == address
    assert f"is at {address}" in home.run("agreement", "terms", name).stdout


def test_terms__no_product_named__lists_all(home):
    view = json.loads(home.run("agreement", "terms", "--json").stdout)
    assert [listed_view["product"] for listed_view in view] == list(products())


def test_refund__before_and_after_the_end__goes_to_the_payer_once(home):
    home.add("agree-7")
    identity = brief(home, "agree-7")
    fund(home, identity, 5_000_000)
    payer = keystore.development_account(PAYER).address
    assert "are taken until" in home.refused("agreement", "refund", identity)
    with home.store.write() as session:  # our clock says it is over, the chain's does not
        agreements.get(session, identity).ends_at = int(time.time()) - 1
    assert "NotYetDue" in home.refused("agreement", "refund", identity)
    home.chain.later(3 * DAY)  # a day of grace is over as well
    before, sent = home.chain.client.view("EuroToken", "balanceOf", payer), home.sent()
    assert home.run_json("agreement", "refund", identity, "--dry-run")["sent"] is False
    assert home.sent() == sent
    view = home.run_json("agreement", "refund", identity[:14])
    assert view["amount"]["amount"] == "5000000"
    assert home.chain.client.view("EuroToken", "balanceOf", payer) == before + 5_000_000
    sent = home.sent()
    again = home.run_json("agreement", "refund", identity)
    assert (again["amount"]["amount"], again["sent"]) == ("0", False)
    assert "nothing is left" in home.run("agreement", "refund", identity).stdout
    assert home.sent() == sent


def test_refund__somebody_else_asked_first__sends_nothing(home):
    home.add("agree-9")
    identity = brief(home, "agree-9")
    fund(home, identity, 7)
    home.chain.later(3 * DAY)  # a day of grace is over as well
    stranger = home.chain.sender(home.store, 37)
    call = Call("PaymentRail", "reclaim", (bytes.fromhex(identity[2:]),))
    send_and_wait(stranger, [ChainCall("stranger", identity, call)], 0, lambda: None)
    with home.store.write() as session:
        agreements.get(session, identity).ends_at = int(time.time()) - 1
    sent = home.sent()
    assert home.run_json("agreement", "refund", identity)["amount"]["amount"] == "0"
    assert home.sent() == sent


def brief(home: OperatorsHome, device: str) -> str:
    """An agreement that ends within two days of the chain's clock, which other tests move on."""
    ahead = -(-max(0, home.chain.now() - int(time.time())) // DAY)  # it stands between blocks
    return home.run_json(*opening(device, "--days", str(ahead + 1)))["agreement_id"]


def fund(home: OperatorsHome, identity: str, amount: int) -> None:
    """Mints into the escrow, as the minter does for a booked credit."""
    minter = home.chain.sender(home.store, 3)
    rail, agreement = home.chain.deployment.addresses["PaymentRail"], bytes.fromhex(identity[2:])
    call = Call("EuroToken", "mintToEscrow", (agreement, rail, agreement, amount))
    send_and_wait(minter, [ChainCall("mint", identity, call)], 0, lambda: None)


def test_refund__no_such_agreement__is_refused(home):
    assert "0 agreements" in home.refused("agreement", "refund", "0x" + "99" * 32)
    assert "too short" in home.refused("agreement", "refund", "0x")


def test_open__for_a_payee_that_is_unknown__is_refused(home):
    home.add("agree-8")
    words = list(opening("agree-8"))
    words[words.index("Nord eG")] = "Nobody at all"
    assert "no party" in home.refused(*words)
