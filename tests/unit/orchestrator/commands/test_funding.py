"""The queue of credits and redemption, from the command line to the bank's books."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.commands import home
from orchestrator.core import ledger
from tests.support.small_rail import has_anvil
from tests.support.street_rail import StreetRail

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    made = StreetRail(tmp_path_factory.mktemp("funding") / "home").start()
    try:
        made.prepare()
        made.end_day()
        yield made
    finally:
        made.stop()


@pytest.fixture
def run(rail, monkeypatch):
    """What a command answers, on the rail's own clock."""
    monkeypatch.setattr(home.time, "time", lambda: rail.clock)
    monkeypatch.setattr(home, "patience", lambda: rail.mine)
    return lambda *words: CliRunner().invoke(cli.app, ["--home", str(rail.home), *words])


@pytest.fixture
def told(run):
    def answer(*words: str):
        found = run(*words, "--json")
        assert found.exit_code == 0, found.output
        return json.loads(found.output)

    return answer


@pytest.fixture
def officers(run):
    for name in ("Eve", "Bob"):
        assert run("officer", "add", name).exit_code in (0, 2)  # the second test finds them seated


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


def test_funding_list__credits_without_an_agreement__tells_why_they_wait(rail, told, run):
    pay_in(rail, 1_111)
    pay_in(rail, 1_112, "RF18539007547034")
    found = {each["amount_minor"]: each for each in told("funding", "list")}
    assert [found[cents]["why"] for cents in (1_111, 1_112)] == [
        "no_reference",
        "unknown_reference",
    ]
    one = found[1_111]
    assert one["payer"] == {"name": "Ada Sommer", "iban": rail.payer_iban}
    assert (one["text"], one["booking_date"][:4], one["approval"]) == (
        "for the charger",
        "2025",
        None,
    )
    assert "no_reference" in run("funding", "list").output
    assert len(told("funding", "list", "--all")) >= len(found)


def test_funding_allocate__two_officers__mints_into_the_escrow(rail, told, run, officers):
    pay_in(rail, 2_222)
    [credit] = [each["credit"] for each in told("funding", "list") if each["amount_minor"] == 2_222]
    agreement = rail.agreements["cp-0002"]
    before = rail.chain.view("PaymentRail", "agreementState", bytes.fromhex(agreement[2:]))[2]
    proposed = told("funding", "allocate", credit[:14], "--agreement", agreement, "--as", "Eve")
    [row] = [each for each in told("funding", "list") if each["credit"] == credit]
    assert row["approval"] == proposed["approval"]
    rail.clock += 1
    again = run("funding", "allocate", credit, "--agreement", agreement, "--as", "Eve")
    assert again.exit_code == 2 and "open" in again.stderr
    assert run("approval", "approve", proposed["approval"], "--as", "Eve").exit_code == 2
    rail.work(3)
    assert [e["stage"] for e in told("funding", "list") if e["credit"] == credit] == ["suspense"]
    assert told("approval", "approve", proposed["approval"], "--as", "Bob")["approved"]
    rail.work(4)
    after = rail.chain.view("PaymentRail", "agreementState", bytes.fromhex(agreement[2:]))[2]
    assert after - before == 22_220_000
    [row] = [e for e in told("funding", "list", "--all") if e["credit"] == credit]
    assert (row["stage"], row["agreement"]) == ("minted", agreement)


def test_funding_send_back__two_officers__pays_the_payer(rail, told, officers):
    rail.morning()
    pay_in(rail, 3_333)
    held = rail.bank.books.balance(rail.payer_iban)
    [credit] = [e["credit"] for e in told("funding", "list") if e["amount_minor"] == 3_333]
    proposed = told("funding", "send-back", credit, "--town", "Potsdam", "--as", "Bob")
    told("approval", "approve", proposed["approval"], "--as", "Eve")
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
    found = run("funding", *words, "--as", "Eve")
    assert found.exit_code == 2 and "proofrail funding list" in found.stderr


def test_party_redeem__of_a_wallet__is_paid_in_whole_cents(rail, told):
    rail.morning()
    held, supply = rail.bank.books.balance(rail.payer_iban), rail.cents()[ledger.DEPOSITS]
    found = told("party", "redeem", "Ada Sommer", "--amount", "12.50")
    assert found["amount"] == {"amount": "12500000", "asset": "tEUR/6"}
    rail.work(3)
    assert rail.bank.books.balance(rail.payer_iban) == held + 1_250
    assert rail.cents()[ledger.DEPOSITS] - supply == 1_250


@pytest.mark.parametrize(
    ("amount", "reason"),
    [("12.505", "sub_cent"), ("0.000001", "sub_cent"), ("99999999", "more_than_held")],
)
def test_party_redeem__what_cannot_be_paid__is_refused_by_name(rail, run, amount, reason):
    held = rail.chain.view("EuroToken", "balanceOf", rail.payer.address)
    found = run("party", "redeem", "Ada Sommer", "--amount", amount, "--json")
    assert found.exit_code == 2 and json.loads(found.output)["error"]["code"] == reason
    assert rail.chain.view("EuroToken", "balanceOf", rail.payer.address) == held
