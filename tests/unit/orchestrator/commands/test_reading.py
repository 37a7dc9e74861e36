"""The reading commands on a store that a real rail filled: tables, JSON and exit codes."""

from __future__ import annotations

import json
import re
import sqlite3
from base64 import b64decode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from tests.support.small_rail import has_anvil, lived

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
CLI = CliRunner()


def run(*arguments: str):
    return CLI.invoke(cli.app, ["--home", str(lived().home), *arguments])


def run_json(*arguments: str, code: int = 0) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_payments__all__count_by_stage_and_filter() -> None:
    every = run_json("payments")
    assert {stage: item["payments"] for stage, item in every["stages"].items()} == {
        "posted": 1,
        "reconciled": 2,
        "verified": 1,
        "waiting_for_funds": 1,
    }
    chosen = run_json("payments", "--stage", "posted")
    assert set(chosen["stages"]) == {"posted"}  # the summary counts what the list shows
    [posted] = chosen["payments"]
    assert (posted["amount"], posted["asset"]) == ("2100000", "tEUR/6")
    assert run("payments", "--stage", "nowhere").exit_code == 2


def test_trace__payment__is_a_tree_from_device_to_bank() -> None:
    result = run("trace", lived().payments()["cp-0001 reconciled"])
    assert result.exit_code == 0
    stations = [
        "agreement",
        "device cp-0001 signed",
        "claim",
        "oracles of",
        "settlement",
        "ledger",
        "payout",
        "order to the bank",
        "statement line",
    ]
    places = [
        result.stdout.index(f"  {word}")
        if word not in ("oracles of",)
        else result.stdout.index(word)
        for word in stations
    ]
    assert places == sorted(places)
    assert "bank is down" in result.stdout


def test_trace__device__is_a_list_with_the_next_step() -> None:
    result = run("trace", "cp-0001")
    assert "2 payments, 6.750000 tEUR" in result.stdout
    assert "next: proofrail trace 0x" in result.stdout


@pytest.mark.parametrize(("text", "code"), [("nobody-here", 1), ("cp-000", 2)])
def test_trace__nothing_or_several__exits_by_kind(text: str, code: int) -> None:
    assert run("trace", text).exit_code == code


def test_trace__any_payment__shows_no_value_as_python_writes_it() -> None:
    for payment in lived().payments().values():
        shown = run("trace", payment).stdout
        assert not re.search(r"[\s(,]\[['\d]|\{'|\bNone\b|\bTrue\b|\bFalse\b", shown), shown


def test_rejected__garbage__is_kept_with_its_bytes() -> None:
    result = run_json("rejected", "--body", "--reason", "malformed")
    [row] = result["rejections"]
    assert b64decode(row["body"]).startswith(b"OCMF|")
    assert result["counts"] == {"malformed": 1}
    assert run_json("rejected")["counts"]["signature_forged"] == 1
    assert run_json("rejected", "--device", "nobody-here")["counts"] == {}


def test_rejected__escape_sequences__are_escaped() -> None:
    rail = lived()
    rail.take(b"OCMF|\x1b]0;owned\x07|{}")
    result = run("rejected", "--body")
    assert "\x1b" not in result.stdout
    assert "\\x1b]0;owned\\x07" in result.stdout


def test_ledger__untouched__checks_out() -> None:
    result = run_json("ledger", "check")
    assert result["ok"]
    assert result["sums"] == {"EUR/2": "0", "tEUR/6": "0"}
    balances = {item["account"]: item["amount"] for item in run_json("ledger", "balances")}
    assert balances["token:issued"] == "395280000"
    names = {item["name"] for item in run_json("ledger", "balances")}
    assert {"cp-0001", "Ladepunkt Nord eG"} <= names  # of an agreement and of a payee


def test_reconcile__untouched__has_no_breaks() -> None:
    result = run_json("reconcile")
    assert result["breaks"] == []
    assert result["difference_micro"] == 0
    assert "breaks 0" in run("reconcile").stdout


def test_reconcile__another_account__exits_1() -> None:
    assert run("reconcile", "--account", "DE89370400440532013000").exit_code == 1


def test_status__orchestrator_not_running__still_counts() -> None:
    result = run_json("status", code=1)
    assert result["payments"]["reconciled"]["payments"] == 2
    assert result["payouts"] == {"booked": {"payouts": 1, "amount": "472", "asset": "EUR/2"}}
    assert [problem["name"] for problem in result["problems"]] == ["status_stale"]


def test_holes__none__is_an_empty_list() -> None:
    assert run_json("holes") == []


def test_lists__devices_parties_agreements__show_no_secret() -> None:
    names = {item["name"] for item in run_json("device", "list")}
    assert {"cp-0001", "cp-0002", "meter-0001"} <= names
    assert {item["name"] for item in run_json("party", "list")} >= {
        "Ada Sommer",
        "Ladepunkt Nord eG",
    }
    assert {item["stage"] for item in run_json("agreement", "list")} == {"live"}


def test_ledger_check__posting_changed_behind_our_back__exits_1(tmp_path: Path) -> None:
    copy = tmp_path / "proofrail.sqlite3"
    with closing(sqlite3.connect(lived().settings.database)) as whole:
        whole.execute("VACUUM INTO ?", (str(copy),))
    with closing(sqlite3.connect(copy)) as base, base:
        base.execute("DROP TRIGGER ledgerposting_no_update")
        base.execute("UPDATE ledgerposting SET amount_minor = amount_minor + 1 WHERE id = 1")
    result = CLI.invoke(cli.app, ["--home", str(tmp_path), "ledger", "check", "--json"])
    assert result.exit_code == 1
    view = json.loads(result.stdout)
    assert view["first_broken_entry"] == 1
    assert "1" in view["sums"].values()
