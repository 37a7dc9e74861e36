"""What an entry or detail of a camt message says besides its amount: references, parties, texts."""

from __future__ import annotations

from orchestrator.core.references import find_reference, is_reference, normalise
from orchestrator.edges.bank.facts import Code, Counterparty, Exchange, References
from orchestrator.edges.bank.types import BankReason
from orchestrator.edges.bank.xml import Node

_NOT_GIVEN = {"NOTPROVIDED", "NONREF"}


def references(detail: Node, entry: Node, batch: str) -> References:
    """Of a detail, or of an entry that has none (then both are the entry)."""
    text = " ".join(detail.texts("RmtInf/Ustrd"))
    return References(
        end_to_end_id=_given(detail, "Refs/EndToEndId"),
        uetr=_given(detail, "Refs/UETR").lower(),
        reference=creditor_reference(
            detail.text("RmtInf/Strd/CdtrRefInf/Ref", "RmtInf/Strd/CdtrRefInf/CdtrRef"), text,
            detail.text("Refs/EndToEndId")),
        bank_reference=_given(detail, "Refs/AcctSvcrRef") or _given(entry, "AcctSvcrRef"),
        instruction_id=_given(detail, "Refs/InstrId"),
        mandate_id=_given(detail, "Refs/MndtId"),
        batch=_given(detail, "Refs/PmtInfId") or batch,
        message_id=_given(detail, "Refs/MsgId") or _given(entry, "NtryDtls/Btch/MsgId"),
        entry_reference=_given(entry, "NtryRef"),
        transaction_id=_given(detail, "Refs/TxId"),
        clearing_reference=_given(detail, "Refs/ClrSysRef"),
        creditor_id=detail.text("RltdPties/Cdtr/Pty/Id/PrvtId/Othr/Id",
                                "RltdPties/Cdtr/Id/PrvtId/Othr/Id"))


def counterparty(detail: Node, own_account: str, is_credit: bool, is_return: bool) -> Counterparty:
    """The other side. A return names debtor and creditor as the payment it undoes did, at some
    banks: whoever has our own account is never the other side."""
    sides = ("Dbtr", "Cdtr") if is_credit else ("Cdtr", "Dbtr")
    near, far = (_party(detail, side) for side in sides)
    ours = bool(near.account) and near.account == own_account
    absent = near == Counterparty() and is_return
    return far if (ours or absent) and far.account != own_account else near


def _party(detail: Node, side: str) -> Counterparty:
    parties, account = f"RltdPties/{side}", f"RltdPties/{side}Acct/Id"
    agent = f"RltdAgts/{side}Agt/FinInstnId"
    iban = normalise(detail.text(f"{account}/IBAN"))
    return Counterparty(
        detail.text(f"{parties}/Pty/Nm", f"{parties}/Nm", f"{parties}/Agt/FinInstnId/Nm"),
        iban or detail.text(f"{account}/Othr/Id", f"{account}/PrtryAcct/Id", f"{account}/BBAN"),
        detail.text(f"{agent}/BICFI", f"{agent}/BIC", f"{agent}/CmbndId/BIC",
                    f"{parties}/Agt/FinInstnId/BICFI"))


def code(detail: Node, entry: Node) -> Code:
    """The detail's bank transaction code, else the entry's."""
    found = detail if detail.has("BkTxCd") else entry
    return Code(found.text("BkTxCd/Domn/Cd"), found.text("BkTxCd/Domn/Fmly/Cd"),
                found.text("BkTxCd/Domn/Fmly/SubFmlyCd"), found.text("BkTxCd/Prtry/Cd"),
                found.text("BkTxCd/Prtry/Issr"))


def remittance(detail: Node) -> str:
    """What the payer wrote: unstructured, else what structured remittance adds in words."""
    return " ".join(detail.texts("RmtInf/Ustrd") or detail.texts("RmtInf/Strd/AddtlRmtInf"))


def return_reason(detail: Node) -> str:
    return detail.text("RtrInf/Rsn/Cd", "RtrInf/Rsn/Prtry", "RtrInf/RtrRsn/Cd",
                       "RtrInf/RtrRsn/Prtry", "RtrInf/AddtlInf")


def exchange(detail: Node, currency: str) -> Exchange | None:
    """The amount in another currency, where the bank converted one. Never counted with."""
    for path in ("InstdAmt", "TxAmt", "CntrValAmt", "AnncdPstngAmt"):
        place = f"AmtDtls/{path}/Amt"
        if detail.has(place) and detail.attribute(place, "Ccy") != currency:
            found = detail.money(place)
            rate = next((detail.text(f"AmtDtls/{each}/CcyXchg/XchgRate") for each in
                         ("TxAmt", "CntrValAmt", "InstdAmt", "AnncdPstngAmt")
                         if detail.has(f"AmtDtls/{each}/CcyXchg/XchgRate")), "")
            return Exchange(*found, rate) if found else None
    return None


def charges(node: Node, currency: str) -> tuple[int, bool]:
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
                record.note(BankReason.CURRENCY_MISMATCH,
                            f"charges in {found[1]} are not counted: the line is in {currency}",
                            path)
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
    words = {word for word in [*text.upper().split(), normalise(text)]
             if word.startswith("RF") and is_reference(word)}
    return words.pop() if len(words) == 1 else ""
 

def _given(node: Node, path: str) -> str:
    found = node.text(path)
    return "" if found.upper() in _NOT_GIVEN else found
