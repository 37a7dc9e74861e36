"""Odd entries and odd bytes: the other party is found, and no readable line is lost."""

from __future__ import annotations

import pytest

from orchestrator.edges.bank import reading as reading_module
from orchestrator.edges.bank import xml
from orchestrator.edges.bank.reading import MAX_DOCUMENTS, read


def message(lines: str, kind: str = "camt.054", element: str = "Ntfctn") -> bytes:
    """A notification of an account of Us Ltd with these entries."""
    root = {"Ntfctn": "BkToCstmrDbtCdtNtfctn", "Stmt": "BkToCstmrStmt"}[element]
    return (
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{kind}.001.08"><{root}><{element}>'
        "<Id>N</Id><Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>EUR</Ccy><Ownr><Nm>"
        f"Us Ltd</Nm></Ownr></Acct>{lines}</{element}></{root}></Document>"
    ).encode()


def entry(sign: str, details: str, extra: str = "") -> str:
    return (
        f'<Ntry><Amt Ccy="EUR">9.00</Amt><CdtDbtInd>{sign}</CdtDbtInd>{extra}<Sts><Cd>BOOK</Cd>'
        f"</Sts><NtryDtls><TxDtls>{details}</TxDtls></NtryDtls></Ntry>"
    )


def side(name: str, party: str = "", iban: str = "") -> str:
    account = f"<{name}Acct><Id><IBAN>{iban}</IBAN></Id></{name}Acct>" if iban else ""
    return (f"<{name}><Pty><Nm>{party}</Nm></Pty></{name}>" if party else "") + account


OURS, THEIRS = "DE02120300000000202051", "DE89370400440532013000"
RETURNED = "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"
SIDES = {  # debtor and creditor as the bank gives them -> the other party
    "payment by its sign": ("CRDT", side("Dbtr", "Them") + side("Cdtr", "Us Ltd"), ""),
    "payment of a namesake": ("CRDT", side("Dbtr", "Them", THEIRS) + side("Cdtr", "Us Ltd"), ""),
    "return by our account": ("CRDT", side("Dbtr", "X", OURS) + side("Cdtr", "Them"), RETURNED),
    "return by our name": ("CRDT", side("Dbtr", "US LTD") + side("Cdtr", "Them"), RETURNED),
    "return, sides changed": ("CRDT", side("Dbtr", "Them") + side("Cdtr", "us ltd"), RETURNED),
    "return by their account": (
        "DBIT",
        side("Cdtr", "Us") + side("Dbtr", "Them", THEIRS),
        RETURNED,
    ),
    "return, changed, by their account": (
        "CRDT",
        side("Dbtr", "Them", THEIRS) + side("Cdtr", "Us"),
        RETURNED,
    ),
    "return, nothing decides": ("DBIT", side("Cdtr", "Us") + side("Dbtr", "Them"), RETURNED),
    "return, one side given": ("CRDT", side("Dbtr", "Them"), RETURNED),
    "reversal": ("CRDT", side("Dbtr", "Us") + side("Cdtr", "Them"), "<RvslInd>true</RvslInd>"),
    "return by its code alone": (
        "CRDT",
        side("Dbtr", "Us") + side("Cdtr", "Them"),
        "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>"
        "ICDT</Cd><SubFmlyCd>RRTN</SubFmlyCd></Fmly></Domn></BkTxCd>",
    ),
    "ultimate party alone": ("CRDT", side("UltmtDbtr", "Them"), ""),
}


@pytest.mark.parametrize("case", SIDES)
def test_parse__other_side__is_never_ourselves(case):
    sign, parties, extra = SIDES[case]
    inside = extra if extra == RETURNED else ""
    reading = read(
        message(entry(sign, f"<RltdPties>{parties}</RltdPties>{inside}", "" if inside else extra))
    )
    assert not reading.problems
    assert reading.reports[0].lines[0].counterparty.name == "Them"


def test_parse__money_that_nothing_is_reckoned_with__is_noted_at_most():
    amounts = (
        '<AmtDtls><InstdAmt><Amt Ccy="XXX">9</Amt></InstdAmt><TxAmt><Amt Ccy="EUR">9.00'
        '</Amt></TxAmt><CntrValAmt><Amt Ccy="USD">9.50</Amt></CntrValAmt></AmtDtls>'
    )
    reading = read(message(entry("CRDT", amounts)))
    assert not reading.problems and [problem.reason for problem in reading.notes] == [
        "currency_unknown"
    ]
    assert reading.reports[0].lines[0].exchange.currency == "USD"


def test_parse__entry_in_another_currency__is_named_where_the_account_has_one():
    other = entry("CRDT", "").replace("EUR", "USD")
    (problem,) = read(message(other)).problems
    assert (problem.reason, problem.path) == ("currency_mismatch", "Ntfctn[1]/Ntry[1]/Amt")


@pytest.mark.parametrize(
    ("stray", "read_as"),
    [("A & B", "A & B"), ("A &nbsp; B", "A &nbsp; B"), ("A \x1f B", "A B"), ("A &amp; B", "A & B")],
)
def test_parse__stray_character_in_a_name__costs_no_line(stray, read_as):
    lines = entry("CRDT", f"<RltdPties>{side('Dbtr', stray)}</RltdPties>") + entry("DBIT", "")
    reading = read(message(lines))
    assert [problem.amount_minor for problem in reading.reports[0].lines] == [900, -900]
    assert reading.reports[0].lines[0].counterparty.name == read_as
    assert [problem.path for problem in reading.problems] == (
        [] if "amp;" in stray else ["Ntfctn[1]/Ntry[1]/NtryDtls/TxDtls[1]/RltdPties/Dbtr/Pty/Nm"]
    )


def test_parse__documents_behind_each_other__keep_their_lines_and_bounds():
    document = '<?xml version="1.0"?>\n' + message(entry("CRDT", "")).decode() + "\n"
    reading = read((document + document.replace("9.00", "x")).encode())
    assert [(problem.line, problem.path) for problem in reading.problems] == [
        (4, "Document[2]/Ntfctn[1]/Ntry[1]/Amt"),
    ]
    assert len(read((document * (MAX_DOCUMENTS + 1)).encode()).reports) <= MAX_DOCUMENTS


def test_parse__documents_behind_each_other__are_bounded_together(monkeypatch):
    document = '<?xml version="1.0"?>\n' + message(entry("CRDT", "")).decode() + "\n"
    for module in (reading_module, xml):
        monkeypatch.setattr(module, "MAX_TAGS", document.count("<") + 1)
    assert not read(document.encode()).problems
    reading = read((document * 2).encode())
    assert [problem.reason for problem in reading.problems] == ["too_large"] and not reading.reports


def test_parse__document_behind_another_with_entities__is_refused():
    document = '<?xml version="1.0"?>\n' + message(entry("CRDT", "")).decode()
    bomb = '<?xml version="1.0"?>\n<!DOCTYPE d [<!ENTITY x "y">]><Document>&x;</Document>'
    assert "dtd_forbidden" in {
        problem.reason for problem in read((document + bomb).encode()).problems
    }
