"""A command that cannot act prints one sentence with the next step, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.commands import home, output
from orchestrator.commands.output import parse_euro
from orchestrator.errors import Halt, Retry

CLI = CliRunner()
READING = (
    ("trace", "abcdef"),
    ("rejected",),
    ("payments",),
    ("ledger", "balances"),
    ("ledger", "check"),
    ("reconcile",),
    ("status",),
    ("holes",),
    ("device", "list"),
    ("party", "list"),
    ("agreement", "list"),
    ("breaks",),
    ("reserves",),
    ("rebuild",),
    ("payout", "list"),
    ("funding", "list"),
    ("approval", "list"),
    ("ledger", "trial-balance"),
    ("officer", "list"),
    ("payout", "preview"),
    ("party", "statement", "Ada"),
    ("officer", "seat", "Ada"),
    ("officer", "silence", "Ada"),
    ("chain", "pause"),
    ("chain", "scheduled"),
    ("committee", "list"),
    ("committee", "unseat", "bank"),
    ("product", "list"),
    ("product", "remove", "MeteredEnergy"),
    ("audit", "export", "abcdef", "-o", "x.json"),
    ("api-key", "add", "someone", "--role", "auditor"),
    ("device", "retire", "cp-1"),
)


@pytest.mark.parametrize("arguments", READING)
def test_command__no_rail_here__says_so_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CLI.invoke(cli.app, ["--home", str(tmp_path / "none"), *arguments])
    assert result.exit_code == 2
    assert "There is no rail at" in result.stderr
    assert "proofrail init" in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_command__refused_with_json__is_json_on_stdout(tmp_path: Path) -> None:
    result = CLI.invoke(cli.app, ["--home", str(tmp_path), "payments", "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "halt"
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("message", "step", "never"),
    [
        ("PaymentRail.open would revert: TermsMalformed", "agreement terms", "later"),
        ("PaymentRail.open would revert: Unheard", "Nothing was sent", "later"),
        ("the node does not answer", "again later", "Nothing was sent"),
    ],
)
def test_command__contract_or_node_says_no__the_next_step_fits(
    monkeypatch: pytest.MonkeyPatch, message: str, step: str, never: str
) -> None:
    def refusing(_self: object) -> None:
        raise Retry(message)

    monkeypatch.setattr(home.Home, "store", property(refusing))
    result = CLI.invoke(cli.app, ["payments"])
    assert result.exit_code == 2
    assert message in result.stderr and step in result.stderr and never not in result.stderr


def test_command__bug_of_ours__is_a_sentence_unless_debugging(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_self: object) -> None:
        raise KeyError("inside")

    monkeypatch.setattr(home.Home, "store", property(broken))
    result = CLI.invoke(cli.app, ["payments"])
    assert result.exit_code == 2
    assert "bug in proofrail" in result.stderr
    assert "PROOFRAIL_DEBUG=1" in result.stderr
    monkeypatch.setenv("PROOFRAIL_DEBUG", "1")
    result = CLI.invoke(cli.app, ["payments"])
    assert isinstance(result.exception, KeyError)


def test_command__setting_that_cannot_be_used__is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFRAIL_FINALITY_BLOCKS", "none")
    result = CLI.invoke(cli.app, ["payments"])
    assert result.exit_code == 2
    assert "PROOFRAIL_FINALITY_BLOCKS" in result.stderr


def test_command__home_from_the_environment__is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOFRAIL_HOME", str(tmp_path / "elsewhere"))
    assert "elsewhere" in CLI.invoke(cli.app, ["payments"]).stderr


def test_plain__control_characters_and_markup__are_shown_not_obeyed() -> None:
    assert output.plain("a\x1b[31m[red]b\u202e").plain == "a\\x1b[31m[red]b\\u202e"


@pytest.mark.parametrize(
    ("minor", "asset", "shown"),
    [
        (4_650_000, "tEUR/6", "4.650000 tEUR"),
        (-472, "EUR/2", "-4.72 EUR"),
        (0, "EUR/2", "0.00 EUR"),
        (-1, "tEUR/6", "-0.000001 tEUR"),
        (10**17 + 1, "EUR/2", "1,000,000,000,000,000.01 EUR"),
    ],
)
def test_decimal__minor_units__are_exact(minor: int, asset: str, shown: str) -> None:
    assert output.decimal(minor, asset) == shown


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.30", 300_000),
        ("500.00", 500_000_000),
        ("1", 10**6),
        ("0.000001", 1),
        ("999999999.999999", 999_999_999_999_999),
    ],
)
def test_parse_euro__decimal_text__is_read_exactly(text: str, amount: int) -> None:
    assert parse_euro(text, "The price") == amount


@pytest.mark.parametrize("text", ["0", "0.0000001", "-1", "1e3", "1,5", "", ".5", "NaN", "٣", "1."])
def test_parse_euro__no_such_amount__is_refused(text: str) -> None:
    with pytest.raises(Halt, match="not an amount in euro"):
        parse_euro(text, "The price")
