"""From the ledger to the bank: order payouts, each once, and send their files.

A file is stored in the same commit as the new stage of its payouts, and sending it can be repeated:
after a crash in between the same bytes are sent again, and nothing is ordered twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from device_adapters.types import Rejected
from orchestrator.core import bank_file
from orchestrator.core.approval import Office
from orchestrator.core.chart import euro_text
from orchestrator.core.payout import MACHINE, Fact, Stage
from orchestrator.core.references import attempted, uetr
from orchestrator.edges.bank import pain
from orchestrator.edges.bank.calendar import execution_day
from orchestrator.edges.bank.channel import Channel
from orchestrator.edges.bank.types import Address, BankReason, Debtor, PaymentOrder
from orchestrator.edges.store import Session, Store, agreements, approvals, bank_files, payouts
from orchestrator.settings import Settings
from orchestrator.steps import WorkerMemory
from orchestrator.steps.payout_approvals import approved, order_again, ordered_cents

_FILES_A_TURN = 10


class PayoutsContext(Protocol):
    """What ordering payouts needs of the rail."""

    settings: Settings
    store: Store
    office: Callable[[], Office]
    bank: Channel
    safeguarding: Mapping[str, Any]
    now: Callable[[], int]  # Unix seconds
    memory: WorkerMemory


@dataclass(frozen=True, slots=True)
class WaitingPayout:
    """Why a payout cannot leave now, and its stage."""

    stage: Stage
    reason: str


@dataclass
class DraftFile:
    """A file that would be sent now.

    Attributes:
        approvals: Ids of the approvals that some of the orders need.
        waits: What does not leave, by payout id.
        last: The payout that was looked at last and cannot leave.
        due_on: The day on which the bank is asked to execute it, ISO 8601.
    """

    orders: list[PaymentOrder] = field(default_factory=list)
    approvals: list[str] = field(default_factory=list)
    waits: dict[str, WaitingPayout] = field(default_factory=dict)
    last: str = ""
    message: str = ""
    batch: str = ""
    due_on: str = ""
    body: bytes = b""


def order_payouts(context: PayoutsContext) -> int:
    """Order what is due, in files of bounded size; return how many files were sent."""
    for _ in range(_FILES_A_TURN):
        now, office = context.now(), context.office()
        with context.store.write() as session:
            order_again(session, office)
            draft = draft_file(
                session,
                context.settings,
                context.safeguarding,
                office,
                now,
                context.memory.last_payout,
            )
            context.memory.last_payout = draft.last
            for payout_id, waiting in draft.waits.items():
                _let_wait(session, payout_id, waiting)
            if draft.orders:
                _store_file(session, draft, now)
        if not draft.orders:
            break
    return send_files(context)


def draft_file(
    session: Session,
    settings: Settings,
    safeguarding: Mapping[str, Any],
    office: Office,
    now: int,
    after: str = "",
) -> DraftFile:
    """Return the next file of payouts that are due; nothing is changed.

    Args:
        session: A session of the store.
        settings: The rail's settings.
        safeguarding: The rail's own bank account.
        office: Whose approvals count.
        now: Unix seconds.
        after: Payouts that wait come in the order of their ids, those behind this id first.
    """
    draft, rest_cents = DraftFile(last=after), settings.file_cents
    by_payout = {row.payout_id: (row, signed) for signed, row in approved(session, office)}
    due = [row for row, _ in by_payout.values()]
    due += payouts.due(session, settings.payouts_per_file, after)
    for row in due:
        if len(draft.orders) == settings.payouts_per_file:
            break
        try:
            order = _order(session, settings, row, row.payout_id in by_payout)
        except Rejected as refusal:
            draft.last = row.payout_id
            if row.reason != str(refusal):
                draft.waits[row.payout_id] = _waiting(row, refusal)
            continue
        if order.amount_cents <= rest_cents:
            rest_cents -= order.amount_cents
            draft.orders.append(order)
            if row.payout_id in by_payout:
                draft.approvals.append(by_payout[row.payout_id][1])
    if draft.orders:
        _write(draft, settings, safeguarding, now)
    return draft


def _waiting(row: payouts.PayoutRow, refusal: Rejected) -> WaitingPayout:
    stage = Stage(row.stage)
    if refusal.reason is BankReason.FOUR_EYES:
        stage = MACHINE.advance(row.payout_id, stage, Fact.ABOVE_LIMIT)
    return WaitingPayout(stage, str(refusal))


def _let_wait(session: Session, payout_id: str, waiting: WaitingPayout) -> None:
    if waiting.stage is Stage.WAITING_FOR_APPROVAL:
        payouts.record_fact(session, [payout_id], Fact.ABOVE_LIMIT)
    payouts.set_reason(session, payout_id, waiting.reason)


def _order(
    session: Session, settings: Settings, row: payouts.PayoutRow, is_approved: bool
) -> PaymentOrder:
    """Return the order for the bank.

    An order that goes out again, or sends a credit back, needs no further approval: two officers
    have signed it already.

    Raises:
        Rejected: With the reason why it waits until a person acts.
    """
    if row.cents > settings.file_cents:
        raise Rejected(
            BankReason.FILE_LIMIT,
            f"its amount is above {euro_text(settings.file_cents)}, the most that one file may sum "
            "to. Next: raise PROOFRAIL_FILE_CENTS",
        )
    needs_approval = not (is_approved or row.attempt or not row.tx_hash)
    if needs_approval and row.cents > settings.four_eyes_cents:
        raise Rejected(
            BankReason.FOUR_EYES,
            f"waiting for approval: amounts above {euro_text(settings.four_eyes_cents)} need two "
            f"officers. Next: `proofrail payout propose {row.payout_id[:14]} --as NAME`",
        )
    party = agreements.party_at(session, row.payee, row.account)
    if party is None:
        raise Rejected(
            BankReason.ACCOUNT_UNKNOWN,
            "no party has the account that this payout was redeemed for. Next: name it with "
            "`proofrail party add`, under a new name if the payee has changed its bank",
        )
    payout_id = bytes.fromhex(row.payout_id[2:])
    order = PaymentOrder(
        payout_id=payout_id,
        end_to_end_id=row.end_to_end_id,
        uetr=uetr(attempted(payout_id, row.attempt)),
        name=party.name,
        iban=party.iban,
        bic=party.bic or "",
        amount_cents=ordered_cents(session, row),
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
    name = bank_files.order_file_name(draft.message)
    digest = bank_files.add(session, draft.body, "out", name, "pain.001", now)
    payouts.record_fact(
        session,
        ["0x" + order.payout_id.hex() for order in draft.orders],
        Fact.SENT,
        file_hash=digest,
        reason=None,
        batch=draft.batch,
        due_on=draft.due_on,
    )
    for approval_id in draft.approvals:
        approvals.mark_executed(session, approval_id, now)


def send_files(context: PayoutsContext) -> int:
    """Send the bank the files that it has not answered; return how many were new to it."""
    sent = 0
    with context.store.read() as session:
        for digest, name in bank_files.unanswered(session):
            if bank_file.order_stage(name, context.bank.placed(name)) is bank_file.Stage.WRITTEN:
                sent += context.bank.send(name, bank_files.get(session, digest).body)
    return sent
