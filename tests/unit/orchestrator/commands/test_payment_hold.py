"""`proofrail payment hold | decide`: an officer stops a payment, two officers decide about it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.core.approval import Office
from orchestrator.core.hold import HELD_AND_REJECTED, HOLD, hold_document
from orchestrator.core.payment import Fact
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.store import holds
from orchestrator.steps.holds import decide_holds
from tests.support.bare_rail import BareRail
from tests.support.officers import CHAIN_ID, EXPIRY_S, employ, seat_for_commands

A, WHY = "cp-0001", "the meter was opened"


class HoldingHome:
    """Commands in the home of a rail with one verified payment."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bare = BareRail(folder / "rail")
        self.bare.claims(A)
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "proofrail.sqlite3").symlink_to(self.bare.place.store.path)
        Deployment(CHAIN_ID, "0x0", {}, {}, True).save(self.home / "deployment.json")
        (self.home / "rail.json").write_text("{}")
        self.officers = employ(self.home, self.bare.place.store, "Ada", "Ben")
        seat_for_commands(monkeypatch, *self.officers)
        office = Office(CHAIN_ID, frozenset(self.officers), int(time.time()), EXPIRY_S)
        self.bare.rail = replace(self.bare.rail, office=lambda: office)

    def run(self, *arguments: str, code: int = 0):
        result = CliRunner().invoke(cli.app, ["--home", str(self.home), *arguments, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def shown(self, *arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli.app, ["--home", str(self.home), *arguments])
        assert result.exit_code == code, result.output
        return " ".join(result.stdout.split())

    @property
    def payment(self) -> str:
        return self.bare.payment(A).payment_id

    def hold(self) -> dict:
        return self.run("payment", "hold", self.payment[:14], "--reason", WHY, "--as", "Ada")

    def decide(self, *how: str, code: int = 0) -> dict:
        words = ("--reason", "looked at it", "--as", "Ben")
        return self.run("payment", "decide", self.payment[:14], *how, *words, code=code)


@pytest.fixture
def home(tmp_path, monkeypatch):
    made = HoldingHome(tmp_path, monkeypatch)
    yield made
    made.bare.close()


def test_hold__by_an_officer__is_signed_and_shown_everywhere(home):
    claim = home.bare.payment(A).claim_hash
    view = home.hold()
    assert view["held"] and view["payment"] == home.payment and view["claim"] == claim
    assert home.bare.stages(A) == ["held"]
    with home.bare.place.store.read() as session:
        [row] = holds.of_payment(session, home.payment)
    document = hold_document(home.payment, claim, WHY, row.held_at)
    signer = document.signer(HOLD, CHAIN_ID, row.signature, home.officers)
    assert (row.held_by, row.reason, row.stage) == (signer, WHY, "verified")
    assert signer == home.officers[0] and view["held_at"] == row.held_at
    assert (view["stage"], view["held_by"], view["held_for"]) == ("held", signer, WHY)
    [listed] = home.run("payments", "--stage", "held")["payments"]
    by = {"address": signer, "name": "Ada", "officer": True}
    assert listed["hold"] == {"held_at": row.held_at, "held_by": by, "reason": WHY}
    assert "held by officer Ada since" in home.shown("payments", "--stage", "held")
    [life] = home.run("trace", home.payment)["life"]["holds"]
    assert life["held_by"] == by and life["decided_at"] is None
    assert "payment decide" in life["next"]
    shown = home.shown("trace", home.payment)
    assert "held by officer Ada, when verified" in shown and f"reason: {WHY}" in shown
    status = home.run("status", code=1)
    assert [item["payment_id"] for item in status["held_payments"]] == [home.payment]
    assert f"HELD {A}" in home.shown("status", code=1)


def test_hold__key_of_the_officer_elsewhere__names_a_step_that_there_is(home):
    """It named a document of an approval, which a hold has not, and an option that it lacks."""
    words = ("--reason", WHY, "--as")
    key = home.home / "keys" / "officers" / "ada.json"
    key.rename(key.with_suffix(".away"))
    message = home.run("payment", "hold", home.payment, *words, "Ada", code=2)["error"]["message"]
    assert "Ada's key is not in" in message and "as another officer" in message
    assert "--signature" not in message
    home.run("payment", "hold", home.payment, *words, "Ben")
    approval = home.decide("--continue")["approval"]
    refusal = home.run("approval", "approve", approval, "--as", "Ada", code=2)
    assert "pass the result with --signature" in refusal["error"]["message"]


def test_hold__dry_run__shows_it_and_changes_nothing(home):
    words = ("--reason", WHY, "--as", "Ada", "--dry-run")
    view = home.run("payment", "hold", home.payment, *words)
    assert not view["held"] and view["stage"] == "verified"
    assert home.bare.stages(A) == ["verified"]
    assert "nothing was signed or stored" in home.shown("payment", "hold", home.payment, *words)
    with home.bare.place.store.read() as session:
        assert not holds.of_payment(session, home.payment)


@pytest.mark.parametrize("by", ["Carl", "Ben"])
def test_hold__by_who_is_no_officer__is_refused(home, monkeypatch, by):
    seat_for_commands(monkeypatch, home.officers[0])  # Ben has a name and a key, and no seat
    words = ("--reason", WHY, "--as", by)
    error = home.run("payment", "hold", home.payment, *words, code=2)["error"]
    assert "No officer is named" in error["message"] or error["code"] == "not_an_officer"
    assert home.bare.stages(A) == ["verified"]


@pytest.mark.parametrize("reason", ["", "x" * 201, "a\nb"])
def test_hold__reason_that_cannot_be_kept__is_refused(home, reason):
    words = ("--reason", reason, "--as", "Ada")
    error = home.run("payment", "hold", home.payment, *words, code=2)["error"]
    assert error["code"] == "hold_reason_malformed" and home.bare.stages(A) == ["verified"]


def test_hold__of_a_settled_payment__names_what_is_left(home):
    home.bare.record(A, Fact.ATTESTED, batch_digest="0x01")
    home.bare.record(A, Fact.SETTLED)
    words = ("--reason", WHY, "--as", "Ada")
    for dry in ((), ("--dry-run",)):
        error = home.run("payment", "hold", home.payment, *words, *dry, code=2)["error"]
        assert error["code"] == "already_settled" and "payment dispute" in error["message"]


def test_hold__of_another_thing__says_what_it_is(home):
    agreement = home.bare.payment(A).agreement_id
    words = ("--reason", WHY, "--as", "Ada")
    error = home.run("payment", "hold", agreement, *words, code=2)["error"]
    assert "a hold is about one payment" in error["message"]


def test_continue__proposed_by_one_and_approved_by_another__goes_on(home):
    home.hold()
    proposed = home.decide("--continue")
    assert proposed["decision"] == "continue" and not proposed["approved"]
    detail = home.run("approval", "show", proposed["approval"])["detail"]
    claim = home.bare.payment(A).claim_hash
    assert (detail["claim"], detail["decision"]) == (claim, "continue")
    assert detail["reason"] == "looked at it"
    assert decide_holds(home.bare.rail) == 0 and home.bare.stages(A) == ["held"]
    same = home.run("approval", "approve", proposed["approval"], "--as", "Ben", code=2)["error"]
    assert same["code"] == "same_officer"
    home.run("approval", "approve", proposed["approval"], "--as", "Ada")
    assert decide_holds(home.bare.rail) == 1 and home.bare.stages(A) == ["verified"]
    assert decide_holds(home.bare.rail) == 0, "it is carried out once"
    [life] = home.run("trace", home.payment)["life"]["holds"]
    assert (life["decision"], life["approval"]) == ("continue", proposed["approval"])
    assert life["next"] is None and home.run("status", code=1)["held_payments"] == []
    assert "two officers: continue" in home.shown("trace", home.payment)


def test_reject__approved__ends_it_and_names_the_skip(home):
    home.hold()
    proposed = home.decide("--reject")
    home.run("approval", "approve", proposed["approval"], "--as", "Ada")
    assert decide_holds(home.bare.rail) == 1
    payment = home.bare.payment(A)
    assert (payment.stage, payment.reason) == ("rejected", HELD_AND_REJECTED)
    life = home.run("trace", home.payment)["life"]
    agreement = payment.agreement_id[:12]
    assert f"agreement skip {agreement}" in life["holds"][0]["next"]
    assert f"agreement skip {agreement}" in home.shown("trace", home.payment)
    assert len(life["events"]) > 0 and life["claim"]["hash"] == payment.claim_hash
    [stopped] = home.run("status", code=1)["stopped_agreements"]
    assert stopped["reason"] == HELD_AND_REJECTED


def test_decide__without_a_word_or_a_hold__proposes_nothing(home):
    for how in ((), ("--continue", "--reject")):
        error = home.decide(*how, code=2)["error"]
        assert "Give --continue or --reject" in error["message"]
    assert home.decide("--reject", code=2)["error"]["code"] == "not_held"
    home.hold()
    dry = home.decide("--reject", "--dry-run")
    assert dry["approval"] is None and dry["held_for"] == WHY
    assert "nothing was signed or stored" in home.shown(
        *("payment", "decide", home.payment, "--reject", "--dry-run"),
        *("--reason", "x", "--as", "Ben"),
    )
    assert home.run("approval", "list") == []
