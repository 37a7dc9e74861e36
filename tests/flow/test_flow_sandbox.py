"""A rail of one's own: made, started, a reading settled, money paid in, checked, stopped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from services import new_home
from services.new_home import development_home
from tests.support.server_answers import ScatteredPorts

PATIENCE_S = 240


class DevRail:
    """A started development rail, as a user has it."""

    def __init__(self, home) -> None:
        self.home = home

    def run(self, *arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, [*arguments, "--home", str(self.home)])
        assert result.exit_code == code, f"{arguments}: {result.output}"
        return result.output

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    home = tmp_path_factory.mktemp("dev") / "home"
    new_home.make(development_home(home, ports=ScatteredPorts()))
    rail = DevRail(home)
    try:
        rail.run("up", "--detach", "--patience", str(PATIENCE_S))
        yield rail
    finally:
        rail.run("down")


def test_record__the_first_and_the_second__are_settled_line_by_line(rail):
    first = rail.json("sandbox", "record")
    whats = [line["what"] for line in first["lines"]]
    assert whats[:5] == ["funded", "signed", "sent", "received", "verified"]
    assert whats[-1] == "settled" and whats.count("attested") >= 3
    assert (first["stage"], first["amount"], first["asset"]) == ("settled", "300000", "tEUR/6")
    second = rail.run("sandbox", "record", "--value", "0.5", "--until", "posted")
    assert "0.150000 tEUR posted" in second and "signed receipt of the rail: accepted" in second
    assert first["evidence"] in rail.run("trace", first["evidence"])


def test_status_reconcile_and_doctor__after_it__find_nothing_wrong(rail):
    rail.run("status")
    assert "breaks 0" in rail.run("reconcile")
    found = rail.json("doctor")
    assert found["problems"] == 0
    checks = {finding["check"]: finding for finding in found["findings"]}
    assert {"configuration", "keys", "node", "clock", "ports", "disk", "anvil"} <= set(checks)
    assert checks["processes"]["severity"] == "ok"


def test_bank__an_account_and_a_payment__reach_the_agreements_escrow(rail):
    opened = rail.json("sandbox", "bank", "account", "shop-1", "--balance", "1000.00")
    assert opened["new"] and not rail.json("sandbox", "bank", "account", "shop-1")["new"]
    (agreement,) = rail.json("agreement", "list")
    rail.run(
        *("sandbox", "bank", "pay", "--from", "shop-1", "--amount", "500.00"),
        *("--reference", agreement["funding_reference"]),
    )
    rail.run("sandbox", "bank", "close-day")
    refused = rail.run("sandbox", "bank", "pay", "--from", "shop-1", "--amount", "600", code=2)
    assert "too little money on the paying account" in refused
    assert "There is no account" in rail.run(
        "sandbox", "bank", "pay", "--from", "shop-2", "--amount", "1", code=2
    )


def test_record__absurd_values__are_refused_before_anything_is_signed(rail):
    assert "Nothing was signed" in rail.run("sandbox", "record", "--value", "1e9", code=2)
    assert "is no stage" in rail.run("sandbox", "record", "--until", "rejected", code=2)


def test_doctor__a_dead_process__is_a_problem_with_a_next_step(rail):
    rail.run("down")
    found = rail.json("doctor")
    processes = next(f for f in found["findings"] if f["check"] == "processes")
    assert (processes["severity"], processes["next_step"]) == ("warning", "proofrail up")
    token = rail.home / "keys" / "auditor.token"
    token.chmod(0o644)
    (rail.home / "keys" / "sender.json").rename(rail.home / "keys" / "sender.json.away")
    worse = rail.json("doctor", code=1)
    problems = [f for f in worse["findings"] if f["severity"] == "problem"]
    assert {f["check"] for f in problems} == {"file modes", "keys"}
    assert all(f["next_step"] for f in problems)
