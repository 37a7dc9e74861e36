"""From the ledger to the bank: orders payouts, each once, and hands their files over.

A file is stored with its payouts' new stage in one commit, and handing it over can be repeated: a
crash in between sends the same bytes again and nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from device_adapters.types import Rejected
from orchestrator.core.references import attempted, uetr
from orchestrator.edges.bank import pain
from orchestrator.edges.bank.calendar import execution_day
from orchestrator.edges.bank.types import Address, BankReason, Debtor, PaymentOrder
from orchestrator.edges.store import (
    Session,
    Store,
    add_new,
    agreements,
    bank_files,
    payouts,
)
from orchestrator.edges.store import approvals as decided
from orchestrator.settings import Settings
from orchestrator.steps import StepContext
from orchestrator.steps.payout_approvals import order_again, ordered, released

_FILES_A_TURN = 10
_LAST: WeakKeyDictionary[Store, str] = WeakKeyDictionary()  # the last one that could not leave


@dataclass
class DraftFile:
    """A file that would be sent now. waits: payout id -> the stage and reason it is left with."""

    orders: list[PaymentOrder] = field(default_factory=list)
    approvals: list[str] = field(default_factory=list)  # that let some of the orders out
    waits: dict[str, dict[str, str]] = field(default_factory=dict)
    last: str = ""  # the last payout that was looked at in vain
    message: str = ""
    batch: str = ""
    due_on: str = ""  # the day the bank is asked to execute it
    body: bytes = b""


def order_payouts(rail: StepContext) -> int:
    """Orders what is due, in files of bounded size; returns how many were handed over."""
    chain_id = rail.chain.deployment.chain_id
    for _ in range(_FILES_A_TURN):
        now = rail.now()
        with rail.store.write() as session:
            order_again(session, chain_id, now)
            draft = draft_file(
                session, rail.settings, rail.safeguarding, chain_id, now, _LAST.get(rail.store, "")
            )
            _LAST[rail.store] = draft.last
            for payout, values in draft.waits.items():
                payouts.mark_payouts(session, [payout], **values)
            if draft.orders:
                _store_file(session, draft, now)
        if not draft.orders:
            break
    return hand_over(rail)


def draft_file(
    session: Session,
    settings: Settings,
    safeguarding: Mapping[str, Any],
    chain_id: int,
    now: int,
    after: str = "",
) -> DraftFile:
    """The next file, of the payouts that are due; it changes nothing. now: Unix seconds. after: of
    those that wait, the one to go on behind."""
    draft, room = DraftFile(last=after), settings.file_cents
    let_out = {row.payout_id: (row, identity) for identity, row in released(session, chain_id)}
    due = [row for row, _ in let_out.values()] + payouts.due(
        session, settings.payouts_per_file, after
    )
    for row in due:
        if len(draft.orders) == settings.payouts_per_file:
            break
        try:
            order = _order(session, settings, row, row.payout_id in let_out)
        except Rejected as refusal:
            draft.last = row.payout_id
            if row.reason != str(refusal):
                stage = "held" if refusal.reason is BankReason.FOUR_EYES else row.stage
                draft.waits[row.payout_id] = {"stage": stage, "reason": str(refusal)}
            continue
        if order.amount_cents <= room:
            room -= order.amount_cents
            draft.orders.append(order)
            draft.approvals += [let_out[row.payout_id][1]] if row.payout_id in let_out else []
    if draft.orders:
        _write(draft, settings, safeguarding, now)
    return draft


def _order(
    session: Session, settings: Settings, row: payouts.PayoutRow, is_released: bool
) -> PaymentOrder:
    """What to tell the bank; Rejected with why it waits, until somebody mends that. What is ordered
    again, or sent back without tokens burned for it, two officers looked at before."""
    if row.cents > settings.file_cents:
        raise Rejected(
            BankReason.FILE_LIMIT,
            f"more than PROOFRAIL_FILE_CENTS, the most one file may sum to ({settings.file_cents})",
        )
    four_eyes = is_released or row.attempt or not row.tx_hash
    if row.cents > settings.four_eyes_cents and not four_eyes:
        raise Rejected(
            BankReason.FOUR_EYES,
            f"above {settings.four_eyes_cents} cents two officers let it "
            f"out: `proofrail payout propose-release {row.payout_id[:14]} --as NAME`",
        )
    party = agreements.party_at(session, row.payee, row.account)
    if party is None:
        raise Rejected(
            BankReason.ACCOUNT_UNKNOWN,
            "no party has the account that this payout was redeemed "
            "for; name it with `proofrail party add`, under a name of its own if the payee has "
            "changed its bank",
        )
    identity = bytes.fromhex(row.payout_id[2:])
    order = PaymentOrder(
        payout_id=identity,
        end_to_end_id=row.end_to_end_id,
        uetr=uetr(attempted(identity, row.attempt)),
        name=party.name,
        iban=party.iban,
        bic=party.bic or "",
        amount_cents=ordered(session, row),
        address=Address(party.street, party.building, party.post_code, party.town, party.country),
    )
    pain.check(order)
    return order


def _write(draft: DraftFile, settings: Settings, safeguarding: Mapping[str, Any], now: int) -> None:
    created = datetime.fromtimestamp(now, UTC)
    account = dict(safeguarding)
    debtor = Debtor(
        account["name"], account["iban"], Address(**account["address"]), account.get("bic", "")
    )
    day = execution_day(created, settings.cut_off_hour)
    draft.message, draft.due_on = pain.message_id(draft.orders), day.isoformat()
    draft.batch = pain.payment_information_id(draft.orders)
    draft.body = pain.write(draft.orders, debtor, draft.message, created, day, batch_id=draft.batch)


def _store_file(session: Session, draft: DraftFile, now: int) -> None:
    digest = sha256(draft.body).hexdigest()
    add_new(
        session,
        [
            bank_files.BankFileRow(
                file_hash=digest,
                direction="out",
                name=bank_files.order_file_name(draft.message),
                kind="pain.001",
                body=draft.body,
                at=now,
            )
        ],
    )
    ids = ["0x" + order.payout_id.hex() for order in draft.orders]
    payouts.mark_payouts(
        session,
        ids,
        stage="sent",
        file_hash=digest,
        reason=None,
        batch=draft.batch,
        due_on=draft.due_on,
    )
    for identity in draft.approvals:
        decided.mark_executed(session, identity, now)


def hand_over(rail: StepContext) -> int:
    """Sends the bank the files that it has not answered; returns how many were new."""
    placed = 0
    with rail.store.read() as session:
        for digest, name in bank_files.unanswered(session):
            if not rail.bank.placed(name):
                placed += rail.bank.send(name, bank_files.get(session, digest).body)
    return placed
