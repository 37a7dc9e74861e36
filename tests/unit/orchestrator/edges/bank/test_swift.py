"""MT940 field by field, and what banks write that the standard does not know."""

from __future__ import annotations

import pytest

from orchestrator.edges.bank import camt
from orchestrator.edges.bank.reading import read
from orchestrator.edges.bank.swift_details import parse_details

HEAD = ":20:A\n:25:DE02120300000000202051\n:28C:1\n:60F:C261119EUR0,00\n"


def reading(lines: str, closing: str = "0,00", day: str = "261120"):
    return read(f"{HEAD}{lines}\n:62F:C{day}EUR{closing}\n-\n".encode())


def line(field: str, **options):
    result = reading(field, **options).reports[0].lines
    assert len(result) == 1
    return result[0]


@pytest.mark.parametrize(
    ("field", "minor", "reversal", "status"),
    [
        ("2611201120C1,50NTRFX", 150, False, "BOOK"),
        ("2611201120D1,5NTRFX", -150, False, "BOOK"),
        ("2611201120RC1,NTRFX", -100, True, "BOOK"),
        ("2611201120RD1,NTRFX", 100, True, "BOOK"),
        ("261120CR1,00NTRFX", 100, False, "BOOK"),
        ("2611201120RCR1,00NTRFX", -100, True, "BOOK"),
        ("2611201120EC1,00NTRFX", 100, False, "PDNG"),
        ("2611201120ED1,00NTRFX", -100, False, "PDNG"),
    ],
)
def test_mt940__every_mark__has_its_sign(field, minor, reversal, status):
    result = line(f":61:{field}")
    assert (result.amount_minor, result.is_reversal, result.status) == (minor, reversal, status)


def test_mt940__reversed_credit_impossible_day_and_garbage__are_not_passed_over():
    """The mt940 library 5.1 signs the credit as a credit, moves the day to the end of February
    without a word, and passes over what follows a balance."""
    text = f"{HEAD}:61:2602300228RC1,00NTRFX//Y\n:62F:C261120EUR5,00abc\n"
    statements = read(text.encode())
    assert statements.reports[0].lines[0].amount_minor == -100
    assert [(item.line, item.reason) for item in statements.notes] == [(5, "date_malformed")]
    assert {item.reason for item in statements.problems} == {"value_malformed", "missing_element"}


@pytest.mark.parametrize(
    ("day", "read_as", "noted"),
    [
        ("240230", "2024-02-29", 1),
        ("250230", "2025-02-28", 1),
        ("250229", "2025-02-28", 1),
        ("240229", "2024-02-29", 0),
    ],
)
def test_mt940__value_date_of_the_30_day_month__is_the_last_of_february_and_noted(
    day, read_as, noted
):
    result = reading(f":61:{day}0228C1,00NTRFX", closing="1,00")
    assert str(result.reports[0].lines[0].value_date) == read_as
    assert len(result.notes) == noted and result.problems == []


def test_mt940__day_that_no_calendar_has__is_named():
    result = reading(":61:2404310430C1,00NTRFX", closing="1,00")
    assert [item.reason for item in result.problems] == ["date_malformed"]
    assert result.reports[0].lines[0].value_date is None


def test_mt940__one_bad_line__costs_no_other():
    result = reading(":61:nonsense\n:61:2611201120C1,00NTRFX", closing="1,00")
    assert [item.amount_minor for item in result.reports[0].lines] == [100]
    (problem,) = result.problems
    assert (problem.line, problem.path) == (5, "Stmt[1]/:61:[1]")


@pytest.mark.parametrize(
    ("field", "booked", "value"),
    [
        ("251231", "2025-12-31", "2025-12-31"),
        ("2512310102", "2026-01-02", "2025-12-31"),
        ("2601021231", "2025-12-31", "2026-01-02"),
        ("2602280301", "2026-03-01", "2026-02-28"),
    ],
)
def test_mt940__entry_date__is_the_one_nearest_to_the_value_date(field, booked, value):
    result = line(f":61:{field}C0,00NTRFX")
    assert str(result.booking_date) == str(booked) and str(result.value_date) == value


@pytest.mark.parametrize(
    ("account", "read_as"),
    [
        ("DE02120300000000202051", "DE02120300000000202051"),
        ("NL69INGB0123456789EUR", "NL69INGB0123456789"),
        ("NL69INGB0123456789 EUR", "NL69INGB0123456789"),
        ("INGBNL2A/NL69INGB0123456789", "NL69INGB0123456789"),
        ("12030000/0000202051", "12030000/0000202051"),
        ("12030000/202051EUR", "12030000/202051"),
        ("/PL61109010140000071219812874", "PL61109010140000071219812874"),
        ("517852257", "517852257"),
    ],
)
def test_mt940__account__is_read_without_its_bank_or_currency(account, read_as):
    text = HEAD.replace("DE02120300000000202051", account) + ":62F:C261120EUR0,00\n"
    assert read(text.encode()).reports[0].account == read_as


def test_mt940__sums__are_checked_and_missing_balances_named():
    (wrong,) = reading(":61:261120C1,00NTRFX", closing="2,00").problems
    assert wrong.reason == "sum_mismatch"
    cut = read(f"{HEAD}:61:261120C1,00NTRFX\n".encode())
    assert [(item.reason, item.path) for item in cut.problems] == [
        ("missing_element", "Stmt[1]/:62F:")
    ]
    totals = reading(":61:261120C1,00NTRFX\n:90D:0EUR0,00\n:90C:1EUR1,01", closing="1,00")
    assert [item.path for item in totals.problems] == ["Stmt[1]/:90C:"]


def test_details__german_subfields__join_as_they_were_cut():
    result = parse_details(
        [
            "166?00GUTSCHRIFT?20EREF+" + "A" * 22 + "?21BBB?22SVWZ+Miete",
            "Mai?23und Juni?30COBADEFF?31DE89370400440532013000?32MAX?33 MUSTER?34000",
        ]
    )
    assert result.references.end_to_end_id == "A" * 22 + "BBB"
    assert (
        result.text == "MieteMai und Juni" and result.number == "166" and result.return_reason == ""
    )
    assert (result.counterparty.name, result.counterparty.bic) == ("MAX MUSTER", "COBADEFF")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["159?00RETOURE?20SVWZ+RETURN AC04 account closed"], "AC04"),
        (["109?20SVWZ+x?34912"], "912"),
        (["166?20AC04 is a road?34912"], ""),
        (["/RTRN/MS03//EREF/X/REMI/USTD//y/"], "MS03"),
    ],
)
def test_details__return__is_reported_only_where_the_bank_says_it_is_one(rows, reason):
    assert parse_details(rows).return_reason == reason


def test_details__code_words_with_colons__are_read():
    result = parse_details(["EREF: INV-1 MREF: M1 SVWZ: thanks"])
    assert (result.references.end_to_end_id, result.references.mandate_id, result.text) == (
        "INV-1",
        "M1",
        "thanks",
    )


def test_details__placeholder__is_no_reference():
    assert parse_details(["166?20EREF+NOTPROVIDED?21SVWZ+x"]).references.end_to_end_id == ""


def test_details__words_of_no_form__are_free_text():
    assert parse_details(["Payment 5/2026 ", "for IBANEZ+ guitars"]).text.startswith(
        "Payment 5/2026"
    )
    assert parse_details([]).text == ""


def test_details__text_after_a_short_reference__is_not_part_of_it():
    result = parse_details(
        ["159?00RETOURE?20EREF+ORDER 5?21MTLG:Konto gesper", "?22rt Rueckueberweisung?34903"]
    )
    assert result.references.end_to_end_id == "ORDER 5"
    assert result.text == "MTLG:Konto gesper rt Rueckueberweisung" and result.return_reason == "903"


def test_details__blank_cut_off_at_the_end_of_a_line__is_put_back():
    first = "166?20SVWZ+" + "x" * 17 + "?21" + "y" * 27 + "?22zzz"
    assert len(first) == 64
    assert parse_details([first, "word"]).text.endswith("zzz word")


def test_details__iban_in_a_subfield_of_its_own__is_the_account():
    result = parse_details(
        [" 020?00Card?20INFO?3010600076?310000777777777777", "?38PL08106000760000777777777777"]
    )
    assert result.counterparty.account == "PL08106000760000777777777777"


def test_mt940__time_wrapped_onto_a_line__is_no_field():
    result = reading(":61:261120C1,00NTRFX\n:86:at T16\n:20:37 o'clock", closing="1,00")
    assert len(result.reports) == 1 and ":20:37" in result.reports[0].lines[0].text


def test_mt940__pages_with_a_reference_each__are_one_statement():
    text = (
        ":20:A1\n:25:DE02120300000000202051\n:28C:4/1\n:60F:C261119EUR1,00\n"
        ":62M:C261120EUR1,00\n-\n:20:A2\n:25:DE02120300000000202051\n:28C:4/2\n"
        ":60M:C261120EUR1,00\n:61:261120C1,00NTRFX\n:62F:C261120EUR2,00\n-\n"
    )
    (result,) = camt.parse(text.encode())
    assert (result.balances.opening_minor, result.balances.closing_minor) == (100, 200)
