"""Repeats what executed approvals did: the entries that two officers' signatures stand for."""

from __future__ import annotations

from collections.abc import Callable

from device_adapters.types import Rejected
from orchestrator.approvals import verify
from orchestrator.core import ledger
from orchestrator.core.approval import Approval
from orchestrator.core.hold import HELD_AND_REJECTED, HOLD, KIND, HoldDecision, hold_document
from orchestrator.core.identity import payout_account
from orchestrator.core.ledger import Entry
from orchestrator.core.payment import Stage
from orchestrator.edges.store import Session, all_rows, approvals, holds
from orchestrator.edges.store.payments import PaymentRow
from orchestrator.errors import Halt
from orchestrator.rebuild.contexts import RawBank, RawPayout
from orchestrator.rebuild.findings import Differences


def fold(row: approvals.ApprovalRow, bank: RawBank) -> None:
    """Post the entries of an approval, and move its payout or credit; most kinds post nothing."""
    content, rule = approvals.content_of(row), _RULES.get(row.kind)
    entries = rule(row, content, bank) if rule else []
    source = f"approval:{row.approval_id}"
    bank.journal.post(item.dated(row.executed_at or 0, source) for item in entries)


def check(session: Session, chain_id: int, findings: Differences) -> None:
    """Check both signatures of every approved approval, over all of its content."""
    for row in all_rows(session, approvals.ApprovalRow):
        if row.approved_at is None:
            continue
        try:
            verify(session, chain_id, row)
        except Halt as refusal:
            findings.add("approval", row.approval_id, str(refusal))
        findings.count("approvals", 1)


def check_holds(session: Session, chain_id: int, findings: Differences) -> None:
    """Check who held each payment and who ended the hold: an officer's and two officers' word.

    A hold is no matter of the chain: it is compared with the signatures that it rests on.
    """
    rows = {row.payment_id: row for row in all_rows(session, PaymentRow)}
    held: dict[str, holds.HoldRow] = {}
    for hold in all_rows(session, holds.HoldRow):
        held[hold.payment_id] = hold  # the newest one counts
        findings.count("holds", 1)
        if hold.signature and not _signed(session, chain_id, hold):
            findings.add("hold", hold.payment_id, f"no officer signed the hold of {hold.held_by}")
        if hold.decision is not None and not _decided(session, hold):
            findings.add(
                "hold", hold.payment_id, f"no executed approval says {hold.decision!r} about it"
            )
    for name, row in sorted(rows.items()):
        newest = held.get(name)
        if row.stage == Stage.HELD and (newest is None or newest.decision is not None):
            findings.add("payment", name, "it is held, and nobody holds it")
        if row.reason == HELD_AND_REJECTED and (
            newest is None or newest.decision != HoldDecision.REJECT
        ):
            findings.add("payment", name, "two officers are said to have rejected it, and did not")


def _signed(session: Session, chain_id: int, hold: holds.HoldRow) -> bool:
    document = hold_document(hold.payment_id, hold.claim_hash, hold.reason, hold.held_at)
    officers = approvals.former_officers(session, hold.held_at)
    try:
        return document.signer(HOLD, chain_id, hold.signature, officers) == hold.held_by
    except Rejected:
        return False


def _decided(session: Session, hold: holds.HoldRow) -> bool:
    """Return whether an executed approval is about this hold and says what is stored of it."""
    row = approvals.get(session, hold.approval_id or "")
    if row is None or row.executed_at is None or row.kind != KIND:
        return False
    detail = approvals.content_of(row).detail
    return row.subject == hold.payment_id and (detail["held_at"], detail["decision"]) == (
        hold.held_at,
        hold.decision,
    )


def _order_again(row: approvals.ApprovalRow, content: Approval, bank: RawBank) -> list[Entry]:
    """Order a payout again: a returned one is in transit again; a rejected one always was."""
    payout = bank.by_reference.get(content.subject)
    if payout is None:
        return []
    is_back = bank.opened(payout).returned
    payout.attempt += 1
    payout.account = "0x" + payout_account(str(content.detail["iban"])).hex()
    bank.order(payout)
    ref = ledger.part_of(payout.payout_id, row.approval_id)
    return [ledger.reordered(ref, int(content.detail["cents"]))] if is_back else []


def _allocate(row: approvals.ApprovalRow, content: Approval, bank: RawBank) -> list[Entry]:
    credit = bank.credit_rows.get(content.subject)
    if credit is None:
        return []
    if agreement := content.detail.get("agreement"):  # else it is for a party's wallet
        credit.agreement = str(agreement)
    return [ledger.allocated(content.subject, credit.cents)]


def _send_back(row: approvals.ApprovalRow, content: Approval, bank: RawBank) -> list[Entry]:
    """Make a payout for a credit that is sent back: no tokens were burned, its id is the
    credit's."""
    credit = bank.credit_rows.get(content.subject)
    if credit is None:
        return []
    account = "0x" + payout_account(str(content.detail["iban"])).hex()
    at = row.executed_at or 0
    bank.order(RawPayout(content.subject, "", account, credit.cents, "", at))
    return [ledger.sent_back(content.subject, credit.cents)]


_RULES: dict[str, Callable[[approvals.ApprovalRow, Approval, RawBank], list[Entry]]] = {
    "order_again": _order_again,
    "allocate_credit": _allocate,
    "send_back_credit": _send_back,
}
