"""Bank files read exactly, in every version, and each error becomes a named reason."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.types import Rejected
from orchestrator.core.references import funding_reference
from orchestrator.edges.bank import camt
from orchestrator.edges.bank.types import BankReason, BankStatement, StatusReport

IBAN, OTHER = "DE02120300000000202051", "FR7630006000011234567890189"
REFERENCE = funding_reference(b"\1" * 32)

CREDIT = f"""<Ntry><Amt Ccy="EUR">500.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
 <BookgDt><Dt>2026-11-20</Dt></BookgDt><ValDt><Dt>2026-11-21</Dt></ValDt>
 <AcctSvcrRef>E1</AcctSvcrRef><NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>
 <RltdPties><Dbtr><Pty><Nm>Payer  AG</Nm></Pty></Dbtr><DbtrAcct><Id><IBAN>{OTHER}</IBAN></Id>
 </DbtrAcct></RltdPties><RmtInf><Strd><CdtrRefInf><Ref>{REFERENCE}</Ref></CdtrRefInf></Strd>
 </RmtInf></TxDtls></NtryDtls></Ntry>"""
BATCH = f"""<Ntry><Amt Ccy="EUR">30.03</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
 <BookgDt><DtTm>2026-11-20T10:00:00+01:00</DtTm></BookgDt><AcctSvcrRef>E2</AcctSvcrRef><NtryDtls>
 <Btch><PmtInfId>PI1</PmtInfId></Btch>
 <TxDtls><Refs><AcctSvcrRef>T1</AcctSvcrRef><EndToEndId>A</EndToEndId></Refs>
 <Amt Ccy="EUR">10.01</Amt><RltdPties><CdtrAcct><Id><IBAN>{OTHER}</IBAN></Id></CdtrAcct>
 </RltdPties></TxDtls>
 <TxDtls><Refs><EndToEndId>B</EndToEndId></Refs><AmtDtls><TxAmt><Amt Ccy="EUR">20.02</Amt></TxAmt>
 </AmtDtls></TxDtls></NtryDtls></Ntry>"""
PENDING = CREDIT.replace("BOOK<", "PDNG<")


def balance(code: str, amount: str, sign: str = "CRDT") -> str:
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{amount}</Amt>'
        f"<CdtDbtInd>{sign}</CdtDbtInd><Dt><Dt>2026-11-20</Dt></Dt></Bal>"
    )


def statement(
    entries: str = CREDIT + BATCH,
    opening: str = "1.00",
    closing: str = "470.97",
    version: str = "08",
    name: str = "S1",
) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd'
        f':camt.053.001.{version}"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId>'
        f"<CreDtTm>2026-11-20T23:00:00</CreDtTm></GrpHdr><Stmt><Id>{name}</Id><Acct><Id><IBAN>"
        f"{IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>{balance('OPBD', opening)}"
        f"{balance('CLBD', closing)}{entries}</Stmt></BkToCstmrStmt></Document>"
    )


def notice(entries: str = CREDIT) -> str:
    text = statement(entries).replace(balance("OPBD", "1.00"), "")
    return (
        text.replace(balance("CLBD", "470.97"), "")
        .replace("camt.053", "camt.054")
        .replace("Stmt>", "Ntfctn>")
        .replace("BkToCstmrNtfctn", "BkToCstmrDbtCdtNtfctn")
    )


def report(group: str = "<GrpSts>PART</GrpSts>", orders: str = "") -> str:
    return (
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>'
        f"<GrpHdr><MsgId>R1</MsgId></GrpHdr><OrgnlGrpInfAndSts><OrgnlMsgId>PM1</OrgnlMsgId>"
        f"{group}</OrgnlGrpInfAndSts>{orders}</CstmrPmtStsRpt></Document>"
    )


def single_statement(text: str) -> BankStatement:
    (statement_read,) = camt.parse(text.encode())
    return statement_read


def refusal(text: str | bytes, **options) -> Rejected:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(Rejected) as caught:
        camt.parse(data, **options)
    assert isinstance(caught.value.reason, BankReason) and caught.value.raw == data
    return caught.value


def test_camt__statement__reads_every_field_exactly():
    text = statement()
    statement_read = single_statement(text)
    credit, first, second = statement_read.lines
    assert (credit.amount_minor, credit.reference, credit.bank_reference, credit.end_to_end_id) == (
        50_000,
        REFERENCE,
        "E1",
        "",
    )
    assert (credit.counterparty_name, credit.counterparty_iban) == ("Payer AG", OTHER)
    assert (str(credit.booking_date), str(credit.value_date)) == ("2026-11-20", "2026-11-21")
    assert (first.amount_minor, second.amount_minor) == (-1_001, -2_002)
    assert (first.bank_reference, second.bank_reference) == ("T1", "")
    assert {first.batch, second.batch} == {"PI1"} and first.counterparty_iban == OTHER
    assert second.path == "Stmt[1]/Ntry[2]/NtryDtls/TxDtls[2]"
    assert {line.source for line in statement_read.lines} == {sha256(text.encode()).digest()}
    assert (statement_read.balances.opening_minor, statement_read.balances.closing_minor) == (
        100,
        47_097,
    )


@pytest.mark.parametrize("version", [f"{number:02d}" for number in range(2, 14)])
def test_camt__any_version__reads_alike(version):
    lines = single_statement(statement(version=version)).lines
    assert [line.amount_minor for line in lines] == [50_000, -1_001, -2_002]


def test_camt__old_shape_of_parties_and_status__reads_alike():
    old = (
        statement()
        .replace("<Pty>", "")
        .replace("</Pty>", "")
        .replace("<Sts><Cd>BOOK</Cd></Sts>", "<Sts>BOOK</Sts>")
    )
    assert (
        single_statement(old).lines[0].counterparty_name == "Payer AG"
        and len(single_statement(old).lines) == 3
    )


def test_camt__reference_in_free_text__is_found():
    text = notice().replace(
        f"<Strd><CdtrRefInf><Ref>{REFERENCE}</Ref></CdtrRefInf></Strd>",
        f"<Ustrd>power {REFERENCE[:7].lower()} {REFERENCE[7:]}</Ustrd>",
    )
    assert single_statement(text).lines[0].reference == REFERENCE


def test_camt__pending_entry__is_never_a_booked_line():
    statement_read = single_statement(notice(CREDIT + PENDING))
    assert len(statement_read.lines) == len(statement_read.pending) == 1
    assert (
        single_statement(statement(CREDIT + PENDING, closing="501.00")).balances.closing_minor
        == 50_100
    )


def test_camt__batch_without_details__is_one_line_of_the_entry():
    bare = BATCH[: BATCH.index("<TxDtls>")] + "</NtryDtls></Ntry>"
    (line,) = single_statement(notice(bare)).lines
    assert (line.amount_minor, line.batch, line.bank_reference, line.path) == (
        -3_003,
        "PI1",
        "E2",
        "Ntfctn[1]/Ntry[1]",
    )


def test_camt__details_without_amounts__is_one_line_of_the_entry():
    text = BATCH.replace('<Amt Ccy="EUR">10.01</Amt>', "")
    assert [line.amount_minor for line in single_statement(notice(text)).lines] == [-3_003]


def test_camt__return_and_reversal__are_reported():
    text = CREDIT.replace("</RmtInf>", "</RmtInf><RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>")
    assert (
        single_statement(notice(text)).lines[0].reason == "AC04"
        and single_statement(notice(text)).lines[0].is_return
    )
    text = CREDIT.replace("<Sts>", "<RvslInd>true</RvslInd><Sts>")
    assert single_statement(notice(text)).lines[0].is_reversal


def test_pain002__orders_and_group__read_with_reasons():
    orders = """<OrgnlPmtInfAndSts><OrgnlPmtInfId>PI1</OrgnlPmtInfId><TxInfAndSts><OrgnlEndToEndId>A
      </OrgnlEndToEndId><TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf>
      </TxInfAndSts><TxInfAndSts><OrgnlEndToEndId>B</OrgnlEndToEndId><TxSts>ACCP</TxSts>
      </TxInfAndSts></OrgnlPmtInfAndSts>"""
    statement_read = camt.parse(report(orders=orders).encode())
    assert isinstance(statement_read, StatusReport)
    assert (statement_read.original_message_id, statement_read.code) == ("PM1", "PART")
    assert [(s.end_to_end_id, s.is_rejected, s.reason) for s in statement_read.statuses] == [
        ("A", True, "AC04"),
        ("B", False, ""),
    ]
    assert statement_read.statuses[1].path == "OrgnlPmtInfAndSts[1]/TxInfAndSts[2]"


def test_pain002__refused__counts_whole_messages_and_leaves_out_repetitions():
    def refused(group: str, orders: str = "") -> dict[str, str]:
        statement_read = camt.parse(report(group, orders).encode())
        assert isinstance(statement_read, StatusReport)
        return statement_read.refused(["A", "B"])

    why = "<StsRsnInf><Rsn><Cd>{}</Cd></Rsn></StsRsnInf>"
    order = (
        "<OrgnlPmtInfAndSts><OrgnlPmtInfId>PI1</OrgnlPmtInfId>{}<TxInfAndSts><OrgnlEndToEndId>"
        "A</OrgnlEndToEndId><TxSts>{}</TxSts></TxInfAndSts></OrgnlPmtInfAndSts>"
    )
    rejected = "<GrpSts>RJCT</GrpSts>"
    assert refused(rejected + why.format("FF01")) == {"A": "FF01", "B": "FF01"}
    assert refused(rejected + why.format("DU01")) == {}
    assert refused(
        "", order.format("<PmtInfSts>RJCT</PmtInfSts>" + why.format("AC02"), "ACCP")
    ) == {"B": "AC02"}
    assert refused("<GrpSts>PART</GrpSts>", order.format("", "RJCT")) == {"A": ""}


S, N = statement(), notice()
BAD = [
    (b"", "empty", ""),
    (b" \n", "empty", ""),
    (b"\xff\xfe<", "not_utf8", "byte 2"),
    (b"<a>\xff</a>", "not_utf8", "byte 3"),
    ("not xml", "not_xml", ""),
    (S[:-5], "not_xml", ""),
    ("<a>" * 300, "not_xml", ""),
    ("<!DOCTYPE d SYSTEM 'http://x/d'>" + S[38:], "dtd_forbidden", ""),
    ('<!DOCTYPE d [<!ENTITY e "x">]><d>&e;</d>', "dtd_forbidden", ""),
    ('<!DOCTYPE d [<!ENTITY e "x">', "dtd_forbidden", ""),  # refused before any parser sees it
    ("<html/>", "unknown_message", "html"),
    ("<Document/>", "unknown_message", ""),
    ("<Document><FIToFIPmtStsRpt/></Document>", "unknown_message", "FIToFIPmtStsRpt"),
    (S.replace("500.00", "500.001"), "amount_malformed", "Stmt[1]/Ntry[1]/Amt"),
    (S.replace("500.00", "-500.00"), "amount_malformed", "Stmt[1]/Ntry[1]/Amt"),
    (S.replace("10.01", "1e1"), "amount_malformed", "Stmt[1]/Ntry[2]/NtryDtls/TxDtls[1]/Amt"),
    (S.replace("500.00", "500.01"), "sum_mismatch", "Stmt[1]"),
    (S.replace("20.02", "20.03"), "sum_mismatch", "Stmt[1]/Ntry[2]"),
    (S.replace("470.97", "470.96"), "sum_mismatch", "Stmt[1]"),
    (S.replace('Ccy="EUR">500', 'Ccy="USD">500'), "currency_mismatch", "Stmt[1]/Ntry[1]/Amt"),
    (S.replace('Ccy="EUR">470', 'Ccy="USD">470'), "currency_mismatch", "Stmt[1]/Bal[2]"),
    (S.replace("EUR", "XXX"), "currency_unknown", "XXX"),
    (S.replace("CLBD", "ITBD"), "missing_element", "Stmt[1]/Bal[CLBD]"),
    (S.replace("OPBD", "ITBD"), "missing_element", "Stmt[1]/Bal[OPBD]"),
    (S.replace(f"<IBAN>{IBAN}</IBAN>", ""), "missing_element", "Stmt[1]/Acct/Id/IBAN"),
    (S.replace("<Id>S1</Id>", ""), "missing_element", "Stmt[1]/Id"),
    (S.replace("<CdtDbtInd>DBIT</CdtDbtInd>", ""), "missing_element", "Stmt[1]/Ntry[2]/CdtDbtInd"),
    (S.replace(' Ccy="EUR">500', ">500"), "missing_element", "Stmt[1]/Ntry[1]/Amt/@Ccy"),
    (S.replace("<Sts><Cd>BOOK</Cd></Sts>", ""), "missing_element", "Stmt[1]/Ntry[1]/Sts"),
    (S.replace("DBIT", "DEBIT"), "value_malformed", "Stmt[1]/Ntry[2]/CdtDbtInd"),
    (S.replace("2026-11-21", "2026-13-21"), "date_malformed", "Stmt[1]/Ntry[1]"),
    (S.replace("2026-11-21", "20261121"), "date_malformed", "Stmt[1]/Ntry[1]"),
    (S.replace("</Refs>", "</Refs><CdtDbtInd>MINUS</CdtDbtInd>"), "value_malformed", "TxDtls[1]"),
    (
        S.replace(
            "<AcctSvcrRef>E1",
            "<Chrgs><Amt Ccy='EUR'>1.00</Amt><CdtDbtInd>X</CdtDbtInd></Chrgs><AcctSvcrRef>E1",
        ),
        "value_malformed",
        "Stmt[1]/Ntry[1]/Chrgs/CdtDbtInd",
    ),
    (
        N.replace("<BookgDt><Dt>2026-11-20</Dt></BookgDt><ValDt><Dt>2026-11-21</Dt></ValDt>", ""),
        "missing_element",
        "Ntfctn[1]/Ntry[1]/NtryDtls/TxDtls[1]/BookgDt",
    ),
    (N.replace("<Sts>", "<RvslInd>yes</RvslInd><Sts>"), "value_malformed", "RvslInd"),
    (N[: N.index("<Ntfctn>")] + N[N.index("</Ntfctn>") + 9 :], "missing_element", "Ntfctn"),
    (report(group=""), "missing_element", "GrpSts"),
    (report().replace("<OrgnlMsgId>PM1</OrgnlMsgId>", ""), "missing_element", "OrgnlMsgId"),
]


@pytest.mark.parametrize(("text", "reason", "detail"), BAD)
def test_camt__bad_file__is_refused_by_name_and_place(text, reason, detail):
    statement_read = refusal(text)
    assert statement_read.reason == reason and detail in statement_read.detail


def test_camt__account_or_statement_not_expected__is_refused():
    assert refusal(S, accounts={OTHER}).reason == BankReason.ACCOUNT_UNKNOWN
    digest = camt.content_digest(single_statement(S))
    assert refusal(S, taken=lambda *_: digest).reason == BankReason.DUPLICATE_STATEMENT
    twice = S.replace("</Stmt>", "</Stmt>" + S[S.index("<Stmt>") : S.index("</Stmt>") + 7])
    assert refusal(twice).reason == BankReason.DUPLICATE_STATEMENT
    assert camt.parse(
        S.encode(), accounts={IBAN}, taken=lambda account, name: "other" if name == "S0" else ""
    )


def test_camt__too_large_or_too_many_lines__is_refused(monkeypatch):
    monkeypatch.setattr("orchestrator.edges.bank.statements.MAX_LINES", 2)
    assert refusal(S).reason == BankReason.TOO_MANY_LINES
    monkeypatch.setattr("orchestrator.edges.bank.reading.MAX_FILE_BYTES", 100)
    assert refusal(S).reason == BankReason.TOO_LARGE


def test_camt__doctype_in_another_encoding__does_not_slip_through():
    hidden = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE d [<!ENTITY e "x">]><d>&e;</d>'
    assert refusal(hidden.encode("utf-16")).reason == BankReason.DTD_FORBIDDEN
    utf7 = b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE d [+ADw-!ENTITY e "x"+AD4-]>'
    assert refusal(utf7).reason == BankReason.ENCODING_UNKNOWN


def read_or_refuse(data: bytes) -> None:
    try:
        camt.parse(data)
    except Rejected as statement_read:
        assert isinstance(statement_read.reason, BankReason) and statement_read.raw == data


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_camt__random_bytes__only_rejected(data):
    read_or_refuse(data)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([S, N, report()]), st.integers(0, 2**32), st.integers(1, 4))
def test_camt__mutated_good_file__only_rejected(text, seed, count):
    choose, data = random.Random(seed), bytearray(text.encode())
    for _ in range(count):
        at = choose.randrange(len(data))
        other = choose.randrange(len(data))
        piece = data[other : other + choose.randrange(40)]
        act = choose.randrange(4)
        if act == 0:
            data[at] = choose.randrange(256)
        elif act == 1:
            del data[at : at + choose.randrange(1, 60)]
        elif act == 2:
            data[at:at] = piece
        else:
            data[at : at + len(piece)] = piece
        if not data:
            break
    read_or_refuse(bytes(data))


ELEMENTS = sorted(
    {
        piece.split(">")[0]
        for piece in S.split("<")[2:]
        if piece[0] not in "/?!" and " " not in piece.split(">")[0]
    }
)


@pytest.mark.parametrize("element", ELEMENTS)
def test_camt__element_emptied_or_renamed__only_rejected(element):
    opening, closing = f"<{element}>", f"</{element}>"
    start, end = S.index(opening), S.index(closing)
    read_or_refuse((S[: start + len(opening)] + S[end:]).encode())
    read_or_refuse(S.replace(opening, "<X>").replace(closing, "</X>").encode())
