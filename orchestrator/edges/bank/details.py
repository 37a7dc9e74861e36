"""Reads references, parties, codes, texts, charges and exchanges of camt entries and details."""

from __future__ import annotations

import re

from orchestrator.core.references import account_number, find_reference, is_reference, normalise
from orchestrator.edges.bank.facts import BankCode, Counterparty, Exchange, References
from orchestrator.edges.bank.types import BankReason
from orchestrator.edges.bank.xml import XmlNode

_RETURNS = {"RRTN", "UPDD", "RPCR", "PRDD"}  # ISO bank transaction sub-families of reversals
_NOT_GIVEN = {"NOTPROVIDED", "NONREF"}


def references(detail: XmlNode, entry: XmlNode, batch: str) -> References:
    """Return the references of a detail, or of an entry without details (passed twice)."""
    text = " ".join(detail.texts("RmtInf/Ustrd"))
    structured = _structured(detail)
    return References(
        end_to_end_id=_given(detail, "Refs/EndToEndId"),
        uetr=_given(detail, "Refs/UETR").lower(),
        reference=creditor_reference(
            structured[0] if structured else "", text, detail.text("Refs/EndToEndId")
        ),
        other_references=tuple(structured[1:]),
        documents=tuple(
            dict.fromkeys(
                detail.texts("RmtInf/Strd/RfrdDocInf/Nb")
                + detail.texts("RmtInf/Strd/RfrdDocInf/RfrdDocNb")
            )
        ),
        bank_reference=_given(detail, "Refs/AcctSvcrRef") or _given(entry, "AcctSvcrRef"),
        instruction_id=_given(detail, "Refs/InstrId"),
        mandate_id=_given(detail, "Refs/MndtId"),
        batch=_given(detail, "Refs/PmtInfId") or batch,
        message_id=_given(detail, "Refs/MsgId") or _given(entry, "NtryDtls/Btch/MsgId"),
        entry_reference=_given(entry, "NtryRef"),
        transaction_id=_given(detail, "Refs/TxId"),
        clearing_reference=_given(detail, "Refs/ClrSysRef"),
        creditor_id=detail.text(
            "RltdPties/Cdtr/Pty/Id/PrvtId/Othr/Id", "RltdPties/Cdtr/Id/PrvtId/Othr/Id"
        ),
    )


def _structured(detail: XmlNode) -> list[str]:
    """Return each structured creditor reference once; canonical ISO 11649 ones come first."""
    references = detail.texts("RmtInf/Strd/CdtrRefInf/Ref") + detail.texts(
        "RmtInf/Strd/CdtrRefInf/CdtrRef"
    )
    references = [
        normalise(reference) if is_reference(reference) else reference for reference in references
    ]
    return sorted(dict.fromkeys(references), key=lambda reference: not is_reference(reference))


def end_to_end_ids(nodes: list[XmlNode]) -> tuple[str, ...]:
    """Return the EndToEndIds of the details of an entry that could not be split."""
    return tuple(identity for node in nodes if (identity := _given(node, "Refs/EndToEndId")))


def counterparty(
    detail: XmlNode, own: Counterparty, is_credit: bool, *, is_return: bool, is_opposite: bool
) -> Counterparty:
    """Return the other party: the debtor of a credit, the creditor of a debit; never ourselves.

    Args:
        own: Holder and number of our account.
        is_return: A return lists both parties as the original payment did (German annex 3); some
            banks swap them.
        is_opposite: A deduction from an entry of the other sign may list its party as the entry
            does.
    """
    sides = ("Dbtr", "Cdtr") if is_credit else ("Cdtr", "Dbtr")
    near, far = (_party(detail, side) for side in sides)
    if near.account and near.account == own.account and far.account != own.account:
        return far
    if not is_return:
        return far if is_opposite and not _is_given(near) else near
    ours, theirs = _is_own(near, own), _is_own(far, own)
    if ours == theirs:  # names do not decide; an account on one side only does
        ours, theirs = bool(far.account), bool(near.account)
    return near if not _is_given(far) or (theirs and not ours) else far


def _is_own(party: Counterparty, own: Counterparty) -> bool:
    if party.account:
        return party.account == own.account
    return bool(party.name) and party.name.casefold() == own.name.casefold()


def _is_given(party: Counterparty) -> bool:
    return bool(party.name or party.account)


def _party(detail: XmlNode, side: str) -> Counterparty:
    parties, account = f"RltdPties/{side}", f"RltdPties/{side}Acct/Id"
    agent = f"RltdAgts/{side}Agt/FinInstnId"
    iban = normalise(detail.text(f"{account}/IBAN"))
    return Counterparty(
        detail.text(
            f"{parties}/Pty/Nm",
            f"{parties}/Nm",
            f"{parties}/Agt/FinInstnId/Nm",
            f"RltdPties/Ultmt{side}/Pty/Nm",
            f"RltdPties/Ultmt{side}/Nm",
        ),
        account_number(
            iban or detail.text(f"{account}/Othr/Id", f"{account}/PrtryAcct/Id", f"{account}/BBAN")
        ),
        detail.text(
            f"{agent}/BICFI",
            f"{agent}/BIC",
            f"{agent}/CmbndId/BIC",
            f"{parties}/Agt/FinInstnId/BICFI",
        ),
    )


def code(detail: XmlNode, entry: XmlNode) -> BankCode:
    """Return the detail's bank transaction code, else the entry's."""
    node = detail if detail.has("BkTxCd") else entry
    return BankCode(
        node.text("BkTxCd/Domn/Cd"),
        node.text("BkTxCd/Domn/Fmly/Cd"),
        node.text("BkTxCd/Domn/Fmly/SubFmlyCd"),
        node.text("BkTxCd/Prtry/Cd"),
        node.text("BkTxCd/Prtry/Issr"),
    )


def remittance(detail: XmlNode) -> str:
    """Return the payer's text: unstructured, else the text added to structured remittance."""
    return " ".join(detail.texts("RmtInf/Ustrd") or detail.texts("RmtInf/Strd/AddtlRmtInf"))


def return_reason(detail: XmlNode) -> str:
    """Return the return code; else the bank's text, or the code at its beginning."""
    text = detail.text(
        "RtrInf/Rsn/Cd",
        "RtrInf/Rsn/Prtry",
        "RtrInf/RtrRsn/Cd",
        "RtrInf/RtrRsn/Prtry",
        "RtrInf/AddtlInf",
    )
    coded = re.match(r"[A-Z]{2}[0-9]{2}\b", text)
    return coded[0] if coded else text


def is_return(detail: XmlNode, entry: XmlNode) -> bool:
    """Return whether it reverses a payment, even if the bank gives no reason."""
    return (
        detail.has("RtrInf") or entry.truth("RvslInd") or code(detail, entry).sub_family in _RETURNS
    )


def exchange(detail: XmlNode, currency: str) -> Exchange | None:
    """Return the amount in another currency if the bank converted one; for information only."""
    for path in ("InstdAmt", "TxAmt", "CntrValAmt", "AnncdPstngAmt"):
        place = f"AmtDtls/{path}/Amt"
        if detail.has(place) and detail.attribute(place, "Ccy") != currency:
            money = detail.money(place, counts=False)
            rate = next(
                (
                    detail.text(f"AmtDtls/{element}/CcyXchg/XchgRate")
                    for element in ("TxAmt", "CntrValAmt", "InstdAmt", "AnncdPstngAmt")
                    if detail.has(f"AmtDtls/{element}/CcyXchg/XchgRate")
                ),
                "",
            )
            if money:
                return Exchange(*money, rate)
    return None


def charges(node: XmlNode, currency: str) -> tuple[int, bool]:
    """Return (charges minus refunds in minor units, whether the amount includes them).

    Charges up to version 2 are flat, later ones have records. A charge that is booked separately
    (ChrgInclInd false) is left out.
    """
    total, included = 0, False
    for group in node.children("Chrgs"):
        for record in list(group.children("Rcrd")) or [group]:
            path = "Amt" if record.has("Amt") else "TtlChrgsAndTaxAmt"
            is_separate = record.text("ChrgInclInd") in ("false", "0")
            money = record.money(path) if record.has(path) and not is_separate else None
            if money and money[0] and money[1] != currency:
                record.add_note(
                    BankReason.CURRENCY_MISMATCH,
                    f"charges in {money[1]} are not counted: the line is in {currency}",
                    path,
                )
            elif record.text("CdtDbtInd") not in ("CRDT", "DBIT", ""):
                indicator = record.text("CdtDbtInd")
                record.add_problem(BankReason.VALUE_MALFORMED, f"{indicator!r:.20}", "CdtDbtInd")
            elif money:
                total += -money[0] if record.text("CdtDbtInd") == "CRDT" else money[0]
                included = included or record.truth("ChrgInclInd")
    return total, included


def creditor_reference(structured: str, text: str, end_to_end_id: str) -> str:
    """Return the creditor reference of a line, "" if there is none or several.

    In this order: the structured one; one of ours in the text or the EndToEndId, with any spacing;
    the only ISO 11649 reference among the words of the text.
    """
    if structured and is_reference(structured):
        return normalise(structured)
    ours = find_reference(text) or find_reference(end_to_end_id)
    if ours or structured:
        return ours or structured
    words = {
        word
        for word in [*text.upper().split(), normalise(text)]
        if word.startswith("RF") and is_reference(word)
    }
    return words.pop() if len(words) == 1 else ""


def _given(node: XmlNode, path: str) -> str:
    text = node.text(path)
    return "" if text.upper() in _NOT_GIVEN else text
