"""From the bank to the ledger: takes its files whole, and acts on each booked line once."""

from __future__ import annotations

from hashlib import sha256

from device_adapters.types import Rejected
from orchestrator.core import ledger
from orchestrator.core.payment import Fact
from orchestrator.core.reconcile import Booked, distinct
from orchestrator.core.references import normalise
from orchestrator.edges.bank import camt
from orchestrator.edges.bank.types import StatementLine, StatusReport
from orchestrator.edges.store import Session, add_new, agreements, books, evidence, payments
from orchestrator.edges.store import transfers as store
from orchestrator.steps import Rail


def read_bank(rail: Rail) -> int:
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


def _take_file(rail: Rail, name: str, body: bytes) -> None:
    now, digest = rail.now(), sha256(body).hexdigest()
    with rail.store.read() as session:
        if store.file(session, digest) is not None:
            return
        seen = [(row.account, row.statement) for row in store.statements(session)]
    found = camt.parse(body, accounts={rail.safeguarding["iban"]}, seen=seen)
    is_report = isinstance(found, StatusReport)
    with rail.store.write() as session:
        add_new(session, [store.BankFile(
            file_hash=digest, direction="in", name=name, kind="pain.002" if is_report else "camt",
            body=body, at=now,
        )])  # fmt: skip
        if is_report:
            _take_statuses(session, found)
            return
        for statement in found:
            store.add_statement(
                session, statement.account, statement.id, digest, statement.balances
            )
            store.add_lines(session, statement.lines, digest)
        for booked in distinct(store.lines(session)):
            _book(session, booked, now)


def _keep_rejected(rail: Rail, name: str, body: bytes, refusal: Rejected) -> None:
    with rail.store.write() as session:
        add_new(session, [evidence.Rejection(
            received_at=rail.now(), source="bank", device=name, protocol="iso20022",
            reason=str(refusal.reason), detail=refusal.detail, body=body,
        )])  # fmt: skip
    rail.log.warning("bank file rejected", name=name, reason=refusal.reason)


def _take_statuses(session: Session, report: StatusReport) -> None:
    """A status may stand for a whole message: the orders of the file it speaks of are asked for."""
    sent = {
        row.end_to_end_id: row.payout_id
        for row in store.payouts_of_message(session, report.original_message_id)
        if row.stage in ("sent", "accepted")
    }
    refused = report.refused(sent)
    for reference, payout in sent.items():
        reason = refused.get(reference)
        stage = "accepted" if reason is None else "rejected"
        store.mark_payouts(session, [payout], stage=stage, reason=reason)


def _book(session: Session, booked: Booked, now: int) -> None:
    """Acts on a line once, however often and in whatever files the bank reports it."""
    line, ids = booked.line, ["0x" + i.hex() for i in booked.ids]
    if line.currency != "EUR":  # reconciliation names it; no euro may come of it
        return
    if store.is_booked(session, ids):
        store.add_bookings(session, ids, line)
        return
    store.add_bookings(session, ids, line)
    if line.amount_minor < 0 and line.end_to_end_id:
        row = store.payout_by_reference(session, line.end_to_end_id)
        if row is not None and row.cents == -line.amount_minor and row.stage != "booked":
            _payout_booked(session, row, ids[0], now)
            return
    if line.amount_minor > 0 and not line.is_return:
        _credit_booked(session, line, ids[0], now)
        return
    books.post(session, [ledger.unexplained(ids[0], line.amount_minor)], now)


def _payout_booked(session: Session, row: store.Payout, line_id: str, now: int) -> None:
    store.mark_payouts(session, [row.payout_id], stage="booked", line_id=line_id)
    books.post(session, [ledger.payout_booked(row.payout_id, row.cents)], now)
    payments.learn(session, [
        payments.Learned(p, Fact.BOOKED, line_id)
        for p in payments.of_payout(session, row.payout_id)
    ], now)  # fmt: skip


def _credit_booked(session: Session, line: StatementLine, credit: str, now: int) -> None:
    """The line's id is the credit id: it mints once, under whichever report came first."""
    agreement = agreements.by_reference(session, normalise(line.reference))
    add_new(session, [store.Funding(
        credit_id=credit, cents=line.amount_minor,
        agreement_id=agreement.agreement_id if agreement else None,
        stage="booked" if agreement else "suspense",
    )])  # fmt: skip
    books.post(session, [ledger.funding_booked(credit, line.amount_minor)], now)
