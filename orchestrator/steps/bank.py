"""Between ledger and bank: orders payouts, reads what the bank sends, mints booked credits."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from device_adapters.types import Rejected
from orchestrator.core import ledger
from orchestrator.core.payment import Fact
from orchestrator.core.reconcile import Booked, distinct
from orchestrator.core.references import normalise, uetr
from orchestrator.edges.bank import camt, pain
from orchestrator.edges.bank.types import Address, Party, Payout, StatementLine, StatusReport
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import Session, add_new, agreements, books, evidence, payments
from orchestrator.edges.store import transfers as store
from orchestrator.errors import Retry
from orchestrator.steps import Rail

_PAYOUTS_PER_FILE = 1_000
_NO_ACCOUNT = (
    "account_unknown: no party has the account that this payout was redeemed for; name it with "
    "`proofrail party add`, under a name of its own if the payee has changed its bank"
)


def order_payouts(rail: Rail) -> int:
    """Writes due payouts into one pain.001, stores it, then hands it over; returns how many files.

    The file is stored with the payouts' new stage in one transaction; handing over is idempotent,
    so a crash in between sends the same bytes again and nothing twice.
    """
    now = rail.now()
    with rail.store.write() as session:
        due = store.payouts_at(session, "ordered", _PAYOUTS_PER_FILE)
        orders = [order for row in due if (order := _order(rail, session, row)) is not None]
        if orders:
            _store_file(rail, session, orders, now)
    return hand_over(rail)


def _order(rail: Rail, session: Session, row: store.Payout) -> Payout | None:
    """What to tell the bank; None, with the reason kept, until somebody mends the party's data."""
    party = agreements.party_at(session, row.payee, row.account)
    if party is None:
        store.mark_payouts(session, [row.payout_id], reason=_NO_ACCOUNT)
        return None
    identity = bytes.fromhex(row.payout_id[2:])
    order = Payout(
        payout_id=identity, end_to_end_id=row.end_to_end_id, uetr=uetr(identity),
        name=party.name, iban=party.iban, bic=party.bic or "", amount_cents=row.cents,
        address=Address(
            party.street, party.building, party.post_code, party.town, party.country
        ),
    )  # fmt: skip
    try:
        pain.check(order)
    except Rejected as refusal:
        store.mark_payouts(session, [row.payout_id], reason=str(refusal))
        return None
    return order


def _store_file(rail: Rail, session: Session, orders: list[Payout], now: int) -> None:
    created = datetime.fromtimestamp(now, UTC)
    account = dict(rail.safeguarding)
    debtor = Party(
        account["name"], account["iban"], Address(**account["address"]), account.get("bic", "")
    )
    message = pain.message_id(orders)
    body = pain.write(orders, debtor, message, created, created.date())
    digest = sha256(body).hexdigest()
    add_new(session, [store.BankFile(
        file_hash=digest, direction="out", name=store.order_file(message), kind="pain.001",
        body=body, at=now,
    )])  # fmt: skip
    ids = ["0x" + order.payout_id.hex() for order in orders]
    store.mark_payouts(session, ids, stage="sent", file_hash=digest, reason=None)


def hand_over(rail: Rail) -> int:
    """Places the files that the bank has not answered in its folder; returns how many were new."""
    placed = 0
    with rail.store.read() as session:
        for digest, name in store.unanswered_files(session):
            if not rail.bank.placed(name):
                placed += rail.bank.send(name, store.file(session, digest).body)
    return placed


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


def mint(rail: Rail) -> int:
    """Mints tokens into escrow for booked credits with a known reference; returns how many."""
    now, sent = rail.now(), 0
    with rail.store.read() as session:
        due = store.fundings_at(session, "booked", 200)
    for row in due:
        amount = row.cents * ledger.MICRO_PER_CENT
        rail_address = rail.chain.deployment.addresses["PaymentRail"]
        arguments = (row.credit_id, rail_address, row.agreement_id, amount)
        try:
            quote = rail.gateway.quote(Call("EuroToken", "mintToEscrow", arguments))
        except Retry as delay:
            rail.log.warning("mint waits", credit=row.credit_id, reason=str(delay))
            continue
        with rail.store.write() as session:
            rail.gateway.prepare(session, "mint", row.credit_id, quote, now)
            store.mark_funding(session, row.credit_id, "minting")
        sent += 1
    if sent:
        rail.gateway.broadcast()
    return sent
