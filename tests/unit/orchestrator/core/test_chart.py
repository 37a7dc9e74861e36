"""The chart of accounts: every account that any entry posts to has a row, in the right asset."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core import debt_entries, ledger
from orchestrator.core.chart import CHART, CREDIT, DEBIT, AccountKind, decimal_text, find, row_of
from orchestrator.core.ledger import EUR, TEUR, Entry
from orchestrator.errors import Halt

SAMPLES = {"account": ledger.WALLETS, "to_account": ledger.escrow("0xa"), "source": ledger.WALLETS}
IN_EUR = {"credit_reversed": {"account": ledger.UNALLOCATED}}  # it names an account of the bank's


def every_entry() -> Iterator[Entry]:
    """What each constructor of the ledger makes: found by its annotation, so none is forgotten."""
    makers = [*inspect.getmembers(ledger, inspect.isfunction)]
    makers += inspect.getmembers(debt_entries, inspect.isfunction)
    for name, make in makers:
        parameters = inspect.signature(make).parameters
        annotated = {p.name: p.annotation for p in parameters.values()}
        if make.__annotations__.get("return") != "Entry" or name in ("entry", "dated"):
            continue
        samples = SAMPLES | IN_EUR.get(name, {})
        yield make(
            **{
                part: samples.get(part, "0xab") if kind == "str" else 20_000
                for part, kind in annotated.items()
            }
        )


def test_chart__every_constructor_of_the_ledger__posts_to_rows_of_its_asset() -> None:
    entries = list(every_entry())
    assert len(entries) >= 14 and all(entry.postings for entry in entries)
    for entry in entries:
        for posting in entry.postings:
            assert row_of(posting.account, posting.asset).asset == posting.asset


def test_chart__every_account_name_of_the_ledger__has_a_row() -> None:
    constants = {
        value
        for name, value in vars(ledger).items()
        if name.isupper()
        and isinstance(value, str)
        and value not in (TEUR, EUR)
        and not set(value) <= {"0"}
    }
    assert len(constants) >= 8
    for account in constants:
        assert any(row.holds(account) for row in CHART), account


def test_chart__codes_and_patterns__are_unique_and_in_order() -> None:
    codes = [row.code for row in CHART]
    assert codes == sorted(set(codes))
    assert len({row.pattern for row in CHART}) == len(CHART)
    assert {row.asset for row in CHART} == {TEUR, EUR}
    for row in CHART:
        debit = row.kind in (AccountKind.ASSET, AccountKind.EXPENSE)
        assert row.kind is AccountKind.MEMO or row.normal == (DEBIT if debit else CREDIT)


@pytest.mark.parametrize("account", ["nostro", "escrow", "escrow:", "bank:safeguarding:2", ""])
def test_row_of__unknown_account__halts_with_its_name(account: str) -> None:
    with pytest.raises(Halt, match=repr(account)):
        row_of(account, EUR)


def test_row_of__known_account_in_another_asset__halts() -> None:
    with pytest.raises(Halt, match="is kept in EUR/2"):
        row_of(ledger.SAFEGUARDING, TEUR)


def test_find__code_pattern_or_beginning__is_one_row() -> None:
    row = find("7100")
    assert row is not None and row == find("escrow") == find("escrow:*")
    assert find("escrow:0xa") is None


@pytest.mark.parametrize(
    ("minor", "asset", "text"),
    [
        (0, EUR, "0.00"),
        (-5, EUR, "-0.05"),
        (12_345, EUR, "123.45"),
        (-1, TEUR, "-0.000001"),
        (10**18 + 1, TEUR, "1000000000000.000001"),
    ],
)
def test_decimal_text__any_amount__is_exact(minor: int, asset: str, text: str) -> None:
    assert decimal_text(minor, asset) == text


def test_chart__in_the_documentation__is_this_one() -> None:
    text = (Path(__file__).resolve().parents[4] / "docs" / "LEDGER.md").read_text()
    for row in CHART:
        cells = (
            row.code,
            f"`{row.pattern}`",
            row.name,
            row.kind,
            row.normal,
            row.asset,
            row.meaning,
        )
        assert f"| {' | '.join(cells)} |" in text
