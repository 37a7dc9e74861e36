"""Unmatched incoming payments and redemption, from the command line to the bank's books."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.commands import home, party
from orchestrator.core import ledger
from tests.support.officers import employ, seated_keys
from tests.support.redeeming_rail import RedeemingRail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    street = RedeemingRail(tmp_path_factory.mktemp("funding") / "home").start()
    try:
        street.prepare()
        street.end_day()
        yield street
    finally:
        street.stop()


@pytest.fixture
def run(rail, monkeypatch):
    """Run a command on the rail's clock."""
    monkeypatch.setattr(home.time, "time", lambda: rail.clock)
    for module in (home, party):
        monkeypatch.setattr(module, "patience", lambda: rail.mine)
    return lambda *words: CliRunner().invoke(cli.app, ["--home", str(rail.home), *words])


@pytest.fixture
def run_json(run):
    def answer(*words: str):
        result = run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    return answer


@pytest.fixture
def officers(rail):
    """The officers that the development plan seats on chain."""
    employ(rail.home, rail.store, "Eve", "Bob", keys=seated_keys())


def pay_in(rail, cents: int, reference: str = "") -> None:
    rail.instruct_bank(
        {
            "kind": "pay",
            "from": rail.payer_iban,
            "to": "",
            "text": "for the charger",
            "amount_cents": cents,
            "reference": reference,
        }
    )
    rail.work(1)


def test_funding_list__credits_without_an_agreement__shows_why_they_wait(rail, run_json, run):
    pay_in(rail, 1_111)
    pay_in(rail, 1_112, "RF18539007547034")
    by_cents = {
        credit_view["amount_minor"]: credit_view for credit_view in run_json("funding", "list")
    }
    assert [by_cents[cents]["why"] for cents in (1_111, 1_112)] == [
        "no_reference",
        "unknown_reference",
    ]
    unreferenced = by_cents[1_111]
    assert unreferenced["payer"] == {"name": "Ada Sommer", "iban": rail.payer_iban}
    assert (unreferenced["text"], unreferenced["booking_date"][:4], unreferenced["approval"]) == (
        "for the charger",
        "2025",
        None,
    )
    assert "no_reference" in run("funding", "list").output
    assert len(run_json("funding", "list", "--all")) >= len(by_cents)


def test_funding_allocate__two_officers__mints_into_the_escrow(rail, run_json, run, officers):
    pay_in(rail, 2_222)
    [credit] = [
        credit_view["credit"]
        for credit_view in run_json("funding", "list")
        if credit_view["amount_minor"] == 2_222
    ]
    agreement = rail.agreements["cp-0002"]
    before = rail.chain.view("PaymentRail", "agreementState", bytes.fromhex(agreement[2:]))[2]
    proposed = run_json("funding", "allocate", credit[:14], "--agreement", agreement, "--as", "Eve")
    [row] = [
        credit_view
        for credit_view in run_json("funding", "list")
        if credit_view["credit"] == credit
    ]
    assert row["approval"] == proposed["approval"]
    rail.clock += 1
    again = run("funding", "allocate", credit, "--agreement", agreement, "--as", "Eve")
    assert again.exit_code == 2 and "open" in again.stderr
    assert run("approval", "approve", proposed["approval"], "--as", "Eve").exit_code == 2
    rail.work(3)
    assert [
        credit_view["stage"]
        for credit_view in run_json("funding", "list")
        if credit_view["credit"] == credit
    ] == ["suspense"]
    assert run_json("approval", "approve", proposed["approval"], "--as", "Bob")["approved"]
    rail.work(4)
    after = rail.chain.view("PaymentRail", "agreementState", bytes.fromhex(agreement[2:]))[2]
    assert after - before == 22_220_000
    [row] = [
        credit_view
        for credit_view in run_json("funding", "list", "--all")
        if credit_view["credit"] == credit
    ]
    assert (row["stage"], row["agreement"]) == ("minted", agreement)


def test_funding_allocate__to_a_party__mints_into_its_wallet_and_every_book_agrees(
    rail, run_json, run, officers
):
    """A payer of real money gets tokens for a bond so, and only two officers give them."""
    pay_in(rail, 1_234)
    [credit] = [c["credit"] for c in run_json("funding", "list") if c["amount_minor"] == 1_234]
    payer = next(p for p in run_json("party", "list") if p["iban"] == rail.payer_iban)
    wallet = lambda: rail.chain.view("EuroToken", "balanceOf", payer["address"])  # noqa: E731
    before = wallet()
    arguments = ("funding", "allocate", credit, "--party", payer["name"], "--as", "Eve")
    dry = run_json(*arguments, "--dry-run")
    assert (dry["wallet"], dry["cents"], dry["proposed"]) == (payer["address"], 1_234, False)
    assert run_json("approval", "list") == []
    both = run(*arguments, "--agreement", rail.agreements["cp-0002"])
    assert both.exit_code == 2 and "--agreement or --party" in both.stderr
    proposed = run_json(*arguments)
    rail.work(4)
    assert wallet() == before
    assert run_json("approval", "approve", proposed["approval"], "--as", "Bob")["approved"]
    rail.work(6)
    assert wallet() - before == 12_340_000
    [row] = [c for c in run_json("funding", "list", "--all") if c["credit"] == credit]
    assert (row["stage"], row["agreement"], row["wallet"]) == ("minted", None, payer["address"])
    rebuilt = run("rebuild")
    assert rebuilt.exit_code == 0, rebuilt.output
    breaks = run_json("breaks")
    assert not [b for b in breaks if credit in json.dumps(b)]


def test_funding_send_back__two_officers__pays_the_payer(rail, run_json, officers):
    rail.morning()
    pay_in(rail, 3_333)
    held = rail.bank.books.balance(rail.payer_iban)
    [credit] = [
        credit_view["credit"]
        for credit_view in run_json("funding", "list")
        if credit_view["amount_minor"] == 3_333
    ]
    proposed = run_json("funding", "send-back", credit, "--town", "Potsdam", "--as", "Bob")
    run_json("approval", "approve", proposed["approval"], "--as", "Eve")
    rail.work(4)
    assert rail.bank.books.balance(rail.payer_iban) == held + 3_333
    assert rail.payouts()[credit] == "booked"
    rail.end_day(2)
    assert rail.breaks()["extra"] == rail.breaks()["ledger_differs_from_chain"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ("allocate", "0x", "--agreement", "0x12"),
        ("allocate", "none", "--agreement", "0x12"),
        ("send-back", "none", "--town", "X"),
    ],
)
def test_funding__that_names_no_one_credit__is_refused_with_the_next_step(run, officers, words):
    result = run("funding", *words, "--as", "Eve")
    assert result.exit_code == 2 and "proofrail funding list" in result.stderr


def test_party_redeem__of_a_wallet__is_paid_in_whole_cents(rail, run_json):
    rail.morning()
    held, supply = rail.bank.books.balance(rail.payer_iban), rail.cents()[ledger.DEPOSITS]
    result = run_json("party", "redeem", "Ada Sommer", "--amount", "12.50")
    assert result["amount"] == {"amount": "12500000", "asset": "tEUR/6"}
    rail.work(3)
    assert rail.bank.books.balance(rail.payer_iban) == held + 1_250
    assert rail.cents()[ledger.DEPOSITS] - supply == 1_250


@pytest.mark.parametrize(
    ("amount", "reason"),
    [("12.505", "sub_cent"), ("0.000001", "sub_cent"), ("99999999", "more_than_held")],
)
def test_party_redeem__what_cannot_be_paid__is_refused_by_name(rail, run, amount, reason):
    held = rail.chain.view("EuroToken", "balanceOf", rail.payer.address)
    result = run("party", "redeem", "Ada Sommer", "--amount", amount, "--json")
    assert result.exit_code == 2 and json.loads(result.output)["error"]["code"] == reason
    assert rail.chain.view("EuroToken", "balanceOf", rail.payer.address) == held
