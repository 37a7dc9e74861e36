"""Amounts are read whole and exactly, or named; nothing about them is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.types import Rejected
from orchestrator.edges.bank.money import from_minor, swift_minor, to_minor
from orchestrator.edges.bank.reading import read

READ = [
    ("25,50", 2_550),
    ("25.50", 2_550),
    ("25,5", 2_550),
    ("25,", 2_500),
    ("25", 2_500),
    (",02", 2),
    (".02", 2),
    ("000000000025,50", 2_550),
    ("0000000000000025,50", 2_550),  # 19 characters
    ("0000000000000025.50", 2_550),
    ("123456789012,34", 12_345_678_901_234),
    ("1234567890123456,78", 123_456_789_012_345_678),
]
NAMED = [
    "1.025,50",
    "1,025.50",
    "1.025",
    "1,025",
    "1.000.000",
    "1,2,3",
    "25,505",
    ",",
    ".",
    "1'025,50",
]


@pytest.mark.parametrize(("text", "minor"), READ)
def test_swift_amount__of_any_length__is_read_exactly(text, minor):
    assert swift_minor(text, "EUR") == minor


@pytest.mark.parametrize("text", [*NAMED, "-1,00", "99999999999999999,00", "1 025,50", ""])
def test_swift_amount__not_certain__is_refused(text):
    with pytest.raises(Rejected) as refusal:
        swift_minor(text, "EUR")
    assert refusal.value.reason == "amount_malformed"


def test_swift_amount__three_decimals__only_after_the_comma_of_such_a_currency():
    assert swift_minor("1,025", "KWD") == 1_025
    for text, currency in (("1.025", "KWD"), ("1,025", "JPY")):
        with pytest.raises(Rejected, match="amount_malformed"):
            swift_minor(text, currency)


@given(st.integers(0, 2**63 - 1), st.integers(0, 9))
def test_amount__written_and_read__is_the_same(minor, zeros):
    text = "0" * zeros + from_minor(minor)
    assert to_minor(text, "EUR") == swift_minor(text.replace(".", ","), "EUR") == minor


def reading(field: str, closing: str):
    return read(
        f":20:A\n:25:DE02120300000000202051\n:28C:1\n:60F:C261119EUR0,00\n:61:{field}\n"
        f":62F:C261120EUR{closing}\n-".encode()
    )


@pytest.mark.parametrize(("text", "minor"), READ)
@pytest.mark.parametrize("mark", ["C", "CR", "RD"])
def test_line__amount__is_followed_by_its_type(text, minor, mark):
    result = reading(f"261120{mark}{text}NTRFREF1//BANK1", text)
    (line,) = result.reports[0].lines
    assert (result.problems, line.amount_minor) == ([], minor)
    assert (line.code.proprietary, line.references.customer_reference) == ("NTRF", "REF1")


@pytest.mark.parametrize("text", NAMED)
def test_line__amount_that_is_not_certain__is_named_and_costs_no_other(text):
    field = f"261120C{text}NTRFX\n:61:261120C1,00NTRFY"
    result = reading(field, "1,00")
    assert [line.amount_minor for line in result.reports[0].lines] == [100]
    (problem,) = result.problems
    assert problem.path == "Stmt[1]/:61:[1]"
    assert problem.reason in ("amount_malformed", "value_malformed")


@pytest.mark.parametrize("rest", ["25.50x", "25,50.", "25,50 NTRF", "25,50-NTRF", "25,50NTR"])
def test_line__anything_but_a_type_after_the_amount__is_named(rest):
    result = reading(f"261120C{rest}", "0,00")
    assert len(result.problems) == 1 and result.reports[0].lines == ()


@pytest.mark.parametrize("text", NAMED)
def test_balance__amount_that_is_not_certain__is_named(text):
    result = reading("261120C1,00NTRFX", text)
    assert "Stmt[1]/:62F:" in {problem.path for problem in result.problems}


def test_line__without_currency_sign_or_date__is_an_error_by_name():
    text = ":20:A\n:25:DE02120300000000202051\n:28C:1\n{}:61:{}\n-"
    for currency, field in (
        ("", "261120C1,00NTRFX"),
        (":34F:EUR0,\n", "2611201,00NTRFX"),
        (":34F:EUR0,\n", "C1,00NTRFX"),
        (":34F:EUR0,\n", "261120CNTRFX"),
    ):
        result = read(text.format(currency, field).encode())
        assert "Stmt[1]/:61:[1]" in {problem.path for problem in result.problems}
        assert result.reports[0].lines == ()


def test_charges__with_a_point__are_not_cut():
    result = reading("261120C9,00NTRFX\n/OCMT/EUR10.50/CHGS/EUR1.50", "9,00")
    assert (result.problems, result.reports[0].lines[0].charges_minor) == ([], 150)
