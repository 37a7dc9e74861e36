"""Writes payouts as one pain.001.001.09; the same payouts give the same bytes and ids.

Rules: ISO 20022 pain.001.001.09 as SEPA credit transfers use it (EPC132-08): structured addresses,
a UETR and an EndToEndId per order, NbOfTxs and CtrlSum from integers, basic Latin text.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from re import fullmatch

from pyiso20022.pain import pain_001_001_09 as iso
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig
from xsdata.models.datatype import XmlDate, XmlDateTime

from device_adapters.types import Rejected
from orchestrator.edges.bank import accounts
from orchestrator.edges.bank.latin import latin
from orchestrator.edges.bank.money import amount_text, from_minor
from orchestrator.edges.bank.types import Address, BankReason, Debtor, PaymentOrder

_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
_MAX_CENTS = 99_999_999_999  # the SEPA scheme's largest amount
_UETR = r"[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}"


def message_id(payouts: Iterable[PaymentOrder]) -> str:
    """Return the MsgId (34 characters) of a set of orders.

    An order that is repeated has another EndToEndId, so its message has another id.
    """
    return _digest("PM", payouts)


def payment_information_id(payouts: Iterable[PaymentOrder]) -> str:
    """Return the PmtInfId (34 characters), the batch's name on the bank statement."""
    return _digest("PI", payouts)


def check(payout: PaymentOrder) -> None:
    """Raise Rejected if a payout cannot be ordered, so that the others can be sent without it."""
    what = f"payout {payout.payout_id.hex()}"
    if not 0 < payout.amount_cents <= _MAX_CENTS:
        raise Rejected(
            BankReason.AMOUNT_NOT_POSITIVE,
            f"{what}: the amount {amount_text(payout.amount_cents)} is out of range",
        )
    if payout.currency != "EUR":
        raise Rejected(BankReason.CURRENCY_MISMATCH, f"{what}: {payout.currency!r:.20}, not EUR")
    if not fullmatch(r"[A-Z0-9]{1,35}", payout.end_to_end_id) or not fullmatch(_UETR, payout.uetr):
        raise Rejected(BankReason.REFERENCE_INVALID, f"{what}: EndToEndId or UETR")
    latin(payout.text, 140, what)
    _check_party(payout, what)


def write(
    payouts: Sequence[PaymentOrder],
    debtor: Debtor,
    message_id: str,
    created_at: datetime,
    execution_date: date,
    *,
    batch_id: str = "",
    batch_booking: bool = True,
) -> bytes:
    """Return a message of one batch, with payouts in ascending id order.

    The caller stores message_id, created_at and execution_date first, so that a second run writes
    the same bytes.

    Args:
        batch_id: PmtInfId. Default: `payment_information_id`.

    Raises:
        Rejected: there are no payouts, or the named one cannot be ordered.
    """
    if not payouts:
        raise Rejected(BankReason.NO_PAYOUTS, "a message needs at least one payout")
    ordered = sorted(payouts, key=lambda payout: payout.payout_id)
    if len({p.payout_id for p in ordered} | {p.end_to_end_id for p in ordered}) != 2 * len(ordered):
        raise Rejected(BankReason.DUPLICATE_PAYOUT, "a payout is twice in the message")
    for payout in ordered:
        check(payout)
    _check_party(debtor, "debtor")
    count = str(len(ordered))
    total = Decimal(from_minor(sum(payout.amount_cents for payout in ordered)))
    header = iso.GroupHeader85(
        msg_id=message_id,
        cre_dt_tm=_moment(created_at),
        nb_of_txs=count,
        ctrl_sum=total,
        initg_pty=iso.PartyIdentification135(nm=latin(debtor.name, 70, "debtor")),
    )
    batch = iso.PaymentInstruction30(
        pmt_inf_id=batch_id or payment_information_id(ordered),
        pmt_mtd=iso.PaymentMethod3Code.TRF,
        btch_bookg=batch_booking,
        nb_of_txs=count,
        ctrl_sum=total,
        pmt_tp_inf=iso.PaymentTypeInformation26(svc_lvl=[iso.ServiceLevel8Choice(cd="SEPA")]),
        reqd_exctn_dt=iso.DateAndDateTime2Choice(dt=XmlDate.from_date(execution_date)),
        dbtr=_party(debtor),
        dbtr_acct=_account(debtor.iban),
        dbtr_agt=_agent(debtor.bic, True),
        chrg_br=iso.ChargeBearerType1Code.SLEV,
        cdt_trf_tx_inf=[_order(p) for p in ordered],
    )
    document = iso.Document(
        cstmr_cdt_trf_initn=iso.CustomerCreditTransferInitiationV09(grp_hdr=header, pmt_inf=[batch])
    )
    config = SerializerConfig(xml_declaration=True, encoding="UTF-8")
    text = XmlSerializer(config=config).render(document, ns_map={None: _NAMESPACE})
    return text.encode()


def _order(payout: PaymentOrder) -> iso.CreditTransferTransaction34:
    amount = iso.ActiveOrHistoricCurrencyAndAmount(
        value=Decimal(from_minor(payout.amount_cents)), ccy=payout.currency
    )
    text = latin(payout.text, 140, payout.end_to_end_id)
    return iso.CreditTransferTransaction34(
        pmt_id=iso.PaymentIdentification6(
            instr_id=payout.end_to_end_id, end_to_end_id=payout.end_to_end_id, uetr=payout.uetr
        ),
        amt=iso.AmountType4Choice(instd_amt=amount),
        cdtr_agt=_agent(payout.bic) if payout.bic else None,
        cdtr=_party(payout),
        cdtr_acct=_account(payout.iban),
        rmt_inf=iso.RemittanceInformation16(ustrd=[text]) if text else None,
    )


def _party(party: Debtor | PaymentOrder) -> iso.PartyIdentification135:
    return iso.PartyIdentification135(
        nm=latin(party.name, 70, "name"), pstl_adr=_address(party.address)
    )


def _address(address: Address) -> iso.PostalAddress24:
    return iso.PostalAddress24(
        strt_nm=latin(address.street, 70, "street") or None,
        bldg_nb=latin(address.building, 16, "building") or None,
        pst_cd=latin(address.post_code, 16, "post code") or None,
        twn_nm=latin(address.town, 35, "town"),
        ctry=address.country,
    )


def _account(iban: str) -> iso.CashAccount38:
    return iso.CashAccount38(id=iso.AccountIdentification4Choice(iban=accounts.iban(iban)))


def _agent(bic: str, required: bool = False) -> iso.BranchAndFinancialInstitutionIdentification6:
    other = iso.GenericFinancialIdentification1(id="NOTPROVIDED") if required and not bic else None
    return iso.BranchAndFinancialInstitutionIdentification6(
        fin_instn_id=iso.FinancialInstitutionIdentification18(
            bicfi=accounts.bic(bic) if bic else None, othr=other
        )
    )


def _check_party(party: Debtor | PaymentOrder, what: str) -> None:
    if not latin(party.name, 70, what):
        raise Rejected(BankReason.NAME_NOT_LATIN, f"{what}: the name is empty")
    accounts.sepa_iban(party.iban, what)
    if party.bic:
        accounts.bic(party.bic, what)
    if not party.address.town.strip() or not fullmatch(r"[A-Z]{2}", party.address.country):
        raise Rejected(BankReason.ADDRESS_INCOMPLETE, f"{what}: town and country are mandatory")
    _address(party.address)


def _digest(mark: str, payouts: Iterable[PaymentOrder]) -> str:
    orders = "|".join([mark, *sorted(payout.end_to_end_id for payout in payouts)])
    return mark + b32encode(sha256(orders.encode()).digest()[:20]).decode()


def _moment(at: datetime) -> XmlDateTime:
    return XmlDateTime.from_datetime(at.astimezone(UTC).replace(microsecond=0))
