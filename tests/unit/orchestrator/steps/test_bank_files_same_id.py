"""A bank that uses one statement id every day, and reports that name orders in other ways."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from orchestrator.core import ledger
from orchestrator.core.references import uetr
from orchestrator.edges.store import all_rows, bank_files, payouts
from orchestrator.rebuild.bank import Files
from orchestrator.rebuild.contexts import RawBank, RebuiltJournal
from orchestrator.rebuild.findings import Differences
from orchestrator.steps.bank_files import read_bank
from orchestrator.steps.payouts import order_payouts
from tests.support.rail_with_bank import OURS, RailWithBank


@pytest.fixture
def rail(tmp_path):
    rail = RailWithBank(tmp_path)
    yield rail
    rail.bare.close()


def day(number: int, opening: int, cents: int, account: str = OURS) -> bytes:
    return (
        f":20:STMT\n:25:{account}\n:28C:0\n:60F:C2510{number:02}EUR{opening},00\n"
        f":61:2510{number:02}C{cents},00NTRFX\n:86:same every day\n"
        f":62F:C2510{number:02}EUR{opening + cents},00\n-\n"
    ).encode()


def camt_day(number: int, opening: int, cents: int) -> bytes:
    balance = (
        '<Bal><Tp><CdOrPrtry><Cd>{}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{}.00</Amt><CdtDbtInd>CRDT'
        f"</CdtDbtInd><Dt><Dt>2025-10-{number:02}</Dt></Dt></Bal>"
    )
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr>'
        f"<MsgId>M</MsgId></GrpHdr><Stmt><Id>STMT</Id><Acct><Id><IBAN>{OURS}</IBAN></Id></Acct>"
        f"{balance.format('OPBD', opening)}{balance.format('CLBD', opening + cents)}<Ntry><Amt Ccy="
        f'"EUR">{cents}.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>'
        f"2025-10-{number:02}</Dt></BookgDt></Ntry></Stmt></BkToCstmrStmt></Document>"
    ).encode()


def taken(rail) -> dict[str, str]:
    with rail.store.read() as session:
        return {row.statement: row.file_hash for row in bank_files.statements(session)}


@pytest.mark.parametrize("form", [day, camt_day])
def test_statements__of_one_id_on_two_days__are_both_posted_once(rail, form):
    rail.deliver("monday", form(9, 100, 5))
    rail.deliver("tuesday", form(10, 105, 5))
    assert rail.balances()[ledger.SAFEGUARDING] == 1_000
    assert len(taken(rail)) == 2 and rail.rejected() == []
    rail.deliver("monday again", form(9, 100, 5) + b"\n")
    rail.deliver("tuesday again", form(10, 105, 5) + b"\n")
    assert rail.balances()[ledger.SAFEGUARDING] == 1_000 and len(rail.fundings()) == 2
    assert rail.rejected() == ["duplicate_statement"] * 2


def test_statement__of_one_id_with_a_line_more__adds_that_line_only(rail):
    first = day(9, 100, 5)
    more = first.replace(b":62F:C251009EUR105", b":61:251009C7,00NTRFY\n:62F:C251009EUR112")
    rail.deliver("first", first)
    rail.deliver("more", more)
    assert rail.balances()[ledger.SAFEGUARDING] == 1_200
    assert len(rail.fundings()) == 2 and rail.rejected() == []


def test_statements__of_one_id__have_the_same_names_when_rebuilt_in_any_order(rail):
    for number in range(9, 12):
        rail.deliver(f"day {number}", camt_day(number, 95 + 5 * (number - 8), 5))
    with rail.store.read() as session:
        rows = list(all_rows(session, bank_files.BankFileRow))
    names = taken(rail)
    for order in (rows, list(reversed(rows))):
        owners = {(OURS, name): file_hash for name, file_hash in names.items()}
        bank = RawBank(RebuiltJournal(), {})
        files = Files(bank, Differences(), frozenset({OURS}), owners=owners)
        for row in order:
            files.fold(row)
        assert {name: row["file_hash"] for (_, name), row in files.statements.items()} == names


def test_account__of_the_rail_in_print_form__is_the_one_of_the_file(rail):
    printed = " ".join(OURS[start : start + 4] for start in range(0, len(OURS), 4))
    rail.context.safeguarding["iban"] = printed.lower()
    rail.deliver("monday", day(9, 100, 5, printed))
    assert rail.balances()[ledger.SAFEGUARDING] == 500 and rail.rejected() == []


def status_report(message: str, orders: str) -> bytes:
    return (
        "<Document><CstmrPmtStsRpt><GrpHdr><MsgId>R1</MsgId></GrpHdr><OrgnlGrpInfAndSts>"
        f"<OrgnlMsgId>{message}</OrgnlMsgId><GrpSts>PART</GrpSts></OrgnlGrpInfAndSts>"
        f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>P</OrgnlPmtInfId>{orders}</OrgnlPmtInfAndSts>"
        "</CstmrPmtStsRpt></Document>"
    ).encode()


def test_report__that_names_orders_in_other_ways__moves_these_and_no_other(rail):
    first, second, third = rail.payout(1), rail.payout(2), rail.payout(3)
    order_payouts(rail.context)
    [sent] = (rail.home / "bank" / "to_bank").glob("pain.001-*.xml")
    message = sent.stem.removeprefix("pain.001-")
    with rail.store.read() as session:
        reference = payouts.get(session, first).end_to_end_id
    rejected = "<TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf>"
    body = status_report(
        message,
        f"<TxInfAndSts><OrgnlInstrId>{reference}</OrgnlInstrId>{rejected}</TxInfAndSts>"
        f"<TxInfAndSts>{rejected}</TxInfAndSts>"
        f"<TxInfAndSts><OrgnlUETR>{uetr(bytes.fromhex(second[2:]))}</OrgnlUETR>"
        "<TxSts>ACSC</TxSts></TxInfAndSts>",
    )
    log = rail.context.log
    logged = []
    rail.context = replace(
        rail.context, log=SimpleNamespace(warning=lambda *a, **k: logged.append(k))
    )
    rail.deliver("report.xml", body)
    rail.context = replace(rail.context, log=log)
    assert rail.rejected() == [] and [len(item["parts"]) for item in logged] == [1]
    assert rail.stage(first) == ("rejected", "AC04")
    assert (rail.stage(second)[0], rail.stage(third)[0]) == ("accepted", "sent")
    assert read_bank(rail.context) == 0
