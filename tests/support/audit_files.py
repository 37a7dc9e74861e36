"""The bank's side of the auditor's story: the order that left, and the statement that shows it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import sha256

from orchestrator.core import ledger
from orchestrator.core.audit.blocks import Header
from orchestrator.core.references import end_to_end_id, uetr
from orchestrator.edges.bank import pain
from orchestrator.edges.bank.types import Address, Debtor, PaymentOrder
from tests.support.audit_rail import IBAN, START

DEBTOR_IBAN = "DE02120300000000202051"


def booked_by(proof: dict, entry: ledger.Entry) -> ledger.Entry:
    """An entry that follows from the block of a proof."""
    header = Header(bytes.fromhex(proof["header"][2:]))
    return entry.dated(header.timestamp, f"block:{proof['block']}")


def chained(entries: list[ledger.Entry]) -> list[tuple[ledger.Entry, str, str]]:
    """Each with the hash before it and its own."""
    links, before = [], ledger.GENESIS
    for entry in entries:
        after = ledger.chain_hash(before, entry)
        links.append((entry, before, after))
        before = after
    return links


def order_file(order: bytes, cents: int) -> bytes:
    town = Address("Lindenweg", "4", "12345", "Musterstadt", "DE")
    other = sha256(order).digest()
    payouts = [
        PaymentOrder(payout_id, end_to_end_id(payout_id), uetr(payout_id), name, IBAN, town, amount)
        for payout_id, name, amount in (
            (order, "Ladepark Nord", cents),
            (other, "Ladepark Sued", 999),
        )
    ]
    moment = datetime.fromtimestamp(START, UTC)
    party = Debtor("Rail Safeguarding", DEBTOR_IBAN, town)
    return pain.write(payouts, party, pain.message_id(payouts), moment, date(2025, 10, 10))


LINE = "Stmt[1]/Ntry[2]/NtryDtls/TxDtls[1]"


def statement(order: bytes, cents: int) -> bytes:
    def entry(payout_id: bytes, amount: int) -> str:
        return (
            f'<Ntry><Amt Ccy="EUR">{amount // 100}.{amount % 100:02}</Amt>'
            "<CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>"
            "<BookgDt><Dt>2025-10-10</Dt></BookgDt><NtryDtls><TxDtls><Refs>"
            f"<EndToEndId>{end_to_end_id(payout_id)}</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>"
        )

    def balance(code: str, amount: int) -> str:
        return (
            f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
            f'<Amt Ccy="EUR">{amount // 100}.{amount % 100:02}</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
            "<Dt><Dt>2025-10-10</Dt></Dt></Bal>"
        )

    head = f"<Id>S1</Id><Acct><Id><IBAN>{DEBTOR_IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>"
    head += balance("OPBD", 100_000) + balance("CLBD", 100_000 - 999 - cents)
    lines = entry(sha256(order).digest(), 999) + entry(order, cents)
    space = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
    return (
        f'<Document xmlns="{space}"><BkToCstmrStmt><Stmt>{head}{lines}</Stmt>'
        "</BkToCstmrStmt></Document>"
    ).encode()
