"""Payouts that need two approvals: above the limit, or ordered again after a failure.

An approval is about one order, by its EndToEndId, and covers payout, amount and account: nothing
else can leave under it.
"""

from __future__ import annotations

from orchestrator.approvals import ready
from orchestrator.core import ledger
from orchestrator.core.approval import Approval, Office
from orchestrator.core.chart import euro_text
from orchestrator.core.identity import payout_account
from orchestrator.core.payout import FAILED, Fact, Stage
from orchestrator.core.references import attempted, end_to_end_id
from orchestrator.edges.store import Session, approvals, bank_postings, payouts
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.errors import Halt

# kinds of approvals; signed, so "release_payout" keeps the name that it had in 0.3.0
ABOVE_LIMIT, AGAIN = "release_payout", "order_again"


def to_pay(row: payouts.PayoutRow, now: int) -> Approval:
    """Return the approval for a payout above the limit.

    Args:
        row: The payout.
        now: Unix seconds.
    """
    return Approval(ABOVE_LIMIT, row.end_to_end_id, _covers(row, row.cents), now)


def to_order_again(row: payouts.PayoutRow, cents: int, iban: str, now: int) -> Approval:
    """Return the approval to order a rejected or returned payout again, under new references.

    Args:
        row: The payout.
        cents: The amount that is still owed (`owed`).
        iban: The account to pay to.
        now: Unix seconds.
    """
    return Approval(AGAIN, row.end_to_end_id, _covers(row, cents) | {"iban": iban}, now)


def approved(session: Session, office: Office) -> list[tuple[str, payouts.PayoutRow]]:
    """Return (approval id, payout) of the payouts above the limit that have both signatures.

    Raises:
        Halt: A payout differs from what was signed.
    """
    signed = ready(session, office, ABOVE_LIMIT)
    references = [approval.subject for _, approval in signed]
    rows = payouts.with_references(session, references, (Stage.WAITING_FOR_APPROVAL,))
    covered = []
    for approval_id, approval in signed:
        if (row := rows.get(approval.subject)) is not None:
            _must_cover(approval_id, approval, row, row.cents)
            covered.append((approval_id, row))
    return covered


def order_again(session: Session, office: Office) -> int:
    """Carry out the approvals to order again; return how many.

    The references of the failed order are never used again. An approval about an order that has
    not failed stays open.
    """
    signed = ready(session, office, AGAIN)
    references = [approval.subject for _, approval in signed]
    rows = payouts.with_references(session, references, FAILED)
    done = 0
    for approval_id, approval in signed:
        if (row := rows.get(approval.subject)) is None:
            continue
        _must_cover(approval_id, approval, row, approval.detail["cents"])
        if approval.detail["cents"] != owed(session, row):
            continue  # more came back since they signed: they have to sign again
        _order_again(session, rows.pop(approval.subject), approval, approval_id, office.now)
        approvals.mark_executed(session, approval_id, office.now)
        done += 1
    return done


def owed(session: Session, row: payouts.PayoutRow) -> int:
    """Return the cents that a payout still has to bring.

    That is what came back, which may be a part; else what its last order was for and was never
    booked.
    """
    payout = bank_postings.opened(session, row)
    return payout.returned or min(payout.in_transit, ordered_cents(session, row))


def ordered_cents(session: Session, row: payouts.PayoutRow) -> int:
    """Return the cents of the newest order: the whole payout, or what two officers ordered again.

    Other parts may still be on their way under an earlier order.
    """
    if not row.attempt:
        return row.cents
    before = end_to_end_id(attempted(bytes.fromhex(row.payout_id[2:]), row.attempt - 1))
    signed = [a for a in approvals.about(session, AGAIN, before) if a.executed_at]
    if len(signed) != 1:
        raise Halt(
            f"Payout {row.payout_id} is at attempt {row.attempt}, and {len(signed)} executed "
            "approvals order it so: the store was changed by hand. It was not ordered. Next: "
            "compare the store with the newest backup."
        )
    return int(approvals.content_of(signed[0]).detail["cents"])


def _order_again(
    session: Session, row: payouts.PayoutRow, approval: Approval, approval_id: str, now: int
) -> None:
    attempt = row.attempt + 1
    reference = end_to_end_id(attempted(bytes.fromhex(row.payout_id[2:]), attempt))
    if row.stage == Stage.RETURNED:
        ref = ledger.part_of(row.payout_id, approval_id)
        entry = ledger.reordered(ref, approval.detail["cents"])
        store_ledger.post(session, [entry], now, f"approval:{approval_id}")
    account = payout_account(approval.detail["iban"])
    payouts.record_fact(
        session,
        [row.payout_id],
        Fact.ORDERED_AGAIN,
        reason=None,
        attempt=attempt,
        end_to_end_id=reference,
        account="0x" + account.hex(),
        file_hash=None,
        line_id=None,
        batch="",
        due_on=None,
    )


def _covers(row: payouts.PayoutRow, cents: int) -> dict[str, object]:
    return {"payout": row.payout_id, "cents": cents, "account": row.account}


def _must_cover(approval_id: str, approval: Approval, row: payouts.PayoutRow, cents: int) -> None:
    if not _covers(row, cents).items() <= approval.detail.items():
        raise Halt(
            f"Payout {row.payout_id} ({euro_text(cents)}) is not what approval {approval_id} "
            "covers: its amount or account was changed since. It was not ordered. Next: compare "
            "the store with the newest backup."
        )
