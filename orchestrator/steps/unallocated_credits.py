"""Credits without an agreement: two officers decide about each, and the decision is executed once.

An approval covers the credit, its amount, and the account that the money goes back to, so nothing
else can use it. If its credit no longer waits, it does nothing and stays open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from orchestrator.approvals import ready
from orchestrator.core import ledger
from orchestrator.core.approval import Approval, Office
from orchestrator.core.funding import Fact, Stage
from orchestrator.core.identity import payout_account
from orchestrator.core.references import end_to_end_id
from orchestrator.edges.store import (
    Session,
    Store,
    add_all,
    add_new,
    agreements,
    approvals,
    fundings,
    payouts,
)
from orchestrator.edges.store import ledger as store_ledger

ALLOCATE, SEND_BACK = "allocate_credit", "send_back_credit"
WAITING = Stage.SUSPENSE


class CreditsContext(Protocol):
    """What deciding about credits needs of the rail."""

    store: Store
    office: Callable[[], Office]
    now: Callable[[], int]  # Unix seconds


def to_allocate(credit: fundings.FundingRow, agreement: str, now: int) -> Approval:
    """Return the approval to mint a credit into an agreement's escrow.

    Args:
        credit: The credit.
        agreement: The agreement's id, 0x-hex.
        now: Unix seconds.
    """
    return Approval(ALLOCATE, credit.credit_id, _covers(credit) | {"agreement": agreement}, now)


def to_wallet(credit: fundings.FundingRow, party: str, now: int) -> Approval:
    """Return the approval to mint a credit into a party's wallet, such as for a dispute's bond.

    Args:
        credit: The credit.
        party: The party's address, checksummed.
        now: Unix seconds.
    """
    return Approval(ALLOCATE, credit.credit_id, _covers(credit) | {"wallet": party}, now)


def wallet_of(session: Session, credit_id: str) -> str | None:
    """Return the wallet that two officers allocated a credit to; None if it is for none."""
    return next(
        (
            approvals.content_of(row).detail.get("wallet")
            for row in approvals.about(session, ALLOCATE, credit_id)
            if row.executed_at is not None
        ),
        None,
    )


def to_send_back(credit: fundings.FundingRow, payer: Mapping[str, str], now: int) -> Approval:
    """Return the approval to pay a credit back.

    Args:
        credit: The credit.
        payer: Name, iban, and the parts of the address as in `agreements.PartyRow`.
        now: Unix seconds.
    """
    return Approval(SEND_BACK, credit.credit_id, _covers(credit) | dict(payer), now)


def decide_credits(context: CreditsContext) -> int:
    """Execute what two officers decided about credits; return how many."""
    office, now, done = context.office(), context.now(), 0
    with context.store.write() as session:
        for kind, carry_out in _KINDS.items():
            for approval_id, approval in ready(session, office, kind):
                credit = fundings.get(session, approval.subject)
                if credit is None or credit.stage != WAITING or not _is_about(approval, credit):
                    continue
                entry = carry_out(session, credit, approval.detail, now)
                store_ledger.post(session, [entry], now, f"approval:{approval_id}")
                approvals.mark_executed(session, approval_id, now)
                done += 1
    return done


def _allocate(
    session: Session, credit: fundings.FundingRow, detail: Mapping[str, Any], now: int
) -> ledger.Entry:
    credit_id, cents = credit.credit_id, credit.cents
    agreement = detail.get("agreement")  # None: it is for a wallet (`wallet_of`)
    fundings.record_fact(session, credit_id, Fact.ALLOCATED, agreement_id=agreement)
    return ledger.allocated(credit_id, cents)


def _send_back(
    session: Session, credit: fundings.FundingRow, detail: Mapping[str, Any], now: int
) -> ledger.Entry:
    """Make a payout like any other, except that no tokens were burned for it.

    Its id is the credit's. A payer that is no party is known by its bank account alone.
    """
    account = "0x" + payout_account(detail["iban"]).hex()
    party = agreements.party_at(session, "", account)
    payer = party.address if party else f"iban:{detail['iban']}"
    new_party = agreements.PartyRow(
        address=payer, account=account, **{name: detail[name] for name in PAYER}
    )
    add_new(session, [new_party])
    payout = payouts.PayoutRow(
        payout_id=credit.credit_id,
        payee=payer,
        account=account,
        cents=credit.cents,
        end_to_end_id=end_to_end_id(bytes.fromhex(credit.credit_id[2:])),
        tx_hash="",
        ordered_at=now,
    )
    add_all(session, [payout])
    fundings.record_fact(session, credit.credit_id, Fact.SENT_BACK)
    return ledger.sent_back(credit.credit_id, credit.cents)


PAYER = ("name", "iban", "street", "building", "post_code", "town", "country")
_KINDS: dict[str, Callable[..., ledger.Entry]] = {ALLOCATE: _allocate, SEND_BACK: _send_back}


def _covers(credit: fundings.FundingRow) -> dict[str, Any]:
    return {"cents": credit.cents}


def _is_about(approval: Approval, credit: fundings.FundingRow) -> bool:
    return _covers(credit).items() <= approval.detail.items()
