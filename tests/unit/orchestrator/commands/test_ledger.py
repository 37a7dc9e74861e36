"""`proofrail ledger` on a store that a real rail filled: figures, times, and the three forms."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from tests.support.small_rail import has_anvil, lived
from tests.support.tampering import copied

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


def run(*arguments: str, home: Path | None = None):
    return CliRunner().invoke(cli.app, ["--home", str(home or lived().home), "ledger", *arguments])


def run_json(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def sheet(*arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(run(*arguments, "--csv").stdout, newline="")))


def test_trial_balance__rail_with_history__balances_and_rolls_up() -> None:
    result = run_json("trial-balance")
    rows = {row["account"]: row for row in result["rows"]}
    assert result["balanced"] and rows["escrow:*"]["accounts"] == 2
    assert rows["bank:safeguarding"]["debit_minor"] == rows["customers:deposits"]["credit_minor"]
    assert result["totals"]["tEUR/6"]["debit_minor"] == "395280000"
    detail = run_json("trial-balance", "--detail")["rows"]
    escrows = [int(row["credit_minor"]) for row in detail if row["account"].startswith("escrow:")]
    assert len(escrows) == 2 and str(sum(escrows)) == rows["escrow:*"]["credit_minor"]


def test_trial_balance__as_of_a_day_before_the_payout__still_has_it_at_the_bank() -> None:
    rows = {
        row["account"]: row for row in run_json("trial-balance", "--as-of", "2025-10-09")["rows"]
    }
    assert rows["bank:safeguarding"]["debit_minor"] == "40000"
    assert run_json("trial-balance", "--as-of", "2000-01-01")["rows"] == []


def test_trial_balance__posting_changed__exits_1(tmp_path: Path) -> None:
    home = copied(
        lived(),
        tmp_path,
        lambda base: base.execute(
            "UPDATE ledgerposting SET amount_minor = amount_minor + 1 WHERE id = 1"
        ),
    )
    result = run("trial-balance", home=home)
    assert result.exit_code == 1 and "not equal" in result.stderr


def test_statement__safeguarding__opens_moves_and_closes() -> None:
    whole = run_json("statement", "bank:safeguarding")
    assert (whole["opening_minor"], whole["closing_minor"]) == ("0", "39528")
    later = run_json("statement", "1000", "--from", "2025-10-10")
    assert (later["opening_minor"], later["closing_minor"]) == ("40000", "39528")
    [line] = later["lines"]
    assert (line["kind"], line["credit_minor"], line["balance_minor"]) == (
        "payout_booked",
        "472",
        "39528",
    )
    assert line["source"].startswith("file:")


def test_statement__of_all_escrow__equals_its_accounts() -> None:
    whole = run_json("statement", "escrow")
    parts = [
        run_json("statement", account)["closing_minor"]
        for account in {line["account"] for line in whole["lines"]}
    ]
    assert whole["closing_minor"] == str(sum(map(int, parts)))


def test_general_ledger__csv__holds_every_movement_of_the_journal() -> None:
    rows = sheet("general-ledger", "--detail")
    lines = [row for row in rows if row["number"]]
    assert sum(int(r["debit_minor"]) - int(r["credit_minor"]) for r in lines) == 0
    closing = {row["account"]: row["balance_minor"] for row in rows if row["kind"] == "closing"}
    assert closing == {item["account"]: item["amount"] for item in run_json("balances")}


def test_chart__any_home__needs_no_rail(tmp_path: Path) -> None:
    result = run("chart", "--json", home=tmp_path)
    assert json.loads(result.stdout)[0]["code"] == "1000"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("statement", "escrow:0x1"), "has no postings"),
        (("balances", "--as-of", "yesterday"), "neither a day"),
        (("balances", "--as-of", "2025-10-09T12:00:00"), "its zone"),
        (("general-ledger", "--from", "2025-10-10", "--to", "2025-10-09"), "is before"),
        (("trial-balance", "--csv", "--json"), "not both"),
    ],
)
def test_ledger__question_that_has_no_answer__exits_2_and_says_why(arguments, message) -> None:
    result = run(*arguments)
    assert result.exit_code == 2 and message in result.output


@pytest.mark.parametrize("name", ["trial-balance", "balances", "general-ledger", "chart"])
def test_ledger__as_a_table__shows_for_people(name: str) -> None:
    result = run(name)
    assert result.exit_code == 0 and "bank:safeguarding" in result.stdout
