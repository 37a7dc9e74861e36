"""What an entry or detail of a camt message says besides its amount: references, parties, texts."""

from __future__ import annotations

import re

from orchestrator.core.references import find_reference, is_reference, normalise
from orchestrator.edges.bank.facts import BankCode, Counterparty, Exchange, References
from orchestrator.edges.bank.types import BankReason
from orchestrator.edges.bank.xml import XmlNode

_RETURNS = {"RRTN", "UPDD", "RPCR", "PRDD"}  # ISO bank transaction codes: reversals due to...
_NOT_GIVEN = {"NOTPROVIDED", "NONREF"}


def references(detail: XmlNode, entry: XmlNode, batch: str) -> References:
    """Of a detail, or of an entry that has none (then both are the entry)."""
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
    """Every structured creditor reference once; those of ISO 11649 come first, canonical."""
    told = detail.texts("RmtInf/Strd/CdtrRefInf/Ref") + detail.texts(
        "RmtInf/Strd/CdtrRefInf/CdtrRef"
    )
    told = [normalise(each) if is_reference(each) else each for each in told]
    return sorted(dict.fromkeys(told), key=lambda each: not is_reference(each))


def end_to_end_ids(nodes: list[XmlNode]) -> tuple[str, ...]:
    """Those of all details of an entry that could not be told apart."""
    return tuple(found for each in nodes if (found := _given(each, "Refs/EndToEndId")))


def counterparty(
    detail: XmlNode, own: Counterparty, is_credit: bool, *, is_return: bool, is_opposite: bool
) -> Counterparty:
    """The other side: the debtor of a credit, the creditor of a debit; never who has our account.

    own: holder and number of the account. A return names both as the payment did that it undoes
    (German annex 3), at some banks the other way round. is_opposite: a deduction from an entry of
    the other sign may name its party as the entry does.
    """
    sides = ("Dbtr", "Cdtr") if is_credit else ("Cdtr", "Dbtr")
    near, far = (_party(detail, side) for side in sides)
    if near.account and near.account == own.account and far.account != own.account:
        return far
    if not is_return:
        return far if is_opposite and not _is_told(near) else near
    ours, theirs = _is_own(near, own), _is_own(far, own)
    if ours == theirs:  # so the names do not tell; an account at one side only does
        ours, theirs = bool(far.account), bool(near.account)
    return near if not _is_told(far) or (theirs and not ours) else far


def _is_own(party: Counterparty, own: Counterparty) -> bool:
    if party.account:
        return party.account == own.account
    return bool(party.name) and party.name.casefold() == own.name.casefold()


def _is_told(party: Counterparty) -> bool:
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
        iban or detail.text(f"{account}/Othr/Id", f"{account}/PrtryAcct/Id", f"{account}/BBAN"),
        detail.text(
            f"{agent}/BICFI",
            f"{agent}/BIC",
            f"{agent}/CmbndId/BIC",
            f"{parties}/Agt/FinInstnId/BICFI",
        ),
    )


def code(detail: XmlNode, entry: XmlNode) -> BankCode:
    """The detail's bank transaction code, else the entry's."""
    found = detail if detail.has("BkTxCd") else entry
    return BankCode(
        found.text("BkTxCd/Domn/Cd"),
        found.text("BkTxCd/Domn/Fmly/Cd"),
        found.text("BkTxCd/Domn/Fmly/SubFmlyCd"),
        found.text("BkTxCd/Prtry/Cd"),
        found.text("BkTxCd/Prtry/Issr"),
    )


def remittance(detail: XmlNode) -> str:
    """What the payer wrote: unstructured, else what structured remittance adds in words."""
    return " ".join(detail.texts("RmtInf/Ustrd") or detail.texts("RmtInf/Strd/AddtlRmtInf"))


def return_reason(detail: XmlNode) -> str:
    """The code; else what the bank says in words, or the code that its words begin with."""
    told = detail.text(
        "RtrInf/Rsn/Cd",
        "RtrInf/Rsn/Prtry",
        "RtrInf/RtrRsn/Cd",
        "RtrInf/RtrRsn/Prtry",
        "RtrInf/AddtlInf",
    )
    coded = re.match(r"[A-Z]{2}[0-9]{2}\b", told)
    return coded[0] if coded else told


def is_return(detail: XmlNode, entry: XmlNode) -> bool:
    """Whether it undoes a payment, also where the bank gives no reason for it."""
    return (
        detail.has("RtrInf") or entry.truth("RvslInd") or code(detail, entry).sub_family in _RETURNS
    )


def exchange(detail: XmlNode, currency: str) -> Exchange | None:
    """The amount in another currency, where the bank converted one. Never counted with."""
    for path in ("InstdAmt", "TxAmt", "CntrValAmt", "AnncdPstngAmt"):
        place = f"AmtDtls/{path}/Amt"
        if detail.has(place) and detail.attribute(place, "Ccy") != currency:
            found = detail.money(place, counts=False)
            rate = next(
                (
                    detail.text(f"AmtDtls/{each}/CcyXchg/XchgRate")
                    for each in ("TxAmt", "CntrValAmt", "InstdAmt", "AnncdPstngAmt")
                    if detail.has(f"AmtDtls/{each}/CcyXchg/XchgRate")
                ),
                "",
            )
            if found:
                return Exchange(*found, rate)
    return None


def charges(node: XmlNode, currency: str) -> tuple[int, bool]:
    """(what the bank took, less what it gave back; whether it says that the amount includes it).

    Charges of up to version 2 are flat, later ones have records; one that is booked apart from
    the line (ChrgInclInd false) is left out.
    """
    total, included = 0, False
    for group in node.children("Chrgs"):
        for record in list(group.children("Rcrd")) or [group]:
            path = "Amt" if record.has("Amt") else "TtlChrgsAndTaxAmt"
            apart = record.text("ChrgInclInd") in ("false", "0")
            found = record.money(path) if record.has(path) and not apart else None
            if found and found[0] and found[1] != currency:
                record.note(
                    BankReason.CURRENCY_MISMATCH,
                    f"charges in {found[1]} are not counted: the line is in {currency}",
                    path,
                )
            elif found:
                total += -found[0] if record.text("CdtDbtInd") == "CRDT" else found[0]
                included = included or record.truth("ChrgInclInd")
    return total, included


def creditor_reference(structured: str, text: str, end_to_end_id: str) -> str:
    """The structured one; else one of ours in the free text or in the EndToEndId, however it is
    spaced; else the one word of the text that is anyone's ISO 11649 reference."""
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
    found = node.text(path)
    return "" if found.upper() in _NOT_GIVEN else found
