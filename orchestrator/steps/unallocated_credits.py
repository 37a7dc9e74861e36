"""Credits that name no agreement: what two officers decide about each, done once.

An approval covers the credit and its amount, and the account that the money goes back to: nothing
else can be done under it. One whose credit waits no more does nothing, and stays open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator import approvals
from orchestrator.core import ledger
from orchestrator.core.approval import Approval
from orchestrator.core.identity import payout_account
from orchestrator.core.references import end_to_end_id
from orchestrator.edges.store import Session, add_all, add_new, agreements, fundings, payouts
from orchestrator.edges.store import approvals as decided
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.steps import StepContext

ALLOCATE, SEND_BACK = "allocate_credit", "send_back_credit"
WAITING = "suspense"


def to_allocate(credit: fundings.FundingRow, agreement: str, now: int) -> Approval:
    """Mints a credit into this agreement's escrow. now: Unix seconds."""
    return Approval(ALLOCATE, credit.credit_id, _covers(credit) | {"agreement": agreement}, now)


def to_send_back(credit: fundings.FundingRow, payer: Mapping[str, str], now: int) -> Approval:
    """Pays a credit back. payer: name, iban, and the parts of its address as in
    `agreements.PartyRow`."""
    return Approval(SEND_BACK, credit.credit_id, _covers(credit) | dict(payer), now)


def decide_credits(rail: StepContext) -> int:
    """Carries out what two officers decided about credits; returns how many."""
    chain_id, now, done = rail.chain.deployment.chain_id, rail.now(), 0
    with rail.store.write() as session:
        for kind, carry_out in _KINDS.items():
            for identity, said in approvals.ready(session, chain_id, kind):
                credit = fundings.get(session, said.subject)
                if credit is None or credit.stage != WAITING or not _is_of(said, credit):
                    continue
                entry = carry_out(session, credit, said.detail, now)
                store_ledger.post(session, [entry], now, f"approval:{identity}")
                decided.mark_executed(session, identity, now)
                done += 1
    return done


def _allocate(
    session: Session, credit: fundings.FundingRow, detail: Mapping[str, Any], now: int
) -> ledger.Entry:
    fundings.allocate(session, credit.credit_id, detail["agreement"])
    return ledger.allocated(credit.credit_id, credit.cents)


def _send_back(
    session: Session, credit: fundings.FundingRow, detail: Mapping[str, Any], now: int
) -> ledger.Entry:
    """A payout like any other from here on, but that no tokens were burned for: its id is the
    credit's. A payer that is no party is known by its bank account alone."""
    account = "0x" + payout_account(detail["iban"]).hex()
    known = agreements.party_at(session, "", account)
    payer = known.address if known else f"iban:{detail['iban']}"
    add_new(
        session,
        [
            agreements.PartyRow(
                address=payer, account=account, **{name: detail[name] for name in PAYER}
            )
        ],
    )
    add_all(
        session,
        [
            payouts.PayoutRow(
                payout_id=credit.credit_id,
                payee=payer,
                account=account,
                cents=credit.cents,
                end_to_end_id=end_to_end_id(bytes.fromhex(credit.credit_id[2:])),
                tx_hash="",
                ordered_at=now,
            )
        ],
    )
    fundings.mark_funding(session, credit.credit_id, "sent_back")
    return ledger.sent_back(credit.credit_id, credit.cents)


PAYER = ("name", "iban", "street", "building", "post_code", "town", "country")
_KINDS: dict[str, Callable[..., ledger.Entry]] = {ALLOCATE: _allocate, SEND_BACK: _send_back}


def _covers(credit: fundings.FundingRow) -> dict[str, Any]:
    return {"cents": credit.cents}


def _is_of(said: Approval, credit: fundings.FundingRow) -> bool:
    return _covers(credit).items() <= said.detail.items()
