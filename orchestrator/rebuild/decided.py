"""Repeats what executed approvals did: the entries that two officers' signatures stand for."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.approvals import verify
from orchestrator.core import ledger
from orchestrator.core.approval import Approval
from orchestrator.core.identity import payout_account
from orchestrator.core.ledger import Entry
from orchestrator.edges.store import Session, all_rows, approvals
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
