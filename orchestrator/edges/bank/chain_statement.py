"""Writes a payee's on-chain account as camt.053.001.08, for any ERP to import.

An address is longer than the 34 characters of an account number, so the account is the address's 20
bytes in base32, and its proxy is the address. The same account and period give the same bytes.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256

from pyiso20022.camt import camt_053_001_08 as iso
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig
from xsdata.models.datatype import XmlDate, XmlDateTime

from orchestrator.core.payee_account import AccountStatement, Booking, Movement
from orchestrator.core.references import end_to_end_id
from orchestrator.edges.bank.money import from_minor

_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
_EPOCH = date(1970, 1, 1)


def write(
    statement: AccountStatement, address: str, owner: str, servicer: str, is_over: bool = True
) -> bytes:
    """Return the statement of one period as XML.

    Args:
        address: The payee's address, 0x-hex.
        owner: The payee's name.
        servicer: The rail's name.
        is_over: Whether the period can get no more movements; if not, its last balance is interim
            (ITBD).
    """
    identity = _identity(address, statement, is_over)
    end = datetime.combine(statement.last + timedelta(days=1), datetime.min.time(), UTC)
    created = XmlDateTime.from_datetime(end)
    document = iso.Document(
        bk_to_cstmr_stmt=iso.BankToCustomerStatementV08(
            grp_hdr=iso.GroupHeader81(msg_id=identity, cre_dt_tm=created),
            stmt=[
                iso.AccountStatement9(
                    id=identity,
                    elctrnc_seq_nb=Decimal((statement.last - _EPOCH).days),
                    cre_dt_tm=created,
                    fr_to_dt=_period(statement, end),
                    acct=_account(address, owner, servicer),
                    bal=_balances(statement, is_over),
                    ntry=[_entry(booking) for booking in statement.bookings],
                    addtl_stmt_inf=_remainder(statement),
                )
            ],
        )
    )
    config = SerializerConfig(xml_declaration=True, encoding="UTF-8", indent="  ")
    return XmlSerializer(config=config).render(document, ns_map={None: _NAMESPACE}).encode()


def account_id(address: str) -> str:
    """Return an address as an account number of at most 34 characters (base32)."""
    return b32encode(bytes.fromhex(address[2:])).decode()


def _identity(address: str, statement: AccountStatement, is_over: bool) -> str:
    """Return the statement id; an interim one changes with each new entry."""
    content = f"{address.lower()}|{statement.first}|{statement.last}"
    content += "" if is_over else f"|{len(statement.bookings)}"
    return "PA" + b32encode(sha256(content.encode()).digest()[:20]).decode()


def _period(statement: AccountStatement, end: datetime) -> iso.DateTimePeriod1:
    start = datetime.combine(statement.first, datetime.min.time(), UTC)
    return iso.DateTimePeriod1(
        fr_dt_tm=XmlDateTime.from_datetime(start),
        to_dt_tm=XmlDateTime.from_datetime(end - timedelta(seconds=1)),
    )


def _account(address: str, owner: str, servicer: str) -> iso.CashAccount39:
    other = iso.GenericAccountIdentification1(
        id=account_id(address), schme_nm=iso.AccountSchemeName1Choice(prtry="EVM address, base32")
    )
    return iso.CashAccount39(
        id=iso.AccountIdentification4Choice(othr=other),
        ccy="EUR",
        prxy=iso.ProxyAccountIdentification1(
            tp=iso.ProxyAccountType1Choice(prtry="EVM address"), id=address
        ),
        ownr=iso.PartyIdentification135(nm=_text(owner, 70)),
        svcr=iso.BranchAndFinancialInstitutionIdentification6(
            fin_instn_id=iso.FinancialInstitutionIdentification18(nm=_text(servicer, 70))
        ),
    )


def _balances(statement: AccountStatement, is_over: bool) -> list[iso.CashBalance8]:
    """Return opening and closing balances, and the available one (released, redeemable)."""
    return [
        _balance("OPBD", statement.opening_cents, statement.first),
        _balance("CLBD" if is_over else "ITBD", statement.closing_cents, statement.last),
        _balance("CLAV" if is_over else "ITAV", statement.available_cents, statement.last),
    ]


def _balance(code: str, cents: int, day: date) -> iso.CashBalance8:
    return iso.CashBalance8(
        tp=iso.BalanceType13(cd_or_prtry=iso.BalanceType10Choice(cd=code)),
        amt=_amount(cents),
        cdt_dbt_ind=_sign(cents),
        dt=iso.DateAndDateTime2Choice(dt=XmlDate.from_date(day)),
    )


def _entry(booking: Booking) -> iso.ReportEntry10:
    """Return an entry in whole cents; movements carried into it are details of 0.00 EUR."""
    movement, day = booking.movement, XmlDate.from_date(booking.movement.day)
    details = [_detail(carried, 0, booking.cents) for carried in booking.carried]
    details.append(_detail(movement, booking.cents, booking.cents))
    return iso.ReportEntry10(
        ntry_ref=_reference(movement.entry_id),
        amt=_amount(booking.cents),
        cdt_dbt_ind=_sign(booking.cents),
        sts=iso.EntryStatus1Choice(cd="BOOK"),
        bookg_dt=iso.DateAndDateTime2Choice(dt=day),
        val_dt=iso.DateAndDateTime2Choice(dt=day),
        acct_svcr_ref=_reference(movement.entry_id),
        bk_tx_cd=iso.BankTransactionCodeStructure4(
            domn=iso.BankTransactionCodeStructure5(
                cd="PMNT",
                fmly=iso.BankTransactionCodeStructure6(
                    cd="RCDT" if booking.cents > 0 else "ICDT", sub_fmly_cd="OTHR"
                ),
            ),
            prtry=iso.ProprietaryBankTransactionCodeStructure1(cd=movement.kind, issr="proofrail"),
        ),
        ntry_dtls=[iso.EntryDetails9(tx_dtls=details)],
    )


def _detail(movement: Movement, cents: int, sign: int) -> iso.EntryTransaction10:
    name, text = _text(movement.name, 70), _text(movement.text, 140)
    party = iso.Party40Choice(pty=iso.PartyIdentification135(nm=name)) if name else None
    account = _other_side(movement.account) if movement.account else None
    sides = (
        {"dbtr": party, "dbtr_acct": account} if sign > 0 else {"cdtr": party, "cdtr_acct": account}
    )
    return iso.EntryTransaction10(
        refs=iso.TransactionReferences6(
            acct_svcr_ref=_reference(movement.entry_id),
            end_to_end_id=movement.end_to_end_id or "NOTPROVIDED",
            clr_sys_ref=_reference(movement.tx_hash.removeprefix("0x")),
        ),
        amt=_amount(cents),
        cdt_dbt_ind=_sign(sign),
        rltd_pties=iso.TransactionParties6(**sides) if party or account else None,
        rmt_inf=iso.RemittanceInformation16(ustrd=[text]) if text else None,
        addtl_tx_inf=f"{movement.kind} {movement.ref} in {movement.tx_hash}: exactly "
        f"{_exact(movement.amount_micro)} EUR",
    )


def _other_side(account: str) -> iso.CashAccount38:
    if account.startswith("0x"):
        other = iso.GenericAccountIdentification1(id=account_id(account))
        return iso.CashAccount38(id=iso.AccountIdentification4Choice(othr=other))
    return iso.CashAccount38(id=iso.AccountIdentification4Choice(iban=account))


def _reference(digest: str) -> str:
    """Return a reference of at most 35 characters from the first 20 bytes of a hash (hex)."""
    return end_to_end_id(bytes.fromhex(digest)) if digest else "NONREF"


def _remainder(statement: AccountStatement) -> str:
    waiting = _references_text(statement.waiting)
    return (
        f"Amounts have 6 decimals on chain; {_exact(statement.remainder_micro)} EUR below one "
        f"cent stays on the account and is carried forward{waiting}."
    )[:500]


def _references_text(waiting: Iterable[Movement]) -> str:
    refs = [movement.end_to_end_id for movement in waiting if movement.end_to_end_id]
    return f", of {', '.join(refs[:8])}{' and more' if len(refs) > 8 else ''}" if refs else ""


def _text(text: str, limit: int) -> str:
    """Return the text with printable characters only, cut at `limit`."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:limit]


def _exact(micro: int) -> str:
    whole, rest = divmod(abs(micro), 1_000_000)
    return f"{'-' if micro < 0 else ''}{whole}.{rest:06}"


def _amount(cents: int) -> iso.ActiveOrHistoricCurrencyAndAmount:
    return iso.ActiveOrHistoricCurrencyAndAmount(value=Decimal(from_minor(abs(cents))), ccy="EUR")


def _sign(cents: int) -> iso.CreditDebitCode:
    return iso.CreditDebitCode.DBIT if cents < 0 else iso.CreditDebitCode.CRDT
