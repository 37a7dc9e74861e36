"""What the rail takes of a bank's files: whole ones, without a fault, of an account of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from device_adapters.types import Rejected
from orchestrator.edges.bank import camt
from orchestrator.edges.bank.types import BankReason

FILES = Path(__file__).resolve().parents[4] / "data" / "bank_files"
EXPECTED = json.loads((FILES / "expected.json").read_text())
ACCOUNT = "DE02120300000000202051"


def bytes_of(name: str) -> bytes:
    return (FILES / name).read_bytes()


def taken(name: str, **options):
    return camt.parse(bytes_of(name), **options)


@pytest.mark.parametrize("name", [name for name in sorted(EXPECTED) if EXPECTED[name]["exit"]])
def test_rail__file_with_any_fault__is_refused_by_name(name):
    with pytest.raises(Rejected) as caught:
        taken(name)
    assert isinstance(caught.value.reason, BankReason) and caught.value.raw == bytes_of(name)
    assert str(caught.value.reason) in {
        problem.split()[-1] for problem in EXPECTED[name]["problems"]
    }


def other_than(name: str):
    """What was taken: another statement under this name."""
    return lambda account, statement: "other" if statement == name else ""


def test_rail__every_form__gives_lines_of_its_kind():
    read_statement = {
        name: taken(name)[0].lines[0].kind
        for name in (
            "de_053_02_savings_bank.xml",
            "de_054_02_batch_with_details.xml",
            "de_mt940_structured.sta",
            "de_052_02_interim.xml",
        )
    }
    assert list(read_statement.values()) == ["camt.053", "camt.054", "MT940", "camt.052"]


def test_rail__interim_report__books_nothing_that_is_pending_or_information():
    (statement,) = taken("de_052_02_interim.xml")
    assert [line.amount_minor for line in statement.lines] == [-325]
    assert [line.amount_minor for line in statement.pending] == [1_250, -700]
    assert statement.balances is None


def test_rail__expected_credit_of_an_mt942__is_refused_as_no_statement():
    with pytest.raises(Rejected, match="unknown_message"):
        taken("de_mt942_interim.sta")


def test_rail__pages_in_one_file__are_one_statement():
    for name, lines, sums in [
        ("any_053_08_pages.xml", 2, (500, 800)),
        ("any_mt940_reversals_and_pages.sta", 3, (10_000, 9_100)),
    ]:
        (read_statement,) = taken(name)
        assert len(read_statement.lines) == lines
        assert (
            read_statement.balances.opening_minor,
            read_statement.balances.closing_minor,
        ) == sums


def test_rail__later_page_in_a_file_of_its_own__is_a_statement_of_its_own():
    text = bytes_of("any_053_08_pages.xml").decode()
    second = text[: text.index("    <Stmt>")] + text[text.rindex("    <Stmt>") :]
    (read_statement,) = camt.parse(second.encode(), taken=other_than("S-1"))
    assert (read_statement.id, read_statement.balances.opening_minor) == ("S-1/2", 600)


def test_rail__german_bank_code_and_account__are_our_iban():
    (read_statement,) = taken("de_mt940_structured.sta", accounts={ACCOUNT})
    assert read_statement.account == ACCOUNT == read_statement.lines[0].account
    with pytest.raises(Rejected, match="account_unknown"):
        taken("de_mt940_structured.sta", accounts={"DE89370400440532013000"})


def test_rail__mt940_line__carries_what_a_payout_is_found_by():
    payout, credit, returned, batch = taken("de_mt940_structured.sta")[0].lines
    assert payout.end_to_end_id == "PRABCDEFGHIJKLMNOPQRSTUVWX234567"
    assert (credit.reference, credit.counterparty_name) == ("RF18539007547034", "ERIKA MUSTER")
    assert returned.is_return and batch.batch == "SAMMLER-11" and credit.batch == ""


def test_rail__charges__count_only_where_the_amount_has_them_in_it():
    inside, *parts = taken("any_053_06_charges_inside.xml")[0].lines
    assert (inside.amount_minor, inside.charges_minor) == (9_800, 200)
    assert [(line.amount_minor, line.charges_minor, line.is_charge) for line in parts] == [
        (-1_000, 0, False),
        (-2_000, 0, False),
        (-60, 60, True),
    ]
    text = bytes_of("any_053_06_charges_inside.xml").decode()
    apart = text.replace("98.00<", "100.00<").replace("67.40", "69.40")
    line = camt.parse(apart.encode())[0].lines[0]
    assert (line.amount_minor, line.charges_minor) == (10_000, 0)


def test_rail__reference_of_an_entry_with_several_details__names_none_of_them():
    read_statement = taken("de_054_02_batch_with_details.xml")[0].lines
    assert [line.bank_reference for line in read_statement] == ["", "", "OWN-3"]


def test_rail__several_creditor_references_on_one_line__name_no_agreement():
    text = bytes_of("fi_053_08_two_references.xml").decode().replace("camt.053", "camt.054")
    for statement, other in (("BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn"), ("Stmt>", "Ntfctn>")):
        text = text.replace(statement, other)
    (read_statement,) = camt.parse(text.encode())
    (line,) = read_statement.lines
    assert (line.reference, line.amount_minor) == ("", 3_000)


def test_rail__account_in_two_currencies__is_balanced_in_its_own():
    text = bytes_of("be_053_08_two_currencies.xml").decode()
    dollars = text.replace("</Id></Acct>", "</Id><Ccy>USD</Ccy></Acct>")
    for source, sums in ((text, (100, 600)), (dollars, (1_000, 300))):
        (read_statement,) = camt.parse(source.encode())
        assert (
            read_statement.balances.opening_minor,
            read_statement.balances.closing_minor,
        ) == sums
        assert [line.currency for line in read_statement.lines] == ["EUR", "USD"]


def test_rail__value_date_of_30_february__costs_no_statement():
    (read_statement,) = taken("de_mt940_30_february.sta")
    assert [str(line.value_date) for line in read_statement.lines] == ["2024-02-29"]


def test_rail__later_page_that_only_the_message_counts__is_a_statement_of_its_own():
    text = bytes_of("de_053_02_message_page.xml").decode()
    second = (
        text.replace("<PgNb>1<", "<PgNb>2<")
        .replace(">false<", ">true<")
        .replace("OPBD", "ITBD")
        .replace(
            "</Bal>",
            "</Bal><Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp>"
            '<Amt Ccy="EUR">2.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
            "<Dt><Dt>2024-03-04</Dt></Dt></Bal>",
        )
    )
    (read_statement,) = camt.parse(second.encode(), taken=other_than("S14"))
    assert (read_statement.id, read_statement.balances.opening_minor) == ("S14/2", 100)


def test_rail__two_status_reports_or_one_with_statements__is_refused():
    message = bytes_of("de_002_03_part.xml").decode().partition("?>\n")[2]
    with pytest.raises(Rejected, match="must be alone in its file"):
        camt.parse(f"<Both>{message}{message}</Both>".encode())


def test_rail__charges_that_the_bank_books_apart__are_not_of_the_line():
    text = bytes_of("any_053_06_charges_inside.xml").decode()
    text = text.replace('<Amt Ccy="EUR">98.00', '<Amt Ccy="EUR">99.50').replace("67.40", "68.90")
    record = "1.50</Amt><CdtDbtInd>DBIT</CdtDbtInd>"
    apart = text.replace(record, record + "<ChrgInclInd>false</ChrgInclInd>")
    line = camt.parse(apart.encode())[0].lines[0]
    assert (line.amount_minor, line.charges_minor) == (9_950, 50)
