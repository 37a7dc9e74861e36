"""Files that repeat a credit, as banks send them: it is booked and minted once."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO

import pytest

from orchestrator.core import ledger
from orchestrator.core.references import funding_reference
from orchestrator.edges.store import agreements
from orchestrator.steps.bank_files import read_bank
from tests.support.bare_rail import agreement_of
from tests.support.rail_with_bank import OURS, RailWithBank

AGREEMENT = agreement_of("cp-0001")
ROOTS = {
    "052": ("BkToCstmrAcctRpt", "Rpt"),
    "053": ("BkToCstmrStmt", "Stmt"),
    "054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn"),
}


@pytest.fixture
def rail(tmp_path):
    rail = RailWithBank(tmp_path)
    rail.bare.claims("cp-0001")
    with rail.store.write() as session:
        row = agreements.get(session, "0x" + AGREEMENT.hex())
        row.reference = funding_reference(AGREEMENT)
    yield rail
    rail.bare.close()


def entry(cents: int = 500, reference: str = funding_reference(AGREEMENT), named: str = "") -> str:
    """A credit of ours; named: the bank's reference, which many banks leave out."""
    return f"""<Ntry><Amt Ccy="EUR">{cents // 100}.{cents % 100:02}</Amt><CdtDbtInd>CRDT</CdtDbtInd>
      <Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2025-10-09</Dt></BookgDt>
      {f"<AcctSvcrRef>{named}</AcctSvcrRef>" if named else ""}<BkTxCd/>
      <NtryDtls><TxDtls><RmtInf><Strd><CdtrRefInf><Ref>{reference}</Ref></CdtrRefInf></Strd>
      </RmtInf></TxDtls></NtryDtls></Ntry>"""


def file(kind: str, name: str, *entries: str, cents: int = 0) -> bytes:
    root, report = ROOTS[kind]
    balances = "".join(
        f"""<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{amount}</Amt>
        <CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2025-10-09</Dt></Dt></Bal>"""
        for code, amount in (("OPBD", "0.00"), ("CLBD", f"{cents // 100}.{cents % 100:02}"))
    )
    return f"""<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.{kind}.001.08"><{root}>
      <GrpHdr><MsgId>M</MsgId><CreDtTm>2025-10-09T00:00:00Z</CreDtTm></GrpHdr><{report}>
      <Id>{name}</Id><Acct><Id><IBAN>{OURS}</IBAN></Id></Acct>
      {balances if kind == "053" else ""}{"".join(entries)}</{report}></{root}></Document>
    """.encode()


MT940 = f"""
:20:S
:25:{OURS}
:28C:1/1
:60F:C251009EUR0,00
:61:2510091009C5,00NTRFNONREF
:86:166?20{funding_reference(AGREEMENT)}
:62F:C251009EUR5,00
""".encode()


def archive(*members: tuple[str, bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive_file:
        for name, body in members:
            archive_file.writestr(name, body)
    return packed.getvalue()


@pytest.mark.parametrize(
    "files",
    [
        [file("052", "1", entry()), file("052", "2", entry(), entry(77, ""))],
        [file("054", "1", entry()), file("054", "2", entry())],
        [file("052", "1", entry()), file("052", "2", entry(named="B1"))],
        [file("053", "1", entry(), cents=500), file("053", "2", entry(), cents=500)],
        [file("053", "1", entry(named="B1"), cents=500), MT940],
        [MT940, file("053", "1", entry(), cents=500), file("054", "2", entry(named="B1"))],
        [archive(*((name, file("052", name, entry(named="B1"))) for name in "ab"))],
        [archive(*((name, file("052", name, entry())) for name in "ab"))],
    ],
    ids=[
        "cumulative",
        "notified again",
        "named later",
        "statement under another id",
        "two formats",
        "three formats",
        "archive",
        "archive without references",
    ],
)
def test_credit__repeated_in_another_file__is_booked_and_to_be_minted_once(rail, files):
    for number, body in enumerate(files):
        assert rail.deliver(f"{number}.xml", body) == 1
    assert rail.rejected() == []
    agreement = "0x" + AGREEMENT.hex()
    assert [funding for funding in rail.fundings() if funding[0]] == [(agreement, 500, "booked")]
    assert rail.balances()[ledger.FUNDING] == -500


def test_credits__equal_ones_without_references__are_both_booked_once_the_statement_has_them(rail):
    rail.deliver("1", file("054", "1", entry()))
    rail.deliver("2", file("054", "2", entry()))
    rail.deliver("3", file("053", "3", entry(), entry(), cents=1_000))
    assert rail.balances()[ledger.FUNDING] == -1_000 and len(rail.fundings()) == 2


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archive__two_files_of_one_name__is_refused_and_loses_nothing(rail):
    rail.deliver(
        "1",
        archive(
            ("a", file("052", "1", entry(named="A"))), ("a", file("052", "2", entry(named="B")))
        ),
    )
    assert rail.rejected() == ["archive_malformed"] and rail.balances() == {}


def test_file__name_that_is_no_text__is_quarantined_and_halts_nothing(rail):
    os.makedirs(rail.bank.from_bank, exist_ok=True)
    with open(os.fsencode(rail.bank.from_bank) + b"/\xff.xml", "wb") as odd:
        odd.write(b"x")
    rail.deliver("good.xml", file("054", "1", entry()))
    assert rail.balances()[ledger.FUNDING] == -500 and read_bank(rail.context) == 0
