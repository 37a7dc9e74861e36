"""`proofrail payout`: waiting payouts, the preview of the bank file, and approvals."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from lxml import etree
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.core.approval import Office
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.store import payouts
from orchestrator.steps.bank_files import read_bank
from orchestrator.steps.payouts import order_payouts
from services.bank import new_iban
from tests.support.officers import CHAIN_ID, EXPIRY_S, employ, seat_for_commands
from tests.support.rail_with_bank import CLOSED, NORD, RailWithBank


class Operator:
    """Commands in the home of a rail whose worker and bank are at hand."""

    def __init__(self, home, monkeypatch) -> None:
        self.rail = RailWithBank(home)
        self.home = home
        (home / "proofrail.sqlite3").symlink_to(self.rail.store.path)
        Deployment(31337, "0x0", {}, {}, True).save(self.home / "deployment.json")
        rail_file = {"safeguarding": self.rail.context.safeguarding}
        (self.home / "rail.json").write_text(json.dumps(rail_file))
        officers = employ(home, self.rail.store, "Ada", "Ben")
        seat_for_commands(monkeypatch, *officers)
        office = Office(CHAIN_ID, frozenset(officers), int(time.time()), EXPIRY_S)
        self.rail.context = replace(self.rail.context, office=lambda: office)

    def run(self, *arguments: str, code: int = 0):
        result = CliRunner().invoke(cli.app, ["--home", str(self.home), *arguments, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def shown(self, *arguments: str) -> str:
        result = CliRunner().invoke(cli.app, ["--home", str(self.home), *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    def stage(self, payout: str) -> str:
        return self.rail.stage(payout)[0]

    def bank_day(self) -> None:
        order_payouts(self.rail.context)
        self.rail.bank.step()
        read_bank(self.rail.context)


@pytest.fixture
def operator(tmp_path, monkeypatch):
    made = Operator(tmp_path, monkeypatch)
    yield made
    made.rail.bare.close()


def test_release__proposed_by_one_and_approved_by_another__leaves(operator):
    payout = operator.rail.payout(1, 2_000_000)
    order_payouts(operator.rail.context)
    [held] = operator.run("payout", "list", "--stage", "waiting_for_approval")
    assert held["payout_id"] == payout and held["amount_minor"] == 2_000_000
    assert f"payout propose {payout[:14]}" in held["reason"]  # the next step, word for word
    assert payout[:14] in operator.shown("payout", "list")
    approval = operator.run("payout", "propose", payout[:14], "--as", "Ada")["approval"]
    refused = operator.run("approval", "approve", approval, "--as", "Ada", code=2)["error"]
    assert refused["code"] == "same_officer"
    detail = operator.run("approval", "show", approval)["detail"]
    assert detail["payout"] == payout and detail["cents"] == 2_000_000
    order_payouts(operator.rail.context)
    assert operator.stage(payout) == "waiting_for_approval"
    operator.run("approval", "approve", approval, "--as", "Ben")
    order_payouts(operator.rail.context)
    [sent] = operator.run("payout", "list")
    assert sent["stage"] == "sent" and sent["due_on"] == "2025-10-09" and sent["batch"]


def test_release__of_what_is_not_held_or_not_known__proposes_nothing(operator):
    payout = operator.rail.payout(1)
    for what in (payout, "0xnothing", ""):
        error = operator.run("payout", "propose", what, "--as", "Ada", code=2)["error"]
        assert "payout list" in error["message"] or "not waiting for approval" in error["message"]
    assert operator.run("approval", "list") == []


def test_order_again__rejected__goes_to_the_other_account_once_approved(operator):
    operator.rail.party("0x" + "55" * 20, "Gone", CLOSED)
    payout = operator.rail.payout(1, payee="0x" + "55" * 20, iban=CLOSED)
    operator.bank_day()
    [row] = operator.run("payout", "list", "--stage", "rejected")
    assert row["reason"] == "AC04"
    again = ("payout", "order-again", row["end_to_end_id"], "--as", "Ada")
    strange = operator.run(*again, "--iban", new_iban(99), code=2)["error"]["message"]
    assert "party add" in strange
    wrong = operator.run(*again, "--iban", "DE00", code=2)["error"]
    assert wrong["code"] == "iban_invalid"
    lower = " ".join(NORD[i : i + 4] for i in range(0, len(NORD), 4)).lower()
    approval = operator.run(*again, "--iban", lower)["approval"]
    assert operator.run("approval", "show", approval)["detail"]["iban"] == NORD
    operator.run("approval", "approve", approval, "--as", "Ben")
    operator.bank_day()
    [row] = operator.run("payout", "list")
    assert (row["stage"], row["attempt"], row["payout_id"]) == ("booked", 1, payout)


@pytest.mark.parametrize("stage", ["due", "sent", "accepted", "booked", "waiting_for_approval"])
def test_order_again__what_has_not_failed__proposes_nothing(operator, stage):
    payout = operator.rail.payout(1)
    with operator.rail.store.write() as session:
        payouts.get(session, payout).stage = stage
    view = operator.run("payout", "order-again", payout, "--as", "Ada", code=2)["error"]
    assert "twice" in view["message"] and operator.run("approval", "list") == []


def test_preview__what_is_due__is_shown_and_nothing_is_sent(operator):
    small, large = operator.rail.payout(1), operator.rail.payout(2, 2_000_000)
    preview = operator.run("payout", "preview")
    assert [order["payout_id"] for order in preview["orders"]] == [small]
    assert [order["payout_id"] for order in preview["waits"]] == [large]
    tree = etree.fromstring(preview["xml"].encode())
    assert tree.findtext(".//{*}MsgId") == preview["message_id"]
    assert tree.findtext(".//{*}CtrlSum") == "12.34"
    assert "12.34 EUR" in operator.shown("payout", "preview")
    assert operator.rail.outgoing() == [] and operator.stage(large) == "due"


def test_preview__nothing_due__says_so(operator):
    assert "Nothing would be sent" in operator.shown("payout", "preview")
    assert operator.run("payout", "preview")["orders"] == []
