"""From the bank to the ledger: takes its files whole, and acts on each booked line once."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

from device_adapters.types import Rejected
from orchestrator.core.bank_posting import (
    CreditBooked,
    CreditReversed,
    PayoutMoved,
    entries_for,
    in_order,
    line_ids,
)
from orchestrator.core.payment import Fact
from orchestrator.core.reconcile import StatementLine, distinct
from orchestrator.edges.bank import camt
from orchestrator.edges.bank.types import BankReason, StatusReport
from orchestrator.edges.store import (
    Session,
    add_new,
    bank_files,
    fundings,
    ledger,
    payments,
    payouts,
    rejections,
)
from orchestrator.steps import StepContext
from orchestrator.steps.bank_context import StoreContext


def read_bank(rail: StepContext) -> int:
    """Takes the bank's files; returns how many. A bad one is kept, by its reason, and set aside."""
    taken = 0
    for name, body in rail.bank.receive():
        try:
            _take_file(rail, name, body)
        except Rejected as refusal:
            _keep_rejected(rail, name, body, refusal)
            rail.bank.reject(name)
        else:
            rail.bank.done(name)
        taken += 1
    return taken


def _take_file(rail: StepContext, name: str, body: bytes) -> None:
    now, digest = rail.now(), sha256(body).hexdigest()
    with rail.store.read() as session:
        if bank_files.get(session, digest) is not None:
            return
        seen = [(row.account, row.statement) for row in bank_files.statements(session)]
    found = camt.parse(body, accounts={rail.safeguarding["iban"]}, seen=seen)
    is_report = isinstance(found, StatusReport)
    if not is_report:
        _refuse_twins([line for each in found for line in each.lines])
    with rail.store.write() as session:
        add_new(
            session,
            [
                bank_files.BankFileRow(
                    file_hash=digest,
                    direction="in",
                    name=name,
                    kind="pain.002" if is_report else "camt",
                    body=body,
                    at=now,
                )
            ],
        )
        if is_report:
            _take_statuses(session, found)
            return
        for statement in found:
            bank_files.add_statement(
                session, statement.account, statement.id, digest, statement.balances
            )
            bank_files.add_lines(session, statement.lines, digest)
        post_lines(session, [line for each in found for line in each.lines], now)


def _refuse_twins(lines: list[StatementLine]) -> None:
    """An archive may hold two files of one name: of two lines at one path, one would be lost."""
    twice = [path for path, n in Counter(line.path for line in lines).items() if n > 1]
    if twice:
        raise Rejected(BankReason.ARCHIVE_MALFORMED, f"two lines at {twice[0]:.200}")


def post_lines(session: Session, lines: list[StatementLine], now: int) -> None:
    """Acts on what new lines tell, against all earlier lines that may tell the same; those that
    share nothing with them were acted on before, and nothing here could change that."""
    found = in_order(distinct(bank_files.lines_like(session, lines)))
    ids = [identity for booked in found for identity in line_ids(booked)]
    context = StoreContext(session, bank_files.booked_among(session, ids))
    posted = []
    for booked in found:
        posted.append(entries_for(booked, context))
        context.note(booked.line, posted[-1])
    ledger.post(session, [entry for each in posted for entry in each.entries], now)
    bank_files.add_bookings(
        session,
        [
            (identity, booked.line)
            for booked in found
            if booked.line.currency == "EUR"
            for identity in line_ids(booked)
        ],
    )
    effects = [effect for each in posted for effect in each.effects]
    fundings.add(session, [each for each in effects if isinstance(each, CreditBooked)])
    for effect in effects:
        if isinstance(effect, PayoutMoved):
            _move_payout(session, effect, now)
        elif isinstance(effect, CreditReversed):
            fundings.take_back(session, effect.credit_id)


def _move_payout(session: Session, effect: PayoutMoved, now: int) -> None:
    payouts.mark_payouts(
        session,
        [effect.payout_id],
        stage=effect.stage,
        line_id=effect.line_id,
        reason=effect.reason or None,
    )
    if effect.stage == "booked":
        payments.record_facts(
            session,
            [
                payments.NewFact(p, Fact.BOOKED, effect.line_id)
                for p in payments.of_payout(session, effect.payout_id)
            ],
            now,
        )


def _keep_rejected(rail: StepContext, name: str, body: bytes, refusal: Rejected) -> None:
    with rail.store.write() as session:
        add_new(
            session,
            [
                rejections.RejectionRow(
                    received_at=rail.now(),
                    source="bank",
                    device=name,
                    protocol="iso20022",
                    reason=str(refusal.reason),
                    detail=refusal.detail,
                    body=body,
                )
            ],
        )
    rail.log.warning("bank file rejected", name=name, reason=refusal.reason)


def _take_statuses(session: Session, report: StatusReport) -> None:
    """A status may stand for a whole message: the orders of the file it speaks of are asked for."""
    sent = {
        row.end_to_end_id: row.payout_id
        for row in payouts.of_message(session, report.original_message_id)
        if row.stage in ("sent", "accepted")
    }
    refused = report.refused(sent)
    for reference, payout in sent.items():
        reason = refused.get(reference)
        stage = "accepted" if reason is None else "rejected"
        payouts.mark_payouts(session, [payout], stage=stage, reason=reason)
